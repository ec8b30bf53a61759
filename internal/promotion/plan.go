package promotion

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
	"mailreplica/internal/peer"
)

// OperationType is the type of the operations that a Planner runs.
const OperationType = "promoteAccounts"

// Limits of a plan.
const (
	ThreadsMax     = 64
	threadsDefault = 4
	accountsPerAsk = 1_000 // accounts that one request to a mailstore takes over

	resumedAfter = 5 * time.Second // an operation of this age has been run before, or has waited for its turn
	takersWait   = 15 * time.Second
	takersRetry  = 500 * time.Millisecond
)

// Parameters are stored with the operation. What was decided when it was begun is stored with each of its items: the epoch
// that its promotion begins, so that running it again never fences another epoch than the first time (rule 9).
type Parameters struct {
	Destination string   `json:"destination,omitempty"` // FQDN; empty: the available replica of lowest priority value
	Threads     int      `json:"threads,omitempty"`     // requests under way at once
	AcceptLoss  bool     `json:"acceptLoss,omitempty"`
	Epochs      []uint64 `json:"epochs,omitempty"` // by item, of an operation of an older release: the epoch
}

// PlannerConfig is what a Planner is made of.
type PlannerConfig struct {
	Self      string
	Directory *directory.Directory
	Wishes    *directory.Copy
	Peers     *peer.Client
	Logger    *slog.Logger
}

// Planner runs promotions: for each account it chooses a replica and has that mailstore take the account over.
type Planner struct{ c PlannerConfig }

// NewPlanner makes a planner.
func NewPlanner(c PlannerConfig) *Planner { return &Planner{c} }

// Plan is the operation that promotes the accounts. An account that is promoted by another operation in between is
// refused when this one runs.
func Plan(accounts []directory.Account, p Parameters) operation.New {
	ids, epochs := make([]string, len(accounts)), make([]string, len(accounts))
	for i, a := range accounts {
		ids[i], epochs[i] = a.ID.String(), strconv.FormatUint(a.Epoch+1, 10)
	}
	return operation.New{Type: OperationType, Accounts: ids, Decided: epochs, Parameters: p}
}

// epochOf is the epoch that the promotion of an item begins.
func (p Parameters) epochOf(item operation.Item) (uint64, error) {
	if item.Parameter == "" && item.Position < len(p.Epochs) {
		return p.Epochs[item.Position], nil
	}
	epoch, err := strconv.ParseUint(item.Parameter, 10, 64)
	if err != nil {
		return 0, fault.Wrap(fault.Internal, err, "the operation does not say which epoch is to begin")
	}
	return epoch, nil
}

// candidate is one account on its way: the mailstores that may take it, the best first.
type candidate struct {
	item   operation.Item
	id     account.ID
	name   string
	home   string // that it is promoted away from
	epoch  uint64
	takers []string
	reason error // why the last one did not
	told   bool  // whether that is its own word
}

// Run implements operation.Runner. Accounts go to the first taker of each in requests of many; what a taker could not do is
// tried with the next.
func (p *Planner) Run(ctx context.Context, task *operation.Task) error {
	var params Parameters
	if err := task.Parameters(&params); err != nil {
		return err
	}
	up := p.reachable(ctx)
	if time.Since(task.Operation().Created) > resumedAfter {
		up = p.await(ctx, up)
	}
	var waiting []*candidate
	for _, item := range task.Pending() {
		one, err := p.consider(item, params, up)
		switch {
		case err != nil:
			task.Failed(item, err)
		case one == nil:
			task.Succeeded(item, "promoted already")
		default:
			waiting = append(waiting, one)
		}
	}
	p.orderEquals(ctx, waiting, params)
	for len(waiting) > 0 && ctx.Err() == nil {
		waiting = p.round(ctx, task, params, waiting)
	}
	return nil
}

// await gives the other mailstores some time to answer, for a promotion that is taken up after a restart: after a loss of
// power they all start at once. It does not wait longer than needed for all of them.
func (p *Planner) await(ctx context.Context, up map[string]bool) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, takersWait)
	defer cancel()
	for ctx.Err() == nil && slices.Contains(slices.Collect(maps.Values(up)), false) {
		timer := time.NewTimer(takersRetry)
		select {
		case <-timer.C:
			if now := p.reachable(ctx); ctx.Err() == nil {
				up = now
			}
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return up
}

// reachable are the mailstores that answer now.
func (p *Planner) reachable(ctx context.Context) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, peer.StatusWait)
	defer cancel()
	up := map[string]bool{}
	var mu sync.Mutex
	var asks sync.WaitGroup
	for _, host := range p.c.Wishes.Mailstores() {
		asks.Go(func() {
			status, err := p.c.Peers.Status(ctx, host.PeerAddr, nil)
			mu.Lock()
			defer mu.Unlock()
			up[host.FQDN] = err == nil && status.Mailstore == host.FQDN
		})
	}
	asks.Wait()
	return up
}

// consider finds who may take an account. It returns nil for one that this operation promoted in an earlier run.
func (p *Planner) consider(item operation.Item, params Parameters, up map[string]bool) (*candidate, error) {
	id, err := account.ParseID(item.Account)
	if err != nil {
		return nil, err
	}
	wish, known := p.c.Wishes.Account(id)
	if !known {
		return nil, fault.New(fault.NotFound, "there is no account %s any more", id)
	}
	epoch, err := params.epochOf(item)
	if err != nil {
		return nil, err
	}
	one := &candidate{item: item, id: id, name: wish.Name, home: wish.MailHost, epoch: epoch}
	replicas := p.c.Wishes.Replicas(id)
	if wish.Epoch >= one.epoch {
		if params.Destination == "" || wish.MailHost == params.Destination {
			return nil, nil
		}
		return nil, fault.New(fault.Busy, "another promotion came first: the home is %s", wish.MailHost)
	}
	one.takers, err = takers(wish, replicas, params.Destination, up)
	return one, err
}

// takers are the mailstores that may take an account, the lowest priority value first.
func takers(wish directory.Account, replicas []directory.Replica, destination string, up map[string]bool) ([]string, error) {
	if len(replicas) == 0 {
		return nil, fault.New(fault.Unusable, "it has no replica: all its mail is on %s alone", wish.MailHost).
			WithHint("MailReplica setAccountDestination makes a replica")
	}
	var found []string
	why := ""
	for _, r := range replicas {
		switch {
		case destination != "" && r.Mailstore != destination:
			continue
		case r.Removing:
			why = "the replica on " + r.Mailstore + " is being removed"
		case r.State != directory.Available:
			why = "the replica on " + r.Mailstore + " is " + string(r.State)
		case !up[r.Mailstore]:
			why = r.Mailstore + " does not answer"
		default:
			found = append(found, r.Mailstore)
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case why == "":
		return nil, fault.New(fault.Unusable, "it has no replica on %s", destination)
	}
	return nil, fault.New(fault.Unusable, "no replica is available: %s", why).
		WithHint("MailReplica getAccountStatus shows the state of every replica")
}

// orderEquals puts the replica that is further ahead first where the best have the same priority.
func (p *Planner) orderEquals(ctx context.Context, waiting []*candidate, params Parameters) {
	ask := map[string][]account.ID{}
	equals := map[account.ID][]string{}
	for _, one := range waiting {
		best := p.equals(one)
		if len(best) < 2 || params.Destination != "" {
			continue
		}
		equals[one.id] = best
		for _, fqdn := range best {
			ask[fqdn] = append(ask[fqdn], one.id)
		}
	}
	ahead := p.sequences(ctx, ask)
	for _, one := range waiting {
		if best := equals[one.id]; best != nil {
			slices.SortStableFunc(one.takers[:len(best)], func(a, b string) int {
				return cmp.Compare(ahead[b][one.id], ahead[a][one.id])
			})
		}
	}
}

// equals are the takers at the front that have the same priority.
func (p *Planner) equals(one *candidate) []string {
	priority := map[string]int{}
	for _, r := range p.c.Wishes.Replicas(one.id) {
		priority[r.Mailstore] = r.Priority
	}
	n := 1
	for n < len(one.takers) && priority[one.takers[n]] == priority[one.takers[0]] {
		n++
	}
	return one.takers[:n]
}

// sequences asks how far copies are, by mailstore and account. What does not answer counts as behind everything.
func (p *Planner) sequences(ctx context.Context, ask map[string][]account.ID) map[string]map[account.ID]uint64 {
	ctx, cancel := context.WithTimeout(ctx, peer.StatusWait)
	defer cancel()
	found := map[string]map[account.ID]uint64{}
	for fqdn, ids := range ask {
		found[fqdn] = map[account.ID]uint64{}
		host, ok := p.c.Wishes.Mailstore(fqdn)
		if !ok {
			continue
		}
		for chunk := range slices.Chunk(ids, accountsPerAsk) {
			status, err := p.c.Peers.Status(ctx, host.PeerAddr, chunk)
			if err != nil {
				p.c.Logger.Warn("a mailstore does not say how far its copies are", "asked", fqdn, "error", err)
				break
			}
			for _, one := range status.Copies {
				found[fqdn][one.Account] = uint64(one.Sequence)
			}
		}
	}
	return found
}

// round asks the first taker of every account, many accounts in one request, and returns what is to be tried with the next.
func (p *Planner) round(ctx context.Context, task *operation.Task, params Parameters, waiting []*candidate) []*candidate {
	byTaker := map[string][]*candidate{}
	for _, one := range waiting {
		byTaker[one.takers[0]] = append(byTaker[one.takers[0]], one)
	}
	threads := params.Threads
	if threads < 1 {
		threads = threadsDefault
	}
	slots := make(chan struct{}, min(threads, ThreadsMax))
	var mu sync.Mutex
	var left []*candidate
	var requests sync.WaitGroup
	for taker, all := range byTaker {
		for chunk := range slices.Chunk(all, accountsPerAsk) {
			slots <- struct{}{}
			requests.Go(func() {
				again := p.ask(ctx, task, params, taker, chunk)
				mu.Lock()
				left = append(left, again...)
				mu.Unlock()
				<-slots
			})
		}
	}
	requests.Wait()
	return left
}

// ask has one mailstore take accounts over, reports what is certain, and returns those that the next taker is asked for.
func (p *Planner) ask(ctx context.Context, task *operation.Task, params Parameters, taker string, chunk []*candidate) []*candidate {
	open := map[account.ID]*candidate{}
	request := peer.FenceRequest{Operation: task.Operation().ID, AcceptLoss: params.AcceptLoss}
	for _, one := range chunk {
		open[one.id] = one
		request.Accounts = append(request.Accounts, peer.FenceAccount{Account: one.id, Epoch: one.epoch})
		one.told, one.reason = false, fault.New(fault.HomeUnreachable, "%s did not say what became of the account", taker)
	}
	host, known := p.c.Wishes.Mailstore(taker)
	err := error(fault.New(fault.NotFound, "there is no mailstore %s any more", taker))
	if known {
		err = p.c.Peers.Fence(ctx, host.PeerAddr, request, func(r peer.FenceResult) {
			if one := open[r.Account]; one != nil && p.hear(task, params, taker, one, r) {
				delete(open, r.Account)
			}
		})
	}
	if ctx.Err() != nil {
		return nil // the items stay pending, and the operation goes on with them later
	}
	return p.sortOut(task, open, err)
}

// hear takes a mailstore's word on one account. It reports whether the account is done with.
func (p *Planner) hear(task *operation.Task, params Parameters, taker string, one *candidate, r peer.FenceResult) bool {
	if r.Error == "" {
		task.Succeeded(one.item, "promoted to "+taker)
		return true
	}
	named := params.Destination == "" || r.Primary == params.Destination
	if r.CopyEpoch == one.epoch && r.Primary != "" && r.Primary != one.home && named {
		// The epoch has begun with another primary: a taker that was asked before, and could not say so any more.
		task.Succeeded(one.item, "promoted to "+r.Primary)
		return true
	}
	one.told, one.reason = true, fault.New(fault.ParseKind(r.Kind), "%s", r.Error)
	return false
}

// sortOut decides what becomes of accounts that a taker did not take: another is asked where one is left and the reason is
// the taker's own; the rest have failed.
func (p *Planner) sortOut(task *operation.Task, open map[account.ID]*candidate, err error) []*candidate {
	var left []*candidate
	for _, one := range open {
		if err != nil && !one.told {
			one.reason = err
		}
		one.takers = one.takers[1:]
		switch fault.KindOf(one.reason) {
		case fault.Unusable, fault.HomeUnreachable, fault.NotFound, fault.NotReady, fault.DatabaseUnavailable,
			fault.VolumeUnavailable:
			if len(one.takers) > 0 {
				left = append(left, one)
				continue
			}
		}
		p.c.Logger.Warn("an account was not promoted", "account", one.name, "epoch", one.epoch, "error", one.reason)
		task.Failed(one.item, one.reason)
	}
	return left
}
