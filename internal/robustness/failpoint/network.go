// Package failpoint makes what a cluster of processes stands on fail: the lines between the processes, by proxies that every
// connection goes through, and disks, by filling them. It needs no privilege but for disks of its own.
//
// It knows processes, addresses and folders, and nothing of mail.
package failpoint

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunkBytes = 32 << 10
	dialWait   = 5 * time.Second
)

// Network is the lines between parties, by their names. A proxy stands before each listener of a party; who is at the other end of
// a connection is found out from the system. Whoever is no party, as a test itself, is never cut off.
type Network struct {
	who *Sockets

	mu      sync.Mutex
	lines   map[line]*state
	proxies []net.Listener
	closed  chan struct{}
}

// line is one direction between two parties.
type line struct{ from, to string }

// state is what is wrong with a line.
type state struct {
	silent bool
	slow   time.Duration
	whole  chan struct{} // closed when it is no longer silent
}

// NewNetwork makes a network whose lines are whole. who tells the processes apart.
func NewNetwork(who *Sockets) *Network {
	return &Network{who: who, lines: map[line]*state{}, closed: make(chan struct{})}
}

// Proxy has connections to an address end at another, which is a listener of a party. It gives the address, whose port may have
// been 0.
func (n *Network) Proxy(party, address, target string) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	n.proxies = append(n.proxies, listener)
	n.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go n.carry(conn, party, target)
		}
	}()
	return listener.Addr().String(), nil
}

// Close ends the proxies, and with them every connection.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, listener := range n.proxies {
		_ = listener.Close()
	}
	close(n.closed)
}

// Silence keeps every byte from one party to another back, until Heal. Nobody is told, and connections stay, as on a line that
// is cut; what was kept back comes through later.
func (n *Network) Silence(from, to string) {
	n.alter(from, to, func(s *state) {
		if !s.silent {
			s.silent, s.whole = true, make(chan struct{})
		}
	})
}

// Slow has every chunk of bytes from one party to another take so much longer.
func (n *Network) Slow(from, to string, by time.Duration) {
	n.alter(from, to, func(s *state) { s.slow = by })
}

// Heal makes every line whole.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.lines {
		if s.silent {
			close(s.whole)
		}
		*s = state{}
	}
}

func (n *Network) alter(from, to string, change func(*state)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.lines[line{from, to}]
	if s == nil {
		s = new(state)
		n.lines[line{from, to}] = s
	}
	change(s)
}

// pass waits until a chunk may go on, and reports false if it never may.
func (n *Network) pass(l line, gone <-chan struct{}) bool {
	for {
		n.mu.Lock()
		var s state
		if known := n.lines[l]; known != nil {
			s = *known
		}
		n.mu.Unlock()
		var later <-chan time.Time
		switch {
		case s.silent:
		case s.slow > 0:
			later = time.After(s.slow)
		default:
			return true
		}
		select {
		case <-s.whole: // nil of a slow line, which is healed when what it carries has passed
		case <-later:
			return true
		case <-gone:
			return false
		case <-n.closed:
			return false
		}
	}
}

// carry carries one connection. While the line is silent nobody at the other end hears of it.
func (n *Network) carry(near net.Conn, party, target string) {
	defer near.Close()
	from := n.who.Owner(near.RemoteAddr(), near.LocalAddr())
	ended := make(chan struct{})
	if !n.pass(line{from, party}, ended) {
		return
	}
	far, err := net.DialTimeout("tcp", target, dialWait)
	if err != nil {
		reset(near)
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	both.Go(func() { n.pump(far, near, line{from, party}, ended) })
	both.Go(func() { n.pump(near, far, line{party, from}, ended) })
	stopped := make(chan struct{})
	go func() {
		select {
		case <-n.closed:
			_, _ = near.Close(), far.Close()
		case <-stopped:
		}
	}()
	both.Wait()
	close(stopped)
}

// pump copies one direction. An end that is heard of closes the other side's, once the line lets that pass; a connection that is
// broken is broken for both.
func (n *Network) pump(to, from net.Conn, l line, ended chan struct{}) {
	buffer := make([]byte, chunkBytes)
	for {
		count, err := from.Read(buffer)
		if !n.pass(l, ended) {
			return
		}
		if count > 0 {
			if _, err := to.Write(buffer[:count]); err != nil {
				reset(from)
				return
			}
		}
		if err == nil {
			continue
		}
		if tcp, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
			_ = tcp.CloseWrite() // it is heard of once the line lets it pass
		} else {
			reset(to)
		}
		return
	}
}

// reset ends a connection as a process that is killed does.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
