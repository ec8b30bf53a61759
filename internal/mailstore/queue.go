package mailstore

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// request waits in an account's queue: a change that a client wants, or a step of the account's own life (control).
type request struct {
	ctx     context.Context
	change  func(*mailbox.Draft) error
	control func(context.Context) error
	err     error       // of the last computation; told when the transaction is decided
	doubt   bool        // its change may come to be, whatever its waiter is told
	open    bool        // the doubt stays: it lost where that decides nothing
	done    chan error  // has room for one
	gone    atomic.Bool // the waiter has been told a temporary failure; it must not be computed anew
	alone   bool        // the brokers refused a transaction that it was folded into
}

// Update makes one transaction out of fn, together with whatever else waits on the account, and returns when it has been
// decided: nil means that the change survives the loss of this mailstore, or of this process for an account without
// replicas. fn may be called more than once, against another state each time; a transaction that changes nothing is not
// written.
//
// Kinds: those of MayWrite; LogUnavailable and Busy mean that the change may or may not come to be (rule 4). NotWritten tells
// the errors after which it certainly does not.
func (a *Account) Update(ctx context.Context, fn func(*mailbox.Draft) error) error {
	return a.wait(ctx, &request{change: fn})
}

// enter runs a step of the account's life in its turn, with no transaction in flight. A step whose caller has gone before its
// turn is not run: a Join or a Fence that nobody waits for does harm.
func (a *Account) enter(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, controlWait, notConfirmed(controlWait))
	defer cancel()
	return a.wait(ctx, &request{control: fn})
}

func notConfirmed(within time.Duration) error {
	return fault.New(fault.LogUnavailable, "the event log did not confirm within %s", within)
}

// wait waits for a request to be decided. A change waits for the event log for so long and no longer; but a change of a million messages, itself
// or one before it, takes this mailstore as long as it takes, within the bounds that the database has of its own.
func (a *Account) wait(ctx context.Context, r *request) error {
	r.ctx, r.done = ctx, make(chan error, 1)
	if err := a.enqueue(r); err != nil {
		return notWritten{err}
	}
	late := time.NewTimer(updateWait)
	defer late.Stop()
	for {
		select {
		case err := <-r.done:
			return err
		case <-ctx.Done():
			return a.giveUp(r, context.Cause(ctx))
		case <-late.C:
			if left := updateWait - a.work.quiet(); left > 0 {
				late.Reset(left)
			} else if r.control == nil { // else the bound is that of its context
				return a.giveUp(r, notConfirmed(updateWait))
			}
		}
	}
}

// work is what this mailstore itself does for an account: it computes a change, or writes rows.
type work struct {
	mu    sync.Mutex
	under int
	ended time.Time
}

func (w *work) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.under++
}

func (w *work) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.under--
	w.ended = time.Now()
}

// quiet is for how long there has been nothing to do.
func (w *work) quiet() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.under > 0 {
		return 0
	}
	return time.Since(w.ended)
}

// giveUp tells the waiter of a temporary failure. The answer may have come in this very moment; then it counts.
func (a *Account) giveUp(r *request, cause error) error {
	r.gone.Store(true)
	waiting := a.withdraw(r)
	select {
	case answer := <-r.done:
		return answer
	default:
	}
	err := givenUp(cause)
	if waiting {
		err = notWritten{err}
	}
	return err
}

func givenUp(cause error) error {
	var kind *fault.Error
	if errors.As(cause, &kind) {
		return kind
	}
	if errors.Is(cause, context.DeadlineExceeded) { // the caller's own bound was shorter
		return fault.Wrap(fault.LogUnavailable, cause, "the change was not confirmed in time")
	}
	return fault.Wrap(fault.Interrupted, cause, "the request was given up")
}

func (r *request) isGone() bool { return r.gone.Load() || r.ctx.Err() != nil }

func (r *request) finish(err error) {
	if err != nil && (r.err != nil || !r.doubt) {
		err = notWritten{err}
	}
	r.done <- err
}

// notWritten marks an error after which the change that was asked for certainly does not come to be.
type notWritten struct{ error }

func (e notWritten) Unwrap() error { return e.error }

// NotWritten reports whether an error of Update says that the change certainly will not come to be: it was refused before
// anything was appended, or another record has decided against it.
func NotWritten(err error) bool { return errors.As(err, new(notWritten)) }

// enqueue makes a request wait, behind all others.
func (a *Account) enqueue(r *request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.m.ctx.Err() != nil {
		return fault.New(fault.Interrupted, "%s is shutting down", a.m.self)
	}
	if len(a.queue) >= queuedRequestsMax {
		return fault.New(fault.Busy, "%d requests wait on the account already", queuedRequestsMax)
	}
	a.queue = append(a.queue, r)
	if !a.running {
		a.running = true
		a.m.riders.Go(a.run)
	}
	return nil
}

// withdraw takes a request out of the queue, and reports whether it was there: then no transaction in flight has it. While the log is away for hours, what was given up must not pile up there.
func (a *Account) withdraw(r *request) (waiting bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.queue, r)
	if i >= 0 {
		a.queue = slices.Concat(a.queue[:i], a.queue[i+1:])
	}
	return i >= 0
}

// run decides what waits on the account, one transaction at a time, until nothing waits.
func (a *Account) run() {
	growStack()
	for {
		batch := a.take()
		if len(batch) == 0 {
			return
		}
		r := batch[0]
		switch {
		case r.control == nil:
			a.guard(batch, func() { a.commit(batch) })
		case r.isGone():
			r.finish(fault.New(fault.Interrupted, "the request was given up"))
		default:
			a.guard(batch, func() { r.finish(r.control(r.ctx)) })
		}
	}
}

// growStack makes the goroutine's stack as large at once as a database needs, instead of by three copies on the way there: most
// runs decide one change.
//
//go:noinline
func growStack() {
	var room [8 << 10]byte
	room[0] = 1
	runtime.KeepAlive(&room)
}

// guard runs a turn. A panic is a defect, which fails the requests of that turn, and neither the account's queue nor the process.
func (a *Account) guard(batch []*request, turn func()) {
	batch = slices.Clone(batch) // a turn alters it
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		a.m.logger.Error("a step of an account panicked", "account", a.id, "panic", p, "stack", string(debug.Stack()))
		for _, r := range batch {
			select {
			case r.done <- fault.New(fault.Internal, "the change could not be carried out"):
			default: // it has been answered
			}
		}
	}()
	turn()
}

// take removes from the queue what the next transaction is made of: one control, one change that goes alone, or changes up to a
// bound. It ends the run if there is nothing.
func (a *Account) take() []*request {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n < len(a.queue) && n < foldedRequestsMax && a.queue[n].control == nil && !a.queue[n].alone {
		n++
	}
	if n == 0 && len(a.queue) > 0 {
		n = 1
	}
	batch := slices.Clone(a.queue[:n])
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
	a.queue = append(slices.Clone(batch), a.queue...)
}
