package directory

import (
	"context"
	"database/sql"
	"time"

	"mailreplica/internal/fault"
)

// engine is a kind of database under a store.
type engine interface {
	// place names the database in messages; it holds no secret.
	place() string

	// create makes what open can open, unless it is there.
	create(ctx context.Context, now time.Time) error

	// handle gives the open database, which it opens, checks, and brings to the newest schema where that has not been done.
	// An empty database is errNotDirectory. The store calls one of create, handle and close at a time.
	handle(ctx context.Context, now time.Time) (*sql.DB, error)

	// close ends the use of the database.
	close() error

	// beginWrite starts a transaction that keeps every other writer out until it ends, and sees what all before it did.
	beginWrite(ctx context.Context, db *sql.DB) (*writeTx, error)

	// beginRead starts a transaction that reads one state.
	beginRead(ctx context.Context, db *sql.DB) (*sql.Tx, error)

	// beginCopy is beginRead for what is copied elsewhere: it must not be lost again. It ends with settle, after which all
	// that was read lasts; an error says that it may not. The transaction is ended by a Rollback after that.
	beginCopy(ctx context.Context, db *sql.DB) (tx *sql.Tx, settle func() error, err error)

	// serverTime reads the time of the database's own clock, in milliseconds; empty: it has none.
	serverTime() string

	// tidy removes what the engine keeps for itself and no longer needs.
	tidy(ctx context.Context, tx *sql.Tx, now time.Time) error

	// class says what an error means for the transaction in which it came up.
	class(err error) errorClass

	// explain gives an error that carries no kind one, and a hint.
	explain(unavailable fault.Kind, what string, err error) error
}

// writeTx is a transaction that writes.
type writeTx struct {
	sql  *sql.Tx
	now  time.Time // by the database's own clock; zero: it has none
	lock string    // what a SELECT ends with whose rows are written after it

	again seen // of an engine for which preparing those that come again pays
	// context is what statements are given, so that nothing watches each of them alone; nil: the transaction's own.
	context context.Context

	// commit makes the transaction last. An error of class errAgain says that it certainly had no effect.
	commit func(ctx context.Context) error
	// end undoes the transaction, unless it was committed, and gives its connection back.
	end func()
}

// errorClass is what an error means for the transaction in which it came up.
type errorClass int

// The classes.
const (
	errOther     errorClass = iota // the database or the disk: nobody's write can be trusted
	errStatement                   // one statement: a defect, or a value that is too large
	errAgain                       // others were in the way: nothing was done, and the same may succeed later
	errLost                        // the connection broke before the transaction was committed, or the database went: nothing was done
)

// lostAttemptsMax is how often a transaction is tried whose connection breaks: those that are idle may all be dead.
const lostAttemptsMax = 3
