package protocol

import (
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
)

// Pending is the one transaction of an account that is in flight (rule 4): every part of it, ready to be appended again,
// byte for byte.
type Pending struct {
	Records []event.Record // the parts; one for every other kind
}

// Settle says whether what the copy has judged decides the pending transaction (rule 3): won, if the verdict accepted its own
// id; settled but not won, if another record took its sequence, a Fence ended its epoch, or its copy is of no use any more.
// Ask it after every judgement.
//
// A Fence that is refused changes no number, so it is settled, not won, as soon as the copy could not fence any more: the
// account was paused, or this mailstore is no member now. A repeat of it that is still under way may be accepted after all,
// once the account is resumed; that is a promotion like any other.
func (p *Pending) Settle(c *Copy, v Verdict) (settled, won bool) {
	r := p.Records[0]
	switch {
	case v.Outcome == Accepted && v.Record.ID == r.ID:
		return true, true
	case c.Condition != Complete:
		return true, false
	case r.Kind == event.Open:
		return c.Epoch >= r.Epoch, false
	case r.Kind == event.Fence:
		return c.Epoch >= r.Epoch || c.MayFence(r.AcceptLoss) != nil, false
	}
	return c.Epoch > r.Epoch || c.Sequence >= r.Sequence || !c.IsOpen(), false
}

// Next makes the sequenced record that follows the database's head: the judged head too, unless the account is paused. It
// panics if the copy may not write; callers ask MayWrite first, under the account's lock.
func (c *Copy) Next(kind event.Kind) event.Record {
	return event.Record{
		Kind: kind, Account: c.Account, Epoch: c.Epoch, Sequence: c.Committed + 1, ID: event.NewID(),
		Previous: c.CommittedID, Writer: c.Self, Part: 1, Parts: 1,
	}
}

// BeginOpening makes the Open by which the log begins to decide, and sets the mode that must be fsynced before the Open is
// appended (rule 6). After a crash in mode Opening it is called again.
func (c *Copy) BeginOpening(stream Stream) (event.Record, error) {
	if c.Condition != Complete || !c.IsPrimary() || c.IsOpen() {
		return event.Record{}, fault.New(fault.Unusable, "account %s cannot be opened: its copy is %s, mode %s", c.Account, c.Condition, c.Mode)
	}
	if c.Mode == Local {
		c.Mode, c.Stream, c.NextOffset = Opening, stream, 0
	}
	return event.Record{
		Kind: event.Open, Account: c.Account, Epoch: c.Epoch + 1, Sequence: c.Sequence, ID: event.NewID(),
		Writer: c.Self, Mailstore: c.Self, Part: 1, Parts: 1,
	}, nil
}

// CancelOpening ends an opening that the log does not confirm: the account commits by itself again, without an answer to the question
// whether its Open was written. The epoch of the Open passes with it, so wherever the Open lands it is of an epoch that was, and
// skipped; nobody else has a copy that could judge it. The caller fsyncs before anyone acts on it (rule 7).
func (c *Copy) CancelOpening() error {
	if c.Condition != Complete || !c.IsPrimary() || c.Mode != Opening {
		return fault.New(fault.Busy, "account %s is not being opened: its copy is %s, mode %s", c.Account, c.Condition, c.Mode)
	}
	c.Mode, c.Epoch, c.Stream = Local, c.Epoch+1, Stream{Partition: -1}
	return nil
}

// BeginResuming makes the Resume by which the log begins to decide again, and sets the mode that must be fsynced before the
// Resume is appended. The caller has asked MayServe, and nothing is in flight. After a crash in mode Resuming it is called
// again.
//
// Without the mode, a primary that crashed while its Resume was under way would forget it, journal a change under the
// sequence that the Resume was made with, and answer the client; then the Resume arrives and takes that sequence.
func (c *Copy) BeginResuming() (event.Record, error) {
	switch {
	case c.Condition != Complete || !c.IsPrimary() || !c.IsPaused():
		return event.Record{}, fault.New(fault.Unusable, "account %s cannot be resumed: its copy is %s, mode %s", c.Account, c.Condition, c.Mode)
	case c.Journal > 0:
		return event.Record{}, fault.New(fault.Busy, "%d journalled changes of account %s wait to be published", c.Journal, c.Account)
	}
	c.Mode = Resuming
	return c.Next(event.Resume), nil
}

// FenceRecord makes the Fence by which this copy becomes the primary (rule 9). The caller has read to the end of the stream
// just before.
func (c *Copy) FenceRecord(operation string, acceptLoss bool) (event.Record, error) {
	if err := c.MayFence(acceptLoss); err != nil {
		return event.Record{}, err
	}
	return event.Record{
		Kind: event.Fence, Account: c.Account, Epoch: c.Epoch + 1, ID: event.NewID(), Writer: c.Self, Mailstore: c.Self,
		Join: c.Members[c.Self], Operation: operation, AcceptLoss: acceptLoss && c.IsPaused(), Part: 1, Parts: 1,
	}, nil
}

// MayFence says why this copy may not become the primary, nil if it may.
func (c *Copy) MayFence(acceptLoss bool) error {
	_, member := c.Members[c.Self]
	switch {
	case c.Condition != Complete:
		return fault.New(fault.Unusable, "the copy on %s is not complete: it is %s", c.Self, c.Condition)
	case c.IsPrimary():
		return fault.New(fault.Invalid, "%s is the account's home already", c.Self)
	case !c.IsOpen() || !member:
		return fault.New(fault.Unusable, "%s holds no replica of the account any more", c.Self)
	case c.IsPaused() && !acceptLoss:
		return fault.New(fault.Paused, "replication is paused: changes made on %s since the pause would be lost", c.Primary).
			WithHint("run MailReplica restartReplicas first; if %s will not come back, promoteAccounts … acceptLoss true", c.Primary)
	}
	return nil
}

// MayServe says why this copy may not answer clients, nil if it may. caughtUp: the mailstore has read to the end that the
// stream had when it started (rule 8).
func (c *Copy) MayServe(caughtUp bool) error {
	switch {
	case c.Condition != Complete:
		return fault.New(fault.Unusable, "the account's copy on %s is %s", c.Self, c.Condition)
	case !c.IsPrimary():
		return fault.New(fault.NotHome, "the account's home is %s", c.Primary)
	case c.Mode != Local && !caughtUp:
		return fault.New(fault.NotReady, "%s has not read the account's stream to its end yet", c.Self)
	}
	return nil
}

// MayWrite is MayServe for changes: an account that is being opened or resumed takes none.
func (c *Copy) MayWrite(caughtUp bool) error {
	if err := c.MayServe(caughtUp); err != nil {
		return err
	}
	switch c.Mode {
	case Opening:
		return fault.New(fault.Busy, "replication of the account is just beginning")
	case Resuming:
		return fault.New(fault.Busy, "replication of the account is just beginning again")
	}
	return nil
}

// MayControl is MayWrite for records about the account itself. A paused account takes none but the Resume (rule 11): its
// next sequence belongs to the journal.
func (c *Copy) MayControl(caughtUp bool) error {
	if err := c.MayWrite(caughtUp); err != nil {
		return err
	}
	switch {
	case c.Mode == Paused:
		return fault.New(fault.Paused, "replication of the account is paused")
	case c.Mode != Log || c.Journal > 0:
		return fault.New(fault.Busy, "the account's log is not open, or %d journalled changes wait to be published", c.Journal)
	}
	return nil
}

// MayGiveSnapshot says why no snapshot may be taken of this copy, nil if one may (rules 2 and 11).
func (c *Copy) MayGiveSnapshot() error {
	switch {
	case c.Condition != Complete:
		return fault.New(fault.Unusable, "the copy on %s is %s", c.Self, c.Condition)
	case c.IsPaused() || c.Journal > 0:
		return fault.New(fault.Paused, "no copy can be made while replication is paused")
	case c.Mode != Log:
		return fault.New(fault.Unusable, "the account is not replicated")
	}
	return nil
}

// MissPosition says that records below a position of the copy's stream are gone before it read them (rule 2).
func (c *Copy) MissPosition() {
	if c.Mode != Local && c.Condition != Initialising {
		c.lost()
	}
}
