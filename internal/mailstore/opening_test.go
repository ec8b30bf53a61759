package mailstore_test

import (
	"testing"
	"testing/synctest"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/protocol"
)

// TestOpeningThatIsNotConfirmed has the log go away when an account is to be opened. The account goes on by itself; its Open lands
// later, and changes nothing.
func TestOpeningThatIsNotConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t, 1, 0)
		h := log.host(t, "a.example")
		a := h.account(h.create(-1))
		mustDeliver(t, a, "before", 1)
		log.setAway(true)
		open := event.Record{
			Kind: event.Open, Account: a.ID(), Epoch: a.Copy().Epoch + 1, Sequence: a.Copy().Sequence, ID: event.NewID(),
			Writer: h.name, Mailstore: h.name, Part: 1, Parts: 1,
		}
		if err := a.Replicate(t.Context(), where(0)); !fault.Is(err, fault.LogUnavailable) {
			t.Fatalf("opening without a log: %v, want kind %q", err, fault.LogUnavailable)
		}
		if c := a.Copy(); c.Mode != protocol.Local || c.Epoch != open.Epoch {
			t.Fatalf("mode %s, epoch %d, want %s and the epoch %d of its Open", c.Mode, c.Epoch, protocol.Local, open.Epoch)
		}
		mustDeliver(t, a, "while the log is away", 1)
		h.stop()
		h.start()
		a = h.account(a.ID())
		mustDeliver(t, a, "after a restart", 1)
		log.setAway(false)
		log.land(0, event.Key(a.ID()), open.Encode())
		synctest.Wait()
		mustDeliver(t, a, "after the Open landed", 1)
		if err := a.Replicate(t.Context(), where(0)); err != nil {
			t.Fatal(err)
		}
		mustDeliver(t, a, "through the log", 1)
		if c := a.Copy(); c.Mode != protocol.Log || c.Epoch != open.Epoch+1 {
			t.Errorf("mode %s, epoch %d, want %s and %d", c.Mode, c.Epoch, protocol.Log, open.Epoch+1)
		}
	})
}

// TestRestartWhileOpening ends the process while its Open is under way.
func TestRestartWhileOpening(t *testing.T) {
	for _, away := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			log := newLog(t, 1, 0)
			h := log.host(t, "a.example")
			a := h.account(h.create(-1))
			log.setAway(true)
			opening := make(chan error, 1)
			go func() { opening <- a.Replicate(t.Context(), where(0)) }()
			await(t, "opening", func() bool { return a.Copy().Mode == protocol.Opening })
			h.stop()
			<-opening
			log.setAway(away)
			h.start()
			a = h.account(a.ID())
			if a.Copy().Mode != protocol.Opening {
				t.Fatalf("mode %s, want %s", a.Copy().Mode, protocol.Opening)
			}
			err := a.Replicate(t.Context(), a.Copy().Stream) // as the manager does
			if fault.Is(err, fault.LogUnavailable) != away || err != nil && !away {
				t.Errorf("log away %v: %v", away, err)
			}
			mustDeliver(t, a, "after", 1)
		})
	}
}
