package promotion

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
	"mailreplica/internal/pause"
	"mailreplica/internal/peer"
)

// await gives the mailstores some time to answer, for a promotion that is taken up after a restart: after a loss of
// power they all start at once. It does not wait longer than needed for all of them.
func (p *Planner) await(ctx context.Context, holders []directory.Mailstore, up map[string]bool) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, takersWait)
	defer cancel()
	for ctx.Err() == nil && slices.Contains(slices.Collect(maps.Values(up)), false) {
		_ = pause.For(ctx, takersRetry)
		if now := p.reachable(ctx, holders); ctx.Err() == nil {
			up = now
		}
	}
	return up
}

// holders are the mailstores that accounts have replicas on. No other is asked anything: the source may be cut off, so that a
// question to it takes as long as it may.
func (p *Planner) holders(items []operation.Item) []directory.Mailstore {
	found := map[string]bool{}
	for _, item := range items {
		id, err := account.ParseID(item.Account)
		if err != nil {
			continue // consider says so
		}
		for _, r := range p.c.Wishes.Replicas(id) {
			found[r.Mailstore] = true
		}
	}
	return slices.DeleteFunc(p.c.Wishes.Mailstores(), func(m directory.Mailstore) bool { return !found[m.FQDN] })
}

// reachable are those mailstores that answer now.
func (p *Planner) reachable(ctx context.Context, holders []directory.Mailstore) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, peer.StatusWait)
	defer cancel()
	up := map[string]bool{}
	var mu sync.Mutex
	var asks sync.WaitGroup
	for _, host := range holders {
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
		return nil, fault.New(fault.Unusable, "it has no replica on %s", destination).
			WithHint("leave destination out, or make one there: MailReplica setAccountDestination")
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
