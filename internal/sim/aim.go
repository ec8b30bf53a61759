package sim

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/event"
	"mailreplica/internal/peer"
	"mailreplica/internal/protocol"
	"mailreplica/internal/sim/network"
)

// What is here aims at moments that last milliseconds: each follows what goes on, and strikes where a rule of the protocol alone
// keeps it from doing harm.

const (
	aimWait  = 4 * time.Second // for something that is to happen by itself before a fault strikes
	aimEvery = 2 * time.Millisecond
)

// missed says why an aimed fault did not strike.
func (n *nemesis) missed(why string) { n.trace.add("nemesis", "misses: %s", why) }

// until passes time until something is so, but not much of it.
func (n *nemesis) until(so func() bool) bool {
	for end := time.Now().Add(aimWait); !so(); n.sleep(aimEvery) {
		if !time.Now().Before(end) {
			return false
		}
	}
	return true
}

// copyOf is a running mailstore's copy of an account, nil if there is none.
func (n *nemesis) copyOf(m *mailstore, id account.ID) *protocol.Copy {
	l := m.life.Load()
	if l == nil || l.node.Load() == nil {
		return nil
	}
	a, held := l.node.Load().Mailstore().Account(id)
	if !held {
		return nil
	}
	return a.Copy()
}

// homeOf is the running home of an account, with its copy; nil if there is none that serves.
func (n *nemesis) homeOf(ctx context.Context, id account.ID) (*mailstore, *protocol.Copy) {
	wish, err := n.dir.Account(ctx, id)
	if err != nil {
		return nil, nil
	}
	m := n.storeOf(wish.MailHost)
	c := n.copyOf(m, id)
	if c == nil || !c.IsPrimary() || c.Condition != protocol.Complete {
		return nil, nil
	}
	return m, c
}

// aimAt ends all faults and brings an account into a mode, with another complete copy where the log decides for it.
func (n *nemesis) aimAt(ctx context.Context, mode protocol.Mode) (id account.ID, home, other *mailstore) {
	id = n.anAccount()
	n.tidy(ctx, true)
	if wish, err := n.dir.Account(ctx, id); err != nil || wish.Paused {
		n.paused[id] = time.Now()
		_, _ = n.dir.SetPaused(ctx, id, false)
	}
	wished := false
	n.until(func() bool {
		var c *protocol.Copy
		if home, c = n.homeOf(ctx, id); home == nil {
			return false
		}
		if !wished {
			wished = n.wishFor(ctx, id, home, mode)
		}
		other = n.another(id, home)
		return wished && c.Mode == mode && (mode == protocol.Local || other != nil) && n.serves(home, id)
	})
	if home == nil || !n.serves(home, id) || n.copyOf(home, id).Mode != mode || mode == protocol.Log && other == nil {
		n.missed("the account is not as it is to be")
		return id, nil, nil
	}
	return id, home, other
}

// wishFor wishes for one replica at least, or for none where the account is to commit by itself.
func (n *nemesis) wishFor(ctx context.Context, id account.ID, home *mailstore, mode protocol.Mode) bool {
	replicas, err := n.dir.Replicas(ctx, id)
	for i := 0; err == nil && mode == protocol.Local && i < len(replicas); i++ {
		err = n.dir.RemoveReplica(ctx, id, replicas[i].Mailstore)
	}
	if mode == protocol.Log && n.another(id, home) == nil {
		_, err = n.dir.PutReplica(ctx, id, n.besides(home).name, 1)
	}
	return err == nil
}

func (n *nemesis) serves(m *mailstore, id account.ID) bool {
	l := m.life.Load()
	if l == nil || l.node.Load() == nil {
		return false
	}
	a, held := l.node.Load().Mailstore().Account(id)
	return held && a.MayServe() == nil
}

func isCaught(h *network.Hold) func() bool {
	return func() bool {
		select {
		case <-h.Caught():
			return true
		default:
			return false
		}
	}
}

// dieAndReturn ends a mailstore and begins its next life at once.
func (n *nemesis) dieAndReturn(m *mailstore, power bool) {
	n.ends(m, power)
	n.startNow(m)
}

func (n *nemesis) startNow(m *mailstore) {
	if m.life.Load() != nil {
		return
	}
	if _, err := m.start(); err != nil {
		n.problem("the simulation could not start %s: %v", m.name, err)
		return
	}
	n.trace.add("nemesis", "starts %s", m.last)
}

// fenceComesLate has a Fence under way while its mailstore's copy is removed and another is begun; then that breaks off.
func (n *nemesis) fenceComesLate(ctx context.Context) {
	id, home, m := n.aimAt(ctx, protocol.Log)
	if home == nil {
		return
	}
	hold := n.network.Hold(m.name, brokerName, appends(id, event.Fence))
	defer hold.Release()
	n.fence(ctx, home.life.Load().host, m, peer.FenceAccount{Account: id})
	if !n.until(isCaught(hold)) {
		n.missed("nothing was appended")
		return
	}
	join, _ := n.joinOf(home, id, m)
	if n.dir.RemoveReplica(ctx, id, m.name) != nil || !n.until(func() bool { return n.copyOf(m, id) == nil }) {
		return
	}
	n.network.Slow(home.name, m.name, time.Duration(50+n.random.IntN(500))*time.Millisecond)
	n.later(func() { n.network.Heal(home.name, m.name) })
	_, err := n.dir.PutReplica(ctx, id, m.name, 1)
	again := err == nil && n.until(func() bool {
		now, member := n.joinOf(home, id, m)
		return member && now != join
	})
	n.trace.add("nemesis", "a Fence of %s is under way, which left and joined again: %v, %v", m.name, again, err)
	n.sleep(time.Duration(n.random.IntN(60)) * time.Millisecond)
	if n.random.IntN(3) > 0 {
		n.ends(m, n.random.IntN(2) == 0)
	}
	hold.Release()
	n.sleep(500 * time.Millisecond)
	n.startNow(m)
	if c := n.copyOf(home, id); c == nil || c.Primary != m.name || n.until(func() bool { return n.copyOf(m, id) != nil }) {
		return
	}
	if c := n.copyOf(home, id); c != nil && c.Primary == m.name && !n.lostDisk[m] {
		n.problem("%s became the primary of %s with a Fence of before it left, and has no copy", m.name, id)
	}
}

// fenceComesSecond has a mailstore die with its Fence under way, and its next life take over in that epoch, before the first arrives, and
// a change after it.
func (n *nemesis) fenceComesSecond(ctx context.Context) {
	id, home, m := n.aimAt(ctx, protocol.Log)
	if home == nil {
		return
	}
	from := home.life.Load().host
	asks := func() { n.fence(ctx, from, m, peer.FenceAccount{Account: id}) }
	first := n.network.Hold(m.name, brokerName, once(appends(id, event.Fence)))
	defer first.Release()
	if asks(); !n.until(isCaught(first)) {
		n.missed("nothing was appended")
		return
	}
	n.dieAndReturn(m, n.random.IntN(2) == 0)
	if !n.until(func() bool { c := n.copyOf(m, id); return c != nil && c.Condition == protocol.Complete }) {
		return
	}
	asks()
	took := n.until(func() bool { return n.serves(m, id) })
	change := n.network.Hold(m.name, brokerName, once(appends(id, event.Change)))
	defer change.Release()
	changes := took && n.until(isCaught(change))
	n.trace.add("nemesis", "a Fence of %s is under way, which took over since: %v, and makes a change: %v", m.name, took, changes)
	first.Release()
	n.sleep(20 * time.Millisecond)
}

// joinOf is the Join of a member as the home knows it.
func (n *nemesis) joinOf(home *mailstore, id account.ID, m *mailstore) (join event.ID, member bool) {
	if c := n.copyOf(home, id); c != nil {
		join, member = c.Members[m.name]
	}
	return join, member
}

// openingComesLate has a home die with its Open under way, which arrives while its next life opens the account again.
func (n *nemesis) openingComesLate(ctx context.Context) {
	id, home, _ := n.aimAt(ctx, protocol.Local)
	if home == nil {
		return
	}
	first := n.network.Hold(home.name, brokerName, once(appends(id, event.Open)))
	defer first.Release()
	if _, err := n.dir.PutReplica(ctx, id, n.besides(home).name, 1); err != nil || !n.until(isCaught(first)) {
		return
	}
	n.dieAndReturn(home, n.random.IntN(2) == 0)
	second := n.network.Hold(home.name, brokerName, appends(id, event.Open))
	defer second.Release()
	again := n.until(isCaught(second))
	n.trace.add("nemesis", "an Open of %s is under way, which opens again: %v", home.name, again)
	first.Release()
	n.sleep(20 * time.Millisecond)
}

// besides is another mailstore than one.
func (n *nemesis) besides(m *mailstore) *mailstore {
	return n.stores[(m.index+1+n.random.IntN(len(n.stores)-1))%len(n.stores)]
}

// resumeComesLate has a home die with its Resume under way, and the administrator wish for the pause again.
func (n *nemesis) resumeComesLate(ctx context.Context) {
	id, home, _ := n.aimAt(ctx, protocol.Log)
	if home == nil {
		return
	}
	wish := func(paused bool) bool {
		n.paused[id] = time.Now()
		_, err := n.dir.SetPaused(ctx, id, paused)
		return err == nil
	}
	isPaused := func() bool {
		c := n.copyOf(home, id)
		return c != nil && c.Mode == protocol.Paused
	}
	if !wish(true) || !n.until(isPaused) {
		return
	}
	first := n.network.Hold(home.name, brokerName, once(appends(id, event.Resume)))
	defer first.Release()
	if !wish(false) || !n.until(isCaught(first)) {
		return
	}
	wish(true)
	n.dieAndReturn(home, n.random.IntN(2) == 0)
	second := n.network.Hold(home.name, brokerName, appends(id, event.Resume))
	defer second.Release()
	before := n.copyOf(home, id)
	wrote := n.until(func() bool {
		c := n.copyOf(home, id)
		if before == nil {
			before = c
		}
		return c != nil && c.Committed > before.Committed
	})
	n.trace.add("nemesis", "a Resume of %s is under way, which has journalled since: %v", home.name, wrote)
	first.Release()
	n.sleep(20 * time.Millisecond)
}

// partsCross has a home die between two parts of a transaction, and begin another in parts before anything else.
func (n *nemesis) partsCross(ctx context.Context) {
	id, home, _ := n.aimAt(ctx, protocol.Log)
	if home == nil {
		return
	}
	n.heavies++
	heavy := newClient(n.cluster, 1_000+n.heavies, id)
	heavy.home = home.index
	hold := n.network.Hold(home.name, brokerName, appends(id, event.Change))
	defer hold.Drop()
	n.background.Go(func() { heavy.large(ctx) })
	if !n.until(isCaught(hold)) {
		n.missed("nothing was appended")
		return
	}
	n.sleep(5 * time.Millisecond) // the first part arrives
	n.ends(home, false)
	hold.Drop()
	n.startNow(home)
	serves := n.until(func() bool { return n.serves(home, id) })
	n.trace.add("nemesis", "%s died between two parts, and serves again: %v", home.name, serves)
	heavy.home = home.index
	n.background.Go(func() { heavy.large(ctx) })
}

// newestOfAll takes the power from a mailstore that has just said that its copy is available, and the home's disk with it.
func (n *nemesis) newestOfAll(ctx context.Context) {
	if n.trimmed {
		return
	}
	id, home, _ := n.aimAt(ctx, protocol.Local)
	if home == nil {
		return
	}
	m := n.besides(home)
	for _, other := range n.accounts { // what the home loses must be somewhere else
		if its, c := n.homeOf(ctx, other); its == home && c.Mode == protocol.Local && other != id {
			_, _ = n.dir.PutReplica(ctx, other, n.besides(home).name, 1)
			n.until(func() bool { return n.another(other, home) != nil })
		}
	}
	if _, err := n.dir.PutReplica(ctx, id, m.name, 1); err != nil || !n.until(func() bool { return n.isAvailable(ctx, id, m) }) {
		n.missed("the replica is not available")
		return
	}
	l := home.life.Load()
	if l == nil || l.node.Load() == nil || !n.mayLose(l) {
		n.missed("the home has what nobody else has")
		return
	}
	n.trace.add("nemesis", "takes the power from the newest copy, on %s, and the disk of %s", m.name, home.name)
	n.ends(m, true)
	n.takeDisk(l)
}

func (n *nemesis) isAvailable(ctx context.Context, id account.ID, m *mailstore) bool {
	replicas, err := n.dir.Replicas(ctx, id)
	if err != nil {
		return false
	}
	for _, r := range replicas {
		if r.Mailstore == m.name {
			return r.State == directory.Available && !r.Removing
		}
	}
	return false
}

// promoteGap asks a mailstore to take over whose copy has missed records, and cannot be made anew now.
func (n *nemesis) promoteGap(ctx context.Context) {
	id, home, m := n.aimAt(ctx, protocol.Log)
	if home == nil {
		return
	}
	m.stop()
	n.comesBack(m)
	n.sleep(time.Duration(500+n.random.IntN(2_500)) * time.Millisecond)
	if n.trim(ctx); !n.trimmed {
		return
	}
	n.cutOffOne(m, false)
	n.startNow(m)
	isGap := n.until(func() bool {
		c := n.copyOf(m, id)
		return c != nil && c.Condition == protocol.Gap
	})
	n.trace.add("nemesis", "promotes to %s, which has missed records: %v", m.name, isGap)
	if !isGap {
		return
	}
	n.unfit[fitness{id, m}] = time.Now()
	operator := n.network.Host("operator", netip.MustParseAddr("10.0.0.200"))
	n.fence(ctx, operator, m, peer.FenceAccount{Account: id})
	n.sleep(time.Duration(1+n.random.IntN(3)) * time.Second)
}

// fitness names a copy.
type fitness struct {
	id account.ID
	m  *mailstore
}

// explain says what is wrong with an administrator having to help out at a home: nothing, if a fault explains its state.
func (n *nemesis) explain(id account.ID, m *mailstore, wish directory.Account, c *protocol.Copy) string {
	switch {
	case c == nil && !n.lostDisk[m]:
		return fmt.Sprintf("%s is the home of %s by the directory, has no copy of it, and lost no disk", m.name, id)
	case c != nil && c.Condition != protocol.Complete && !n.reseeded[id] && !n.unfit[fitness{id, m}].IsZero() && wish.Epoch > c.Epoch:
		return fmt.Sprintf("%s was made the home of %s with a copy that had missed records: it is %s in epoch %d of %d", m.name, id,
			c.Condition, c.Epoch, wish.Epoch)
	}
	return ""
}
