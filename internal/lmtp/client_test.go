package lmtp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/lmtp"
)

const patience = 20 * time.Second

// start serves a backend on a loopback address until the test ends.
func start(t testing.TB, c lmtp.Config) (*lmtp.Server, string) {
	t.Helper()
	if c.Hostname == "" {
		c.Hostname = here
	}
	if c.SpoolDir == "" {
		c.SpoolDir = t.TempDir()
	}
	server := lmtp.New(c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return server, l.Addr().String()
}

// client speaks by hand.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t: t}
	c.use(conn)
	c.want("220 ")
	return c
}

func (c *client) use(conn net.Conn) {
	c.conn, c.in = conn, bufio.NewReader(conn)
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
}

// open dials and greets.
func open(t testing.TB, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	c.say("LHLO mta.example.net\r\n")
	c.want("250")
	return c
}

func (c *client) say(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("sending %.80q: %v", s, err)
	}
}

// reply reads one reply, all lines of it.
func (c *client) reply() string {
	c.t.Helper()
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.t.Fatalf("after %q: %v", all.String(), err)
		}
		if !strings.HasSuffix(line, "\r\n") || len(line) < 6 || len(line) > 512 {
			c.t.Fatalf("the reply line %q is malformed", line)
		}
		all.WriteString(line)
		if line[3] == ' ' {
			return strings.TrimSuffix(all.String(), "\r\n")
		}
	}
}

// want reads replies that begin so.
func (c *client) want(prefixes ...string) (last string) {
	c.t.Helper()
	for i, prefix := range prefixes {
		if last = c.reply(); !strings.HasPrefix(last, prefix) {
			c.t.Fatalf("reply %d is %q, want %q…", i, last, prefix)
		}
	}
	return last
}

// ask sends a line and wants a reply.
func (c *client) ask(line, prefix string) string {
	c.t.Helper()
	c.say(line + "\r\n")
	return c.want(prefix)
}

// begin opens a transaction.
func (c *client) begin(recipients ...string) {
	c.t.Helper()
	c.ask("MAIL FROM:<sender@example.net>", "250 2.1.0")
	for _, r := range recipients {
		c.ask("RCPT TO:<"+r+">", "250 2.1.5")
	}
}

// deliver sends one message the way a client without PIPELINING does.
func (c *client) deliver(message string, recipients ...string) {
	c.t.Helper()
	c.begin(recipients...)
	c.ask("DATA", "354 ")
	c.say(stuff(message) + ".\r\n")
	for range recipients {
		c.want("250 2.0.0")
	}
}

// ended wants the server to close the connection.
func (c *client) ended() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Fatalf("after the end: %q, %v", rest, err)
	}
}

// closeHard resets the connection, as the kernel does for a client that died before it had read everything.
func (c *client) closeHard() {
	c.t.Helper()
	if err := errors.Join(c.conn.(*net.TCPConn).SetLinger(0), c.conn.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// stuff doubles the dots that begin a line (RFC 5321 section 4.5.2). The message must end with CRLF.
func stuff(message string) string {
	if strings.HasPrefix(message, ".") {
		message = "." + message
	}
	return strings.ReplaceAll(message, "\r\n.", "\r\n..")
}

// eventually waits until done holds.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("%s: not after %s", what, patience)
}

func startTLS(t testing.TB, c *client, config *tls.Config) {
	t.Helper()
	c.ask("STARTTLS", "220 2.0.0")
	conn := tls.Client(c.conn, config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.use(conn)
}
