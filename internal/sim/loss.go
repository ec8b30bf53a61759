package sim

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"mailreplica/internal/account"
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
	if l == nil || l.node.Load() == nil || !n.mayLose(l) {
		return
	}
	n.trace.add("nemesis", "takes the disk of %s", m.name)
	l.cutOff(true)
	m.life.Store(nil)
	m.data = filepath.Join(n.folder, fmt.Sprintf("%s-%d", m.name, m.lives+1))
	n.background.Go(func() { _ = l.end() })
	n.comesBack(m)
}

func (n *nemesis) mayLose(l *life) bool {
	for _, id := range n.accounts {
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

// rescue promotes accounts whose home has lost its disk, as an administrator who is told of that does.
func (n *nemesis) rescue(ctx context.Context) {
	for _, id := range n.accounts {
		wish, err := n.dir.Account(ctx, id)
		if err != nil || wish.Epoch == 0 || time.Since(n.rescued[id]) < rescueEvery {
			continue
		}
		l := n.storeOf(wish.MailHost).life.Load()
		if l == nil || l.node.Load() == nil {
			continue
		}
		if _, held := l.node.Load().Mailstore().Account(id); held {
			continue
		}
		if m := n.another(id, l.store); m != nil {
			n.rescued[id] = time.Now()
			n.trace.add("nemesis", "promotes %s, whose home has nothing, to %s", id, m.name)
			n.fence(ctx, l.host, m, peer.FenceAccount{Account: id})
		}
	}
}
