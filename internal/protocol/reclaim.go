package protocol

import (
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// MayReclaim says why the blobs of discarded contents may not be removed by this copy's mailstore, nil if they may. Only the
// primary removes, and only while its rows hold nothing but what the log accepted, or what it alone decides: never with a
// journal, for a promotion that accepts loss would take back what that says. caughtUp as in MayServe.
//
// A primary that was deposed and has not read so yet removes what an accepted change discarded. Every later primary has that
// change too, for it read to the end before it fenced.
func (c *Copy) MayReclaim(caughtUp bool) error {
	if err := c.MayServe(caughtUp); err != nil {
		return err
	}
	if c.Mode != Local && c.Mode != Log || c.Journal > 0 {
		return fault.New(fault.Paused, "the account's copy on %s is %s, with %d journalled changes", c.Self, c.Mode, c.Journal)
	}
	return nil
}

// HasDiscarded says why a member's copy may still refer to what a change of this primary discarded at a sequence, nil if it
// cannot any more. epoch, primary, condition and committed are what the member says of its copy.
func (c *Copy) HasDiscarded(epoch uint64, primary, condition string, committed, sequence mailbox.Sequence) error {
	switch {
	case epoch > c.Epoch:
		return fault.New(fault.NotHome, "it is in epoch %d", epoch)
	case epoch < c.Epoch || primary != c.Self:
		return fault.New(fault.Busy, "it is in epoch %d of %s", epoch, primary)
	case condition != Complete.String():
		return fault.New(fault.Busy, "it is %s", condition)
	case committed < sequence:
		return fault.New(fault.Busy, "it is at sequence %d", committed)
	}
	return nil
}
