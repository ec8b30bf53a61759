package broker

import (
	"net"
	"slices"
	"sync"
)

// answersBytesMax is how much may wait on one connection; the answer that goes beyond it is taken still.
const answersBytesMax = 1 << 20

// guarded is a listener whose connections send nothing that is not durable.
type guarded struct {
	net.Listener
	barrier *barrier
}

// Accept implements net.Listener.
func (g guarded) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &guardedConn{Conn: conn, barrier: g.barrier}
	c.moved = sync.NewCond(&c.mu)
	go c.send()
	return c, nil
}

// guardedConn keeps answers until what they tell of is durable, in their order. The cluster, which works at one request of a connection at
// a time, until its answer is written, goes on with the next one meanwhile: so the requests that a client sends ahead share a sync, where
// each would wait for one of its own.
type guardedConn struct {
	net.Conn
	barrier *barrier

	mu      sync.Mutex
	moved   *sync.Cond
	waiting []answer
	bytes   int   // of those
	err     error // why nothing is sent any more
}

type answer struct {
	bytes []byte
	reach uint64 // what has to be durable
}

// Write takes an answer. One that cannot be vouched for is never sent: the client hears nothing more, and the process ends.
func (c *guardedConn) Write(p []byte) (int, error) {
	reach, err := c.barrier.reach()
	if err != nil {
		c.end(err)
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.bytes > answersBytesMax && c.err == nil {
		c.moved.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	c.waiting = append(c.waiting, answer{slices.Clone(p), reach})
	c.bytes += len(p)
	c.moved.Broadcast()
	return len(p), nil
}

// Close implements net.Conn. What waits is not sent any more.
func (c *guardedConn) Close() error {
	c.end(net.ErrClosed)
	return c.Conn.Close()
}

// end ends the sending, for the first reason there is.
func (c *guardedConn) end(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = reason
		c.moved.Broadcast()
	}
}

// send sends what has become durable, together, until the connection ends.
func (c *guardedConn) send() {
	for {
		reach, err := c.first()
		if err == nil {
			reach, err = c.barrier.await(reach)
		}
		if err == nil {
			answers := c.take(reach)
			_, err = answers.WriteTo(c.Conn)
		}
		if err != nil {
			c.end(err)
			_ = c.Conn.Close() // nobody may read more from it
			return
		}
	}
}

// first waits for an answer, and gives its reach.
func (c *guardedConn) first() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) == 0 && c.err == nil {
		c.moved.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	return c.waiting[0].reach, nil
}

// take takes the answers that may be sent once all up to a reach is durable.
func (c *guardedConn) take(reach uint64) (answers net.Buffers) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) > 0 && c.waiting[0].reach <= reach {
		answers = append(answers, c.waiting[0].bytes)
		c.bytes -= len(c.waiting[0].bytes)
		c.waiting = c.waiting[1:]
	}
	c.moved.Broadcast()
	return answers
}
