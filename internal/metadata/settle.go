package metadata

import (
	"context"
	"time"

	"mailreplica/internal/fault"
)

// settleEvery is how often an engine that did not answer a commit is asked what became of it.
const settleEvery = 500 * time.Millisecond

// settleQuietly is how long others wait for that before they are refused.
const settleQuietly = time.Second

// settle finds out what became of a commit that failed. Those who are in the transaction wait, for only the truth serves them:
// told that it failed, they would go on from rows that may be others by now. Nobody else waits: everything new is refused until
// it is known, so that no function is computed, and no snapshot read, from what may not be so.
//
// unknown is not nil if the store was closed before.
func (s *Store) settle(cause error) (committed bool, unknown error) {
	writer := s.writer
	s.dropWriter()
	type answer struct {
		committed bool
		err       error
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ask := func() chan answer {
		c := make(chan answer, 1)
		go func() {
			committed, err := s.dialect.settle(ctx, s, writer)
			c <- answer{committed, err}
		}()
		return c
	}
	asked := ask()
	defer func() {
		cancel()
		if asked != nil {
			<-asked
		}
	}()
	again, late := time.NewTimer(settleEvery), time.NewTimer(settleQuietly)
	defer again.Stop()
	defer late.Stop()
	var others chan *update // those who wait for their turn, once they are refused
	for {
		select {
		case a := <-asked:
			asked = nil
			if a.err == nil || s.noteFence(a.err) {
				if others != nil {
					s.logger.Warn("it is known what became of a transaction of the mailstore's database", "committed", a.committed)
				}
				return a.committed, a.err
			}
			again.Reset(settleEvery)
		case <-again.C:
			if asked == nil {
				asked = ask()
			}
		case <-late.C:
			others = s.queue
			s.gate.turnAway()
			s.logger.Error("the mailstore's database did not say what became of a transaction; it is asked until it does",
				"error", cause)
		case u := <-others:
			u.committed <- errDoubt()
		case <-s.closing:
			return false, fault.Wrap(fault.Interrupted, cause,
				"the mailstore's database was closed before it said what became of a transaction")
		}
	}
}

// fenced is an error after which the database is not this process's any more.
type fenced struct{ why *fault.Error }

func (f fenced) Error() string { return f.why.Error() }
func (f fenced) Unwrap() error { return f.why }
