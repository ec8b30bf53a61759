package lmtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// errorsMax bounds the commands in error of one session; a scanner needs no more.
const errorsMax = 20

// session is one connection. Its goroutine runs commands one after the other; End and Cut are the only ways in from
// outside.
type session struct {
	server *Server
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc

	raw     net.Conn // the TCP connection, also under TLS
	source  *source
	in      *bufio.Reader
	out     *bufio.Writer
	closing sync.Once

	secure  bool
	helo    string
	relayed bool   // another mailstore proved to be the client
	client  Client // of the relaying mailstore
	mail    *transaction
	errors  int
	ended   bool

	unproven unproven
}

func newSession(ctx context.Context, server *Server, conn net.Conn) *session {
	s := &session{server: server, raw: conn, log: server.config.Logger}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.source = &source{}
	s.in = bufio.NewReaderSize(s.source, readBufferBytes)
	s.out = bufio.NewWriter(nil)
	s.use(conn)
	return s
}

// use makes a connection the session's: the one accepted, or TLS over it.
func (s *session) use(conn net.Conn) {
	s.source.conn = conn
	s.out.Reset(timedWriter{conn})
	s.source.flush = s.out.Flush
	_, s.secure = conn.(*tls.Conn)
}

// timedWriter gives the client a time for each piece of a reply.
type timedWriter struct{ conn net.Conn }

func (w timedWriter) Write(p []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(replyWait)); err != nil {
		return 0, err
	}
	return w.conn.Write(p)
}

// End implements listener.Session.
func (s *session) End() { s.source.interrupt() }

// Cut implements listener.Session.
func (s *session) Cut() {
	s.cancel()
	s.closing.Do(func() { _ = s.raw.Close() })
}

// Run implements listener.Session.
func (s *session) Run() {
	defer s.Cut()
	defer s.reset()
	s.reply(220, "", s.server.config.Hostname+" LMTP Mailreplica")
	for !s.ended {
		s.source.phase(s.server.config.CommandWait, s.server.config.CommandWait)
		s.source.setIdle(true)
		line, err := readCommand(s.in)
		s.source.setIdle(false)
		switch {
		case errors.Is(err, errLongCommand):
			s.rejectLine(line, "5.5.2", "The line is too long")
		case err != nil:
			s.leave(err)
			return
		default:
			s.commandRead()
			s.execute(line)
		}
	}
	_ = s.out.Flush() // the session ends either way
}

// leave ends the session for a failed read.
func (s *session) leave(err error) {
	switch {
	case errors.Is(err, errClosing):
		s.reply(421, "4.3.2", s.server.config.Hostname+" is shutting down")
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.reply(421, "4.4.2", "Nothing was heard for too long")
	case errors.Is(err, errEndless):
		s.reply(421, "4.3.0", "Too much was sent")
	default:
		s.connectionEnded(err)
	}
	_ = s.out.Flush() // the session ends either way
}

// reply writes one line; an empty enhanced code leaves it out. What cannot be written is noticed at the next flush.
func (s *session) reply(code int, enhanced, text string) {
	utf8 := s.mail != nil && s.mail.utf8
	if enhanced != "" {
		text = enhanced + " " + text
	}
	_, _ = fmt.Fprintf(s.out, "%d %s\r\n", code, replyText(text, utf8))
}

// reject answers a command that is in error, and ends the session when there are too many.
func (s *session) reject(code int, enhanced, text string) {
	s.reply(code, enhanced, text)
	if s.errors++; s.errors >= errorsMax {
		s.reply(421, "4.7.0", "Too many errors")
		s.ended = true
	}
}

// execute runs one command.
func (s *session) execute(line string) {
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		s.rejectLine(line, "5.5.2", "The line holds control characters")
		return
	}
	verb, argument := splitCommand(line)
	command, known := commands[verb]
	if !known {
		s.rejectLine(line, "5.5.1", "The command is not known")
		return
	}
	command(s, argument)
}

// rejectLine answers a line that is no command. One that may have been meant as BDAT ends the session: a message follows it, whose
// length nobody knows, and which would be run as commands.
func (s *session) rejectLine(line, enhanced, text string) {
	s.reject(500, enhanced, text)
	if seemsChunk(line) {
		s.ended = true
	}
}

// commands by verb. It is filled once and never altered.
var commands = map[string]func(*session, string){
	"LHLO": (*session).lhlo, "MAIL": (*session).from, "RCPT": (*session).rcpt, "DATA": (*session).data, "BDAT": (*session).bdat,
	"RSET": (*session).rset, "NOOP": (*session).noop, "VRFY": (*session).vrfy, "QUIT": (*session).quit,
	"STARTTLS": (*session).startTLS, "HELO": (*session).wrongHello, "EHLO": (*session).wrongHello,
	verbMark: (*session).mark, verbAnswered: (*session).answered,
}

// lhlo greets (RFC 2033 section 4.1).
func (s *session) lhlo(name string) {
	if name == "" || len(name) > helloBytesMax || strings.Contains(name, " ") {
		s.reject(501, "5.5.4", "Want LHLO and the client's name")
		return
	}
	s.reset()
	s.helo = name
	lines := []string{
		s.server.config.Hostname, "PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING",
		fmt.Sprintf("SIZE %d", s.server.config.MessageBytesMax),
		fmt.Sprintf("LIMITS RCPTMAX=%d", s.server.config.RecipientsMax), // RFC 9422
	}
	if s.server.config.TLS != nil && !s.secure {
		lines = append(lines, "STARTTLS")
	}
	if s.server.config.Token != "" {
		lines = append(lines, verbMark)
	}
	for i, line := range lines {
		separator := "-"
		if i == len(lines)-1 {
			separator = " "
		}
		_, _ = s.out.WriteString("250" + separator + line + "\r\n") // noticed at the next flush
	}
}

// wrongHello is RFC 2033 section 4.1: an LMTP server does not take the others' greetings.
func (s *session) wrongHello(string) { s.reject(500, "5.5.1", "This is LMTP: greet with LHLO") }

func (s *session) rset(string) {
	s.reset()
	s.reply(250, "2.0.0", "OK")
}

func (s *session) noop(string) { s.reply(250, "2.0.0", "OK") }

func (s *session) vrfy(string) { s.reply(252, "2.5.0", "Try to deliver to it") }

// quit says good-bye. Where the client sent QUIT before it could have read what became of its mail, it is given a moment
// to close the connection first: that proves that it has read.
func (s *session) quit(string) {
	s.reply(221, "2.0.0", s.server.config.Hostname+" closes the connection")
	s.ended = true
	s.awaitEnd()
}

// startTLS is RFC 3207. What was sent ahead in the clear could be another's, and is not run under TLS.
func (s *session) startTLS(argument string) {
	switch {
	case argument != "":
		s.reject(501, "5.5.4", "STARTTLS takes no argument")
		return
	case s.server.config.TLS == nil || s.secure:
		s.reject(503, "5.5.1", "TLS is not available")
		return
	case s.in.Buffered() > 0 || len(s.source.ahead) > 0:
		s.reply(421, "4.7.0", "Nothing may follow STARTTLS before its reply")
		s.ended = true
		return
	}
	s.reply(220, "2.0.0", "Begin TLS")
	if s.out.Flush() != nil {
		s.ended = true
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, handshakeWait)
	defer cancel()
	if err := s.raw.SetDeadline(time.Time{}); err != nil {
		s.ended = true
		return
	}
	conn := tls.Server(s.raw, s.server.config.TLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		s.log.Debug("lmtp tls handshake failed", "remote", s.raw.RemoteAddr(), "error", err)
		s.ended = true
		return
	}
	s.use(conn)
	s.reset()
	s.helo, s.relayed, s.client = "", false, Client{}
}
