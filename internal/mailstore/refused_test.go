package mailstore_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/protocol"
)

const overTheLimit = 100 << 10

// TestChangeThatTheBrokersRefuse has the brokers take no records of some size. Such a change fails for good, and soon; what was to go
// in one transaction with it does not, and the account goes on.
func TestChangeThatTheBrokersRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, a, b, one := two(t)
		log.setLimit(overTheLimit/2, false)
		var told ledger
		var beside sync.WaitGroup
		for i := range 20 {
			beside.Go(func() {
				name := fmt.Sprint("beside it ", i)
				if i%4 == 0 {
					begun := time.Now()
					if _, err := deliver(t, one, name, overTheLimit); !fault.Is(err, fault.LogUnavailable) || fault.HintOf(err) != "raise it" {
						t.Errorf("%v with hint %q, want kind %q", err, fault.HintOf(err), fault.LogUnavailable)
					} else if took := time.Since(begun); took >= 10*time.Second {
						t.Errorf("told after %s", took)
					}
					return
				}
				uid, err := deliver(t, one, name, 1)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				told.note(name, uid)
			})
		}
		beside.Wait()
		log.setLimit(0, false)
		mustDeliver(t, one, "a large one", overTheLimit)
		equal(t, one.ID(), a, b)
		told.check(a, one.ID())
		if names, _, _ := inbox(b, one.ID()); len(names) != 16 {
			t.Errorf("%d messages, want 16", len(names))
		}
	})
}

// TestRefusedChangeThatWasWritten has an earlier attempt of a change get through, though the brokers refuse it now. It counts.
func TestRefusedChangeThatWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, a, b, one := two(t)
		held := a.readers[0]
		held.lock() // a does not read: it learns only later that the change is there
		log.setLimit(overTheLimit/2, true)
		delivered := make(chan error)
		go func() {
			_, err := deliver(t, one, "large", overTheLimit)
			delivered <- err
		}()
		time.Sleep(5 * time.Second) // meanwhile it is withdrawn
		held.unlock()
		if err := <-delivered; err != nil {
			t.Errorf("the change that was written: %v", err)
		}
		log.setLimit(0, false)
		mustDeliver(t, one, "after", 1)
		equal(t, one.ID(), a, b)
		if names, _, _ := inbox(b, one.ID()); len(names) != 2 {
			t.Errorf("%d messages, want 2", len(names))
		}
	})
}

// TestJournalThatTheBrokersRefuse has a journalled change be too large for the brokers. It was acknowledged, so it waits until they
// take it, and the account goes on being paused.
func TestJournalThatTheBrokersRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, a, b, one := two(t)
		if err := one.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustDeliver(t, one, "large", overTheLimit)
		log.setLimit(overTheLimit/2, false)
		if err := one.Resume(t.Context()); !fault.Is(err, fault.TooLarge) {
			t.Errorf("Resume: %v, want kind %q", err, fault.TooLarge)
		}
		mustDeliver(t, one, "while it waits", 1)
		if c := one.Copy(); c.Mode != protocol.Paused || c.Journal != 2 {
			t.Errorf("mode %s with %d in the journal, want %s and 2", c.Mode, c.Journal, protocol.Paused)
		}
		log.setLimit(0, false)
		if err := one.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, one.ID(), a, b)
	})
}
