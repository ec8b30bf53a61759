// Package metadata owns one mailstore's database: the rows of its mailboxes, what it has judged of each account's log, its
// positions in the streams, its journals. It writes what it is told, atomically and as durably as it is told, and decides
// nothing: it knows neither the rules of the log (package protocol) nor how a change becomes rows (package mailbox).
//
// One writer, many readers: every change goes through Update, which commits the functions of many goroutines together;
// every read is a View, a snapshot of its own. DESIGN.md says what is not obvious.
package metadata

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
)

// Store is an open database. Its methods may be called from many goroutines at once.
type Store struct {
	dialect dialect
	logger  *slog.Logger

	writers, readers pool // of connections of either sort

	queue    chan *update  // unbuffered: who waits in it may still go away
	closing  chan struct{} // closed by Close
	loops    sync.WaitGroup
	close    sync.Once
	closeErr error

	writer *conn       // owned by the commit loop; nil after a failure, until the next Update
	away   atomic.Bool // written by it: the database could not be reached when it was last tried

	unsynced atomic.Bool                 // something was committed that no fsync has covered
	failed   atomic.Pointer[fault.Error] // why there are no Updates any more
	lost     atomic.Pointer[fault.Error] // why there are no Views either
	gate     *gate                       // nil if the engine needs none

	views viewPool
	hot   hotRows
	wal   *checkpointer // nil if the engine needs none
	sweep chan struct{} // capacity 1: a mailbox was removed

	measures Measures
}

// Open opens the database in a directory, made if it is missing, and locks it against every other process.
//
// The errors are of kind Busy if another process holds the directory, else DatabaseUnavailable.
func Open(ctx context.Context, dir string, logger *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.DatabaseUnavailable, err, "the database's directory cannot be made")
	}
	if err := syncDirectory(filepath.Dir(dir)); err != nil { // the engine fsyncs the directory itself, not its name
		return nil, err
	}
	s := newStore(newSQLite(dir), logger)
	s.wal = new(checkpointer)
	return s.started(ctx)
}

// OpenMariaDB opens the database of a MariaDB server that a Config names, and makes it this process's own.
//
// The errors are of kind Busy if another process has the database, else DatabaseUnavailable.
func OpenMariaDB(ctx context.Context, c mariadb.Config, logger *slog.Logger) (*Store, error) {
	s := newStore(newMariaDB(c), logger)
	s.gate = newGate()
	return s.started(ctx)
}

func newStore(d dialect, logger *slog.Logger) *Store {
	return &Store{
		logger: logger, dialect: d,
		queue: make(chan *update), closing: make(chan struct{}), sweep: make(chan struct{}, 1),
	}
}

func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fault.Wrap(fault.DatabaseUnavailable, err, "the database's directory cannot be made durable")
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fault.Wrap(fault.DatabaseUnavailable, err, "the database's directory cannot be made durable")
	}
	return nil
}

// started is the store, or why it could not be opened.
func (s *Store) started(ctx context.Context) (*Store, error) {
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

func (s *Store) start(ctx context.Context) error {
	var err error
	if err = s.dialect.claim(ctx, s); err != nil {
		return err
	}
	if s.writers, err = s.dialect.open(writing); err != nil {
		return err
	}
	if s.readers, err = s.dialect.open(reading); err != nil {
		return err
	}
	if s.writer, err = s.connect(ctx, s.writers); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	s.views.open(s)
	if err := s.wal.open(ctx, s); err != nil {
		return err
	}
	s.loops.Go(s.commitLoop)
	s.loops.Go(s.wal.loop)
	s.loops.Go(s.sweepLoop)
	s.unsynced.Store(!s.dialect.traits().syncsAlways) // what a process that died had committed
	s.wakeSweep()                                     // what it had begun to remove
	return nil
}

// prepare brings the schema up to date.
func (s *Store) prepare(ctx context.Context) error {
	pool, err := s.dialect.open(altering)
	if err != nil {
		return err
	}
	err = migrate(s.writer, s.dialect, func() (*conn, error) { return s.connect(ctx, pool) })
	if err == nil {
		err = s.dialect.check(s.writer)
	}
	return errors.Join(err, pool.Close())
}

// Close waits for the Updates and Views under way, refuses further ones, and gives the directory free.
func (s *Store) Close() error {
	s.close.Do(func() {
		close(s.closing)
		s.loops.Wait()
		s.views.drain()
		s.closeErr = s.release()
	})
	return s.closeErr
}

// release closes what is open, last the lock: whoever gets it next must find the database at rest.
func (s *Store) release() error {
	var errs []error
	errs = append(errs, s.views.close(), s.wal.close(), s.writer.close())
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writers != nil {
		errs = append(errs, s.writers.Close())
	}
	errs = append(errs, s.dialect.release())
	if err := errors.Join(errs...); err != nil {
		return fault.Wrap(fault.DatabaseUnavailable, err, "the database was not closed cleanly")
	}
	return nil
}

func errClosed() error { return fault.New(fault.Interrupted, "the mailstore's database is closed") }

func interrupted(ctx context.Context) error {
	return fault.Wrap(fault.Interrupted, context.Cause(ctx), "interrupted before the database was asked")
}
