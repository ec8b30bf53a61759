package protocol_test

import (
	"strings"
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/protocol"
)

// paused is a cluster whose home has journalled n transactions.
func paused(t *testing.T, n int) (c *cluster, journal []event.Record) {
	t.Helper()
	c = newCluster(t)
	home, _ := c.give(c.next(event.Pause), protocol.Accepted)
	if c.home.Mode != protocol.Paused || !home.Durable {
		t.Fatalf("mode %s, %+v", c.home.Mode, home)
	}
	for range n {
		r := c.next(event.Change)
		c.home.Advance(r.Sequence, r.ID)
		journal = append(journal, r)
	}
	return c, journal
}

func TestRule11TheJournalIsPublishedAndResumed(t *testing.T) {
	c, journal := paused(t, 2)
	for name, err := range map[string]error{
		"control": c.home.MayControl(true), "give snapshots": c.home.MayGiveSnapshot(), "fence": c.replica.MayFence(false),
	} {
		if !fault.Is(err, fault.Paused) {
			t.Errorf("a paused account may %s: %v", name, err)
		}
	}
	if hint := fault.HintOf(c.replica.MayFence(false)); !strings.Contains(hint, "acceptLoss") { // its home may be dead
		t.Errorf("fence: the hint is %q, without the way that is left if the home does not come back", hint)
	}
	if _, err := c.home.BeginResuming(); !fault.Is(err, fault.Busy) {
		t.Errorf("resumed with a journal: %v", err)
	}
	for i, r := range journal {
		home, replica := c.give(r, protocol.Accepted)
		if !home.FromJournal || replica.FromJournal || c.home.Journal != len(journal)-i-1 {
			t.Errorf("entry %d: home %+v, replica %+v, %d left", i, home, replica, c.home.Journal)
		}
	}
	first, err := c.home.BeginResuming()
	if err != nil || c.home.Mode != protocol.Resuming {
		t.Fatalf("got %v, mode %s", err, c.home.Mode)
	}
	if err := c.home.MayServe(true); err != nil {
		t.Errorf("an account that is being resumed serves nobody: %v", err)
	}
	for name, err := range map[string]error{"write": c.home.MayWrite(true), "control": c.home.MayControl(true)} {
		if !fault.Is(err, fault.Busy) {
			t.Errorf("an account that is being resumed may %s: %v", name, err)
		}
	}
	c.home = reload(c.home) // a crash: the first Resume is forgotten, and its mode is not
	second, err := c.home.BeginResuming()
	if err != nil {
		t.Fatal(err)
	}
	home, _ := c.give(first, protocol.Accepted)
	c.give(second, protocol.Skipped)
	if c.home.Mode != protocol.Log || c.replica.Mode != protocol.Log || !home.Durable || home.FromJournal {
		t.Errorf("modes %s and %s, %+v", c.home.Mode, c.replica.Mode, home)
	}
	if c.home.Committed != c.home.Sequence {
		t.Errorf("heads differ: %d and %d", c.home.Committed, c.home.Sequence)
	}
}

func TestRule11AFenceThatMeetsAJournal(t *testing.T) {
	for _, journalled := range []int{0, 2} {
		c, _ := paused(t, journalled)
		refused := c.fence(true)
		refused.AcceptLoss = false
		c.give(refused, protocol.Skipped)
		sequence := c.replica.Sequence
		home, replica := c.give(c.fence(true), protocol.Accepted)
		if !home.Deposed || !home.Leap || !replica.Leap || c.replica.Sequence != sequence+protocol.SequenceLeap {
			t.Errorf("home %+v, replica %+v at %d", home, replica, c.replica.Sequence)
		}
		want := protocol.Complete
		if journalled > 0 {
			want = protocol.Diverged
		}
		if c.home.Condition != want {
			t.Errorf("%d journalled: the old home is %s, want %s", journalled, c.home.Condition, want)
		}
		if want == protocol.Complete && (c.home.Sequence != c.replica.Sequence || c.home.Committed != c.replica.Committed) {
			t.Errorf("the copies are at %d and %d", c.home.Sequence, c.replica.Sequence)
		}
	}
}

func TestRule11AcceptedLossWithoutPauseLosesNothing(t *testing.T) {
	c := newCluster(t)
	r := c.fence(true)
	if r.AcceptLoss {
		t.Error("a Fence accepts loss where there is none")
	}
	r.AcceptLoss = true // it was made while the account was paused
	if _, replica := c.give(r, protocol.Accepted); replica.Leap {
		t.Errorf("leaps though nothing was journalled: %+v", replica)
	}
}
