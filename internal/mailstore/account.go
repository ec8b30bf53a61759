package mailstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// Account is one copy of one account on this mailstore.
//
// Lock order: state, then mu. state is held from reading the copy until its successor has been committed and published, by
// whoever moves the copy on: the live reader of its stream, a catch-up, a local or journal commit. Nobody holds the
// state of two accounts but a reader of their stream, which takes them in the order of their ids. DESIGN.md says more.
type Account struct {
	m         *Mailstore
	id        account.ID
	mailboxID int64

	state sync.Mutex
	live  bool // the stream's live reader judges records for this copy; guarded by state
	copy  atomic.Pointer[protocol.Copy]

	// superseded is set while the directory names another home of a later epoch than this copy knows of.
	superseded atomic.Bool

	// defect is set when a step panicked while a record was in doubt: until a restart the account takes no changes.
	defect atomic.Bool

	work work

	mu       sync.Mutex
	queue    []*request
	running  bool
	pending  *pending
	sessions map[*Watch]struct{}
	removed  bool
}

func (m *Mailstore) newAccount(mailboxID int64, c *protocol.Copy) *Account {
	a := &Account{m: m, id: c.Account, mailboxID: mailboxID, sessions: map[*Watch]struct{}{}}
	a.live = c.Condition != protocol.CatchingUp && c.Condition != protocol.Initialising
	a.copy.Store(c)
	return a
}

func newLocalID() event.ID { return event.NewID() }

// ID is the account's id.
func (a *Account) ID() account.ID { return a.id }

// MailboxID is the key of the copy's rows in this mailstore's database.
func (a *Account) MailboxID() int64 { return a.mailboxID }

// Copy is the state of the copy as last committed. It is not to be altered.
func (a *Account) Copy() *protocol.Copy { return a.copy.Load() }

// Supersede says whether the directory names another home of a later epoch: then this copy serves nobody, whether its
// stream can be read or not (design section 7, "a source that lost the log").
func (a *Account) Supersede(by string) {
	if by == "" {
		a.superseded.Store(false)
		return
	}
	if a.Copy().IsPrimary() && !a.superseded.Swap(true) {
		a.endSessions(fault.New(fault.NotHome, "the account has moved to %s", by))
	}
}

// MayServe says why this copy may not answer clients now, nil if it may.
func (a *Account) MayServe() error {
	c := a.Copy()
	if a.superseded.Load() {
		return fault.New(fault.NotHome, "the account has moved to another mailstore")
	}
	return c.MayServe(a.caughtUp(c))
}

func (a *Account) caughtUp(c *protocol.Copy) bool {
	return c.Mode == protocol.Local || a.m.holds(c.Stream) && a.m.streams.CaughtUp(c.Stream.Partition)
}

// View reads the copy at one sequence. It fails with NotHome, NotReady or Unusable where the copy may not serve.
func (a *Account) View(ctx context.Context, fn func(mailbox.Reader) error) error {
	if err := a.MayServe(); err != nil {
		return err
	}
	return a.m.store.View(ctx, func(v *metadata.View) error { return fn(a.rows(v)) })
}

// Glance is View for a few questions about what happened lately: a snapshot begins only if memory does not answer them. What fn is
// given is at sequence since or later, and has all that was acknowledged before. fn may be run again, from its beginning.
//
// A View may have shown a commit that is published only now; since keeps its reader from going back to what was before.
func (a *Account) Glance(ctx context.Context, since mailbox.Sequence, fn func(mailbox.Reader) error) error {
	at := a.Copy().Committed
	if at < since {
		return a.View(ctx, fn)
	}
	if err := a.MayServe(); err != nil {
		return err
	}
	err := a.m.store.ViewAt(ctx, a.mailboxID, at, func(v *metadata.View) error { return fn(a.rows(v)) })
	if errors.Is(err, metadata.ErrMoved) {
		return a.View(ctx, fn)
	}
	return err
}

// rows are the copy's rows, those of large folders from memory.
func (a *Account) rows(v *metadata.View) mailbox.Scanner {
	return a.m.index.Over(a.mailboxID, v.Rows(a.mailboxID))
}

// Recent gives the first UID of a folder that no session has been told of as \Recent, and claims all below next for the
// caller if claim is set. \Recent is local to a mailstore and outside of the log. Where the database takes no writes, nothing is
// claimed, and the next session is told of the same messages: a full disk must not keep mail from being read.
func (a *Account) Recent(ctx context.Context, folder mailbox.ItemID, next mailbox.UID, claim bool) (mailbox.UID, error) {
	var first mailbox.UID
	read := func(v *metadata.View) (err error) {
		first, err = v.Recent(a.mailboxID, folder)
		return err
	}
	if err := a.m.store.View(ctx, read); err != nil || !claim || first >= next {
		return first, err
	}
	err := a.m.store.Update(ctx, metadata.Lazy, func(tx *metadata.Tx) (err error) {
		if first, err = tx.Recent(a.mailboxID, folder); err != nil || first >= next {
			return err
		}
		return tx.ClaimRecent(a.mailboxID, folder, next)
	})
	if fault.Is(err, fault.DatabaseUnavailable) {
		return first, a.m.store.View(ctx, read)
	}
	return first, err
}

// Watch is a session's view of the account's life.
type Watch struct {
	account *Account
	changed chan struct{}
	ended   chan struct{}
	reason  error  // set before ended is closed
	wake    func() // of OnWake; under the account's mu
}

// Watch begins to watch the account. The caller closes it.
func (a *Account) Watch() *Watch {
	w := &Watch{account: a, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[w] = struct{}{}
	if err := a.MayServe(); err != nil {
		a.endLocked(w, err)
	}
	return w
}

// Changed has a value when the mailbox may have changed since the last value was taken.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Ended is closed when the session must end; Reason then says why.
func (w *Watch) Ended() <-chan struct{} { return w.ended }

// OnWake has fn called whenever Changed gets a value or Ended is closed, and at once if that has happened already: a session that
// waits for its client need not wait here too. fn must neither wait nor call the account.
func (w *Watch) OnWake(fn func()) {
	w.account.mu.Lock()
	defer w.account.mu.Unlock()
	w.wake = fn
	select {
	case <-w.ended:
		fn()
	default:
		if len(w.changed) > 0 {
			fn()
		}
	}
}

// Reason is why the session must end.
func (w *Watch) Reason() error { return w.reason }

// Close stops watching.
func (w *Watch) Close() {
	w.account.mu.Lock()
	defer w.account.mu.Unlock()
	delete(w.account.sessions, w)
}

func (a *Account) endLocked(w *Watch, reason error) {
	delete(a.sessions, w)
	w.reason = reason
	close(w.ended)
	if w.wake != nil {
		w.wake()
	}
}

// EndSessions ends every session of the account, for instance because its status or password changed.
func (a *Account) EndSessions(reason error) { a.endSessions(reason) }

func (a *Account) endSessions(reason error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for w := range a.sessions {
		a.endLocked(w, reason)
	}
}

func (a *Account) wakeSessions() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for w := range a.sessions {
		select {
		case w.changed <- struct{}{}:
		default: // it has not looked since the last wake-up
		}
		if w.wake != nil {
			w.wake()
		}
	}
}
