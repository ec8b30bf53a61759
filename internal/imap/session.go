package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
	"mailreplica/internal/listener"
)

const (
	badBeforeLoginMax = 10 // commands in error; a stray web browser or a scanner needs no more
	badAfterLoginMax  = 100

	stallBeforeLogin = 30 * time.Second // inside a command
)

// session is one connection. Its goroutine runs commands one after the other; End, Cut and heard are the only ways
// in from outside.
type session struct {
	server *Server
	log    *slog.Logger
	ctx    context.Context // of everything done for the client
	cancel context.CancelFunc
	link   *link
	in     *wire.Reader
	out    *wire.Writer
	began  time.Time

	remote   net.Addr
	secure   bool // nobody reads along
	proxied  bool // another mailstore forwarded it: it is never forwarded again
	failures int  // failed logins
	bad      int  // commands in error since the last good one

	mailbox   Mailbox // nil before login
	watch     Watch
	view      *view // nil unless a folder is selected
	condstore bool  // the client knows mod-sequences (RFC 7162)
	qresync   bool

	mu     sync.Mutex
	reason error         // why the session must end, once it must
	ended  chan struct{} // closed then
}

func newSession(ctx context.Context, server *Server, conn net.Conn) *session {
	ctx, cancel := context.WithCancel(ctx)
	s := &session{
		server: server, ctx: ctx, cancel: cancel,
		log:    server.config.Logger,
		link:   &link{conn: conn, stall: stallBeforeLogin},
		remote: conn.RemoteAddr(),
		began:  time.Now(),
		ended:  make(chan struct{}),
	}
	_, s.secure = conn.(*tls.Conn)
	limits := wire.DefaultLimits()
	limits.CommandBytesMax, limits.LiteralBytesMax, limits.AppendBytesMax = 40<<10, 4<<10, 0 // ID takes 30 fields of 1 KiB
	s.in = wire.NewReader(s.link, limits, s.proceed)
	s.out = wire.NewWriter(s.link)
	return s
}

// End implements listener.Session.
func (s *session) End() { s.end(listener.ErrClosing) }

// end asks the session to say BYE and close as soon as it is between commands. The first reason counts.
func (s *session) end(reason error) {
	s.setReason(reason)
	s.link.wake(false)
}

func (s *session) setReason(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == nil {
		s.reason = reason
		close(s.ended)
	}
}

func (s *session) endReason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// mayGoOn says why a command that takes long must end, if it must: bodies are read as fast as the volume gives them, for nobody.
func (s *session) mayGoOn() error {
	if reason := s.endReason(); reason != nil {
		return reason
	}
	if err := s.ctx.Err(); err != nil {
		return fault.Wrap(fault.Interrupted, err, "the session was cut off")
	}
	return nil
}

// Cut implements listener.Session.
func (s *session) Cut() {
	s.cancel()
	s.link.close()
}

// Run implements listener.Session.
func (s *session) Run() {
	defer s.close()
	if !s.handshake() {
		return
	}
	s.greet()
	for {
		if reason := s.endReason(); reason != nil {
			s.bye(reason)
			return
		}
		c, err := s.next()
		switch {
		case errors.Is(err, errWoken):
		case err != nil:
			s.leave(err)
			return
		case c != nil && !s.execute(c):
			return
		}
	}
}

func (s *session) close() {
	defer s.Cut()
	if s.watch != nil {
		s.watch.Close()
	}
}

// handshake completes implicit TLS within the time that a login may take.
func (s *session) handshake() bool {
	conn, implicit := s.link.conn.(*tls.Conn)
	if !implicit {
		return true
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.server.config.LoginTimeout)
	defer cancel()
	return conn.HandshakeContext(ctx) == nil
}

func (s *session) greet() {
	s.out.UntaggedStatus(wire.OK, "CAPABILITY "+s.capabilities(), s.server.config.Greeting+" ready")
}

// next reads a command. A command in error is answered here, and nil.
func (s *session) next() (*wire.Command, error) {
	if s.in.Buffered() == 0 && s.link.pending() == 0 {
		if err := s.out.Flush(); err != nil {
			return nil, err
		}
		if err := s.await(); err != nil {
			return nil, err
		}
	}
	c, err := s.in.Command()
	var syntax *wire.SyntaxError
	if errors.As(err, &syntax) {
		s.refuseSyntax(syntax)
		s.server.measures.of(Unknown).Bad.Add(1)
		if s.bad >= badAfterLoginMax || s.mailbox == nil && s.bad >= badBeforeLoginMax {
			return nil, &wire.ProtocolError{Text: "Too many invalid commands"}
		}
		return nil, nil
	}
	return c, err
}

func (s *session) refuseSyntax(e *wire.SyntaxError) {
	s.bad++
	if e.TooBig {
		s.out.Tagged(e.Tag, wire.NO, "TOOBIG", e.Text)
		return
	}
	s.out.Tagged(e.Tag, wire.BAD, "", e.Text)
}

// await waits for the client between commands.
func (s *session) await() error {
	timeout := s.server.config.IdleTimeout
	if s.mailbox == nil {
		timeout = s.server.config.LoginTimeout - time.Since(s.began)
		if timeout <= 0 {
			return errTimeout
		}
	}
	s.in.Release()
	s.out.Release()
	return s.link.await(timeout)
}

// leave says good-bye where somebody may still be listening.
func (s *session) leave(err error) {
	var protocol *wire.ProtocolError
	switch {
	case errors.As(err, &protocol):
		s.out.Bye("", protocol.Text)
	case errors.Is(err, errTimeout) && s.mailbox == nil:
		s.out.Bye("", "Nobody logged in")
	case errors.Is(err, errTimeout), errors.Is(err, os.ErrDeadlineExceeded): // between commands, or within one
		s.out.Bye("", "Disconnected for inactivity")
	default:
		if !errors.Is(err, io.EOF) {
			s.log.Debug("imap connection lost", "remote", s.remote, "error", err)
		}
	}
	_ = s.out.Flush() // the connection is closed next; a client that only ended its own half still reads
}

func (s *session) bye(reason error) {
	code, text := byeTo(reason)
	if reason == errFolderGone {
		code, text = "", errFolderGone.Message
	}
	s.out.Bye(code, text)
	_ = s.out.Flush() // the connection is closed next
}

// proceed lets the client send a literal.
func (s *session) proceed() error {
	s.out.Continue("OK")
	return s.out.Flush()
}

// execute runs one command and reports whether the session goes on.
func (s *session) execute(c *wire.Command) bool {
	s.out.Hold()
	d, m, begun := commands[c.Name], s.server.measures.of(c.Name), time.Now()
	if text := s.refusal(d); text != "" {
		s.bad++
		m.Bad.Add(1)
		s.out.Tagged(c.Tag, wire.BAD, "", text)
		return true
	}
	s.bad = 0
	o, err := d.run(s, c)
	if err != nil {
		o = s.failed(c, err)
	}
	if !o.answered {
		if s.view != nil && d.sync != syncNothing {
			s.syncBefore(d.sync == syncAll)
		}
		if o.status == "" {
			o.status = wire.OK
		}
		s.out.Tagged(c.Tag, o.status, o.code, o.text)
	}
	m.count(o.status, begun)
	if o.ends {
		_ = s.out.Flush() // the connection is closed next
		return false
	}
	return s.out.Err() == nil
}

// refusal says why a command cannot be run in the state that the session is in.
func (s *session) refusal(d command) string {
	switch {
	case d.run == nil:
		return "Unknown command"
	case d.state == beforeLogin && s.mailbox != nil:
		return "Already logged in"
	case d.state >= afterLogin && s.mailbox == nil:
		return "Log in first"
	case d.state == whileSelected && s.view == nil:
		return "Select a mailbox first"
	}
	return ""
}

// failed makes an outcome of an error.
func (s *session) failed(c *wire.Command, err error) outcome {
	var syntax *wire.SyntaxError
	switch {
	case s.in.Err() != nil: // nobody can tell what the client says next, or it says nothing
		s.leave(s.in.Err())
		return outcome{status: wire.NO, answered: true, ends: true}
	case s.out.Err() != nil:
		s.log.Warn("imap response broken off", "remote", s.remote, "command", c.Name, "error", err)
		return outcome{status: wire.NO, answered: true, ends: true}
	case errors.As(err, &syntax):
		s.refuseSyntax(syntax)
		return outcome{status: wire.BAD, answered: true}
	}
	if fault.Is(err, fault.Internal) {
		s.log.Error("imap command failed", "remote", s.remote, "command", c.Name, "error", err)
	}
	r := replyTo(err, missingCode(c.Name))
	if r.ends && s.mailbox != nil { // before login there is nothing to end: another account may do better
		s.out.Bye(r.code, r.text)
		return outcome{status: wire.NO, answered: true, ends: true}
	}
	return outcome{status: wire.NO, code: r.code, text: r.text}
}
