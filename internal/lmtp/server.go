package lmtp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"mailreplica/internal/fault"
)

// Defaults of Config.
const (
	messageBytesMaxDefault = 64 << 20
	recipientsMaxDefault   = 1_000
	sessionsMaxDefault     = 1_000
	commandWaitDefault     = 5 * time.Minute // RFC 5321 section 4.5.3.2.7
	dataWaitDefault        = 3 * time.Minute // between two pieces of a message; section 4.5.3.2.5
	dataTimeMaxDefault     = 30 * time.Minute
	replyWait              = time.Minute // for the client to take a reply
	handshakeWait          = 30 * time.Second
	deliveryWaitMax        = 2 * time.Minute // for the backend
)

// Config says how a server behaves. The zero value of every field but Backend and Hostname is usable.
type Config struct {
	Backend         Backend
	Hostname        string      // FQDN, as shown to clients
	TLS             *tls.Config // offers STARTTLS; nil does not
	Token           string      // that mailstores share: without it nobody may mark a session as relayed
	SpoolDir        string      // for messages over 1 MiB while they are received; empty: the system's
	MessageBytesMax int64
	RecipientsMax   int
	SessionsMax     int
	CommandWait     time.Duration // for a command
	DataWait        time.Duration // for the next piece of a message
	DataTimeMax     time.Duration // for a whole message
	Logger          *slog.Logger
}

// Server serves LMTP on any number of listeners.
type Server struct {
	config Config
	ctx    context.Context // ends with the server
	cancel context.CancelFunc

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	closing   bool
	running   sync.WaitGroup // sessions
}

// New makes a server.
func New(c Config) *Server {
	if c.MessageBytesMax <= 0 {
		c.MessageBytesMax = messageBytesMaxDefault
	}
	if c.RecipientsMax <= 0 {
		c.RecipientsMax = recipientsMaxDefault
	}
	if c.SessionsMax <= 0 {
		c.SessionsMax = sessionsMaxDefault
	}
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{{&c.CommandWait, commandWaitDefault}, {&c.DataWait, dataWaitDefault}, {&c.DataTimeMax, dataTimeMaxDefault}} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: c, listeners: map[net.Listener]struct{}{}, sessions: map[*session]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve accepts connections until the listener fails or Shutdown is called, which is no error.
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
			s.start(conn)
			continue
		case s.isClosing():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fault.Wrap(fault.Internal, err, "the LMTP listener on %s failed", l.Addr())
		}
		// Too many open files, for instance: it passes.
		s.config.Logger.Warn("an LMTP connection could not be accepted", "error", err)
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
		}
		pause = min(2*pause, acceptPauseMax)
	}
}

const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// ServeConn serves one connection and returns when it has ended.
func (s *Server) ServeConn(conn net.Conn) {
	c := newSession(s, conn)
	full, ok := s.add(c)
	if !ok {
		refuse(conn, s.config.Hostname, full)
		return
	}
	defer s.forget(c)
	c.run()
}

// start is ServeConn on a goroutine of its own.
func (s *Server) start(conn net.Conn) {
	go s.ServeConn(conn)
}

func (s *Server) add(c *session) (full, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full = len(s.sessions) >= s.config.SessionsMax
	if full || s.closing {
		return full, false
	}
	s.sessions[c] = struct{}{}
	s.running.Add(1)
	return false, true
}

func (s *Server) forget(c *session) {
	s.mu.Lock()
	delete(s.sessions, c)
	s.mu.Unlock()
	s.running.Done()
}

// refuse turns a connection away.
func refuse(conn net.Conn, hostname string, full bool) {
	text := "shutting down"
	if full {
		text = "too many connections"
	}
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte("421 4.3.2 " + hostname + " " + text + ", try again later\r\n")) // it is only told
	_ = conn.Close()
}

// Shutdown closes the listeners and ends all sessions: those that wait for a command now, the others after the delivery
// that is under way. When ctx ends first, the remaining connections are cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.sessions {
		c.source.interrupt()
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	for c := range s.sessions {
		c.cut()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}

// Sessions is the number of open connections.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.listeners[l] = struct{}{}
	}
	return !s.closing
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}
