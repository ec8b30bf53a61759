package mailstore

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// request waits in an account's queue: a change that a client wants, or a step of the account's own life (control).
type request struct {
	ctx     context.Context
	change  func(*mailbox.Draft) error
	control func(context.Context) error
	err     error       // of the last computation; told when the transaction is decided
	done    chan error  // has room for one
	gone    atomic.Bool // the waiter has been told a temporary failure; it must not be computed anew
}

// errStale says that a change was computed against rows that are not the ones it would follow; it is computed anew.
var errStale = errors.New("the mailbox has moved on")

// Update makes one transaction out of fn, together with whatever else waits on the account, and returns when it has been
// decided: nil means that the change survives the loss of this mailstore, or of this process for an account without
// replicas. fn may be called more than once, against another state each time; a transaction that changes nothing is not
// written.
//
// Kinds: those of MayWrite; LogUnavailable and Busy mean that the change may or may not come to be (rule 4).
func (a *Account) Update(ctx context.Context, fn func(*mailbox.Draft) error) error {
	return a.wait(ctx, &request{change: fn}, updateWait)
}

// enter runs a step of the account's life in its turn, with no transaction in flight.
func (a *Account) enter(ctx context.Context, fn func(context.Context) error) error {
	return a.wait(ctx, &request{control: fn}, controlWait)
}

func (a *Account) wait(ctx context.Context, r *request, bound time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bound,
		fault.New(fault.LogUnavailable, "the event log did not confirm within %s", bound))
	defer cancel()
	r.ctx, r.done = ctx, make(chan error, 1)
	a.enqueue(r)
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return a.giveUp(r, context.Cause(ctx))
	}
}

// giveUp tells the waiter of a temporary failure. The answer may have come in this very moment; then it counts.
func (a *Account) giveUp(r *request, cause error) error {
	r.gone.Store(true)
	select {
	case answer := <-r.done:
		return answer
	default:
	}
	var kind *fault.Error
	if errors.As(cause, &kind) {
		return kind
	}
	return fault.Wrap(fault.Interrupted, cause, "the request was given up")
}

func (a *Account) enqueue(r *request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, r)
	if !a.running {
		a.running = true
		a.m.riders.Go(a.run)
	}
}

// run decides what waits on the account, one transaction at a time, until nothing waits.
func (a *Account) run() {
	for {
		batch := a.take()
		if len(batch) == 0 {
			return
		}
		if r := batch[0]; r.control != nil {
			r.finish(r.control(r.ctx))
			continue
		}
		a.commit(batch)
	}
}

// take removes from the queue what the next transaction is made of: one control, or changes up to a bound. It ends the run
// if there is nothing.
func (a *Account) take() []*request {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n < len(a.queue) && n < foldedRequestsMax && a.queue[n].control == nil {
		n++
	}
	if n == 0 && len(a.queue) > 0 {
		n = 1
	}
	batch := a.queue[:n:n]
	a.queue = a.queue[n:]
	if len(a.queue) == 0 {
		a.queue = nil
	}
	if n == 0 {
		a.running = false
	}
	return batch
}

// putBack makes requests wait again, before all others.
func (a *Account) putBack(batch []*request) {
	if len(batch) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(append([]*request(nil), batch...), a.queue...)
}

func (r *request) finish(err error) {
	r.done <- err
}

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
	batch = waiting(batch)
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
		if r.gone.Load() || r.ctx.Err() != nil {
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
	return c.MayWrite(a.caughtUp(c))
}

// drafted is one transaction, computed and not committed.
type drafted struct {
	change mailbox.Change
	delta  mailbox.Delta
	empty  bool
}

// draft computes the changes of a batch against the rows at the copy's head, and returns the requests that found room in
// it; the rest is put back.
func (a *Account) draft(c *protocol.Copy, batch []*request) (t drafted, folded []*request, err error) {
	err = a.m.store.View(a.m.ctx, func(v *metadata.View) error {
		rows := v.Rows(a.mailboxID)
		header, err := rows.Header()
		if err != nil {
			return err
		}
		if header.Sequence != c.Committed {
			return errStale
		}
		var d *mailbox.Draft
		if d, folded, err = fold(rows, batch); err != nil {
			return err
		}
		if t.empty = d.Empty(); t.empty {
			return nil
		}
		t.change, err = d.Change()
		t.delta = d.Delta()
		return err
	})
	if err != nil {
		return drafted{}, batch, err
	}
	a.putBack(batch[len(folded):])
	return t, folded, nil
}

// fold computes a batch as one transaction. A request that failed after it had changed something spoils the draft, which
// is then begun anew without it; an operation of Draft that fails has changed nothing, so that is rare.
func fold(rows mailbox.Reader, batch []*request) (*mailbox.Draft, []*request, error) {
	failed := map[*request]error{}
	for {
		d, err := mailbox.NewDraft(rows)
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
			if r.err = r.change(d); r.err != nil {
				failed[r] = r.err
				if spoilt = d.Changes() != before; spoilt {
					break
				}
			}
		}
		if !spoilt {
			return d, batch[:n], nil
		}
	}
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
	t, batch, err := a.draft(c, batch)
	if err != nil || t.empty {
		return batch, err
	}
	record := c.Next(event.Change)
	if c.Mode == protocol.Paused {
		if record.Payload, err = event.EncodeChange(t.change); err != nil {
			return batch, err
		}
	}
	c.Advance(record.Sequence, record.ID)
	err = a.m.store.Update(a.m.ctx, metadata.Fsynced, func(tx *metadata.Tx) error {
		if c.Mode == protocol.Paused {
			entry := metadata.JournalEntry{Sequence: record.Sequence, ID: record.ID, Record: record.Encode()}
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
	a.show(c, nil)
	a.wakeSessions()
	return batch, nil
}

// commitToLog appends the batch's transaction and waits until a record that decides its sequence has been read.
func (a *Account) commitToLog(c *protocol.Copy, batch []*request) ([]*request, error) {
	t, batch, err := a.draft(c, batch)
	if err != nil || t.empty {
		return batch, err
	}
	payload, err := event.EncodeChange(t.change)
	if err != nil {
		return batch, err
	}
	record := c.Next(event.Change)
	won, err := a.ride(c, &pending{
		Pending: protocol.Pending{Records: event.Split(record, payload)}, delta: &t.delta,
	})
	if err == nil && !won {
		err = errStale
	}
	return batch, err
}
