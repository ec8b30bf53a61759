package metadata

import (
	"context"
	"sync"

	"mailreplica/internal/fault"
)

// gate keeps snapshots from beginning while a commit is under way, for engines that show a commit before it is durable: what
// a session read and told a client could be taken back by a loss of power. A snapshot begins before the commit is sent, and
// does not see it, or after it was answered.
//
// If the answer does not come the gate stays shut, and those who wait are turned away, until it is known what became of it.
type gate struct {
	mu     sync.Mutex
	shut   chan struct{} // closed when the gate opens; nil: it is open
	doubt  chan struct{} // closed while nobody knows what became of a commit
	inside int           // snapshots that are beginning
	empty  chan struct{} // closed when the last of them has begun; nil: nobody waits for that
}

func newGate() *gate { return &gate{doubt: make(chan struct{})} }

func errDoubt() error {
	return fault.New(fault.DatabaseUnavailable, "the mailstore's database has not said what became of a transaction")
}

// enter lets a snapshot begin; leave must follow.
func (g *gate) enter(ctx context.Context, closing <-chan struct{}) error {
	if g == nil {
		return nil
	}
	for {
		g.mu.Lock()
		shut, doubt := g.shut, g.doubt
		if shut == nil {
			g.inside++
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		select {
		case <-doubt:
			return errDoubt()
		default:
		}
		select {
		case <-shut:
		case <-doubt:
			return errDoubt()
		case <-ctx.Done():
			return interrupted(ctx)
		case <-closing:
			return errClosed()
		}
	}
}

func (g *gate) leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// close shuts the gate and waits for those inside. One goroutine closes and opens.
func (g *gate) close() {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.shut = make(chan struct{})
	var empty chan struct{}
	if g.inside > 0 {
		empty = make(chan struct{})
		g.empty = empty
	}
	g.mu.Unlock()
	if empty != nil {
		<-empty
	}
}

// turnAway tells those who wait at the shut gate, and will, not to.
func (g *gate) turnAway() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.doubt)
}

func (g *gate) open() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
	select {
	case <-g.doubt:
		g.doubt = make(chan struct{})
	default:
	}
}
