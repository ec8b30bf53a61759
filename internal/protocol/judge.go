package protocol

import (
	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
)

// SequenceLeap is what a Fence that accepts loss adds to the sequence (rule 11): the deposed primary's journal may have
// used as many numbers, and clients may have seen them.
const SequenceLeap mailbox.Sequence = 1 << 32

// Outcome is what became of a record that was judged.
type Outcome uint8

// The outcomes.
const (
	Skipped  Outcome = iota // a repeat, stale, foreign or too late: it changes nothing
	Buffered                // a part whose transaction is not whole yet
	Accepted
	Lost // the copy has missed something: its condition is now Gap
)

// Verdict is the judgement of one record by one copy.
type Verdict struct {
	Outcome Outcome
	Record  event.Record // Accepted: the record; a Change with all its parts joined in Payload

	FromJournal bool // Accepted: the database holds it already; the journal's first entry must be this record, and goes
	Leap        bool // Accepted Fence: every folder gets a new UIDVALIDITY and the sequence has leapt (mailbox.Leap)
	Left        bool // Accepted Leave: this copy counts no more and is removed
	Deleted     bool // Accepted Delete: this copy is removed
	Durable     bool // Accepted: who commits has changed; fsync before anyone acts on it (rule 7)
	Deposed     bool // Accepted Fence: this copy was the primary and is no more
}

// Judge applies rules 1 to 5, 10 and 11 to the record at an offset of the copy's stream, in stream order, and moves the copy
// on. Records of other accounts must not be given. Whoever keeps the copy stores it in the transaction that writes the rows.
func (c *Copy) Judge(r event.Record, offset int64) Verdict {
	if c.Condition != Complete && c.Condition != CatchingUp || offset < c.NextOffset || len(c.parts) > 0 && offset < c.partsNext {
		return Verdict{}
	}
	switch r.Kind {
	case event.Open:
		return c.judgeOpen(r, offset)
	case event.Fence:
		return c.judgeFence(r, offset)
	}
	return c.judgeSequenced(r, offset)
}

func (c *Copy) lost() Verdict {
	c.Condition = Gap
	c.parts = nil
	return Verdict{Outcome: Lost}
}

func (c *Copy) judgeOpen(r event.Record, offset int64) Verdict {
	switch {
	case r.Epoch <= c.Epoch:
		return Verdict{}
	case r.Epoch > c.Epoch+1 || c.Mode != Opening || r.Mailstore != c.Self || r.Sequence != c.Sequence:
		return c.lost()
	}
	c.Epoch, c.Mode, c.Primary = r.Epoch, Log, c.Self
	c.Members = map[string]event.ID{c.Self: r.ID}
	c.accept(r, offset)
	return Verdict{Outcome: Accepted, Record: r, Durable: true}
}

func (c *Copy) judgeFence(r event.Record, offset int64) Verdict {
	if r.Epoch <= c.Epoch {
		return Verdict{}
	}
	if r.Epoch > c.Epoch+1 {
		return c.lost()
	}
	join, member := c.Members[r.Mailstore]
	if !c.IsOpen() || !member || join != r.Join || c.IsPaused() && !r.AcceptLoss {
		return Verdict{}
	}
	v := Verdict{
		Outcome: Accepted, Record: r, Durable: r.Mailstore == c.Self,
		Leap: c.IsPaused(), Deposed: c.IsPrimary() && r.Mailstore != c.Self,
	}
	c.Epoch, c.Primary, c.Mode = r.Epoch, r.Mailstore, Log
	c.accept(r, offset)
	if c.Journal > 0 { // rule 11: its own transactions were never in the log
		c.Condition = Diverged
		return v
	}
	if v.Leap {
		c.Sequence += SequenceLeap
		c.Committed = c.Sequence
	}
	return v
}

func (c *Copy) judgeSequenced(r event.Record, offset int64) Verdict {
	switch {
	case r.Epoch > c.Epoch, r.Epoch == c.Epoch && r.Sequence > c.Sequence+1:
		return c.lost()
	case r.Epoch < c.Epoch, r.Sequence <= c.Sequence, !c.IsOpen():
		return Verdict{}
	case r.Previous != c.HeadID:
		return c.lost()
	}
	if r.Kind == event.Change && r.Parts > 1 {
		whole, outcome := c.gather(r, offset)
		if outcome != Accepted {
			return Verdict{Outcome: outcome}
		}
		r = whole
	}
	v := Verdict{Outcome: Accepted, Record: r}
	if c.Journal > 0 && r.Sequence <= c.Committed {
		v.FromJournal = true
		c.Journal--
		c.Sequence, c.HeadID, c.NextOffset, c.parts = r.Sequence, r.ID, offset+1, nil
	} else {
		c.Sequence = r.Sequence
		c.accept(r, offset)
	}
	c.take(r, &v)
	return v
}

// accept moves both heads to an accepted record whose sequence, if it has one, is already the copy's.
func (c *Copy) accept(r event.Record, offset int64) {
	c.HeadID, c.CommittedID = r.ID, r.ID
	c.Committed = max(c.Committed, c.Sequence)
	c.NextOffset = offset + 1
	c.parts = nil
}

// gather buffers the parts of a transaction by its id (rule 10). Parts come in order; one out of order, or of another
// transaction than the one begun last, is a leftover of an append that was repeated, and is skipped. A first part begins
// the buffer anew: nothing is lost by that, because whoever appends repeats all parts of a doubtful transaction.
func (c *Copy) gather(r event.Record, offset int64) (event.Record, Outcome) {
	if r.Part == 1 {
		if len(c.parts) > 0 && c.parts[0].ID == r.ID {
			return event.Record{}, Skipped // a repeat of the part that is already here
		}
		c.parts, c.partsOffset, c.partsNext = []event.Record{r}, offset, offset+1
		return event.Record{}, Buffered
	}
	if len(c.parts) == 0 || c.parts[0].ID != r.ID || int(r.Part) != len(c.parts)+1 {
		return event.Record{}, Skipped
	}
	c.parts, c.partsNext = append(c.parts, r), offset+1
	if r.Part < r.Parts {
		return event.Record{}, Buffered
	}
	whole := c.parts[0]
	whole.Part, whole.Parts = 1, 1
	size := 0
	for _, part := range c.parts {
		size += len(part.Payload)
	}
	payload := make([]byte, 0, size)
	for _, part := range c.parts {
		payload = append(payload, part.Payload...)
	}
	whole.Payload = payload
	return whole, Accepted
}

// take carries out what an accepted sequenced record says of membership and mode.
func (c *Copy) take(r event.Record, v *Verdict) {
	switch r.Kind {
	case event.Join:
		c.Members[r.Mailstore] = r.ID
		if r.Mailstore == c.Self && !c.IsPrimary() { // a new attempt begins: this copy is void
			c.Condition = Initialising
		}
	case event.Leave:
		delete(c.Members, r.Mailstore)
		if r.Mailstore == c.Self {
			v.Left = true
		} else if len(c.Members) == 1 && c.IsPrimary() {
			c.Mode = Local
			v.Durable = true
		}
	case event.Pause:
		c.Mode, v.Durable = Paused, true
	case event.Resume:
		c.Mode, v.Durable = Log, true
	case event.Delete:
		v.Deleted, v.Durable = true, true
	}
}
