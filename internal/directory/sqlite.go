package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"mailreplica/internal/fault"
)

// sqliteBusyTimeout is how long SQLite itself waits for another process's transaction; runs of it are repeated until
// the store's own limit.
const sqliteBusyTimeout = 500 * time.Millisecond

// sqliteConnectionsMax is how many connections a store has: one writes, the others read.
const sqliteConnectionsMax = 5

// sqliteFile is a database in a file on a filesystem of this machine.
type sqliteFile struct {
	path        string
	what        string     // in messages
	unavailable fault.Kind // of a file that cannot be read or written
	mkdir       bool       // create makes the folder, too
	sync        bool       // every commit reaches the disk; else the last few may be lost with the machine, never with the process

	db   *sql.DB
	file os.FileInfo // of the file that db has open
}

func (s *sqliteFile) place() string { return s.path }

// handle gives the open database. SQLite goes on writing to a file that was deleted or replaced under it, and nobody
// else would ever see that: so the path is compared with the open file every time, and opened anew if it is another.
func (s *sqliteFile) handle(ctx context.Context, now time.Time) (*sql.DB, error) {
	file, err := os.Stat(s.path)
	if err != nil {
		s.forget()
		return nil, fault.Wrap(s.unavailable, err, "%s is not there", s.what)
	}
	if s.db != nil && os.SameFile(file, s.file) {
		return s.db, nil
	}
	s.forget()
	return s.open(ctx, false, now)
}

// open opens the file and brings its schema up to date.
func (s *sqliteFile) open(ctx context.Context, create bool, now time.Time) (*sql.DB, error) {
	if err := refuseNetwork(filepath.Dir(s.path)); err != nil {
		return nil, err
	}
	db, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err = migrateSQLite(ctx, db, create, now); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	file, err := os.Stat(s.path)
	if err != nil {
		return nil, fault.Wrap(s.unavailable, errors.Join(err, db.Close()), "%s is not there", s.what)
	}
	s.db, s.file = db, file
	return db, nil
}

func (s *sqliteFile) connect(ctx context.Context) (*sql.DB, error) {
	synchronous := "NORMAL"
	if s.sync {
		synchronous = "FULL"
	}
	query := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", sqliteBusyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(" + synchronous + ")",
		"foreign_keys(ON)",
	}}
	dsn := (&url.URL{Scheme: "file", Path: s.path, RawQuery: query.Encode()}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(sqliteConnectionsMax)
	db.SetMaxIdleConns(sqliteConnectionsMax)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// create makes the file unless it is there, and opens it. The file is made before SQLite opens it, so that it and its
// companions, which take its mode, are for their owner only: they hold password hashes.
func (s *sqliteFile) create(ctx context.Context, now time.Time) error {
	if s.db != nil {
		return nil
	}
	if s.mkdir {
		if err := os.MkdirAll(filepath.Dir(s.path), 0o750); err != nil {
			return fault.Wrap(s.unavailable, err, "cannot make the directory's folder")
		}
		if err := refuseNetwork(filepath.Dir(s.path)); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fault.Wrap(s.unavailable, err, "cannot make %s", s.what)
	}
	_, err = s.open(ctx, true, now)
	return err
}

// forget closes the open database, if any.
func (s *sqliteFile) forget() { _ = s.close() } // it is of no further use, and every commit was reported already

func (s *sqliteFile) close() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db, s.file = nil, nil
	return err
}

func (s *sqliteFile) beginWrite(ctx context.Context, db *sql.DB) (*writeTx, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &writeTx{
		sql:     tx,
		again:   seen{},
		context: context.WithoutCancel(ctx), // it has the lock now: no statement waits for anything but the disk
		commit:  func(context.Context) error { return tx.Commit() },
		end:     func() { _ = tx.Rollback() }, // of no effect after a commit
	}, nil
}

func (s *sqliteFile) beginRead(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	return db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
}

func (s *sqliteFile) tidy(context.Context, *sql.Tx, time.Time) error { return nil }

func (s *sqliteFile) serverTime() string { return "" } // it is the machine's

// beginCopy: SQLite shows no transaction to others before the disk has it (synchronous=FULL).
func (s *sqliteFile) beginCopy(ctx context.Context, db *sql.DB) (*sql.Tx, func() error, error) {
	tx, err := s.beginRead(ctx, db)
	return tx, func() error { return nil }, err
}

func (s *sqliteFile) class(err error) errorClass {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return errOther
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return errAgain
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE,
		sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG:
		return errStatement
	}
	return errOther
}

func (s *sqliteFile) explain(unavailable fault.Kind, what string, err error) error {
	switch s.class(err) {
	case errAgain:
		return fault.Wrap(unavailable, err, "%s is held by another process", what)
	case errStatement:
		return fault.Wrap(fault.Internal, err, "a statement on %s failed", what)
	}
	return fault.Wrap(unavailable, err, "%s cannot be used", what)
}
