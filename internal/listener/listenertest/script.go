// Package listenertest has what tests of protocol servers share: a client that says all it has to say at once.
package listenertest

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// Script is the server's end of a connection whose client has said all that it will ever say, and reads everything.
type Script struct {
	in     *bytes.Reader
	closed chan struct{}
	once   sync.Once

	mu  sync.Mutex
	out bytes.Buffer
}

// NewScript makes a client that says this.
func NewScript(says []byte) *Script {
	return &Script{in: bytes.NewReader(says), closed: make(chan struct{})}
}

// Said waits until the server has closed the connection, and gives all that it said.
func (s *Script) Said() []byte {
	<-s.closed
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.out.Bytes())
}

func (s *Script) Read(p []byte) (int, error) { return s.in.Read(p) }

func (s *Script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

// Close implements net.Conn.
func (s *Script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// LocalAddr implements net.Conn.
func (s *Script) LocalAddr() net.Addr { return address{} }

// RemoteAddr implements net.Conn.
func (s *Script) RemoteAddr() net.Addr { return address{} }

// SetDeadline implements net.Conn; a script waits for nothing.
func (s *Script) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (s *Script) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *Script) SetWriteDeadline(time.Time) error { return nil }

type address struct{}

func (address) Network() string { return "script" }
func (address) String() string  { return "script" }
