// Package network is a network in memory for simulations: hosts that listen and dial, links between them that can be slow or cut,
// in one direction too, and hosts that die. All waiting is on channels and timers, so that it takes virtual time in a synctest
// bubble. How long a chunk of bytes travels depends on the seed, the two hosts and the number of their connection alone, not on
// what else happens.
//
// It knows hosts, addresses and bytes, and nothing of what is simulated.
package network

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	dialWaitMax     = 3 * time.Second         // after which a dial that gets no answer fails
	latencyMin      = 50 * time.Microsecond   // of a chunk of bytes
	latencySpread   = 1500 * time.Microsecond // above the minimum
	retransmitMax   = 400 * time.Millisecond  // after a link is whole again, until what waited comes through
	bufferBytesMax  = 256 << 10               // written and not yet read, in one direction
	acceptQueueSize = 128
)

// Network is some hosts and the links between them. Its methods are safe for concurrent use.
type Network struct {
	seed uint64

	mu        sync.Mutex
	listeners map[string]*listener
	dark      map[string]bool // addresses of machines that lost power: nobody says that nobody listens
	links     map[link]*state
	dialled   map[link]uint64
	conns     []*half       // open ones, in the order in which they were made
	changed   chan struct{} // closed and replaced when a link changes or a listener comes
	holds     []*Hold
}

type link struct{ from, to string }

// state is what is wrong with a link in one direction.
type state struct {
	cut  bool
	slow time.Duration
}

// New makes a network without hosts.
func New(seed uint64) *Network {
	return &Network{
		seed: seed, listeners: map[string]*listener{}, dark: map[string]bool{}, links: map[link]*state{}, dialled: map[link]uint64{},
		changed: make(chan struct{}),
	}
}

// Host is one life of a machine on the network. After Crash it does nothing any more; the next life is another Host.
type Host struct {
	network *Network
	name    string
	ip      netip.Addr
	dead    chan struct{} // closed by Crash
}

// Host begins a life of the host of a name. Connections of an earlier life that died in silence are reset now.
func (n *Network) Host(name string, ip netip.Addr) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &Host{network: n, name: name, ip: ip, dead: make(chan struct{})}
	for _, c := range n.conns {
		if c.far.name == name && c.far.isDead() {
			c.in.put(n.chunk(c.in, nil, syscall.ECONNRESET))
		}
	}
	return h
}

// Cut keeps every byte from one host to the other back, until Heal. The other direction is not concerned.
func (n *Network) Cut(from, to string) { n.alter(from, to, func(s *state) { s.cut = true }) }

// Slow makes every chunk take so much longer.
func (n *Network) Slow(from, to string, by time.Duration) {
	n.alter(from, to, func(s *state) { s.slow = by })
}

// Heal makes a link whole in one direction.
func (n *Network) Heal(from, to string) { n.alter(from, to, func(s *state) { *s = state{} }) }

// HealAll makes every link whole.
func (n *Network) HealAll() {
	n.mu.Lock()
	var all []link
	for l := range n.links {
		all = append(all, l)
	}
	n.mu.Unlock()
	for _, l := range all {
		n.Heal(l.from, l.to)
	}
}

func (n *Network) alter(from, to string, change func(*state)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.state(link{from, to})
	was := s.cut
	change(s)
	for _, c := range n.conns {
		if c.in.link == (link{from, to}) {
			if was && !s.cut {
				c.in.delay(time.Duration(c.in.random.Int64N(int64(retransmitMax))))
			}
			c.in.wake()
		}
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// state is the state of a link. The caller holds mu.
func (n *Network) state(l link) *state {
	s := n.links[l]
	if s == nil {
		s = new(state)
		n.links[l] = s
	}
	return s
}

func (n *Network) isCut(l link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state(l).cut
}

// Crash ends the host's life: it listens no more, and its connections are dead. In silence: whoever is at the other end of one is
// told nothing, as when a machine loses power; else the other end is reset, as when a process is killed.
func (h *Host) Crash(silent bool) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.isDead() {
		return
	}
	close(h.dead)
	for addr, l := range n.listeners {
		if l.host == h {
			delete(n.listeners, addr)
			n.dark[addr] = silent
			l.end()
		}
	}
	for _, c := range n.conns {
		if c.far == h && !silent {
			c.in.put(n.chunk(c.in, nil, syscall.ECONNRESET))
		}
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// Listen listens on an address of the host.
func (h *Host) Listen(_, addr string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.isDead() {
		return nil, errDead(h)
	}
	if n.listeners[addr] != nil {
		return nil, syscall.EADDRINUSE
	}
	l := &listener{host: h, addr: net.TCPAddrFromAddrPort(at), queue: make(chan net.Conn, acceptQueueSize), ended: make(chan struct{})}
	n.listeners[addr] = l
	delete(n.dark, addr)
	close(n.changed)
	n.changed = make(chan struct{})
	return l, nil
}

// ListenContext is Listen in the form of net.ListenConfig.
func (h *Host) ListenContext(_ context.Context, network, addr string) (net.Listener, error) {
	return h.Listen(network, addr)
}

func (h *Host) isDead() bool {
	select {
	case <-h.dead:
		return true
	default:
		return false
	}
}

func errDead(h *Host) error { return fmt.Errorf("host %s is dead", h.name) }

// DialContext connects to an address.
func (h *Host) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWaitMax)
	defer cancel()
	for {
		l, changed, err := h.reach(addr)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}
		if l != nil {
			return h.connect(ctx, l)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
		}
	}
}

// reach looks for a listener; without one, and without an error, nothing is heard of the other side for now.
func (h *Host) reach(addr string) (*listener, <-chan struct{}, error) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.isDead() {
		return nil, nil, errDead(h)
	}
	l := n.listeners[addr]
	if l == nil && n.dark[addr] {
		return nil, n.changed, nil
	}
	if l == nil {
		return nil, nil, syscall.ECONNREFUSED
	}
	if n.state(link{h.name, l.host.name}).cut || n.state(link{l.host.name, h.name}).cut {
		return nil, n.changed, nil
	}
	return l, nil, nil
}

func (h *Host) connect(ctx context.Context, l *listener) (net.Conn, error) {
	near, far := h.network.pair(h, l)
	timer := time.NewTimer(near.in.latency())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		_ = near.Close()
		return nil, ctx.Err()
	}
	select {
	case l.queue <- far:
		return near, nil
	case <-l.ended:
		_ = near.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		_ = near.Close()
		return nil, ctx.Err()
	}
}

// pair makes the two ends of a connection.
func (n *Network) pair(h *Host, l *listener) (near, far *half) {
	n.mu.Lock()
	defer n.mu.Unlock()
	there := link{h.name, l.host.name}
	back := link{l.host.name, h.name}
	number := n.dialled[there]
	n.dialled[there]++
	port := netip.AddrPortFrom(h.ip, uint16(20_000+number%40_000))
	forth, home := n.pipe(there, number), n.pipe(back, number)
	near = &half{network: n, near: h, far: l.host, in: home, out: forth, local: net.TCPAddrFromAddrPort(port), remote: l.addr}
	far = &half{network: n, near: l.host, far: h, in: forth, out: home, local: l.addr, remote: near.local}
	near.init()
	far.init()
	n.conns = append(n.conns, near, far)
	return near, far
}

func (n *Network) pipe(l link, number uint64) *pipe {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%s>%s", l.from, l.to)
	return &pipe{
		network: n, link: l, random: rand.New(rand.NewPCG(n.seed^hash.Sum64(), number)), ready: make(chan struct{}, 1),
		room: make(chan struct{}, 1),
	}
}

type listener struct {
	host  *Host
	addr  *net.TCPAddr
	queue chan net.Conn
	once  sync.Once
	ended chan struct{}
}

func (l *listener) end() { l.once.Do(func() { close(l.ended) }) }

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.ended:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	n := l.host.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[l.addr.String()] == l {
		delete(n.listeners, l.addr.String())
	}
	l.end()
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }
