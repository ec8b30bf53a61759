// Package listener owns what every protocol server does around its sessions: it accepts connections, bounds how many are
// open, knows which are, and ends them when the server does. A session that panics ends alone.
//
// It knows no protocol: what is said to a client, also to one that is turned away, is the server's own.
package listener

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mailreplica/internal/fault"
)

const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// ErrClosing is why sessions end when the server does.
var ErrClosing = fault.New(fault.Interrupted, "the server is shutting down")

// Session is one connection. End and Cut are called from other goroutines than Run, also before it and after it.
type Session interface {
	// Run serves the connection, and returns after it has closed it. It may panic: it holds nothing then, which takes that
	// all it holds is given back by defer.
	Run()
	// End asks the session to end as soon as nothing is under way. It does not wait.
	End()
	// Cut breaks the connection off.
	Cut()
}

// Config says whose sessions they are.
type Config struct {
	Name        string // of the protocol, for errors and the log
	SessionsMax int
	Logger      *slog.Logger
	// Start makes the session of a connection. The context ends with the server. It must not wait for the client. Two
	// sessions are never equal.
	Start func(ctx context.Context, conn net.Conn) Session
	// Refuse turns a connection away, and closes it: too many are open, or the server is shutting down.
	Refuse func(conn net.Conn, full bool)
}

// Server keeps the sessions of any number of listeners.
type Server struct {
	config Config
	ctx    context.Context // ends with the server
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[Session]struct{}
	shut      bool
	closing   chan struct{}  // closed when shut is set
	running   sync.WaitGroup // sessions
	panics    atomic.Int64   // of sessions
	refused   atomic.Int64   // connections, for want of room
}

// New makes a server.
func New(c Config) *Server {
	s := &Server{
		config: c, listeners: map[net.Listener]struct{}{}, sessions: map[Session]struct{}{}, closing: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Serve accepts connections until the listener fails or Shutdown is called, which is no error. Connections of a TLS
// listener (crypto/tls.NewListener) are secure from the start.
func (s *Server) Serve(l net.Listener) error {
	if !s.addListener(l) {
		_ = l.Close()
		return nil
	}
	defer s.removeListener(l)
	pause := acceptPauseMin
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = acceptPauseMin
			go s.ServeConn(conn)
			continue
		case s.isClosing():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fault.Wrap(fault.Internal, err, "the %s listener on %s failed", s.config.Name, l.Addr())
		}
		// Too many open files, for instance: it passes.
		s.config.Logger.Warn("a connection could not be accepted", "protocol", s.config.Name, "error", err)
		select {
		case <-time.After(pause):
		case <-s.closing:
		}
		pause = min(2*pause, acceptPauseMax)
	}
}

// ServeConn serves one connection and returns when it has ended. It does not panic.
func (s *Server) ServeConn(conn net.Conn) {
	defer s.survive(conn) // what makes or refuses a session
	session, full := s.add(conn)
	if session == nil {
		if full {
			s.refused.Add(1)
		}
		s.config.Refuse(conn, full)
		return
	}
	s.run(conn, session)
}

func (s *Server) run(conn net.Conn, session Session) {
	defer s.forget(session) // last: Shutdown waits until a panic is in the log
	defer s.survive(conn)
	session.Run()
}

// survive ends a panic with the session in which it happened: a message that the server cannot bear must not take the
// others' sessions away. Nobody knows what was written last, so nothing more is said to the client. The session itself is
// not asked for anything: what it holds, it has given back on the way here.
func (s *Server) survive(conn net.Conn) {
	problem := recover()
	if problem == nil {
		return
	}
	total := s.panics.Add(1)
	s.config.Logger.Error("a session panicked and is ended: this is a defect", "protocol", s.config.Name,
		"remote", conn.RemoteAddr(), "panic", problem, "total", total, "stack", string(debug.Stack()))
	_ = conn.Close() // the session may have done so
}

// Shutdown closes the listeners and asks all sessions to end. When ctx ends first, the remaining connections are cut.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, session := range s.close() {
		session.End()
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	defer s.cancel(ErrClosing)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancel(ErrClosing)
	for _, session := range s.open() {
		session.Cut()
	}
	<-done
	return ctx.Err()
}

// Sessions is the number of open connections.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// SessionsMax is how many there may be.
func (s *Server) SessionsMax() int { return s.config.SessionsMax }

// Panics is how many sessions have ended by a panic.
func (s *Server) Panics() int { return int(s.panics.Load()) }

// Refused is how many connections were turned away because too many were open.
func (s *Server) Refused() int { return int(s.refused.Load()) }

// close lets nothing in any more, and gives the sessions that are open.
func (s *Server) close() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shut {
		s.shut = true
		close(s.closing)
	}
	for l := range s.listeners {
		_ = l.Close()
	}
	return slices.Collect(maps.Keys(s.sessions))
}

func (s *Server) open() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.sessions))
}

// add begins a session, nil where there is no room: then full says whether that will pass.
func (s *Server) add(conn net.Conn) (session Session, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full = len(s.sessions) >= s.config.SessionsMax
	if full || s.shut {
		return nil, full
	}
	session = s.config.Start(s.ctx, conn)
	s.sessions[session] = struct{}{}
	s.running.Add(1)
	return session, false
}

func (s *Server) forget(session Session) {
	s.mu.Lock()
	delete(s.sessions, session)
	s.mu.Unlock()
	s.running.Done()
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shut {
		s.listeners[l] = struct{}{}
	}
	return !s.shut
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shut
}
