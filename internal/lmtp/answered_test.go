package lmtp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"mailreplica/internal/lmtp"
)

const mail = "Subject: the same\r\n\r\ntext\r\n"

// TestAnswered shows which signs prove that a client has read that its mail was taken.
func TestAnswered(t *testing.T) {
	const next = "MAIL FROM:<a@x>\r\nRCPT TO:<" + bob + ">\r\n"
	for _, c := range []struct {
		name  string
		ahead string // sent right behind the message, with its last segment
		run   func(c *client)
		want  bool
	}{
		{"a further command", "", func(c *client) { c.ask("NOOP", "250") }, true},
		{"QUIT", "", func(c *client) { c.ask("QUIT", "221") }, true},
		{"an orderly end", "", func(c *client) { c.close() }, true},
		{"a reset", "", func(c *client) { c.closeHard() }, false},
		{"QUIT sent ahead, then an orderly end", "QUIT\r\n", func(c *client) {
			c.want("221")
			c.close()
		}, true},
		{"QUIT sent ahead, then a reset", "QUIT\r\n", func(c *client) {
			c.want("221")
			c.closeHard()
		}, false},
		{"commands sent ahead, then a reset", next, func(c *client) {
			c.want("250", "250")
			c.ask("NOOP", "250")
			c.closeHard()
		}, false},
		{"commands sent ahead, then an orderly end", next, func(c *client) {
			c.want("250", "250")
			c.close()
		}, true},
		{"commands sent ahead, then content after 354", next + "DATA\r\n", func(c *client) {
			c.want("250", "250", "354")
			c.say("another\r\n.\r\n")
			c.want("250 2.0.0")
			c.closeHard()
		}, true},
		{"commands and content sent ahead", next + "BDAT 3 LAST\r\nabc", func(c *client) {
			c.want("250", "250", "250 2.0.0")
			c.closeHard()
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newMemory(t, bob)
			server, addr := start(t, lmtp.Config{Backend: b})
			client := open(t, addr)
			client.begin(bob)
			client.ask("DATA", "354 ")
			client.say(mail + ".\r\n" + c.ahead)
			client.want("250 2.0.0 <")
			c.run(client)
			_ = client.conn.Close() // it may be closed
			eventually(t, "the end of the session", func() bool { return server.Sessions() == 0 })
			if got := b.countAnswered(); (got > 0) != c.want {
				t.Errorf("%d deliveries are known to have been answered, want any: %t", got, c.want)
			}
		})
	}
}

func (c *client) close() {
	c.t.Helper()
	if err := c.conn.Close(); err != nil {
		c.t.Fatal(err)
	}
}

// endSeen is a connection that tells when its end was read.
type endSeen struct {
	net.Conn
	once sync.Once
	seen chan struct{}
}

func (e *endSeen) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		e.once.Do(func() { close(e.seen) })
	}
	return n, err
}

// TestAnsweredTooLate has a client end the connection while its mail is being delivered: it was told nothing, even where
// the answer could still be written.
func TestAnsweredTooLate(t *testing.T) {
	for _, ahead := range []string{"", "QUIT\r\n"} {
		b := newMemory(t, bob)
		b.hold = make(chan struct{})
		server := lmtp.New(lmtp.Config{Backend: b, Hostname: here, SpoolDir: t.TempDir()})
		near, far := tcpPair(t)
		watched := &endSeen{Conn: far, seen: make(chan struct{})}
		served := make(chan struct{})
		go func() {
			server.ServeConn(watched)
			close(served)
		}()
		c := &client{t: t}
		c.use(near)
		c.want("220")
		c.ask("LHLO x", "250")
		c.begin(bob)
		c.ask("DATA", "354 ")
		c.say(mail + ".\r\n" + ahead)
		<-b.entered
		if err := near.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		<-watched.seen
		close(b.hold)
		c.want("250 2.0.0 <")
		<-served
		if got := b.countAnswered(); got != 0 {
			t.Errorf("with %q ahead: %d deliveries are known to have been answered, want none", ahead, got)
		}
	}
}

func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// TestRepeats: what an MTA repeats because it was told nothing is one message; what it sends again although it was told is
// another.
func TestRepeats(t *testing.T) {
	b := newMemory(t, bob)
	server, addr := start(t, lmtp.Config{Backend: b})
	send := func(end func(*client)) {
		t.Helper()
		c := open(t, addr)
		c.deliver(mail, bob)
		end(c)
		_ = c.conn.Close() // it may be closed
		eventually(t, "the end of the session", func() bool { return server.Sessions() == 0 })
	}
	send((*client).closeHard)
	send((*client).closeHard)
	b.hasOnly(mail)
	send((*client).close)
	b.hasOnly(mail)
	send((*client).closeHard)
	b.hasOnly(mail, mail)
}

// leaving is a backend that takes until it is known that its client has left.
type leaving struct {
	*memory
	left chan struct{}
}

func (l leaving) Deliver(ctx context.Context, m *lmtp.Mail) []lmtp.Outcome {
	if err := ctx.Err(); err != nil {
		l.t.Errorf("of a client that is there: %v", err)
	}
	l.left <- struct{}{}
	<-ctx.Done()
	l.left <- struct{}{}
	return make([]lmtp.Outcome, len(m.Recipients))
}

// TestClientLeaves: a delivery is told when its client has left before it was answered, in order or not.
func TestClientLeaves(t *testing.T) {
	b := leaving{newMemory(t, bob), make(chan struct{})}
	_, addr := start(t, lmtp.Config{Backend: b})
	for _, leave := range []func(*client){(*client).close, (*client).closeHard} {
		client := open(t, addr)
		client.begin(bob)
		client.ask("DATA", "354 ")
		client.say(mail + ".\r\n")
		<-b.left
		leave(client)
		<-b.left
	}
}
