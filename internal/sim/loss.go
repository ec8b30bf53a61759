package sim

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"mailreplica/internal/account"
	"mailreplica/internal/config"
	"mailreplica/internal/peer"
	"mailreplica/internal/protocol"
)

const (
	pauseSettles = 30 * time.Second // after a wish to pause or to resume, until it is certain what became of it
	rescueEvery  = 5 * time.Second
)

// loseDisk takes a mailstore's disk away for ever, where the promise covers that: of every account that it is the home of, another
// mailstore has a complete copy. It comes back with nothing.
func (n *nemesis) loseDisk(context.Context) {
	m := n.aLiving()
	l := m.life.Load()
	if l == nil || l.node.Load() == nil || n.trimmed || !n.mayLose(l) {
		return
	}
	n.takeDisk(l)
}

func (n *nemesis) takeDisk(l *life) {
	m := l.store
	n.trace.add("nemesis", "takes the disk of %s", m.name)
	l.cutOff(true)
	n.lostDisk[m] = true
	n.lostPower[m] = true
	m.life.Store(nil)
	m.data = filepath.Join(n.folder, fmt.Sprintf("%s-%d", m.name, m.lives+1))
	n.background.Go(func() { _ = l.end() })
	n.comesBack(m)
}

func (n *nemesis) mayLose(l *life) bool {
	for _, id := range n.accounts { // of those that are to be deleted anything may be lost
		a, held := l.node.Load().Mailstore().Account(id)
		if !held {
			continue
		}
		c := a.Copy()
		if !c.IsPrimary() && c.Condition != protocol.Complete {
			continue // others have more
		}
		settled := c.Mode == protocol.Log && time.Since(n.paused[id]) > pauseSettles
		if !settled || n.another(id, l.store) == nil {
			return false
		}
	}
	return true
}

// failOver cuts the home of an account off while it has changes in flight, and promotes another mailstore.
func (n *nemesis) failOver(ctx context.Context) {
	id := n.anAccount()
	wish, err := n.dir.Account(ctx, id)
	if err != nil {
		return
	}
	home := n.storeOf(wish.MailHost)
	m := n.another(id, home)
	if m == nil {
		return
	}
	n.trace.add("nemesis", "%s is cut off, %s takes over", home.name, m.name)
	n.cutOffOne(home, true)
	n.sleep(time.Duration(n.random.Int64N(int64(3 * time.Second))))
	if l := m.life.Load(); l != nil {
		n.fence(ctx, l.host, m, peer.FenceAccount{Account: id})
	}
	n.sleep(time.Duration(n.random.Int64N(int64(3 * time.Second))))
}

// strike has the home of an account die at one of its next writes, and asks it for something that takes it several.
func (n *nemesis) strike(ctx context.Context) {
	id := n.anAccount()
	wish, err := n.dir.Account(ctx, id)
	if err != nil {
		return
	}
	m := n.storeOf(wish.MailHost)
	if n.random.IntN(3) == 0 {
		m = n.aLiving()
	}
	l := m.life.Load()
	if l == nil || l.node.Load() == nil {
		return
	}
	l.crashWithin(1+n.random.IntN(40), n.random.IntN(2) == 0, n.died)
	switch n.random.IntN(5) {
	case 0:
		_, err = n.dir.PutReplica(ctx, id, n.aStore().name, 1)
	case 1:
		err = n.dir.RemoveReplica(ctx, id, n.aStore().name)
	case 2, 3:
		n.paused[id] = time.Now()
		_, err = n.dir.SetPaused(ctx, id, !wish.Paused)
	default:
		n.fence(ctx, l.host, m, peer.FenceAccount{Account: id})
	}
	n.trace.add("nemesis", "strikes %s, %s: %v", id, m.name, err)
}

// another is a running mailstore with a complete copy of an account that the log decides for, other than one.
func (n *nemesis) another(id account.ID, than *mailstore) *mailstore {
	for _, m := range n.stores {
		l := m.life.Load()
		if m == than || l == nil || l.node.Load() == nil {
			continue
		}
		if a, held := l.node.Load().Mailstore().Account(id); held {
			if c := a.Copy(); c.Condition == protocol.Complete && c.Mode == protocol.Log && (c.IsPrimary() || c.MayFence(false) == nil) {
				return m
			}
		}
	}
	return nil
}

// rescue promotes accounts whose home has lost its disk, or has missed records, as an administrator who is told of that does.
func (n *nemesis) rescue(ctx context.Context) {
	for _, id := range slices.Concat(n.accounts, n.doomed) {
		wish, err := n.dir.Account(ctx, id)
		if err != nil || wish.Epoch == 0 || time.Since(n.rescued[id]) < rescueEvery {
			continue
		}
		l := n.storeOf(wish.MailHost).life.Load()
		if l == nil || l.node.Load() == nil {
			continue
		}
		c := n.copyOf(l.store, id)
		if why := n.explain(id, l.store, wish, c); why != "" {
			n.problem("%s", why)
			n.lostDisk[l.store], n.reseeded[id] = true, true // once is enough
		}
		if slices.Contains(n.doomed, id) && c == nil {
			n.rescueDoomed(ctx, id, l)
			continue
		}
		if a, held := l.node.Load().Mailstore().Account(id); held {
			if !n.trimmed || a.Copy().Condition != protocol.Gap {
				continue
			}
			if n.another(id, l.store) == nil {
				n.reseed(ctx, id)
				continue
			}
		}
		if m := n.another(id, l.store); m != nil {
			n.rescued[id] = time.Now()
			n.trace.add("nemesis", "promotes %s, whose home has nothing, or a gap, to %s", id, m.name)
			n.fence(ctx, l.host, m, peer.FenceAccount{Account: id})
		}
	}
}

// rescueDoomed has any copy of an account that is to be deleted taken over, if there is one, so that it can be.
func (n *nemesis) rescueDoomed(ctx context.Context, id account.ID, home *life) {
	for _, m := range n.stores {
		c := n.copyOf(m, id)
		if m == home.store || c == nil || c.MayFence(true) != nil {
			continue
		}
		n.rescued[id] = time.Now()
		n.trace.add("nemesis", "promotes %s, which is to be deleted and whose home has nothing, to %s", id, m.name)
		n.history.AcceptLoss(id)
		n.fenceWith(ctx, home.host, m, peer.FenceAccount{Account: id}, true)
		return
	}
}

// reseed has the copy that is ahead declared the primary, as an administrator does who is told that a home has missed records. It
// is refused where it would lose something; then it is tried again.
func (n *nemesis) reseed(ctx context.Context, id account.ID) {
	var best *mailstore
	var head protocol.Copy
	for _, m := range n.stores {
		l := m.life.Load()
		if l == nil || l.node.Load() == nil {
			return // it may be the one that is ahead
		}
		a, held := l.node.Load().Mailstore().Account(id)
		if !held || a.Copy().Condition == protocol.CatchingUp || a.Copy().Condition == protocol.Initialising {
			continue
		}
		if c := a.Copy(); best == nil || c.Epoch > head.Epoch || c.Epoch == head.Epoch && c.Committed > head.Committed {
			best, head = m, *c
		}
	}
	if best == nil {
		return
	}
	n.rescued[id], n.reseeded[id] = time.Now(), true
	service := best.life.Load().node.Load().Service()
	n.background.Go(func() {
		err := service.Reseed(ctx, id)
		n.trace.add("reseed", "%s from %s: %v", id, best.name, err)
	})
}

// trim removes from the log what every mailstore has had the time to read, but for one that is down or cut off: its copies are in
// gap when it returns. No disk loses anything from then on, for the log cannot give it back.
func (n *nemesis) trim(ctx context.Context) {
	if len(n.undo) > 0 {
		return // somebody may be cut off
	}
	for _, m := range n.stores {
		l := m.life.Load()
		if l != nil && (l.node.Load() == nil || l.armed) {
			return // it will lose power, or is reading
		}
		if l == nil && n.lostPower[m] {
			return
		}
	}
	host := n.network.Host("operator", netip.MustParseAddr("10.0.0.200"))
	client, err := kgo.NewClient(kgo.SeedBrokers(brokerAddress), kgo.Dialer(host.DialContext))
	if err != nil {
		n.problem("the simulation has no client of the log: %v", err)
		return
	}
	defer client.Close()
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	topic := config.Default().Log.Topic
	ends, err := admin.ListEndOffsets(asking, topic)
	if err != nil {
		n.trace.add("nemesis", "cannot trim: %v", err)
		return
	}
	n.trimmed = true
	n.trace.expect("the event log does not hold this mailstore's position", "a copy has missed records of the event log")
	n.sleep(2 * time.Second) // to read what there is
	answers, err := admin.DeleteRecords(asking, ends.Offsets())
	if err == nil {
		err = answers.Error()
	}
	n.trace.add("nemesis", "trimmed to %v: %v", ends.Offsets(), err)
}

// acceptLoss promotes an account while it is paused: what its home has journalled is lost, and everybody was told so.
func (n *nemesis) acceptLoss(ctx context.Context) {
	id, home, m := n.aimAt(ctx, protocol.Log)
	if home == nil {
		return
	}
	n.paused[id] = time.Now()
	isPaused := func() bool {
		c := n.copyOf(m, id)
		return c != nil && c.IsPaused() && c.MayFence(true) == nil
	}
	if _, err := n.dir.SetPaused(ctx, id, true); err != nil || !n.until(isPaused) {
		return
	}
	n.sleep(time.Duration(n.random.IntN(1_500)) * time.Millisecond)
	l := m.life.Load()
	if l == nil || !isPaused() {
		return
	}
	n.trace.add("nemesis", "accepts loss of %s: %s takes over", id, m.name)
	n.history.AcceptLoss(id)
	n.fenceWith(ctx, l.host, m, peer.FenceAccount{Account: id}, true)
}

// deleteAccount wishes an account away, if there is another one.
func (n *nemesis) deleteAccount(ctx context.Context) {
	if len(n.accounts) < 2 {
		return
	}
	i := n.random.IntN(len(n.accounts))
	id := n.accounts[i]
	_, err := n.dir.BeginDelete(ctx, id)
	n.trace.add("nemesis", "deletes %s: %v", id, err)
	if err != nil {
		return
	}
	n.accounts = slices.Delete(slices.Clone(n.accounts), i, i+1)
	n.doomed = append(n.doomed, id)
	n.gone.Store(id, true)
}
