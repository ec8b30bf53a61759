package network

import (
	"slices"
	"sync/atomic"
)

// Hold keeps some of what is written from one host to another under way, with all that follows it on its connection, until it is
// released or dropped. Other connections of the two hosts go on. It outlives the host that wrote: what is under way arrives.
type Hold struct {
	network *Network
	link    link
	which   func(written []byte) bool
	caught  chan struct{} // closed when something is held
	any     bool          // something is; guarded by the network's mu
	state   atomic.Int32
}

const (
	holding int32 = iota
	released
	lost
)

// Hold begins to keep back every write of one host to another of which which says so. which is given all of one Write; it must
// neither wait nor use the network.
func (n *Network) Hold(from, to string, which func(written []byte) bool) *Hold {
	h := &Hold{network: n, link: link{from, to}, which: which, caught: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holds = append(n.holds, h)
	return h
}

// Caught is closed when something is held back.
func (h *Hold) Caught() <-chan struct{} { return h.caught }

// Release lets what is held back arrive, and holds nothing any more.
func (h *Hold) Release() { h.end(released) }

// Drop loses what is held back, and holds nothing any more: whoever reads finds the connection reset.
func (h *Hold) Drop() { h.end(lost) }

func (h *Hold) end(state int32) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if !h.state.CompareAndSwap(holding, state) {
		return
	}
	n.holds = slices.DeleteFunc(n.holds, func(other *Hold) bool { return other == h })
	for _, c := range n.conns {
		if c.in.link == h.link {
			c.in.wake()
		}
	}
}

func (h *Hold) holds() bool { return h != nil && h.state.Load() == holding }

func (h *Hold) dropped() bool { return h != nil && h.state.Load() == lost }

// catch says which hold keeps back what is about to be written, nil if none does.
func (n *Network) catch(p *pipe, written []byte) *Hold {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.holds {
		if h.link == p.link && h.which(written) {
			if !h.any {
				h.any = true
				close(h.caught)
			}
			return h
		}
	}
	return nil
}
