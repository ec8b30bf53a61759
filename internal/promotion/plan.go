package promotion

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
	"mailreplica/internal/pause"
	"mailreplica/internal/peer"
)

// OperationType is the type of the operations that a Planner runs.
const OperationType = "promoteAccounts"

// Limits of a plan.
const (
	ThreadsMax     = 64
	threadsDefault = 16
	accountsPerAsk = 1_000 // accounts that one request to a mailstore takes over

	resumedAfter = 5 * time.Second // an operation of this age has been run before, or has waited for its turn
	takersWait   = 15 * time.Second
	takersRetry  = 500 * time.Millisecond

	logWaitDefault = 30 * time.Second // for an event log that does not answer a taker, before the next one is asked
	logRetryMin    = 250 * time.Millisecond
	logRetryMax    = 2 * time.Second
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
	LogWait   time.Duration // optional: how long a mailstore whose event log does not answer is asked again; 30 s
}

// Planner runs promotions: for each account it chooses a replica and has that mailstore take the account over.
type Planner struct{ c PlannerConfig }

// NewPlanner makes a planner.
func NewPlanner(c PlannerConfig) *Planner {
	if c.LogWait <= 0 {
		c.LogWait = logWaitDefault
	}
	return &Planner{c}
}

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

	logless time.Time // since when the event log does not answer the first taker; zero: that is not known
}

// Run implements operation.Runner. Accounts go to the first taker of each in requests of many; what a taker could not do is
// tried with the next. A taker whose event log does not answer is asked again for some time first: when a broker is lost,
// leaders move for a moment, for all takers alike, and the best replica is still the best after it.
func (p *Planner) Run(ctx context.Context, task *operation.Task) error {
	var params Parameters
	if err := task.Parameters(&params); err != nil {
		return err
	}
	holders := p.holders(task.Pending())
	up := p.reachable(ctx, holders)
	if op := task.Operation(); op.Updated.Sub(op.Created) > resumedAfter { // both by the directory's clock
		up = p.await(ctx, holders, up)
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
	for retry := logRetryMin; len(waiting) > 0 && ctx.Err() == nil; {
		waiting = p.round(ctx, task, params, waiting)
		if len(waiting) == 0 || slices.ContainsFunc(waiting, (*candidate).isToBeAsked) {
			continue
		}
		if retry == logRetryMin {
			p.c.Logger.Warn("accounts wait to be promoted", "accounts", len(waiting), "error", waiting[0].reason, "most", p.c.LogWait)
		}
		task.Waiting(waits(waiting))
		_ = pause.For(ctx, retry)
		retry = min(2*retry, logRetryMax)
	}
	return nil
}

func waits(waiting []*candidate) string {
	what := "1 account waits: "
	if len(waiting) > 1 {
		what = fmt.Sprintf("%d accounts wait: ", len(waiting))
	}
	return what + fault.Message(waiting[0].reason)
}

// isToBeAsked reports whether the first taker has not been asked yet.
func (one *candidate) isToBeAsked() bool { return one.logless.IsZero() }

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
	reason := fault.New(fault.ParseKind(r.Kind), "%s: %s", taker, r.Error)
	if r.Hint != "" {
		reason = reason.WithHint("%s", r.Hint)
	}
	one.told, one.reason = true, reason
	return false
}

// sortOut decides what becomes of accounts that a taker did not take: it is asked again while its event log may yet answer;
// another is asked where one is left and the reason is the taker's own; the rest have failed.
func (p *Planner) sortOut(task *operation.Task, open map[account.ID]*candidate, err error) []*candidate {
	var left []*candidate
	for _, one := range open {
		if err != nil && !one.told {
			one.reason = err
		}
		switch {
		case p.awaitsLog(one):
			left = append(left, one)
		case isTakersOwn(one.reason) && len(one.takers) > 1:
			one.takers, one.logless = one.takers[1:], time.Time{}
			left = append(left, one)
		default:
			p.c.Logger.Warn("an account was not promoted", "account", one.name, "epoch", one.epoch, "error", one.reason)
			task.Failed(one.item, one.reason)
		}
	}
	return left
}

// awaitsLog reports whether the first taker is to be asked again because the event log did not answer it. Its Fence may come to
// be meanwhile; that of the same epoch that is asked for then is harmless beside it, whoever makes it (rule 1).
func (p *Planner) awaitsLog(one *candidate) bool {
	if !fault.Is(one.reason, fault.LogUnavailable) {
		one.logless = time.Time{}
		return false
	}
	if one.logless.IsZero() {
		one.logless = time.Now()
	}
	return time.Since(one.logless) < p.c.LogWait
}

// isTakersOwn reports whether a reason may not hold for another taker.
func isTakersOwn(reason error) bool {
	switch fault.KindOf(reason) {
	case fault.Unusable, fault.HomeUnreachable, fault.NotFound, fault.NotReady, fault.DatabaseUnavailable,
		fault.VolumeUnavailable, fault.LogUnavailable, fault.Interrupted:
		return true
	}
	return false
}
