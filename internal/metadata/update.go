package metadata

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"mailreplica/internal/fault"
)

// Durability is what a commit survives.
type Durability int

// The durabilities.
const (
	Lazy    Durability = iota // the death of the process, not a loss of power: only for what the log decided (rule 7)
	Fsynced                   // a loss of power
)

// groupMax is how many functions share a transaction. It bounds how long the first of them waits.
const groupMax = 256

// A transaction that the engine undid is done again if that may succeed: so often, and so long after it was begun first.
const (
	repeatsMax   = 4
	repeatWithin = 15 * time.Second
)

// update is one call of Update on its way through the commit loop.
type update struct {
	durability Durability
	turn       chan *Tx     // capacity 1: the transaction, each time that it is this function's turn
	outcome    chan outcome // capacity 1: of each turn
	committed  chan error   // capacity 1: what Update returns
}

// outcome is what became of one turn of a function.
type outcome struct {
	err      error
	returned bool // false: it panicked, or ended its goroutine; it has no further turn
}

// Update runs fn in a write transaction and returns after its commit. The functions of many goroutines are queued and share
// one transaction, each behind a savepoint: one that fails is undone alone. The transaction is fsynced once if any of them
// asked for it, and nobody sees a change before it is as durable as was asked.
//
// An error of fn is returned as it is. A panic of fn undoes fn and goes on in the caller. After any other error nothing
// of fn was committed, with two exceptions: after a failed fsync nobody can tell, and the store takes no further Update; and
// if the store was closed, or lost to another process, before an engine said what became of a commit. While that is not known,
// an Update that has a part in it waits, however long, and every other one fails.
//
// fn must not call the Store again, must not keep the Tx, and runs on the caller's goroutine while all other writers wait:
// it should have computed what it writes. It may be run again from its beginning, after an engine undid what it had done. When
// ctx ends before it is fn's turn, fn is not run.
func (s *Store) Update(ctx context.Context, d Durability, fn func(*Tx) error) error {
	u := &update{
		durability: d, turn: make(chan *Tx, 1), outcome: make(chan outcome, 1), committed: make(chan error, 1),
	}
	select {
	case s.queue <- u:
	case <-ctx.Done():
		return interrupted(ctx)
	case <-s.closing:
		return errClosed()
	}
	for {
		select {
		case tx := <-u.turn:
			u.run(ctx, tx, fn)
		case err := <-u.committed:
			if fault.Is(err, fault.DatabaseUnavailable) {
				s.measures.Failed.Add(1)
			}
			return err
		}
	}
}

// run reports the outcome of fn even where fn panics or ends its goroutine; then it is undone like any failure.
func (u *update) run(ctx context.Context, tx *Tx, fn func(*Tx) error) {
	o := outcome{err: fault.New(fault.Internal, "a change of the database did not return")}
	defer func() { u.outcome <- o }()
	if ctx.Err() != nil {
		o = outcome{interrupted(ctx), true}
		return
	}
	err := fn(tx)
	if err == nil {
		err = tx.Flush() // here, so that a panic is the caller's own
	}
	o = outcome{err, true}
}

// Sync returns when everything committed so far is on disk.
func (s *Store) Sync(ctx context.Context) error {
	if !s.unsynced.Load() && s.failed.Load() == nil {
		return nil
	}
	return s.Update(ctx, Fsynced, func(*Tx) error { return nil })
}

func (s *Store) commitLoop() {
	for {
		select {
		case u := <-s.queue:
			s.commit(s.gather(u))
			s.wal.afterCommit(s.writer)
		case <-s.closing:
			return
		}
	}
}

// gather takes all who wait in the queue at this moment.
func (s *Store) gather(first *update) []*update {
	group := []*update{first}
	for len(group) < groupMax {
		select {
		case u := <-s.queue:
			group = append(group, u)
		default:
			return group
		}
	}
	return group
}

// commit runs a group in one transaction and answers all of it. What the engine undid is done again, where it may succeed.
func (s *Store) commit(group []*update) {
	begun := time.Now()
	for repeats := 0; len(group) > 0; repeats++ {
		left, err, again := s.once(group)
		if len(left) > 0 && (!again || repeats == repeatsMax || time.Since(begun) > repeatWithin) {
			s.abandon(err, left)
			return
		}
		group = left
	}
}

// once runs a group in one transaction. It answers those who were committed or failed by themselves, and gives the others with
// the reason why nothing of theirs was committed, and whether it is worth while to do it again.
func (s *Store) once(group []*update) (left []*update, err error, again bool) {
	durability := Lazy
	for _, u := range group {
		durability = max(durability, u.durability)
	}
	if err, again := s.begin(durability); err != nil {
		return group, err, again
	}
	var done []*update // whose functions succeeded
	removed, written := false, map[int64]*hot{}
	for i, u := range group {
		tx := &Tx{View: View{store: s, c: s.writer, tx: &txState{group: written}}}
		o := tx.attempt(u, len(group) == 1)
		switch {
		case tx.unsure: // the engine has undone more than this function: nothing of the transaction is left
			again := s.writer.harm == undone
			s.dropWriter()
			if again && !o.returned {
				u.committed <- o.err // to a goroutine that is gone
				return append(done, group[i+1:]...), o.err, true
			}
			return append(done, group[i:]...), o.err, again
		case o.err != nil:
			u.committed <- o.err
		default:
			done = append(done, u)
			removed = removed || tx.removed
			tx.merge()
		}
	}
	if len(done) == 0 {
		s.rollback(len(group))
		return nil, nil, false
	}
	committed, err, again := s.end(durability)
	if !committed {
		s.hot.forget(written)
		return done, err, again
	}
	s.hot.commit(written)
	s.measures.Updates.Add(uint64(len(done)))
	for _, u := range done {
		u.committed <- nil
	}
	if removed {
		s.wakeSweep()
	}
	return nil, nil, false
}

// rollback ends a transaction none of whose functions succeeded. A function that was alone was undone with the transaction.
func (s *Store) rollback(functions int) {
	if functions == 1 {
		return
	}
	if _, err := s.writer.exec("ROLLBACK"); err != nil {
		s.dropWriter()
	}
}

// attempt runs one function behind a savepoint, or without one if the transaction is its alone. The error is the function's own,
// or says why it was undone all the same.
func (tx *Tx) attempt(u *update, alone bool) outcome {
	if !alone {
		if _, err := tx.c.exec("SAVEPOINT one"); err != nil {
			tx.unsure = true
			return outcome{err, true}
		}
	}
	u.turn <- tx
	o := <-u.outcome
	if o.err == nil {
		o.err = tx.failed // a function cannot shrug off that a statement of its own failed
	}
	tx.over = true
	if o.err == nil && !alone {
		_, o.err = tx.c.exec("RELEASE SAVEPOINT one")
	}
	switch {
	case o.err == nil:
	case tx.c.harm == undone:
		o.err, tx.unsure = firstOf(tx.failed, o.err), true
	default:
		tx.unsure = tx.undo(alone) != nil
	}
	return o
}

// undo takes back what a function did.
func (tx *Tx) undo(alone bool) error {
	if alone {
		_, err := tx.c.exec("ROLLBACK")
		return err
	}
	if _, err := tx.c.exec("ROLLBACK TO SAVEPOINT one"); err != nil {
		return err
	}
	_, err := tx.c.exec("RELEASE SAVEPOINT one")
	return err
}

// begin begins the transaction of a group. again says that it may succeed on another connection: this one had ended while
// nobody used it.
func (s *Store) begin(d Durability) (err error, again bool) {
	if failed := s.failed.Load(); failed != nil {
		return failed, false
	}
	if s.writer == nil {
		c, err := s.connect(context.Background(), s.writers)
		if err != nil {
			s.noteAway(err)
			return err, false
		}
		s.writer = c
	}
	asked := time.Now()
	if err := s.dialect.begin(s.writer, d); err != nil {
		again := !s.noteFence(err) && s.writer.harm == undone && time.Since(asked) < staleWithin
		s.dropWriter()
		return err, again
	}
	s.noteAway(nil)
	return nil, false
}

// noteAway says once that the database cannot be reached, and once that it is back.
func (s *Store) noteAway(err error) {
	switch {
	case err != nil && !s.away.Load():
		s.logger.Error("the mailstore's database cannot be reached", "error", err)
	case err == nil && s.away.Load():
		s.logger.Info("the mailstore's database is back")
	}
	s.away.Store(err != nil)
}

// end commits. SQLite does not fsync a transaction that changed no page, be it that it wrote nothing or what was there
// already, but its caller may rely on what others committed before: so that a page changes, a setting gets a value that it
// did not have.
func (s *Store) end(d Durability) (committed bool, err error, again bool) {
	t := s.dialect.traits()
	if d == Fsynced && s.unsynced.Load() && !t.syncsAlways {
		var fresh [16]byte
		_, _ = rand.Read(fresh[:]) // never fails since Go 1.24
		if err := s.writer.put(settings, []value{letters(syncedSetting), raw(fresh[:])}); err != nil {
			s.dropWriter()
			return false, err, false
		}
	}
	s.unsynced.Store(!t.syncsAlways)
	s.gate.close()
	defer s.gate.open()
	begun := time.Now()
	if err := s.dialect.commit(s.writer); err != nil {
		committed, unknown := s.settle(err)
		if unknown != nil {
			return false, unknown, false
		}
		return committed, err, t.syncsAlways
	}
	s.measures.Commits.Since(begun)
	s.unsynced.Store(d != Fsynced && !t.syncsAlways)
	return true, nil, false
}

// abandon tells those who had a part in a transaction that was undone.
func (s *Store) abandon(err error, group []*update) {
	if kind := fault.KindOf(err); kind != fault.DatabaseUnavailable && kind != fault.Interrupted {
		err = fault.Wrap(fault.DatabaseUnavailable, err, "the mailstore's database undid a transaction")
	}
	for _, u := range group {
		u.committed <- err
	}
	if s.failed.Load() == nil && !s.away.Load() { // of a database that is away it is said once
		s.logger.Error("a transaction of the mailstore's database was undone", "error", err, "changes", len(group))
	}
}

func (s *Store) dropWriter() {
	if s.writer == nil {
		return
	}
	s.noteLoss(s.writer)
	if err := s.writer.close(); err != nil {
		s.logger.Warn("a connection to the mailstore's database did not close cleanly", "error", err)
	}
	s.writer = nil
}

// noteLoss refuses every further Update if a connection saw an fsync fail. The kernel may have dropped what it could not
// write, and the next fsync would succeed without it.
func (s *Store) noteLoss(c *conn) {
	if c.harm == unsynced {
		s.failed.Store(fault.New(fault.DatabaseUnavailable, "the mailstore's database could not be fsynced and takes no writes").
			WithHint("check the disk, then restart the mailstore"))
	}
}

// noteFence refuses every further Update and View if the database is not this process's any more.
func (s *Store) noteFence(err error) bool {
	var f fenced
	if !errors.As(err, &f) {
		return false
	}
	if s.failed.Swap(f.why) == nil {
		s.logger.Error("this mailstore has lost its database", "error", f.why)
	}
	s.lost.Store(f.why)
	return true
}
