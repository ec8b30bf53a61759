package sim

import (
	"context"
	"fmt"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// settle waits until all is as it is wished.
func (n *nemesis) settle(ctx context.Context) {
	why := ""
	for end := time.Now().Add(settleWaitMax); time.Now().Before(end) && !n.isBroken(); n.sleep(time.Second) {
		n.tidy(ctx, true)
		n.breathe()
		if why = n.unsettled(ctx); why == "" {
			return
		}
	}
	if n.isBroken() {
		return
	}
	n.problem("not settled %s after all was mended: %s", settleWaitMax, why)
}

const settleWaitMax = 20 * time.Minute

// unsettled says what is not as it is wished, if anything is.
func (n *nemesis) unsettled(ctx context.Context) string {
	for _, m := range n.stores {
		if l := m.life.Load(); l == nil || l.node.Load() == nil {
			return m.name + " has not started"
		}
	}
	for _, id := range n.doomed {
		if _, err := n.dir.Account(ctx, id); !fault.Is(err, fault.NotFound) {
			return fmt.Sprintf("account %s is not deleted: %v", id, err)
		}
		for _, m := range n.stores {
			if n.copyOf(m, id) != nil {
				return fmt.Sprintf("account %s is deleted, and %s holds a copy", id, m.name)
			}
		}
	}
	if why := n.unfinished(ctx); why != "" {
		return why
	}
	for _, id := range n.accounts {
		if why := n.unsettledAccount(ctx, id); why != "" {
			return fmt.Sprintf("account %s: %s", id, why)
		}
	}
	return ""
}

func (n *nemesis) unsettledAccount(ctx context.Context, id account.ID) string {
	wish, err := n.dir.Account(ctx, id)
	if err != nil {
		return err.Error()
	}
	replicas, err := n.dir.Replicas(ctx, id)
	if err != nil {
		return err.Error()
	}
	home, ok := n.nodeOf(wish.MailHost).Mailstore().Account(id)
	if !ok {
		return "no copy at home on " + wish.MailHost
	}
	c := home.Copy()
	if err := home.MayServe(); err != nil {
		return "the home does not serve: " + err.Error()
	}
	switch {
	case c.Epoch != wish.Epoch:
		return fmt.Sprintf("the home is in epoch %d, the directory in %d", c.Epoch, wish.Epoch)
	case c.IsPaused():
		return "paused"
	case len(replicas) == 0 && c.IsOpen():
		return "open without replicas"
	}
	for _, r := range replicas {
		if r.Removing || r.State != directory.Available {
			return fmt.Sprintf("replica on %s is %s, removing %v", r.Mailstore, r.State, r.Removing)
		}
		a, ok := n.nodeOf(r.Mailstore).Mailstore().Account(id)
		if !ok {
			return "no copy on " + r.Mailstore
		}
		if other := a.Copy(); other.Committed != home.Copy().Committed || other.Epoch != c.Epoch {
			return fmt.Sprintf("the copy on %s is at %d/%d, the home at %d/%d", r.Mailstore, other.Epoch, other.Committed, c.Epoch, c.Committed)
		}
	}
	return ""
}
