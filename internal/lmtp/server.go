package lmtp

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"mailreplica/internal/listener"
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

// Server serves LMTP on any number of listeners. Its Shutdown ends sessions that wait for a command at once, the others
// after the delivery that is under way.
type Server struct {
	*listener.Server
	config   Config
	measures Measures
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
	s := &Server{config: c}
	s.Server = listener.New(listener.Config{
		Name: "LMTP", SessionsMax: c.SessionsMax, Logger: c.Logger, Refuse: s.refuse,
		Start: func(ctx context.Context, conn net.Conn) listener.Session { return newSession(ctx, s, conn) },
	})
	return s
}

// refuse turns a connection away.
func (s *Server) refuse(conn net.Conn, full bool) {
	text := "shutting down"
	if full {
		text = "too many connections"
	}
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte("421 4.3.2 " + s.config.Hostname + " " + text + ", try again later\r\n")) // it is only told
	_ = conn.Close()
}
