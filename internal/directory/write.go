package directory

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"mailreplica/internal/fault"
)

// writeBatchMax is how many writes share one transaction.
const writeBatchMax = 128

// write is one caller's part of a transaction.
type write struct {
	ctx   context.Context
	run   func(*tx) error
	err   error
	done  chan struct{}
	taken bool // guarded by the queue's mutex: it can no longer be taken back
}

// writeQueue collects the writes of many goroutines for one transaction.
type writeQueue struct {
	mu      sync.Mutex
	waiting []*write
	leading bool // a goroutine is emptying the queue
	idle    sync.WaitGroup
}

// finish waits for the writes under way.
func (w *writeQueue) finish() { w.idle.Wait() }

// write runs f in a transaction that keeps every other writer of the machine out, and returns when it is committed.
//
// Writes that come while a transaction is being committed share the next one, each in its own savepoint: one that fails
// undoes itself alone. f may run several times, so it must set its results anew each time.
//
// A caller that goes away before its write was begun takes it back. After that it waits (bounded by the write
// time-out), for f works on the caller's variables.
func (s *store) write(ctx context.Context, f func(*tx) error) error {
	if err := s.silent(); err != nil {
		return err
	}
	w := &write{ctx: ctx, run: f, done: make(chan struct{})}
	s.writes.mu.Lock()
	s.writes.waiting = append(s.writes.waiting, w)
	if !s.writes.leading {
		s.writes.leading = true
		s.writes.idle.Add(1)
		go s.lead()
	}
	s.writes.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
	}
	if s.writes.takeBack(w) {
		return fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted before the write to %s began", s.what)
	}
	<-w.done
	return w.err
}

func (w *writeQueue) takeBack(gone *write) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if gone.taken {
		return false
	}
	for i, other := range w.waiting {
		if other == gone {
			w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
			break
		}
	}
	return true
}

// take gives the next writes to run together; none ends the leader's turn.
func (w *writeQueue) take() []*write {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.waiting), writeBatchMax)
	if n == 0 {
		w.leading = false
		return nil
	}
	batch := append([]*write(nil), w.waiting[:n]...)
	w.waiting = append(w.waiting[:0], w.waiting[n:]...)
	for _, one := range batch {
		one.taken = true
	}
	return batch
}

func (s *store) lead() {
	defer s.writes.idle.Done()
	for batch := s.writes.take(); batch != nil; batch = s.writes.take() {
		s.commit(batch)
	}
}

// commit runs a batch in one transaction and tells each caller. The transaction has its own time limit: one caller that
// goes away must not undo the others.
func (s *store) commit(batch []*write) {
	err := s.ask(context.Background(), s.writeTimeout, func(ctx context.Context) error {
		db, err := s.handle(ctx)
		if err != nil {
			return err
		}
		return s.attempt(ctx, db, batch)
	})
	err = s.fail(err)
	for _, one := range batch {
		if err != nil {
			one.err = err
		}
		close(one.done)
	}
}

// attempt runs a batch once. Its error is one of the transaction; a caller's own is left in its write.
func (s *store) attempt(ctx context.Context, db *sql.DB, batch []*write) error {
	w, err := s.engine.beginWrite(ctx, db)
	if err != nil {
		return err
	}
	defer w.end()
	if w.context != nil {
		ctx = w.context
	}
	now := w.now
	if s.clock != nil || now.IsZero() {
		now = s.now()
	}
	if err := s.mustBeOurs(ctx, w); err != nil {
		return err
	}
	succeeded := 0
	for _, one := range batch {
		if one.err = one.ctx.Err(); one.err != nil {
			one.err = fault.Wrap(fault.Interrupted, one.err, "interrupted before the write to %s began", s.what)
			continue
		}
		t := &tx{query: query{ctx: ctx, sql: w.sql, lock: w.lock, again: w.again}, now: now}
		if _, err := t.exec("SAVEPOINT one_write"); err != nil {
			return err
		}
		err := one.run(t)
		undo := "RELEASE SAVEPOINT one_write"
		var known *fault.Error
		switch {
		case err == nil:
			succeeded++
		case errors.As(err, &known):
			one.err, undo = err, "ROLLBACK TO SAVEPOINT one_write"
		case s.engine.class(err) == errStatement:
			one.err, undo = s.fail(err), "ROLLBACK TO SAVEPOINT one_write"
		default:
			return err // the file, the disk or a lock: nobody's write can be trusted
		}
		if _, err := t.exec(undo); err != nil {
			return err
		}
	}
	if succeeded == 0 {
		return nil
	}
	return w.commit(ctx)
}

// mustBeOurs refuses a write to another directory than the one that this process has a copy of: a file that was made anew in the
// place of one that was mounted away takes what its mailstores confirm with it when that one is back.
func (s *store) mustBeOurs(ctx context.Context, w *writeTx) error {
	c := s.follower.Load()
	if c == nil {
		return nil
	}
	own := c.identity()
	if own == "" { // nothing was copied yet
		return nil
	}
	identity, err := (&query{ctx: ctx, sql: w.sql, again: w.again}).meta(metaDirectoryID)
	if err == nil && identity != own {
		err = otherDirectory(c.store.engine.place())
	}
	return err
}
