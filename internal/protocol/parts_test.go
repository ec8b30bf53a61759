package protocol_test

import (
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/protocol"
)

func TestRule10Parts(t *testing.T) {
	c := newCluster(t)
	x, y := parts(c.next(event.Change), []byte("xxyyzz"), 3), parts(c.next(event.Change), []byte("second"), 2)
	c.give(x[1], protocol.Skipped) // out of order
	c.give(x[0], protocol.Buffered)
	first := int64(len(c.log) - 1)
	c.give(x[0], protocol.Skipped) // a repeat
	c.give(x[1], protocol.Buffered)
	if at, open := c.replica.OpenTransaction(); !open || at != first {
		t.Errorf("open transaction %v at %d, want it at %d", open, at, first)
	}
	if c.replica.NextOffset > first {
		t.Errorf("offset %d of an open transaction would not be judged again", first)
	}
	c.give(y[0], protocol.Buffered) // another begins: the last one begun counts
	c.give(x[2], protocol.Skipped)
	c.give(x[0], protocol.Buffered)
	c.give(y[1], protocol.Skipped)
	c.give(x[1], protocol.Buffered)
	home, replica := c.give(x[2], protocol.Accepted)
	if string(home.Record.Payload) != "xxyyzz" || string(replica.Record.Payload) != "xxyyzz" || home.Record.Parts != 1 {
		t.Errorf("got %q and %q", home.Record.Payload, replica.Record.Payload)
	}
	if _, open := c.home.OpenTransaction(); open {
		t.Error("a transaction is open after it was accepted")
	}
}

// TestRule10PartsThatAreReadAgain has a reader begin again, in the same process, before the parts that it holds: a part that came too
// early must not be joined to them. Every other reader skipped it.
func TestRule10PartsThatAreReadAgain(t *testing.T) {
	c := newCluster(t)
	x := parts(c.next(event.Change), []byte("xxyy"), 2)
	c.give(x[1], protocol.Skipped)
	c.give(x[0], protocol.Buffered)
	for at := len(c.log) - 2; at < len(c.log); at++ {
		if v := c.home.Judge(c.log[at], int64(at)); v.Outcome != protocol.Skipped {
			t.Fatalf("offset %d read again: outcome %d, want %d", at, v.Outcome, protocol.Skipped)
		}
	}
	c.give(x[1], protocol.Accepted)
}

func TestRule10AFenceDiscardsParts(t *testing.T) {
	c := newCluster(t)
	x := parts(c.next(event.Change), []byte("xxyy"), 2)
	c.give(x[0], protocol.Buffered)
	c.give(c.fence(false), protocol.Accepted)
	if _, open := c.replica.OpenTransaction(); open {
		t.Error("a transaction is open after a Fence")
	}
	c.give(x[1], protocol.Skipped)
}

// TestRule10AHandedOverCopyMayHoldAnOpenTransaction: whoever hands a copy over to the live reader must store a position
// that is not past it, though the live reader itself has read further.
func TestRule10AHandedOverCopyMayHoldAnOpenTransaction(t *testing.T) {
	c := newCluster(t)
	c.replica.Condition = protocol.CatchingUp
	x := parts(c.next(event.Change), []byte("xxyy"), 2)
	c.give(x[0], protocol.Buffered)
	c.replica.Condition = protocol.Complete
	if at, open := c.replica.OpenTransaction(); !open || at != 2 {
		t.Fatalf("open transaction %v at %d, want it at 2", open, at)
	}
	c.give(x[1], protocol.Accepted)
}
