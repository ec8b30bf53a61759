package protocol

import (
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
)

// Reseed makes a copy whose log is lost the primary by an operator's decree, in an epoch above every one that was. What
// it has journalled is in its rows and stays there. It commits by itself until it is opened again.
func (c *Copy) Reseed(epoch uint64) error {
	if c.Condition == Initialising || c.Condition == CatchingUp {
		return fault.New(fault.Unusable, "the copy on %s is %s and cannot be the seed of others", c.Self, c.Condition)
	}
	if epoch <= c.Epoch {
		return fault.New(fault.Busy, "the copy on %s is in epoch %d already", c.Self, c.Epoch)
	}
	c.Condition, c.Mode, c.Primary, c.Epoch = Complete, Local, c.Self, epoch
	c.Members, c.Journal, c.parts = map[string]event.ID{}, 0, nil
	c.Stream = Stream{Partition: -1}
	c.Sequence, c.HeadID = c.Committed, c.CommittedID
	return nil
}

// GiveWay voids a copy after another was declared the primary in a later epoch, by a decree that no log holds. The caller has made
// certain of that: the log was read to its end and does not know the epoch, or is lost. What this copy holds is made anew.
func (c *Copy) GiveWay(primary string, epoch uint64) error {
	if c.Condition == Initialising || c.Condition == CatchingUp || epoch <= c.Epoch || primary == c.Self {
		return fault.New(fault.Denied, "the copy on %s is %s in epoch %d and does not give way", c.Self, c.Condition, c.Epoch)
	}
	c.Condition, c.Primary, c.parts = Gap, primary, nil
	return nil
}
