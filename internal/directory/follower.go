package directory

import (
	"context"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

const (
	pollEveryDefault      = 150 * time.Millisecond
	passwordAgeMaxDefault = 24 * time.Hour
	pollPagesMax          = 512 // of one step that is not a full copy
)

// FollowerConfig says what a Follower follows. The zero value of every optional field means its default.
type FollowerConfig struct {
	Directory      *Directory
	Copy           *Copy
	Every          time.Duration // optional: how often Run asks for changes; 150 ms
	PasswordAgeMax time.Duration // optional: how old the copy may be for a password to be checked with it; 24 h
}

// Follower keeps a mailstore's copy of the directory fresh, and looks accounts up: in the copy, and for what is not in
// it in the directory.
type Follower struct {
	cfg FollowerConfig

	turn chan struct{} // has room for one: one step at a time, so that subscribers see them in order; taken before mu

	mu          sync.Mutex // guards what follows
	subscribers []*subscriber
	problem     error
	failures    int // steps that the directory did not answer
}

type subscriber struct{ tell func(Event) }

// NewFollower makes a Follower; Run starts it.
func NewFollower(cfg FollowerConfig) *Follower {
	if cfg.Every <= 0 {
		cfg.Every = pollEveryDefault
	}
	if cfg.PasswordAgeMax <= 0 {
		cfg.PasswordAgeMax = passwordAgeMaxDefault
	}
	cfg.Directory.store.follower.Store(cfg.Copy)
	return &Follower{cfg: cfg, turn: make(chan struct{}, 1)}
}

// Copy is the copy that the Follower keeps.
func (f *Follower) Copy() *Copy { return f.cfg.Copy }

// Run follows until ctx is done. A step that fails is seen in Status, and tried again at the next.
func (f *Follower) Run(ctx context.Context) {
	ticker := time.NewTicker(f.cfg.Every)
	defer ticker.Stop()
	for {
		_ = f.Poll(ctx) // kept for Status
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Poll takes one step: after it, everything that was in the directory when it began is in the copy, and subscribers
// have been told. Whoever wrote to the directory calls it to see the own write in the copy. Whoever waited for a step that the
// directory did not answer is told so, and does not wait for another.
func (f *Follower) Poll(ctx context.Context) error {
	before, _ := f.failure()
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted before the directory was asked")
	}
	defer func() { <-f.turn }()
	if failures, problem := f.failure(); failures != before && problem != nil {
		return problem
	}
	err := f.step(ctx)
	if fault.Is(err, fault.Interrupted) {
		return err // which says nothing of the directory
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problem = err
	if fault.Is(err, fault.DirectoryUnavailable) {
		f.failures++
	}
	return err
}

func (f *Follower) failure() (failures int, problem error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failures, f.problem
}

func (f *Follower) step(ctx context.Context) error {
	have := f.cfg.Copy.followedVersion()
	if have > 0 {
		directory, current, err := f.cfg.Directory.state(ctx)
		if err != nil {
			return err
		}
		if current == have && directory == f.cfg.Copy.identity() {
			return f.cfg.Copy.confirm(ctx)
		}
	}
	for range pollPagesMax {
		page, err := f.cfg.Directory.Since(ctx, have)
		if err != nil {
			return err
		}
		pages := []Changes{page}
		for page.Full && pages[len(pages)-1].More {
			next, err := f.cfg.Directory.FullSince(ctx, pages[len(pages)-1].Through)
			if err != nil {
				return err
			}
			pages = append(pages, next)
		}
		event, err := f.cfg.Copy.Apply(ctx, pages...)
		if err != nil {
			return err
		}
		f.tell(event)
		if have = f.cfg.Copy.followedVersion(); !pages[len(pages)-1].More {
			return nil
		}
	}
	return nil
}

// Subscribe has tell called with what every step changed, one step after another, until cancel. tell must be quick, and
// must not call Poll.
func (f *Follower) Subscribe(tell func(Event)) (cancel func()) {
	s := &subscriber{tell}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subscribers = append(f.subscribers, s)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		kept := make([]*subscriber, 0, len(f.subscribers))
		for _, other := range f.subscribers {
			if other != s {
				kept = append(kept, other)
			}
		}
		f.subscribers = kept
	}
}

func (f *Follower) tell(e Event) {
	if e.Empty() {
		return
	}
	f.mu.Lock()
	all := append([]*subscriber(nil), f.subscribers...)
	f.mu.Unlock()
	for _, s := range all {
		s.tell(e)
	}
}

// FollowerStatus is what an operator is shown.
type FollowerStatus struct {
	Age     time.Duration // since the copy was last known to equal the directory
	Copied  bool          // false: it never was
	Version int64
	Problem error // of the last step; nil: the directory answers
}

// Status says how fresh the copy is.
func (f *Follower) Status() FollowerStatus {
	age, copied := f.cfg.Copy.Age()
	f.mu.Lock()
	defer f.mu.Unlock()
	return FollowerStatus{Age: age, Copied: copied, Version: f.cfg.Copy.Version(), Problem: f.problem}
}

// Lookup gives an account or a list by name, in the spelling of account.ParseName. What the copy does not have is asked
// of the directory; only its own answer is NotFound, and without an answer it is DirectoryUnavailable.
func (f *Follower) Lookup(ctx context.Context, name string) (Account, error) {
	if a, known := f.cfg.Copy.AccountByName(name); known {
		return a, nil
	}
	return f.ask(ctx, func(q *query) (Account, error) { return q.mustKnowName(name) })
}

// LookupID is Lookup by id.
func (f *Follower) LookupID(ctx context.Context, id account.ID) (Account, error) {
	if a, known := f.cfg.Copy.Account(id); known {
		return a, nil
	}
	return f.ask(ctx, func(q *query) (Account, error) { return q.mustKnowAccount(id) })
}

// ask asks the directory itself. Another directory than the copy was made from (a wrong path, an empty file) knows
// nothing of this platform's accounts, so its NotFound would bounce mail: it counts as away.
func (f *Follower) ask(ctx context.Context, find func(*query) (Account, error)) (Account, error) {
	var a Account
	err := f.cfg.Directory.store.read(ctx, func(q *query) error {
		identity, err := q.meta(metaDirectoryID)
		if err != nil {
			return err
		}
		if own := f.cfg.Copy.identity(); own != "" && own != identity {
			return otherDirectory(f.cfg.Copy.store.engine.place())
		}
		a, err = find(q)
		return err
	})
	return a, err
}

// LookupForPassword is Lookup for a check of a password: a copy that is older than the bound is not trusted, since the
// password may have been changed, or the account locked, long ago.
func (f *Follower) LookupForPassword(ctx context.Context, name string) (Account, error) {
	a, known := f.cfg.Copy.AccountByName(name)
	if known {
		if age, copied := f.cfg.Copy.Age(); copied && age <= f.cfg.PasswordAgeMax {
			return a, nil
		}
	}
	a, err := f.ask(ctx, func(q *query) (Account, error) { return q.mustKnowName(name) })
	if known && fault.Is(err, fault.DirectoryUnavailable) {
		return Account{}, fault.Wrap(fault.DirectoryUnavailable, err,
			"the copy of the directory is too old to check passwords with")
	}
	return a, err
}
