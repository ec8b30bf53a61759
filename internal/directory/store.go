package directory

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mailreplica/internal/fault"
)

// Names of rows in the tables counters and meta.
const (
	counterVersion  = "version"      // of the last transaction that changed a copied row
	counterPruned   = "pruned"       // version of the last row of the table removed that was pruned
	metaDirectoryID = "directory_id" // of the directory; in a copy, of the one it was made from
	metaConfirmedAt = "confirmed_at" // of a copy: when it last was known to equal the directory
	// of a copy: number of the schema that the program had which last copied all of the directory
	metaCopiedSchema = "copied_schema"
)

const (
	writeTimeoutDefault = 10 * time.Second
	readTimeoutDefault  = 5 * time.Second
	retryPauseMax       = 50 * time.Millisecond // between attempts at a lock, beyond what the engine waits itself
)

// store is one database file of the directory's schema: the directory, or a mailstore's copy of it.
type store struct {
	path            string
	what            string     // in messages
	unavailable     fault.Kind // of a file that cannot be read or written
	now             func() time.Time
	writeTimeout    time.Duration
	readTimeout     time.Duration
	syncEveryCommit bool

	mu   sync.Mutex // guards what follows; held while the file is opened
	db   *sql.DB
	file os.FileInfo // of the file that db has open
	shut bool

	writes writeQueue
}

func newStore(path, what string, unavailable fault.Kind, opts Options) *store {
	s := &store{
		path: path, what: what, unavailable: unavailable,
		now: opts.Now, writeTimeout: opts.WriteTimeout, readTimeout: opts.ReadTimeout,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.writeTimeout <= 0 {
		s.writeTimeout = writeTimeoutDefault
	}
	if s.readTimeout <= 0 {
		s.readTimeout = readTimeoutDefault
	}
	return s
}

// handle gives the open database. SQLite goes on writing to a file that was deleted or replaced under it, and nobody
// else would ever see that: so the path is compared with the open file every time, and opened anew if it is another.
func (s *store) handle(ctx context.Context) (*sql.DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil, fault.New(fault.Interrupted, "%s is closed", s.what)
	}
	file, err := os.Stat(s.path)
	if err != nil {
		s.forget()
		return nil, fault.Wrap(s.unavailable, err, "%s is not there", s.what)
	}
	if s.db != nil && os.SameFile(file, s.file) {
		return s.db, nil
	}
	s.forget()
	return s.open(ctx, false)
}

// open opens the file and brings its schema up to date. The caller holds s.mu.
func (s *store) open(ctx context.Context, create bool) (*sql.DB, error) {
	if err := refuseNetwork(filepath.Dir(s.path)); err != nil {
		return nil, err
	}
	var db *sql.DB
	err := s.retry(ctx, s.writeTimeout, func(ctx context.Context) (err error) {
		if db, err = openSQLite(ctx, s.path, s.syncEveryCommit); err != nil {
			return err
		}
		if err = migrate(ctx, db, create, s.now()); err != nil {
			return errors.Join(err, db.Close())
		}
		return nil
	})
	if err != nil {
		return nil, s.fail(err)
	}
	file, err := os.Stat(s.path)
	if err != nil {
		return nil, fault.Wrap(s.unavailable, errors.Join(err, db.Close()), "%s is not there", s.what)
	}
	s.db, s.file = db, file
	return db, nil
}

// create makes the file unless it is there, and opens it. The file is made before SQLite opens it, so that it and its
// companions, which take its mode, are for their owner only: they hold password hashes.
func (s *store) create(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		return nil
	}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fault.Wrap(s.unavailable, err, "cannot make %s", s.what)
	}
	_, err = s.open(ctx, true)
	return err
}

// forget closes the open database, if any. The caller holds s.mu.
func (s *store) forget() {
	if s.db != nil {
		_ = s.db.Close() // it is of no further use, and every commit was reported already
		s.db, s.file = nil, nil
	}
}

func (s *store) close() error {
	s.writes.finish()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db, s.file = nil, nil
	if err != nil {
		return fault.Wrap(s.unavailable, err, "cannot close %s", s.what)
	}
	return nil
}

// read runs f in a transaction that reads one state. f may run several times.
func (s *store) read(ctx context.Context, f func(*query) error) error {
	err := s.retry(ctx, s.readTimeout, func(ctx context.Context) error {
		db, err := s.handle(ctx)
		if err != nil {
			return err
		}
		tx, err := beginRead(ctx, db)
		if err != nil {
			return err
		}
		defer tx.Rollback() // nothing was written
		return f(&query{ctx: ctx, sql: tx})
	})
	if err != nil && ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, err, "interrupted")
	}
	return s.fail(err)
}

// retry repeats f while others hold the lock it needs, until the limit.
func (s *store) retry(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, retryPauseMax) {
		err := f(ctx)
		if err == nil || !isContention(err) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// fail gives err its kind. What carries one already keeps it.
func (s *store) fail(err error) error {
	var known *fault.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, errNotDirectory):
		return fault.Wrap(s.unavailable, err, "%s is not a Mailreplica directory", s.path)
	case errors.Is(err, errNewerSchema):
		return fault.Wrap(s.unavailable, err, "%s was written by a newer version", s.path).
			WithHint("upgrade this mailstore")
	case isContention(err):
		return fault.Wrap(s.unavailable, err, "%s is held by another process", s.what)
	case isEngineDefect(err):
		return fault.Wrap(fault.Internal, err, "a statement on %s failed", s.what)
	default:
		return fault.Wrap(s.unavailable, err, "%s cannot be used", s.what)
	}
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
