package imap

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"mailreplica/internal/listener"
)

// Defaults of Config.
const (
	appendBytesMaxDefault    = 64 << 20
	sessionsMaxDefault       = 10_000
	loginAttemptsMaxDefault  = 3
	loginTimeoutDefault      = time.Minute
	idleTimeoutDefault       = 30 * time.Minute // RFC 3501 section 5.4: at least 30 minutes
	appendTimeMaxDefault     = 12 * time.Hour   // less than a volume keeps what is being written
	changeMessagesMaxDefault = 20_000
	progressEveryDefault     = 10 * time.Second
)

// Config says how a server behaves. The zero value of every field but Backend is usable.
type Config struct {
	Backend        Backend
	TLS            *tls.Config    // offers STARTTLS; nil does not
	AllowPlaintext bool           // passwords are taken without TLS from loopback addresses
	PlaintextFrom  []netip.Prefix // and from these: proxies that clients speak TLS to
	AppendBytesMax int64          // of one message
	SessionsMax    int
	// LoginAttemptsMax is how often a client may fail on one connection. Slowing it down over connections is Backend's.
	LoginAttemptsMax int
	LoginTimeout     time.Duration // for a client to log in
	IdleTimeout      time.Duration // for a client that has logged in to send anything
	AppendTimeMax    time.Duration // for one APPEND
	ProgressEvery    time.Duration // a client is told so often that its search goes on
	// ChangeMessagesMax is how many messages one transaction changes; a command that changes more is several. A transaction is held in
	// memory, and all accounts of its stream wait for it.
	ChangeMessagesMax int
	Logger            *slog.Logger
	Greeting          string // the host's name, as shown to clients
	Version           string
	// ProxyAuth checks the token of another mailstore and names the account that it has authenticated (see ProxyLogin).
	// Nil refuses them all.
	ProxyAuth func(token, account, remote string) (Login, error)
}

// Server serves IMAP on any number of listeners. Its Shutdown ends sessions with BYE, between commands where it can.
type Server struct {
	*listener.Server
	config   Config
	measures Measures
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
	if config.ChangeMessagesMax <= 0 {
		config.ChangeMessagesMax = changeMessagesMaxDefault
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Greeting == "" {
		config.Greeting = "localhost"
	}
	s := &Server{config: config, measures: Measures{Commands: newCommandMeasures()}}
	s.Server = listener.New(listener.Config{
		Name: "IMAP", SessionsMax: config.SessionsMax, Logger: config.Logger, Refuse: refuse,
		Start: func(ctx context.Context, conn net.Conn) listener.Session { return newSession(ctx, s, conn) },
	})
	return s
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
