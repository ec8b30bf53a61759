package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mailreplica/internal/fault"
)

// Defaults of Config.
const (
	appendBytesMaxDefault   = 64 << 20
	sessionsMaxDefault      = 10_000
	loginAttemptsMaxDefault = 3
	loginTimeoutDefault     = time.Minute
	idleTimeoutDefault      = 30 * time.Minute // RFC 3501 section 5.4: at least 30 minutes
	appendTimeMaxDefault    = 12 * time.Hour   // less than a volume keeps what is being written
	progressEveryDefault    = 10 * time.Second
)

// Config says how a server behaves. The zero value of every field but Backend is usable.
type Config struct {
	Backend        Backend
	TLS            *tls.Config // offers STARTTLS; nil does not
	AllowPlaintext bool        // passwords are taken without TLS from loopback addresses
	AppendBytesMax int64       // of one message
	SessionsMax    int
	// LoginAttemptsMax is how often a client may fail on one connection. Slowing it down over connections is Backend's.
	LoginAttemptsMax int
	LoginTimeout     time.Duration // for a client to log in
	IdleTimeout      time.Duration // for a client that has logged in to send anything
	AppendTimeMax    time.Duration // for one APPEND
	ProgressEvery    time.Duration // a client is told so often that its search goes on
	Logger           *slog.Logger
	Greeting         string // the host's name, as shown to clients
	Version          string
	// ProxyAuth checks the token of another mailstore and names the account that it has authenticated (see ProxyLogin).
	// Nil refuses them all.
	ProxyAuth func(token, account, remote string) (Login, error)
}

// Server serves IMAP on any number of listeners.
type Server struct {
	config Config
	ctx    context.Context // ends with the server
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	closing   bool
	running   sync.WaitGroup // sessions
	count     atomic.Int64
}

// New makes a server.
func New(config Config) *Server {
	if config.AppendBytesMax <= 0 {
		config.AppendBytesMax = appendBytesMaxDefault
	}
	if config.SessionsMax <= 0 {
		config.SessionsMax = sessionsMaxDefault
	}
	if config.LoginAttemptsMax <= 0 {
		config.LoginAttemptsMax = loginAttemptsMaxDefault
	}
	if config.LoginTimeout <= 0 {
		config.LoginTimeout = loginTimeoutDefault
	}
	if config.IdleTimeout <= 0 {
		config.IdleTimeout = idleTimeoutDefault
	}
	if config.AppendTimeMax <= 0 {
		config.AppendTimeMax = appendTimeMaxDefault
	}
	if config.ProgressEvery <= 0 {
		config.ProgressEvery = progressEveryDefault
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Greeting == "" {
		config.Greeting = "localhost"
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Server{
		config:    config,
		ctx:       ctx,
		cancel:    cancel,
		listeners: make(map[net.Listener]struct{}),
		sessions:  make(map[*session]struct{}),
	}
}

// errClosing is why sessions end when the server does.
var errClosing = fault.New(fault.Interrupted, "the server is shutting down")

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
			s.start(conn)
			continue
		case s.isClosing():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fault.Wrap(fault.Internal, err, "the IMAP listener on %s failed", l.Addr())
		}
		// Too many open files, for instance: it passes.
		s.config.Logger.Warn("an IMAP connection could not be accepted", "error", err)
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

// Shutdown closes the listeners and ends all sessions with BYE, between commands where it can. When ctx ends first, the
// remaining connections are cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.sessions {
		c.end(errClosing)
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.cancel(errClosing)
		return nil
	case <-ctx.Done():
	}
	s.cancel(errClosing)
	s.mu.Lock()
	for c := range s.sessions {
		c.cut()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}

// Sessions is the number of open connections.
func (s *Server) Sessions() int { return int(s.count.Load()) }

func (s *Server) start(conn net.Conn) {
	c := newSession(s, conn)
	s.mu.Lock()
	full := len(s.sessions) >= s.config.SessionsMax
	if full || s.closing {
		s.mu.Unlock()
		refuse(conn, full)
		return
	}
	s.sessions[c] = struct{}{}
	s.running.Add(1)
	s.count.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.forget(c)
		c.run()
	}()
}

func (s *Server) forget(c *session) {
	s.mu.Lock()
	delete(s.sessions, c)
	s.mu.Unlock()
	s.count.Add(-1)
	s.running.Done()
}

// refuse turns a connection away without spending a session on it: over implicit TLS it is only closed, for a handshake
// is what an overloaded server cannot afford.
func refuse(conn net.Conn, full bool) {
	if _, secure := conn.(*tls.Conn); !secure && full {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte("* BYE [LIMIT] Too many connections\r\n"))
	}
	_ = conn.Close()
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
