package protocol_test

import (
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/protocol"
)

func TestMayReclaim(t *testing.T) {
	for name, x := range map[string]struct {
		alter    func(*protocol.Copy)
		caughtUp bool
		want     bool
	}{
		"local":                     {func(*protocol.Copy) {}, false, true},
		"log":                       {func(c *protocol.Copy) { c.Mode = protocol.Log }, true, true},
		"log, not read to its end":  {func(c *protocol.Copy) { c.Mode = protocol.Log }, false, false},
		"opening":                   {func(c *protocol.Copy) { c.Mode = protocol.Opening }, true, false},
		"paused":                    {func(c *protocol.Copy) { c.Mode = protocol.Paused }, true, false},
		"resuming":                  {func(c *protocol.Copy) { c.Mode = protocol.Resuming }, true, false},
		"a journal to be published": {func(c *protocol.Copy) { c.Mode, c.Journal = protocol.Log, 1 }, true, false},
		"a replica":                 {func(c *protocol.Copy) { c.Mode, c.Primary = protocol.Log, "mbox2.example.com" }, true, false},
		"a gap":                     {func(c *protocol.Copy) { c.Condition = protocol.Gap }, true, false},
		"diverged":                  {func(c *protocol.Copy) { c.Condition = protocol.Diverged }, true, false},
		"catching up":               {func(c *protocol.Copy) { c.Condition = protocol.CatchingUp }, true, false},
	} {
		c := protocol.NewLocal(account.NewID(), "mbox1.example.com")
		x.alter(c)
		if err := c.MayReclaim(x.caughtUp); (err == nil) != x.want {
			t.Errorf("%s: got %v, want it allowed: %t", name, err, x.want)
		}
	}
}

func TestHasDiscarded(t *testing.T) {
	c := protocol.NewLocal(account.NewID(), "mbox1.example.com")
	c.Mode, c.Epoch, c.Members = protocol.Log, 3, map[string]event.ID{"mbox2.example.com": {1}}
	complete := protocol.Complete.String()
	for name, x := range map[string]struct {
		epoch              uint64
		primary, condition string
		committed          mailbox.Sequence
		want               fault.Kind
		ok                 bool
	}{
		"level":         {3, c.Self, complete, 10, 0, true},
		"ahead":         {3, c.Self, complete, 11, 0, true},
		"behind":        {3, c.Self, complete, 9, fault.Busy, false},
		"initialising":  {3, c.Self, "initialising", 10, fault.Busy, false},
		"catching up":   {3, c.Self, "catching up", 10, fault.Busy, false},
		"gap":           {3, c.Self, "gap", 10, fault.Busy, false},
		"diverged":      {3, c.Self, "diverged", 10, fault.Busy, false},
		"earlier epoch": {2, c.Self, complete, 99, fault.Busy, false}, // with a journal, perhaps
		"later epoch":   {4, "mbox2.example.com", complete, 99, fault.NotHome, false},
		"other primary": {3, "mbox2.example.com", complete, 99, fault.Busy, false},
	} {
		err := c.HasDiscarded(x.epoch, x.primary, x.condition, x.committed, 10)
		if x.ok != (err == nil) || !x.ok && !fault.Is(err, x.want) {
			t.Errorf("%s: got %v, want kind %v, allowed: %t", name, err, x.want, x.ok)
		}
	}
}
