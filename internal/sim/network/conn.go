package network

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// chunk is bytes under way, or what ends the direction they travel in.
type chunk struct {
	at   time.Time
	data []byte
	err  error
	held *Hold // that keeps it back, and all behind it
}

// pipe is one direction of a connection.
type pipe struct {
	network *Network
	link    link
	random  *rand.Rand // guarded by mu
	ready   chan struct{}
	room    chan struct{}

	mu     sync.Mutex
	chunks []chunk
	bytes  int
	last   time.Time // when the last chunk arrives
	deaf   bool      // nobody reads any more
}

// latency is how long the next chunk travels.
func (p *pipe) latency() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return latencyMin + time.Duration(p.random.Int64N(int64(latencySpread)))
}

// chunk makes a chunk that arrives behind all others. The caller holds the network's mu.
func (n *Network) chunk(p *pipe, data []byte, err error) chunk {
	travels := p.latency() + n.state(p.link).slow
	p.mu.Lock()
	defer p.mu.Unlock()
	at := time.Now().Add(travels)
	if at.Before(p.last) {
		at = p.last
	}
	p.last = at
	return chunk{at: at, data: data, err: err}
}

func (p *pipe) put(c chunk) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaf {
		return
	}
	p.chunks = append(p.chunks, c)
	p.bytes += len(c.data)
	p.wakeLocked()
}

// delay makes all that is under way arrive later.
func (p *pipe) delay(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := time.Now().Add(by)
	for i := range p.chunks {
		if p.chunks[i].at.Before(at) {
			p.chunks[i].at = at
		}
	}
	if p.last.Before(at) {
		p.last = at
	}
}

// discard loses all that is under way.
func (p *pipe) discard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chunks, p.bytes = nil, 0
}

func (p *pipe) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeLocked()
}

func (p *pipe) wakeLocked() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// take moves arrived bytes to b, or says for how long to wait (negative: until woken).
func (p *pipe) take(b []byte) (n int, wait time.Duration, err error) {
	cut := p.network.isCut(p.link)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.chunks) == 0 {
		return 0, -1, nil
	}
	c := &p.chunks[0]
	if cut || c.held.holds() {
		return 0, -1, nil
	}
	if c.held.dropped() {
		return 0, 0, syscall.ECONNRESET // and stays
	}
	if wait := time.Until(c.at); wait > 0 {
		return 0, wait, nil
	}
	if c.err != nil {
		return 0, 0, c.err // and stays
	}
	n = copy(b, c.data)
	c.data = c.data[n:]
	p.bytes -= n
	if len(c.data) == 0 {
		p.chunks = p.chunks[1:]
	}
	select {
	case p.room <- struct{}{}:
	default:
	}
	return n, 0, nil
}

// half is one end of a connection.
type half struct {
	network       *Network
	near, far     *Host
	in, out       *pipe
	local, remote *net.TCPAddr

	reading, writing deadline
	once             sync.Once
	closed           chan struct{}
	unlingering      atomic.Bool // Close resets
}

func (c *half) init() {
	c.closed = make(chan struct{})
	c.reading.init()
	c.writing.init()
}

// Read implements net.Conn.
func (c *half) Read(b []byte) (int, error) {
	for {
		select {
		case <-c.closed:
			return 0, c.failed("read", net.ErrClosed)
		case <-c.near.dead:
			return 0, c.failed("read", net.ErrClosed)
		case <-c.reading.passed():
			return 0, c.failed("read", os.ErrDeadlineExceeded)
		default:
		}
		if len(b) == 0 {
			return 0, nil
		}
		n, wait, err := c.in.take(b)
		if err == io.EOF {
			return 0, io.EOF
		}
		if err != nil {
			return 0, c.failed("read", err)
		}
		if n > 0 {
			return n, nil
		}
		c.await(wait)
	}
}

// await waits until something may be there to read.
func (c *half) await(wait time.Duration) {
	var arrival <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		arrival = timer.C
	}
	select {
	case <-arrival:
	case <-c.in.ready:
	case <-c.near.dead:
	case <-c.closed:
	case <-c.reading.passed():
	}
}

// Write implements net.Conn. Like a socket it takes bytes as long as there is room for them, whether they will arrive or not.
func (c *half) Write(b []byte) (int, error) {
	written := 0
	held := c.network.catch(c.out, b)
	for len(b) > 0 {
		select {
		case <-c.closed:
			return written, c.failed("write", net.ErrClosed)
		case <-c.writing.passed():
			return written, c.failed("write", os.ErrDeadlineExceeded)
		default:
		}
		n, err := c.push(b, held)
		if err != nil {
			return written, c.failed("write", err)
		}
		written, b = written+n, b[n:]
		if n > 0 {
			continue
		}
		select {
		case <-c.out.room:
		case <-c.near.dead:
		case <-c.closed:
		case <-c.writing.passed():
		}
	}
	return written, nil
}

func (c *half) push(b []byte, held *Hold) (int, error) {
	n := c.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.near.isDead() {
		return 0, net.ErrClosed
	}
	c.out.mu.Lock()
	deaf, room := c.out.deaf, bufferBytesMax-c.out.bytes
	c.out.mu.Unlock()
	if deaf {
		return 0, syscall.EPIPE
	}
	if room <= 0 {
		return 0, nil
	}
	data := append([]byte(nil), b[:min(room, len(b))]...)
	piece := n.chunk(c.out, data, nil)
	piece.held = held
	c.out.put(piece)
	return len(data), nil
}

// Close implements net.Conn: the other end reads what is under way, then the end.
func (c *half) Close() error {
	if c.unlingering.Load() {
		return c.Abort()
	}
	return c.end(io.EOF)
}

// SetLinger is that of net.TCPConn, for 0 alone: Close is Abort from now on.
func (c *half) SetLinger(int) error {
	c.unlingering.Store(true)
	return nil
}

// Abort closes the connection as a process does that dies with something unread: the other end finds it reset. What a cut link keeps back
// would have to be sent again, and is lost.
func (c *half) Abort() error {
	if c.network.isCut(c.out.link) {
		c.out.discard()
	}
	return c.end(syscall.ECONNRESET)
}

func (c *half) end(how error) error {
	c.once.Do(func() {
		close(c.closed)
		n := c.network
		n.mu.Lock()
		defer n.mu.Unlock()
		n.conns = slices.DeleteFunc(n.conns, func(other *half) bool { return other == c })
		if !c.near.isDead() {
			c.out.put(n.chunk(c.out, nil, how))
		}
		c.in.mu.Lock()
		c.in.deaf = !c.near.isDead() // the other end of a dead host finds out by waiting
		c.in.mu.Unlock()
	})
	return nil
}

func (c *half) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// LocalAddr implements net.Conn.
func (c *half) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *half) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *half) SetDeadline(t time.Time) error {
	c.reading.set(t)
	c.writing.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *half) SetReadDeadline(t time.Time) error {
	c.reading.set(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *half) SetWriteDeadline(t time.Time) error {
	c.writing.set(t)
	return nil
}

// deadline is a channel that is closed while a deadline has passed.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	cancel chan struct{}
}

func (d *deadline) init() { d.cancel = make(chan struct{}) }

func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cancel
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.cancel // its function is about to run, or has
	}
	d.timer = nil
	over := false
	select {
	case <-d.cancel:
		over = true
	default:
	}
	if t.IsZero() {
		if over {
			d.cancel = make(chan struct{})
		}
		return
	}
	if wait := time.Until(t); wait > 0 {
		if over {
			d.cancel = make(chan struct{})
		}
		cancel := d.cancel
		d.timer = time.AfterFunc(wait, func() { close(cancel) })
		return
	}
	if !over {
		close(d.cancel)
	}
}
