package directory

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
	"mailreplica/internal/pause"
)

const (
	mariaConnectionsMax = 8 // of one store: one writes, one finds out what became of a write, the others read

	// The server is given up when it says nothing for this long: two of it fit into a write's limit, so that there is time
	// left to find out what became of it.
	mariaAnswerTimeout = 4 * time.Second

	// A mailstore that froze within a transaction holds the lock that every writer waits for. The server takes it back
	// after this long, which is well before others are taken for dead (IncarnationLiveFor).
	mariaIdleTransactionMax = 3 * time.Second

	writersKeptFor = 30 * 24 * time.Hour // a process that runs writes every few seconds

	mariaConnectionLife = time.Hour // then a connection is made anew, to wherever the name leads by now

	// mariaPacketBytesMin is twice the largest statement (an operation's parameters), whose text may be longer than its values.
	mariaPacketBytesMin = 2 * (OperationParametersMax + 64<<10)
)

// mariaServer is a database of a MariaDB server, or of a Galera cluster of them.
type mariaServer struct {
	config mariadb.Config
	log    *slog.Logger
	db     *sql.DB
	writer [16]byte // this process's row in the table writers
	reader [16]byte // another one, written for the sake of its COMMIT

	// unsure is set when something happened after which the database must be looked at again: it may be another server by
	// now, or an empty one.
	unsure atomic.Bool
	warned bool
}

func newMariaServer(opts Options) (engine, error) {
	c := *opts.MariaDB
	for what, value := range map[string]string{"address": c.Address, "database": c.Database, "user": c.User} {
		if value == "" {
			return nil, fault.New(fault.Invalid, "the directory's MariaDB server has no %s", what).
				WithHint("set directoryMariaDB in the mailstore's configuration")
		}
	}
	if c.AnswerTimeout == 0 {
		c.AnswerTimeout = mariaAnswerTimeout
	}
	db, err := mariadb.Open(c, mariadb.Options{
		Isolation: mariadb.RepeatableRead, CausalReads: true, Interpolate: true, IdleTransactionMax: mariaIdleTransactionMax,
	})
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(mariaConnectionsMax)
	db.SetMaxIdleConns(mariaConnectionsMax)
	db.SetConnMaxLifetime(mariaConnectionLife)
	m := &mariaServer{config: c, log: opts.Log, db: db, writer: random16(), reader: random16()}
	m.unsure.Store(true)
	return m, nil
}

// random16 makes the sixteen bytes of an id. rand.Read never fails.
func random16() (id [16]byte) {
	_, _ = rand.Read(id[:])
	return id
}

func (m *mariaServer) place() string { return "the database " + m.config.String() }

func (m *mariaServer) close() error { return m.db.Close() }

func (m *mariaServer) create(ctx context.Context, now time.Time) error {
	return m.prepare(ctx, true, now)
}

func (m *mariaServer) handle(ctx context.Context, now time.Time) (*sql.DB, error) {
	if !m.unsure.Load() {
		return m.db, nil
	}
	if err := m.prepare(ctx, false, now); err != nil {
		return nil, err
	}
	return m.db, nil
}

// prepare checks the server and brings the schema up to date.
func (m *mariaServer) prepare(ctx context.Context, create bool, now time.Time) error {
	m.unsure.Store(false) // before it is looked at: what happens meanwhile sets it again
	err := m.check(ctx)
	if err == nil {
		err = migrateMariaDB(ctx, m.db, create, now)
	}
	if err != nil {
		m.unsure.Store(true)
	}
	return err
}

func (m *mariaServer) check(ctx context.Context) error {
	warnings, err := mariadb.Check(ctx, m.db, fault.DirectoryUnavailable, mariadb.Needs{
		Server:         "the MariaDB server of the directory",
		PacketBytesMin: mariaPacketBytesMin, ConnectionsMin: mariaConnectionsMax, Durable: true,
	})
	if fault.Is(err, fault.Interrupted) {
		return errors.Unwrap(err) // whether by the caller or by the time that a store allows is judged there
	}
	if err != nil {
		return err
	}
	if m.log != nil && !m.warned {
		for _, w := range warnings {
			m.log.WarnContext(ctx, "the directory's database: "+w.Message, "hint", w.Hint)
		}
		m.warned = true
	}
	return nil
}

// beginWrite takes the lock on the row that numbers the transactions. Whoever has it is alone, so transactions become
// visible in the order of their numbers. On a Galera cluster the lock is one node's: there a transaction that was not
// alone fails at its COMMIT, for both wrote that row.
func (m *mariaServer) beginWrite(ctx context.Context, db *sql.DB) (*writeTx, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	w := &writeTx{sql: tx, lock: " FOR UPDATE"}
	w.end = func() {
		_ = tx.Rollback() // of no effect after a commit
		_ = conn.Close()  // gives the connection back
	}
	w.commit = func(ctx context.Context) error { return m.commit(ctx, db, conn, tx) }
	if w.now, err = lockCounter(ctx, tx); err != nil {
		w.end()
		return nil, err
	}
	return w, nil
}

// lockCounter gives the server's time, as it is when the lock is there: mailstores on several hosts need one clock to tell
// who is alive.
func lockCounter(ctx context.Context, tx *sql.Tx) (time.Time, error) {
	var value, now int64
	err := tx.QueryRowContext(ctx, "SELECT value FROM counters WHERE name = ? FOR UPDATE", counterVersion).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, errNotDirectory
	}
	if err != nil {
		return time.Time{}, err
	}
	err = tx.QueryRowContext(ctx, serverTime).Scan(&now)
	return fromMillis(now), err
}

// serverTime reads the server's clock, in milliseconds.
const serverTime = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS INTEGER)"

func (m *mariaServer) beginRead(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	return db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
}

// beginCopy: InnoDB shows a transaction to others before the disk has it, and may lose it if it is killed then; a copy would
// have a version that becomes that of another write. So the transaction that read writes as well: its COMMIT, on the same
// connection and thus to the same server, is answered when the disk has all that came before it.
func (m *mariaServer) beginCopy(ctx context.Context, db *sql.DB) (*sql.Tx, func() error, error) {
	tx, err := db.BeginTx(ctx, nil)
	return tx, func() error {
		if err := mark(ctx, tx, m.reader, random16()); err != nil {
			return err
		}
		return tx.Commit()
	}, err
}

// commit commits, and finds out what became of it if the server does not say. It must not be guessed: a creation that was
// done would come back as one whose name is taken, one that was not done would be lost.
func (m *mariaServer) commit(ctx context.Context, db *sql.DB, conn *sql.Conn, tx *sql.Tx) error {
	own := random16()
	if err := mark(ctx, tx, m.writer, own); err != nil {
		return err
	}
	err := tx.Commit()
	if err == nil {
		return nil
	}
	m.unsure.Store(true)
	// Whatever it said, the transaction may still be open: the connection must not be used again.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	done, problem := m.outcome(ctx, db, own)
	switch {
	case problem != nil:
		return fault.Wrap(fault.DirectoryUnavailable, errors.Join(errDoubt, err, problem), "the directory did not say whether a change was made").
			WithHint("when it answers again, look whether the change was made before you repeat it")
	case done:
		return nil
	}
	return errors.Join(errUndone, err)
}

var (
	// errUndone says that a transaction certainly had, and will have, no effect.
	errUndone = errors.New("the transaction was undone")
	// errDoubt says that nobody knows: the transaction must not be repeated.
	errDoubt = errors.New("the transaction is in doubt")
)

// mark writes that the last transaction of a row of the table writers is the one of this mark.
func mark(ctx context.Context, tx *sql.Tx, id, mark [16]byte) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO writers (id, mark, marked) VALUES (?, ?, UNIX_TIMESTAMP() * 1000)
		ON DUPLICATE KEY UPDATE mark = VALUES(mark), marked = VALUES(marked)`, id[:], mark[:])
	return err
}

// outcome tells whether the transaction of a mark was committed. It does not stop at not finding the mark, for a server that
// was frozen may commit later what it was told before: it waits for the lock that the transaction holds as long as it
// lives, and writes another mark. With that committed, a node of a Galera cluster that comes with the old transaction
// after it is refused, since both wrote the same row.
func (m *mariaServer) outcome(ctx context.Context, db *sql.DB, own [16]byte) (done bool, err error) {
	for wait := time.Millisecond; ; wait = min(2*wait, retryPauseMax) {
		if done, err = m.settle(ctx, db, own); err == nil {
			return done, nil
		}
		if pause.For(ctx, wait) != nil {
			return false, err
		}
	}
}

func (m *mariaServer) settle(ctx context.Context, db *sql.DB, own [16]byte) (done bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // of no effect after a commit
	if _, err := lockCounter(ctx, tx); err != nil {
		return false, err
	}
	var last []byte
	err = tx.QueryRowContext(ctx, "SELECT mark FROM writers WHERE id = ? FOR UPDATE", m.writer[:]).Scan(&last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	row := m.writer
	if done = string(last) == string(own[:]); done {
		row = m.reader // what can be seen is on the disk when a later COMMIT is answered: see beginCopy
	}
	if err := mark(ctx, tx, row, random16()); err != nil {
		return false, err
	}
	return done, tx.Commit()
}

// tidy forgets processes that have not written for long.
func (m *mariaServer) tidy(ctx context.Context, tx *sql.Tx, now time.Time) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM writers WHERE marked < ?", millis(now.Add(-writersKeptFor)))
	return err
}

func (m *mariaServer) serverTime() string { return serverTime }

func (m *mariaServer) class(err error) errorClass {
	switch {
	case errors.Is(err, errUndone):
		return errAgain
	case errors.Is(err, errDoubt), errors.Is(err, sql.ErrTxDone): // the latter: undone when the time was up
		return errOther
	}
	switch mariadb.ClassOf(err) {
	case mariadb.Again:
		return errAgain
	case mariadb.Lost:
		m.unsure.Store(true)
		return errLost
	case mariadb.Ours, mariadb.TooLarge, mariadb.Duplicate:
		if isMissingTable(err) { // another database by now: it is looked at again
			m.unsure.Store(true)
			return errLost
		}
		return errStatement
	}
	return errOther
}

func (m *mariaServer) explain(unavailable fault.Kind, what string, err error) error {
	class := mariadb.ClassOf(err)
	if errors.Is(err, sql.ErrTxDone) {
		class = mariadb.Interrupted
	}
	switch class {
	case mariadb.Interrupted: // by the store's own limit: the caller's is looked at before
		return fault.Wrap(unavailable, err, "%s did not answer in time", what)
	case mariadb.Again:
		return fault.Wrap(unavailable, err, "%s is held by others", what)
	}
	return mariadb.Explain(unavailable, what, err)
}
