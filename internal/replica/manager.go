package replica

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/pause"
	"mailreplica/internal/peer"
)

// Limits of the loop.
const (
	reconcileWorkers  = 32                     // they wait for databases: those who wait at the same time share a transaction
	initialisationMax = 16                     // copies that are being made at once on this mailstore
	retryPauseMin     = 200 * time.Millisecond // before an account that could not be brought in order is looked at again
	retryPauseMax     = 15 * time.Second
	sweepEvery        = 15 * time.Second // every account is looked at as often, whatever was or was not told
	primaryTellsWait  = 10 * time.Second // after which a replica tells the directory of a primary that does not
)

// Manager makes this mailstore's copies what the directory wishes, and the directory know what the log decided. Everything
// it does can be done again: it looks at an account, takes the next step, and looks again when something changes.
type Manager struct {
	self     string
	m        *mailstore.Mailstore
	agent    *Agent
	wishes   *directory.Copy // answers without the directory
	dir      *directory.Directory
	peers    *peer.Client
	logger   *slog.Logger
	export   string // folder that deposed journals are kept in
	notified func(directory.Notification)

	initialising chan struct{} // a token for each copy that is being made
	makers       sync.WaitGroup

	mu     sync.Mutex
	wake   chan struct{}
	queue  []account.ID
	queued map[account.ID]bool // in queue
	busy   map[account.ID]bool // being looked at: by one worker at a time, for a step rests on what was read before it
	again  map[account.ID]bool // asked for while busy
	making map[account.ID]bool // a copy is being made
	pauses map[account.ID]time.Duration
	untold map[account.ID]time.Time // since when a replica here knows of a home that the directory does not
	held   map[account.ID]int       // being promoted by so many who tell the directory themselves
	wanted map[account.ID]string    // what an operator was last told to do about a broken primary
}

// ManagerConfig is what a Manager is made of.
type ManagerConfig struct {
	Mailstore *mailstore.Mailstore
	Agent     *Agent
	Wishes    *directory.Copy
	Directory *directory.Directory
	Peers     *peer.Client
	ExportDir string
	Notified  func(directory.Notification) // optional: told of every notification that was stored
	Logger    *slog.Logger
}

// NewManager makes a manager that does nothing before Run.
func NewManager(c ManagerConfig) *Manager {
	return &Manager{
		self: c.Mailstore.Self(), m: c.Mailstore, agent: c.Agent, wishes: c.Wishes, dir: c.Directory, peers: c.Peers,
		logger: c.Logger, export: c.ExportDir, notified: c.Notified, initialising: make(chan struct{}, initialisationMax),
		queued: map[account.ID]bool{}, busy: map[account.ID]bool{}, again: map[account.ID]bool{},
		making: map[account.ID]bool{}, pauses: map[account.ID]time.Duration{},
		untold: map[account.ID]time.Time{}, wanted: map[account.ID]string{}, held: map[account.ID]int{}, wake: make(chan struct{}, 1),
	}
}

// Look asks for an account to be looked at soon.
func (r *Manager) Look(id account.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enqueue(id)
}

// enqueue is Look for a caller that holds mu.
func (r *Manager) enqueue(id account.ID) {
	switch {
	case r.busy[id]:
		r.again[id] = true
	case !r.queued[id]:
		r.queued[id] = true
		r.queue = append(r.queue, id)
		r.wakeOne()
	}
}

// LookAtAll asks for every account that this mailstore has to do with.
func (r *Manager) LookAtAll() {
	for _, a := range r.m.All() {
		r.Look(a.ID())
	}
	for _, replica := range r.wishes.ReplicasOn(r.self) {
		r.Look(replica.AccountID)
	}
	for _, id := range r.wishes.HomedOn(r.self) {
		r.Look(id)
	}
}

func (r *Manager) wakeOne() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run looks at accounts until the context ends, and returns when nothing is done any more.
func (r *Manager) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range reconcileWorkers {
		workers.Go(func() { r.work(ctx) })
	}
	for ok := true; ok; ok = pause.For(ctx, sweepEvery) == nil {
		r.LookAtAll()
	}
	workers.Wait()
	r.makers.Wait()
}

func (r *Manager) work(ctx context.Context) {
	for {
		id, ok := r.next()
		if !ok {
			select {
			case <-r.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		err := r.reconcile(ctx, id)
		if err != nil && ctx.Err() == nil {
			r.later(ctx, id, err)
		}
		r.leave(id, err == nil)
	}
}

// leave ends the work on an account, and forgets its failures unless the step that it waits for is still under way.
func (r *Manager) leave(id account.ID, good bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if good && !r.making[id] {
		delete(r.pauses, id)
	}
	delete(r.busy, id)
	if r.again[id] {
		delete(r.again, id)
		r.enqueue(id)
	}
}

func (r *Manager) next() (account.ID, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return account.ID{}, false
	}
	id := r.queue[0]
	r.queue = r.queue[1:]
	delete(r.queued, id)
	r.busy[id] = true
	if len(r.queue) > 0 {
		r.wakeOne()
	}
	return id, true
}

// later looks at an account again after a pause that grows with every failure.
func (r *Manager) later(ctx context.Context, id account.ID, err error) {
	r.mu.Lock()
	wait := min(max(2*r.pauses[id], retryPauseMin), retryPauseMax)
	r.pauses[id] = wait
	r.mu.Unlock()
	level := slog.LevelWarn
	if fault.Is(err, fault.NotReady) { // every account, at every start
		level = slog.LevelDebug
	}
	r.logger.Log(ctx, level, "an account is not as wished yet", "account", id, "error", err, "again", wait)
	time.AfterFunc(wait, func() {
		if ctx.Err() == nil {
			r.Look(id)
		}
	})
}
