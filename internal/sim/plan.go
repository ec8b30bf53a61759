package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/directory"
)

// plan gives a mailstore the command promoteAccounts, as carbonio does, and ends that mailstore's life at times while its planner works:
// its next life has to go on with the operation.
func (n *nemesis) plan(ctx context.Context) {
	m := n.aLiving()
	l := m.life.Load()
	if l == nil || l.node.Load() == nil {
		return
	}
	in := admin.Promote{Threads: n.random.IntN(3)}
	switch n.random.IntN(4) {
	case 0:
		in.All = true
	case 1:
		in.SourceMailHost = n.aStore().name
	default:
		in.Accounts = []string{n.names[n.anAccount()]}
	}
	if other := n.aStore().name; n.random.IntN(3) == 0 && other != in.SourceMailHost {
		in.Destination = other
	}
	n.trace.add("nemesis", "asks %s to promote: %+v", m.name, in)
	n.background.Go(func() { n.command(ctx, m, in) })
	n.sleep(time.Duration(n.random.IntN(150)) * time.Millisecond)
	if n.random.IntN(2) == 0 {
		n.trace.add("nemesis", "ends the planner on %s", m.name)
		n.ends(m, n.random.IntN(2) == 0)
	}
}

func (n *nemesis) command(ctx context.Context, m *mailstore, in admin.Promote) {
	host := n.network.Host("operator", operatorAddress)
	client, err := admin.NewClientOver(host.DialContext, netip.AddrPortFrom(m.ip, adminPort).String(), adminToken, nil)
	if err != nil {
		n.problem("the simulation has no client for commands: %v", err)
		return
	}
	asking, cancel := context.WithTimeout(ctx, operationMax/2)
	defer cancel()
	started, err := client.Promote(asking, in)
	n.trace.add("operator", "promoteAccounts on %s: %d pending, %v", m.name, started.Pending, err)
}

// unfinished names an operation that has not ended.
func (n *nemesis) unfinished(ctx context.Context) string {
	left, err := n.dir.Operations(ctx, directory.OperationFilter{Unfinished: true})
	if err != nil {
		return err.Error()
	}
	if len(left) > 0 {
		return fmt.Sprintf("the operation %s on %s is %s, %d of %d done: %s", left[0].Type, left[0].Host, left[0].State, left[0].Done, left[0].Total, left[0].Error)
	}
	return ""
}

// auditPlans checks that every promotion that was reported was one: the directory knows of its epoch, or a later one.
func (n *nemesis) auditPlans(ctx context.Context) {
	all, err := n.dir.Operations(ctx, directory.OperationFilter{})
	if err != nil {
		n.problem("the operations cannot be read: %v", err)
		return
	}
	for _, op := range slices.Backward(all) {
		items, err := n.dir.OperationItems(ctx, op.ID, directory.ItemFilter{})
		if err != nil {
			n.problem("the items of operation %s cannot be read: %v", op.ID, err)
			continue
		}
		failed := 0
		for _, item := range items {
			if item.State != directory.ItemSuccessful {
				failed++
				continue
			}
			id, err := account.ParseID(item.Account)
			epoch, wrong := strconv.ParseUint(item.Parameter, 10, 64)
			wish, away := n.dir.Account(ctx, id)
			if err == nil && wrong == nil && away == nil && wish.Epoch < epoch {
				n.problem("the promotion of %s in epoch %d was reported, and the directory knows of epoch %d", id, epoch, wish.Epoch)
			}
		}
		if op.Total != len(items) || op.Done != op.Total || op.Failed != failed {
			n.problem("operation %s ended with %d of %d done and %d failed, and %d of %d items have failed", op.ID, op.Done, op.Total, op.Failed, failed, len(items))
		}
	}
}
