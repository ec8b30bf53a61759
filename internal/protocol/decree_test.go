package protocol_test

import (
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/protocol"
)

// replicated is a copy on the mailstore self of an account whose primary is a.example, at sequence 7 of epoch 5.
func replicated(self string, condition protocol.Condition) *protocol.Copy {
	head := event.NewID()
	return &protocol.Copy{
		Self: self, Condition: condition, Mode: protocol.Log, Epoch: 5, Primary: "a.example",
		Members:  map[string]event.ID{"a.example": event.NewID(), "b.example": event.NewID()},
		Sequence: 7, HeadID: head, NextOffset: 20, Committed: 7, CommittedID: head,
	}
}

func TestReseedLeapsUnlessTheCopyWasThePrimary(t *testing.T) {
	tests := []struct {
		name, self string
		overtaken  bool
		want       bool
	}{
		{"the primary", "a.example", false, false},
		{"a primary that the directory has replaced", "a.example", true, true},
		{"a replica", "b.example", false, true},
		{"a replica that has missed a promotion", "b.example", true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, condition := range []protocol.Condition{protocol.Complete, protocol.Gap, protocol.Diverged} {
				c := replicated(test.self, condition)
				leap, err := c.Reseed(1_005, test.overtaken)
				want := replicated(test.self, condition).Committed
				if test.want {
					want += protocol.SequenceLeap
				}
				if err != nil || leap != test.want || c.Committed != want || c.Sequence != want {
					t.Errorf("%s: leap %v, %v, heads at %d and %d; want %v, both at %d", condition, leap, err, c.Sequence, c.Committed, test.want, want)
				}
				if c.MayWrite(false) != nil || c.Mode != protocol.Local || !c.IsPrimary() || c.Epoch != 1_005 {
					t.Errorf("%s: it became %+v", condition, c)
				}
			}
		})
	}
	for _, condition := range []protocol.Condition{protocol.Initialising, protocol.CatchingUp} {
		if _, err := replicated("b.example", condition).Reseed(1_005, false); !fault.Is(err, fault.Unusable) {
			t.Errorf("a copy that is %s: %v, want kind %q", condition, err, fault.Unusable)
		}
	}
	if _, err := replicated("b.example", protocol.Gap).Reseed(5, false); !fault.Is(err, fault.Busy) {
		t.Errorf("an epoch that has passed: %v, want kind %q", err, fault.Busy)
	}
}

func TestGiveWay(t *testing.T) {
	tests := []struct {
		name, self, to string
		epoch          uint64
		want           bool
	}{
		{"to a later epoch", "a.example", "b.example", 6, true},
		{"a primary to another of its own epoch", "a.example", "b.example", 5, true},
		{"a replica whose primary lost in its own epoch", "b.example", "c.example", 5, true},
		{"a replica to its own primary", "b.example", "a.example", 5, false},
		{"to an earlier epoch", "a.example", "b.example", 4, false},
		{"to itself", "a.example", "a.example", 6, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := replicated(test.self, protocol.Complete)
			err := c.GiveWay(test.to, test.epoch)
			if (err == nil) != test.want {
				t.Fatalf("got %v", err)
			}
			if test.want && (c.Condition != protocol.Gap || c.Primary != test.to) {
				t.Errorf("it became %+v", c)
			}
		})
	}
}
