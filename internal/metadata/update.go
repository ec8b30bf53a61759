package metadata

import (
	"context"
	"crypto/rand"

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

// update is one call of Update on its way through the commit loop.
type update struct {
	durability Durability
	turn       chan *Tx   // capacity 1: the transaction, once it is this function's turn; nil if there is none
	outcome    chan error // capacity 1: what the function returned
	committed  chan error // capacity 1: what Update returns
}

// Update runs fn in a write transaction and returns after its commit. The functions of many goroutines are queued and share
// one transaction, each behind a savepoint: one that fails is undone alone. The transaction is fsynced once if any of them
// asked for it, and nobody sees a change before it is as durable as was asked.
//
// An error of fn is returned as it is. A panic of fn undoes fn and goes on in the caller. After any other error nothing
// of fn was committed, with one exception: after a failed fsync nobody can tell, and the store takes no further Update.
// fn must not call the Store again, must not keep the Tx, and runs on the caller's goroutine while all other writers wait:
// it should have computed what it writes. When ctx ends before it is fn's turn, fn is not run.
func (s *Store) Update(ctx context.Context, d Durability, fn func(*Tx) error) error {
	u := &update{
		durability: d, turn: make(chan *Tx, 1), outcome: make(chan error, 1), committed: make(chan error, 1),
	}
	select {
	case s.queue <- u:
	case <-ctx.Done():
		return interrupted(ctx)
	case <-s.closing:
		return errClosed()
	}
	tx := <-u.turn
	if tx == nil {
		return <-u.committed
	}
	u.run(ctx, tx, fn)
	return <-u.committed
}

// run reports the outcome of fn even where fn panics or ends its goroutine; then it is undone like any failure.
func (u *update) run(ctx context.Context, tx *Tx, fn func(*Tx) error) {
	err := error(fault.New(fault.Internal, "a change of the database did not return"))
	defer func() { u.outcome <- err }()
	if ctx.Err() != nil {
		err = interrupted(ctx)
		return
	}
	err = fn(tx)
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

// commit runs a group in one transaction and answers all of it.
func (s *Store) commit(group []*update) {
	durability := Lazy
	for _, u := range group {
		durability = max(durability, u.durability)
	}
	if err := s.begin(durability); err != nil {
		for _, u := range group {
			u.turn <- nil
			u.committed <- err
		}
		return
	}
	var done []*update // whose functions succeeded
	removed := false
	for i, u := range group {
		tx := &Tx{View: View{c: s.writer}}
		err := tx.attempt(u)
		switch {
		case tx.unsure: // the engine has undone more than this function: nothing of the transaction is left
			for _, waiting := range group[i+1:] {
				waiting.turn <- nil
			}
			s.abandon(err, append(done, group[i:]...))
			return
		case err != nil:
			u.committed <- err
		default:
			done = append(done, u)
			removed = removed || tx.removed
		}
	}
	if err := s.end(durability); err != nil {
		s.abandon(err, done)
		return
	}
	for _, u := range done {
		u.committed <- nil
	}
	if removed {
		s.wakeSweep()
	}
}

// attempt runs one function behind a savepoint. The error is the function's own, or says why it was undone all the same.
func (tx *Tx) attempt(u *update) error {
	if _, err := tx.c.exec("SAVEPOINT one"); err != nil {
		tx.unsure = true
		u.turn <- nil
		return err
	}
	u.turn <- tx
	err := <-u.outcome
	tx.over = true
	if err == nil {
		err = tx.failed // a function cannot shrug off that a statement of its own failed
	}
	if err == nil {
		if _, err = tx.c.exec("RELEASE SAVEPOINT one"); err == nil {
			return nil
		}
	}
	if _, undo := tx.c.exec("ROLLBACK TO SAVEPOINT one"); undo != nil {
		tx.unsure = true
	} else if _, undo = tx.c.exec("RELEASE SAVEPOINT one"); undo != nil {
		tx.unsure = true
	}
	return err
}

func (s *Store) begin(d Durability) error {
	if failed := s.failed.Load(); failed != nil {
		return failed
	}
	if s.writer == nil {
		c, err := s.connect(context.Background(), s.writers)
		if err != nil {
			return err
		}
		s.writer = c
	}
	if err := s.dialect.begin(s.writer, d); err != nil {
		s.dropWriter()
		return err
	}
	return nil
}

// end commits. The engine does not fsync a transaction that changed no page, be it that it wrote nothing or what was there
// already, but its caller may rely on what others committed before: so that a page changes, a setting gets a value that it
// did not have.
func (s *Store) end(d Durability) error {
	if d == Fsynced && s.unsynced.Load() {
		var value [16]byte
		_, _ = rand.Read(value[:]) // never fails since Go 1.24
		if err := s.writer.put(settings, []any{[]byte(syncedSetting), value[:]}); err != nil {
			return err
		}
	}
	s.unsynced.Store(true)
	if _, err := s.writer.exec("COMMIT"); err != nil {
		return err
	}
	s.unsynced.Store(d != Fsynced)
	return nil
}

// abandon gives up a transaction, the connection with it, and tells those who had a part in it.
func (s *Store) abandon(err error, group []*update) {
	s.dropWriter()
	if !fault.Is(err, fault.DatabaseUnavailable) {
		err = fault.Wrap(fault.DatabaseUnavailable, err, "the mailstore's database undid a transaction")
	}
	for _, u := range group {
		u.committed <- err
	}
	s.logger.Error("a transaction of the mailstore's database was undone", "error", err, "changes", len(group))
}

func (s *Store) dropWriter() {
	s.noteLoss(s.writer)
	if err := s.writer.close(); err != nil {
		s.logger.Warn("a connection to the mailstore's database did not close cleanly", "error", err)
	}
	s.writer = nil
}

// noteLoss refuses every further Update if a connection saw an fsync fail. The kernel may have dropped what it could not
// write, and the next fsync would succeed without it.
func (s *Store) noteLoss(c *conn) {
	if c.lost {
		s.failed.Store(fault.New(fault.DatabaseUnavailable, "the mailstore's database could not be fsynced and takes no writes").
			WithHint("check the disk, then restart the mailstore"))
	}
}
