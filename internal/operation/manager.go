package operation

import (
	"context"
	"sync"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

const (
	storeEveryDefault = 200 * time.Millisecond
	runningMaxDefault = 4
	retryEvery        = time.Second // while the directory does not answer
	pruneEvery        = time.Hour
)

// ManagerConfig says what a Manager runs. The zero value of every optional field means its default.
type ManagerConfig struct {
	Directory  *directory.Directory
	Host       string            // FQDN of this mailstore
	Runners    map[string]Runner // by type of operation
	StoreEvery time.Duration     // optional: how often progress is stored at most; 200 ms
	RunningMax int               // optional: operations that run at once, others wait; 4
	RetryEvery time.Duration     // optional: how often an absent directory is tried again; 1 s
	Items      map[string]string // optional: what the items of a type are called in a notification; "accounts"
	// Name, if set, says what a person calls the item of an operation in a notification; without it: the item itself.
	Name func(item string) string
	// Notified, if set, is told of every notification that this mailstore stored at the end of an operation.
	Notified func(Notification)
}

// Manager runs the operations of one mailstore, and reads those of all.
type Manager struct {
	cfg  ManagerConfig
	turn chan struct{}

	mu      sync.Mutex // guards what follows
	life    context.Context
	running map[string]*Task // by id; queued ones have a nil task
	group   sync.WaitGroup
}

// NewManager makes a Manager; it runs nothing before Run.
func NewManager(cfg ManagerConfig) *Manager {
	if cfg.StoreEvery <= 0 {
		cfg.StoreEvery = storeEveryDefault
	}
	if cfg.RunningMax <= 0 {
		cfg.RunningMax = runningMaxDefault
	}
	if cfg.RetryEvery <= 0 {
		cfg.RetryEvery = retryEvery
	}
	return &Manager{cfg: cfg, turn: make(chan struct{}, cfg.RunningMax), running: make(map[string]*Task)}
}

// Run resumes this mailstore's unfinished operations, runs those that are submitted, and now and then prunes the old,
// until ctx ends. It returns when every operation has stopped; those that had not finished are interrupted, and go on at
// the next Run.
func (m *Manager) Run(ctx context.Context) {
	m.mu.Lock()
	m.life = ctx
	m.mu.Unlock()
	m.resume(ctx)
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	for ctx.Err() == nil {
		_ = m.cfg.Directory.Prune(ctx) // what could not be pruned is, the next time
		select {
		case <-prune.C:
		case <-ctx.Done():
		}
	}
	m.mu.Lock()
	m.life = nil
	m.mu.Unlock()
	m.group.Wait()
}

// resume starts what an earlier process left, as soon as the directory answers.
func (m *Manager) resume(ctx context.Context) {
	var left []Operation
	err := m.untilAnswered(ctx, func() (err error) {
		left, err = m.cfg.Directory.Operations(ctx, directory.OperationFilter{Host: m.cfg.Host, Unfinished: true})
		return err
	})
	if err != nil {
		return // only ctx ends it
	}
	for i := len(left) - 1; i >= 0; i-- { // the oldest first
		m.start(left[i].ID)
	}
}

// untilAnswered repeats f until it succeeds or ctx ends; f fails while the directory does not answer.
func (m *Manager) untilAnswered(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || ctx.Err() != nil || !fault.Is(err, fault.DirectoryUnavailable) {
			return err
		}
		timer := time.NewTimer(m.cfg.RetryEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// Submit stores an operation of this mailstore and starts it. It is stored when Submit returns: a crash then delays it
// only.
func (m *Manager) Submit(ctx context.Context, n New) (Operation, error) {
	if m.cfg.Runners[n.Type] == nil {
		return Operation{}, fault.New(fault.Invalid, "there is no operation %q", n.Type)
	}
	parameters, err := n.parameters()
	if err != nil {
		return Operation{}, fault.Wrap(fault.Internal, err, "the parameters of %s", n.Type)
	}
	op, err := m.cfg.Directory.CreateOperation(ctx,
		Operation{Type: n.Type, Host: m.cfg.Host, Parameters: parameters}, n.items())
	if err != nil {
		return Operation{}, err
	}
	m.start(op.ID)
	return op, nil
}

// start runs an operation in the background, unless it runs already or the Manager does not.
func (m *Manager) start(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.running[id]; known || m.life == nil || m.life.Err() != nil {
		return
	}
	m.running[id] = nil
	life := m.life
	m.group.Go(func() {
		defer m.ended(id)
		select {
		case m.turn <- struct{}{}:
			defer func() { <-m.turn }()
			m.run(life, id)
		case <-life.Done():
		}
	})
}

func (m *Manager) ended(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.running, id)
}

// Running counts the operations that run here, by type, and those that wait for others to end.
func (m *Manager) Running() (byType map[string]int, waiting int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	byType = make(map[string]int, len(m.cfg.Runners))
	for kind := range m.cfg.Runners {
		byType[kind] = 0
	}
	for _, task := range m.running {
		if task == nil {
			waiting++
		} else {
			byType[task.kind]++
		}
	}
	return byType, waiting
}

// Get gives an operation; one that runs here with its present counts, also while the directory does not answer.
func (m *Manager) Get(ctx context.Context, id string) (Operation, error) {
	m.mu.Lock()
	task := m.running[id]
	m.mu.Unlock()
	if task != nil {
		return task.Operation(), nil
	}
	return m.cfg.Directory.Operation(ctx, id)
}

// List gives the operations of every mailstore, or of one, the newest first.
func (m *Manager) List(ctx context.Context, f directory.OperationFilter) ([]Operation, error) {
	return m.cfg.Directory.Operations(ctx, f)
}

// Items gives a page of an operation's items.
func (m *Manager) Items(ctx context.Context, id string, f directory.ItemFilter) ([]Item, error) {
	return m.cfg.Directory.OperationItems(ctx, id, f)
}

// Stop asks the mailstore that runs an operation to stop it; that happens at its next report.
func (m *Manager) Stop(ctx context.Context, id string) (Operation, error) {
	op, err := m.cfg.Directory.RequestStop(ctx, id)
	m.mu.Lock()
	task := m.running[id]
	m.mu.Unlock()
	if err == nil && task != nil {
		task.nudge()
	}
	return op, err
}

// Remove ends an operation as removed, also one whose mailstore will not come back.
func (m *Manager) Remove(ctx context.Context, id string) (Operation, error) {
	return m.cfg.Directory.RemoveOperation(ctx, id)
}
