package mailstore

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// errStale says that a change was computed against rows that are not the ones it would follow; it is computed anew.
var errStale = errors.New("the mailbox has moved on")

func finishAll(batch []*request, err error) {
	for _, r := range batch {
		if err == nil {
			r.finish(r.err)
		} else {
			r.finish(err)
		}
	}
}

// commit decides a batch of changes. What lost its sequence to another record, or was computed against rows that had
// moved on, is put back and computed anew.
func (a *Account) commit(batch []*request) {
	if batch = waiting(batch); len(batch) == 0 {
		return
	}
	c := a.Copy()
	if err := a.mayWrite(c); err != nil {
		finishAll(batch, err)
		return
	}
	var err error
	if c.Mode == protocol.Log {
		batch, err = a.commitToLog(c, batch)
	} else {
		batch, err = a.commitHere(batch)
	}
	if errors.Is(err, errStale) {
		a.putBack(batch)
		return
	}
	finishAll(batch, err)
}

// waiting leaves out requests whose waiters have been told a temporary failure already.
func waiting(batch []*request) []*request {
	kept := batch[:0]
	for _, r := range batch {
		if r.isGone() {
			r.finish(fault.New(fault.Interrupted, "the request was given up"))
			continue
		}
		kept = append(kept, r)
	}
	return kept
}

func (a *Account) mayWrite(c *protocol.Copy) error {
	if a.superseded.Load() {
		return fault.New(fault.NotHome, "the account has moved to another mailstore")
	}
	if a.defect.Load() {
		return fault.New(fault.Internal, "a defect has left a change of the account in doubt").WithHint("restart the mailstore, and report it")
	}
	return c.MayWrite(a.caughtUp(c))
}

// drafted is one transaction, computed and not committed.
type drafted struct {
	change mailbox.Change
	delta  mailbox.Delta
	empty  bool
}

// draft computes the changes of a batch against the rows at the copy's head, and returns the requests that found room in
// it; the rest is put back. It fails with errStale if the rows are not at the copy's head.
func (a *Account) draft(c *protocol.Copy, batch []*request) (t drafted, folded []*request, err error) {
	a.work.begin()
	defer a.work.end()
	err = a.m.store.ViewAt(a.m.ctx, a.mailboxID, c.Committed, func(v *metadata.View) error {
		rows := a.rows(v)
		header, err := rows.Header()
		if err != nil {
			return err
		}
		if header.Sequence != c.Committed {
			return errStale
		}
		var d *mailbox.Draft
		if d, folded, err = fold(rows, batch, a.m.logger); err != nil {
			return err
		}
		if t.empty = d.Empty(); t.empty {
			return nil
		}
		t.change, err = d.Change()
		t.delta = d.Delta()
		return err
	})
	if errors.Is(err, metadata.ErrMoved) {
		err = errStale
	}
	if err != nil {
		return drafted{}, batch, err
	}
	a.putBack(batch[len(folded):])
	return t, folded, nil
}

// fold computes a batch as one transaction. A request that failed after it had changed something spoils the draft, which
// is then begun anew without it; an operation of Draft that fails has changed nothing, so that is rare.
func fold(rows mailbox.Reader, batch []*request, logger *slog.Logger) (*mailbox.Draft, []*request, error) {
	failed := map[*request]error{}
	for {
		d, err := mailbox.NewDraft(rows, time.Now())
		if err != nil {
			return nil, batch, err
		}
		n, spoilt := 0, false
		for _, r := range batch {
			if n > 0 && d.EncodedSizeEstimate() > foldedBytesMax {
				break
			}
			n++
			if err, known := failed[r]; known {
				r.err = err
				continue
			}
			before := d.Changes()
			var broken bool
			if broken, r.err = compute(d, r, logger); r.err != nil {
				failed[r] = r.err
				if spoilt = broken || d.Changes() != before; spoilt {
					break
				}
			}
		}
		if !spoilt {
			return d, batch[:n], nil
		}
	}
}

// compute runs one request's computation. One that panics is a defect, which fails that request and no other: the draft may be
// half changed then, and is broken.
func compute(d *mailbox.Draft, r *request, logger *slog.Logger) (broken bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			logger.Error("a change panicked", "panic", p, "stack", string(debug.Stack()))
			broken, err = true, fault.New(fault.Internal, "the change could not be computed")
		}
	}()
	return false, r.change(d)
}

// commitHere commits to this mailstore's database, fsynced: the transaction of an account without replicas, or of a paused
// one, whose record goes into the journal with it (rule 11).
func (a *Account) commitHere(batch []*request) ([]*request, error) {
	a.state.Lock()
	defer a.state.Unlock()
	c := a.Copy().Clone()
	if c.Mode == protocol.Log { // resumed in between
		return batch, errStale
	}
	if err := a.mayWrite(c); err != nil { // it became a gap, gave way or was removed before its state was locked
		return batch, err
	}
	a.work.begin()
	defer a.work.end()
	t, batch, err := a.draft(c, batch)
	if errors.Is(err, errStale) {
		err = a.broken(c)
	}
	if err != nil || t.empty {
		return batch, err
	}
	record := c.Next(event.Change)
	var journal []byte
	if c.Mode == protocol.Paused {
		payload, err := event.EncodeChange(t.change)
		if err != nil {
			return batch, err
		}
		journal = encodeJournal(event.Split(record, payload))
	}
	c.Advance(record.Sequence, record.ID)
	for _, r := range batch {
		r.doubt = true
	}
	err = a.m.store.Update(a.m.ctx, metadata.Fsynced, func(tx *metadata.Tx) error {
		if c.Mode == protocol.Paused {
			entry := metadata.JournalEntry{Sequence: record.Sequence, ID: record.ID, Record: journal}
			if err := tx.AppendJournal(a.mailboxID, entry); err != nil {
				return err
			}
		}
		if err := tx.Write(a.mailboxID, t.delta); err != nil {
			return err
		}
		return tx.SaveCopy(a.mailboxID, c)
	})
	if err != nil {
		return batch, err
	}
	a.m.index.Changed(a.mailboxID, &t.delta)
	a.show(c, nil)
	a.wakeSessions()
	return batch, nil
}

// commitToLog appends the batch's transaction and waits until a record that decides its sequence has been read.
func (a *Account) commitToLog(c *protocol.Copy, batch []*request) ([]*request, error) {
	t, batch, err := a.draft(c, batch)
	if errors.Is(err, errStale) && !a.movedOn(c) {
		err = a.broken(c)
	}
	if err != nil || t.empty {
		return batch, err
	}
	payload, err := event.EncodeChange(t.change)
	if err != nil {
		return batch, err
	}
	record := c.Next(event.Change)
	for _, r := range batch {
		r.doubt = true
	}
	p := &pending{
		Pending: protocol.Pending{Records: event.Split(record, payload)}, delta: &t.delta,
		withdraw: func() (event.Record, error) { return a.nothing(c) },
	}
	won, err := a.ride(a.m.ctx, c, p)
	if err != nil || won {
		return batch, err
	}
	tooLarge := p.tooLarge != nil && a.Copy().Epoch == c.Epoch
	for _, r := range batch {
		r.open = r.open || !p.refused
		r.doubt = r.open
		r.alone = r.alone || tooLarge // so that the large one fails alone
	}
	if !tooLarge || len(batch) > 1 {
		return batch, errStale
	}
	// The brokers' limit is for an operator to mend: to an MTA, and to a client, that is a temporary failure (design section 8).
	return batch, fault.Wrap(fault.LogUnavailable, p.tooLarge, "the event log refuses a change of %d bytes", len(payload)).
		WithHint("%s", fault.HintOf(p.tooLarge))
}

// nothing makes the change that changes nothing, to follow c.
func (a *Account) nothing(c *protocol.Copy) (event.Record, error) {
	record := c.Next(event.Change)
	err := a.m.store.View(a.m.ctx, func(v *metadata.View) error {
		header, err := v.Rows(a.mailboxID).Header()
		if err == nil && header.Sequence != c.Committed {
			err = errStale
		}
		if err == nil {
			record.Payload, err = event.EncodeChange(mailbox.Change{Digest: header.Digest})
		}
		return err
	})
	return record, err
}

// movedOn waits until whoever is moving the copy on has published what it committed, and reports whether c is the past then.
// A change that meets rows newer than the published copy is computed anew only after that, without spinning.
func (a *Account) movedOn(c *protocol.Copy) bool {
	a.state.Lock()
	defer a.state.Unlock()
	return a.Copy() != c
}

// broken is the error of an account whose rows and judged head do not belong together. It takes no changes; the others do.
func (a *Account) broken(c *protocol.Copy) error {
	a.m.logger.Error("an account's rows are not at the head of its copy; it takes no changes", "account", a.id,
		"epoch", c.Epoch, "committed", c.Committed)
	return fault.New(fault.Internal, "the mailbox of account %s is not at sequence %d", a.id, c.Committed)
}
