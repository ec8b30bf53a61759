package protocol

import (
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
)

// Reseed makes a copy whose log is lost the primary by an operator's decree, in an epoch above every one that was. What
// it has journalled is in its rows and stays there. It commits by itself until it is opened again.
//
// A copy that was not the primary may have missed what the lost one did last, and clients may have seen UIDs and modseqs after this
// copy's head. So its sequence leaps, and leap tells the caller to write mailbox.Leap with it, as for a Fence that accepts loss.
// overtaken: the directory knows of a primary in a later epoch than this copy has read of; then its own word does not count.
func (c *Copy) Reseed(epoch uint64, overtaken bool) (leap bool, err error) {
	if c.Condition == Initialising || c.Condition == CatchingUp {
		return false, fault.New(fault.Unusable, "the copy on %s is %s and cannot be the seed of others", c.Self, c.Condition)
	}
	if epoch <= c.Epoch {
		return false, fault.New(fault.Busy, "the copy on %s is in epoch %d already", c.Self, c.Epoch)
	}
	leap = overtaken || !c.IsPrimary()
	c.Condition, c.Mode, c.Primary, c.Epoch = Complete, Local, c.Self, epoch
	c.Members, c.Journal, c.parts = map[string]event.ID{}, 0, nil
	c.Stream = Stream{Partition: -1}
	if leap {
		c.Committed += SequenceLeap
	}
	c.Sequence, c.HeadID = c.Committed, c.CommittedID
	return leap, nil
}

// GiveWay voids a copy after another was declared the primary in a later epoch, by a decree that no log holds. The caller has made
// certain of that: the log was read to its end and does not know the epoch, or is lost. What this copy holds is made anew.
//
// Of two copies that are the primary in one epoch, by decrees or by a decree beside a Fence, the one that the directory names stays:
// the other one, and who follows it, give way in their own epoch.
func (c *Copy) GiveWay(primary string, epoch uint64) error {
	later := epoch > c.Epoch || epoch == c.Epoch && primary != c.Primary
	if c.Condition == Initialising || c.Condition == CatchingUp || !later || primary == c.Self {
		return fault.New(fault.Denied, "the copy on %s is %s in epoch %d and does not give way", c.Self, c.Condition, c.Epoch)
	}
	c.Condition, c.Primary, c.parts = Gap, primary, nil
	return nil
}
