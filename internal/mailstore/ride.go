package mailstore

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/protocol"
)

// pending is the account's one transaction in flight.
type pending struct {
	protocol.Pending
	delta   *mailbox.Delta // what the change does to the rows, as computed here; nil for other records
	settled chan bool      // has room for one: whether it won
	refused bool           // set before settled: no copy will ever accept it

	// What to do where the brokers refuse its size again and again. withdraw makes a small record for the same sequence: only when one of
	// both has been read is it certain that the other will not be accepted. A transaction of the journal is kept, and its
	// ride ends. Other records are small, and repeated.
	withdraw func() (event.Record, error)
	journal  bool
	tooLarge error // why it was withdrawn
}

// ride appends a transaction and stays with it until a record that decides it has been read (rule 4). An append whose
// outcome is in doubt is repeated, byte for byte, however long that takes; waiters give up by themselves. It returns
// early only when the context or the mailstore ends, and then everything is in doubt: a primary gives ride a context that
// does not end, for it must not compute another transaction on top of one in doubt.
func (a *Account) ride(ctx context.Context, c *protocol.Copy, p *pending) (won bool, err error) {
	p.settled = make(chan bool, 1)
	values := make([][]byte, len(p.Records))
	for i := range p.Records { // before begin: from then on readers look at the records
		values[i] = p.Records[i].Encode()
	}
	if !a.begin(c, p) {
		p.refused = true // before it was appended
		return false, nil
	}
	defer a.end(p)
	defer func() {
		if p := recover(); p != nil { // what is in doubt must not be forgotten (rule 4): until a restart nothing is computed on top of it
			a.defect.Store(true)
			panic(p)
		}
	}()
	var warned time.Time
	refusals := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	var answered <-chan error
	for wait := repeatPauseMin; ; {
		select {
		case won := <-p.settled:
			return won, nil
		case <-timer.C:
			answered = a.append(ctx, c.Stream.Partition, values)
			timer.Reset(repeatAfter)
		case failure := <-answered:
			if failure == nil {
				continue // it is in the log: now it is up to the reader
			}
			if time.Since(warned) > warnEvery {
				warned = time.Now()
				a.m.logger.Warn("an append is in doubt and will be repeated", "account", a.id, "record", p.Records[0].Kind,
					"epoch", p.Records[0].Epoch, "sequence", p.Records[0].Sequence, "error", failure)
			}
			timer.Reset(wait)
			wait = min(2*wait, repeatPauseMax)
			if !isRefusal(failure, values) {
				refusals = 0
				continue
			}
			if refusals++; refusals < refusalsMax || p.tooLarge != nil {
				continue
			}
			if p.journal {
				return false, failure
			}
			if p.withdraw == nil {
				continue
			}
			instead, err := p.withdraw()
			if err != nil {
				a.m.logger.Warn("a change that the brokers refuse could not be withdrawn yet", "account", a.id, "error", err)
				continue
			}
			p.tooLarge, values = failure, [][]byte{instead.Encode()}
			timer.Reset(0)
		case <-ctx.Done():
			return false, inDoubt(ctx)
		case <-a.m.ctx.Done():
			return false, inDoubt(a.m.ctx)
		}
	}
}

// isRefusal reports whether the brokers refused a transaction for its size. They refuse whole batches: a small record was in bad
// company, and will be taken in another.
func isRefusal(err error, values [][]byte) bool {
	return fault.Is(err, fault.TooLarge) && slices.ContainsFunc(values, func(v []byte) bool { return len(v) >= refusableBytesMin })
}

func inDoubt(ctx context.Context) error {
	var kind *fault.Error
	if cause := context.Cause(ctx); errors.As(cause, &kind) {
		return kind
	}
	return fault.Wrap(fault.LogUnavailable, ctx.Err(), "the event log did not confirm in time")
}

// append sends the parts of a transaction, once this mailstore reads the stream: else nobody would ever read them here. The
// channel tells when the producer has done with all of them, and an error if one was refused or is in doubt.
func (a *Account) append(ctx context.Context, stream int32, values [][]byte) <-chan error {
	answered := make(chan error, 1)
	if err := a.m.streams.Follow(ctx, stream); err != nil {
		answered <- err
		return answered
	}
	var first atomic.Pointer[error]
	var left atomic.Int32
	left.Store(int32(len(values)))
	for _, value := range values {
		a.m.streams.Append(stream, event.Key(a.id), value, func(err error) {
			if err != nil {
				first.CompareAndSwap(nil, &err)
			}
			if left.Add(-1) > 0 {
				return
			}
			if failed := first.Load(); failed != nil {
				answered <- *failed
			} else {
				answered <- nil
			}
		})
	}
	return answered
}

// begin makes p the transaction in flight, unless the copy that it follows is no longer the published one: a record read
// between computing and this moment may have taken its sequence, and nobody would tell.
func (a *Account) begin(c *protocol.Copy, p *pending) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Copy() != c {
		return false
	}
	a.pending = p
	return true
}

func (a *Account) end(p *pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending == p {
		a.pending = nil
	}
}

// settle tells the transaction in flight what has been read: the verdicts of a batch, after which the copy is c.
func (a *Account) settle(c *protocol.Copy, verdicts []protocol.Verdict) {
	p := a.pending
	if p == nil {
		return
	}
	for _, v := range verdicts {
		if settled, won := p.Settle(c, v); settled && won {
			a.pending = nil
			p.settled <- true
			return
		}
	}
	if settled, _ := p.Settle(c, protocol.Verdict{}); settled {
		a.pending = nil
		p.refused = isRefused(c, p.Records[0])
		p.settled <- false
	}
}

// isRefused reports whether a transaction that lost will never be accepted by any copy. A copy that is of no use any more, or was
// declared the primary outside of its log, cannot tell: other copies may have read the record.
func isRefused(c *protocol.Copy, r event.Record) bool {
	return c.Condition == protocol.Complete && (c.IsOpen() || c.Epoch == r.Epoch)
}

// deltaOf is the delta that the transaction in flight computed, if it is the record's.
func (a *Account) deltaOf(id event.ID) *mailbox.Delta {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending != nil && a.pending.Records[0].ID == id {
		return a.pending.delta
	}
	return nil
}
