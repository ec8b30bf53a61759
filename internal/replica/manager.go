package replica

import (
	"context"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/peer"
	"mailreplica/internal/protocol"
)

// Limits of the loop.
const (
	reconcileWorkers  = 8
	initialisationMax = 4                      // copies that are being made at once on this mailstore
	retryPauseMin     = 200 * time.Millisecond // before an account that could not be brought in order is looked at again
	retryPauseMax     = 15 * time.Second
	sweepEvery        = 15 * time.Second // every account is looked at as often, whatever was or was not told
	streamsPerSet     = 4                // streams over which accounts with the same mailstores are spread
)

// Manager makes this mailstore's copies what the directory wishes, and the directory know what the log decided. Everything
// it does can be done again: it looks at an account, takes the next step, and looks again when something changes.
type Manager struct {
	self   string
	m      *mailstore.Mailstore
	agent  *Agent
	wishes *directory.Copy // answers without the directory
	dir    *directory.Directory
	peers  *peer.Client
	logger *slog.Logger
	export string // folder that deposed journals are kept in

	initialising chan struct{} // a token for each copy that is being made

	mu     sync.Mutex
	wake   chan struct{}
	queue  []account.ID
	queued map[account.ID]bool // in queue
	busy   map[account.ID]bool // being looked at: by one worker at a time, for a step rests on what was read before it
	again  map[account.ID]bool // asked for while busy
	making map[account.ID]bool // a copy is being made
	pauses map[account.ID]time.Duration
}

// ManagerConfig is what a Manager is made of.
type ManagerConfig struct {
	Mailstore *mailstore.Mailstore
	Agent     *Agent
	Wishes    *directory.Copy
	Directory *directory.Directory
	Peers     *peer.Client
	ExportDir string
	Logger    *slog.Logger
}

// NewManager makes a manager that does nothing before Run.
func NewManager(c ManagerConfig) *Manager {
	return &Manager{
		self: c.Mailstore.Self(), m: c.Mailstore, agent: c.Agent, wishes: c.Wishes, dir: c.Directory, peers: c.Peers,
		logger: c.Logger, export: c.ExportDir, initialising: make(chan struct{}, initialisationMax),
		queued: map[account.ID]bool{}, busy: map[account.ID]bool{}, again: map[account.ID]bool{},
		making: map[account.ID]bool{}, pauses: map[account.ID]time.Duration{}, wake: make(chan struct{}, 1),
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
	for _, wish := range r.wishes.Accounts(func(a *directory.Account) bool { return a.MailHost == r.self }) {
		r.Look(wish.ID)
	}
}

func (r *Manager) wakeOne() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run looks at accounts until the context ends.
func (r *Manager) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range reconcileWorkers {
		workers.Go(func() { r.work(ctx) })
	}
	for ok := true; ok; ok = pause(ctx, sweepEvery) {
		r.LookAtAll()
	}
	workers.Wait()
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
	r.logger.Warn("an account is not as wished yet", "account", id, "error", err, "again", wait)
	time.AfterFunc(wait, func() {
		if ctx.Err() == nil {
			r.Look(id)
		}
	})
}

// reconcile takes the next steps for one account.
func (r *Manager) reconcile(ctx context.Context, id account.ID) error {
	a, held := r.m.Account(id)
	wish, known := r.wishes.Account(id)
	if !known {
		if held && r.wishes.IsDeleted(id) {
			return a.Remove(ctx)
		}
		return nil
	}
	if !held {
		return r.reconcileMissing(ctx, wish)
	}
	c := a.Copy()
	if wish.Epoch > c.Epoch && wish.MailHost != r.self {
		a.Supersede(wish.MailHost)
	} else {
		a.Supersede("")
	}
	if c.IsPrimary() && c.Condition == protocol.Complete {
		return r.reconcilePrimary(ctx, a, wish)
	}
	if c.IsPrimary() {
		return r.reconcileBroken(ctx, a, wish)
	}
	return r.reconcileReplica(ctx, a, wish)
}

// reconcileMissing is for an account that this mailstore holds nothing of.
func (r *Manager) reconcileMissing(ctx context.Context, wish directory.Account) error {
	if wish.MailHost != r.self {
		if replica, ok := r.replicaHere(wish.ID); ok && !replica.Removing && !wish.Deleting {
			r.initialise(ctx, wish)
		}
		return nil
	}
	if wish.Kind != directory.User {
		return nil
	}
	ended, err := r.m.HasEnded(ctx, wish.ID)
	if err != nil {
		return err
	}
	if wish.Deleting && (ended || wish.Epoch == 0) {
		return r.dir.FinishDelete(ctx, wish.ID)
	}
	if wish.Epoch == 0 && !ended {
		_, err := r.CreateMailbox(ctx, wish)
		return err
	}
	r.logger.Error("an account's home is here, but its mailbox is not: promote a replica", "account", wish.Name)
	return nil
}

// CreateMailbox makes the mailbox of an account that never had one, and tells the directory, so that it is never made
// again: a mailstore that lost its database does not serve empty mailboxes.
func (r *Manager) CreateMailbox(ctx context.Context, wish directory.Account) (*mailstore.Account, error) {
	if wish.Epoch != 0 || wish.MailHost != r.self || wish.Deleting {
		return nil, fault.New(fault.Unusable, "%s has no mailbox of %s", r.self, wish.Name)
	}
	a, err := r.m.Create(ctx, wish.ID)
	if err != nil {
		return nil, err
	}
	_, err = r.dir.SetHome(ctx, wish.ID, r.self, a.Copy().Epoch, nil)
	return a, err
}

func (r *Manager) replicaHere(id account.ID) (directory.Replica, bool) {
	for _, replica := range r.wishes.Replicas(id) {
		if replica.Mailstore == r.self {
			return replica, true
		}
	}
	return directory.Replica{}, false
}

// reconcilePrimary makes the log what the directory wishes, and the directory know who is primary.
func (r *Manager) reconcilePrimary(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	if c := a.Copy(); c.Epoch > wish.Epoch {
		return r.TellHome(ctx, a) // what the directory says then brings the account back here
	}
	if wish.MailHost != r.self && wish.Epoch >= a.Copy().Epoch {
		return nil // the directory knows more than this copy has read
	}
	if err := a.MayServe(); err != nil {
		return err
	}
	if a.Copy().Mode == protocol.Opening {
		if err := a.Replicate(ctx, a.Copy().Stream); err != nil {
			return err
		}
	}
	if wish.Deleting {
		if err := a.Delete(ctx); err != nil {
			return err
		}
		return r.dir.FinishDelete(ctx, a.ID())
	}
	if err := r.reconcileMembers(ctx, a, wish); err != nil {
		return err
	}
	if err := r.reconcilePause(ctx, a, wish); err != nil {
		return err
	}
	return r.tellStream(ctx, a, wish)
}

// tellStream records in the directory where the account's records lie (rule 12).
func (r *Manager) tellStream(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	s := a.Copy().Stream
	if !a.Copy().IsOpen() {
		s.Partition = -1
	}
	if wish.Stream == s.Partition && (s.Partition < 0 || wish.TopicID == s.TopicID && wish.ClusterID == s.ClusterID) {
		return nil
	}
	if wish.Stream >= 0 {
		if _, err := r.dir.SetStream(ctx, a.ID(), "", [16]byte{}, -1); err != nil {
			return err
		}
	}
	if s.Partition < 0 {
		return nil
	}
	_, err := r.dir.SetStream(ctx, a.ID(), s.ClusterID, s.TopicID, s.Partition)
	return err
}

// reconcileMembers appends the Leave of every member that nobody wishes for. Wishes are read from the directory itself: its
// copy may be older than the Join.
func (r *Manager) reconcileMembers(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	c := a.Copy()
	unwished := false
	wishes := map[string]directory.Replica{}
	for _, replica := range r.wishes.Replicas(a.ID()) {
		wishes[replica.Mailstore] = replica
		unwished = unwished || replica.Removing
	}
	for member := range c.Members {
		_, wished := wishes[member]
		unwished = unwished || !wished && member != r.self
	}
	if !unwished || c.Mode == protocol.Paused {
		return nil
	}
	fresh, err := r.dir.Replicas(ctx, a.ID())
	if err != nil {
		return err
	}
	clear(wishes)
	for _, replica := range fresh {
		wishes[replica.Mailstore] = replica
	}
	for member := range c.Members {
		if replica, wished := wishes[member]; member == r.self || wished && !replica.Removing {
			continue
		}
		if err := a.Leave(ctx, member); err != nil {
			return err
		}
	}
	for _, replica := range fresh {
		if !replica.Removing {
			continue
		}
		if err := r.dir.FinishRemoveReplica(ctx, a.ID(), replica.Mailstore); err != nil && !fault.Is(err, fault.Busy) {
			return err
		}
	}
	return nil
}

func (r *Manager) reconcilePause(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	switch c := a.Copy(); {
	case wish.Paused && c.Mode == protocol.Log:
		return a.Pause(ctx)
	case !wish.Paused && c.Mode == protocol.Paused:
		return a.Resume(ctx)
	}
	return nil
}

// reconcileReplica is for a copy that is not the primary.
func (r *Manager) reconcileReplica(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	c := a.Copy()
	replica, wished := r.replicaHere(a.ID())
	wished = wished && !replica.Removing && !wish.Deleting
	if c.Condition == protocol.Complete {
		if wished && replica.State != directory.Available {
			return r.tellState(ctx, a.ID(), directory.Available)
		}
		return nil // one that is not wished for reads its Leave and goes
	}
	if !wished && wish.MailHost != r.self {
		if c.Condition != protocol.CatchingUp || !r.isMaking(a.ID()) {
			return a.Remove(ctx)
		}
		return nil
	}
	if wished && !r.isMaking(a.ID()) {
		if err := r.tellBroken(ctx, a, replica); err != nil {
			return err
		}
		r.initialise(ctx, wish)
	}
	return nil
}

// TellHome records in the directory who is primary. The mailstore that was primary before, and is a member still, becomes a
// replica with the priority of the one that was promoted (design section 6); every other replica stays as it is.
func (r *Manager) TellHome(ctx context.Context, a *mailstore.Account) error {
	c := a.Copy()
	stored, err := r.dir.Replicas(ctx, a.ID())
	if err != nil {
		return err
	}
	known := map[string]bool{}
	priority := 0
	for _, replica := range stored {
		known[replica.Mailstore] = true
		if replica.Mailstore == r.self {
			priority = replica.Priority
		}
	}
	var unknown []directory.Replica
	for member := range c.Members {
		if member != r.self && !known[member] {
			unknown = append(unknown, directory.Replica{Mailstore: member, Priority: priority, State: directory.Available})
		}
	}
	changed, err := r.dir.SetHome(ctx, a.ID(), r.self, c.Epoch, unknown)
	if err == nil && changed && c.Mode == protocol.Log { // a Fence that accepts loss ends the pause
		_, err = r.dir.SetPaused(ctx, a.ID(), false)
	}
	return err
}

func (r *Manager) tellState(ctx context.Context, id account.ID, state directory.ReplicaState) error {
	err := r.dir.SetReplicaState(ctx, id, r.self, state)
	if fault.Is(err, fault.NotFound) {
		return nil // removed meanwhile
	}
	return err
}

// ChooseStream picks the stream of an account that gets its first replica: accounts with the same set of mailstores share
// a few, so that agents read little that is not theirs.
func (r *Manager) ChooseStream(_ context.Context, id account.ID, destination string) (protocol.Stream, error) {
	identity, ok := r.agent.Identity()
	if !ok {
		return protocol.Stream{}, fault.New(fault.LogUnavailable, "the brokers cannot be reached, or none are configured")
	}
	set := []string{r.self, destination}
	for _, replica := range r.wishes.Replicas(id) {
		if !replica.Removing && !slices.Contains(set, replica.Mailstore) {
			set = append(set, replica.Mailstore)
		}
	}
	slices.Sort(set)
	h := fnv.New32a()
	for _, fqdn := range set {
		_, _ = h.Write([]byte(fqdn + "\n")) // a hash never fails
	}
	spread := uint32(id[0]) % streamsPerSet
	return protocol.Stream{
		ClusterID: identity.ClusterID, TopicID: identity.TopicID, LeaderEpoch: -1,
		Partition: int32((h.Sum32() + spread) % uint32(identity.Streams)),
	}, nil
}
