package lmtp_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/lmtp"
)

// TestTranscripts runs sessions line by line: what is sent, then how each reply begins.
func TestTranscripts(t *testing.T) {
	const hello = "LHLO mta.example.net"
	for _, c := range []struct {
		name  string
		lines []string // alternating: command, reply
	}{
		{"greeting", []string{
			"HELO x", "500 5.5.1", "EHLO x", "500 5.5.1", "LHLO", "501 5.5.4", "MAIL FROM:<a@x>", "503 5.5.1", hello, "250-mbox1.example.com\r\n",
			hello, "250-",
		}},
		{"order", []string{
			hello, "250-", "RCPT TO:<bob@example.com>", "503 5.5.1", "DATA", "503 5.5.1", "MAIL FROM:<a@x>", "250 2.1.0",
			"MAIL FROM:<b@x>", "503 5.5.1", "DATA", "503 5.5.1", "RCPT TO:<nobody@example.com>", "550 5.1.1 <nobody@example.com> there is no account",
			"DATA", "503 5.5.1", "RSET", "250 2.0.0", "RCPT TO:<bob@example.com>", "503 5.5.1", "MAIL FROM:<b@x>", "250 2.1.0",
			"BDAT 0", "503 5.5.1",
		}},
		{"paths", []string{
			hello, "250-", "mail from:<>", "250 2.1.0", "rcpt to: <@relay.example,@other.example:BOB@example.com>", "250 2.1.5",
			`RCPT TO:<"bob"@example.com>`, "250 2.1.5", `RCPT TO:<"b>o b"@example.com>`, "550 5.1.1", "RCPT TO:bob@example.com", "250 2.1.5",
			"RCPT TO:<>", "501 5.5.4", "RCPT TO:<bob@example.com", "501 5.5.4", "RCPT TO:<bob@example.com>x", "501 5.5.4", "RCPT bob@example.com", "501 5.5.4",
			"RCPT TO:<bob@example.com> NOTIFY=NEVER", "555 5.5.4", "RCPT TO:<postmaster>", "550 5.1.1", "RCPT TO:<jürgen@example.com>", "550 5.1.1 <j?rgen@",
		}},
		{"parameters", []string{
			hello, "250-", "MAIL FROM:<a@x> SIZE=1000 BODY=8BITMIME SMTPUTF8", "250 2.1.0", "RCPT TO:<jürgen@example.com>", "550 5.1.1 <jürgen@",
			"RSET", "250", "MAIL FROM:<a@x> SIZE=1001", "552 5.3.4", "MAIL FROM:<a@x> SIZE=99999999999999999999", "552 5.3.4", "MAIL FROM:<a@x> SIZE=x", "501 5.5.4",
			"MAIL FROM:<a@x> BODY=BINARYMIME", "501 5.5.4", "MAIL FROM:<a@x> RET=FULL", "555 5.5.4", "MAIL FROM:<a@x> body=7bit size=1", "250 2.1.0",
		}},
		{"others", []string{
			"NOOP", "250 2.0.0", "VRFY bob", "252 2.5.0", "AUTH PLAIN", "500 5.5.1", "FOO", "500 5.5.1", "NO\x00OP", "500 5.5.2", "NO\rOP", "500 5.5.2", "", "500 5.5.1",
			"STARTTLS", "503 5.5.1", "XANSWERED x", "500 5.5.1", strings.Repeat("x", 5000), "500 5.5.2", "NOOP " + strings.Repeat("x", 4000), "250 2.0.0",
			strings.Repeat("y", 100_000), "500 5.5.2", "NOOP", "250 2.0.0", "QUIT", "221 2.0.0",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, addr := start(t, lmtp.Config{Backend: newMemory(t, bob), MessageBytesMax: 1000})
			client := dial(t, addr)
			for i := 0; i < len(c.lines); i += 2 {
				client.ask(c.lines[i], c.lines[i+1])
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	_, addr := start(t, lmtp.Config{Backend: newMemory(t, bob), MessageBytesMax: 1000, RecipientsMax: 7, Token: peerToken})
	c := dial(t, addr)
	got := strings.Split(c.ask("LHLO x", "250-mbox1.example.com\r\n"), "\r\n")
	want := []string{
		"250-mbox1.example.com", "250-PIPELINING", "250-8BITMIME", "250-SMTPUTF8", "250-ENHANCEDSTATUSCODES", "250-CHUNKING", "250-SIZE 1000",
		"250-LIMITS RCPTMAX=7", "250 XMAILREPLICA",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestKinds shows what an MTA is told of every kind of failure: only three are final.
func TestKinds(t *testing.T) {
	want := map[fault.Kind]string{
		fault.NotFound: "550 5.1.1", fault.Closed: "550 5.2.1", fault.TooLarge: "552 5.3.4", fault.Maintenance: "450 4.2.1",
		fault.HomeUnreachable: "451 4.4.1", fault.VolumeUnavailable: "452 4.3.1", fault.DatabaseUnavailable: "452 4.3.1", fault.Interrupted: "451 4.3.2",
	}
	b := newMemory(t, bob)
	_, addr := start(t, lmtp.Config{Backend: b})
	c := open(t, addr)
	for kind := fault.Internal; !strings.HasPrefix(kind.String(), "kind "); kind++ {
		prefix, special := want[kind]
		if !special {
			prefix = "451 4.3.0"
		}
		b.refuse["x@example.com"], b.fail[bob] = fault.Wrap(kind, fmt.Errorf("a secret"), "words"), fault.New(kind, "words")
		c.ask("MAIL FROM:<a@x>", "250")
		if got := c.ask("RCPT TO:<x@example.com>", prefix+" <x@example.com> "); strings.Contains(got, "secret") {
			t.Errorf("%s: the client is told %q", kind, got)
		}
		c.ask("RCPT TO:<"+bob+">", "250")
		c.ask("DATA", "354")
		c.ask("x\r\n.", prefix+" <"+bob+"> ")
	}
	b.refuse["x@example.com"] = fmt.Errorf("an error of no kind")
	c.ask("MAIL FROM:<a@x>", "250")
	c.ask("RCPT TO:<x@example.com>", "451 4.3.0")
}

func TestRepliesPerRecipient(t *testing.T) {
	b := newMemory(t, bob, "ann@example.com", "eve@example.com")
	b.fail["ann@example.com"] = fault.New(fault.LogUnavailable, "no answer")
	b.refuse["old@example.com"] = fault.New(fault.Closed, "closed")
	_, addr := start(t, lmtp.Config{Backend: b, RecipientsMax: 4})
	c := open(t, addr)
	// All at once, as RFC 2920 allows.
	c.say("MAIL FROM:<a@x>\r\nRCPT TO:<bob@example.com>\r\nRCPT TO:<old@example.com>\r\nRCPT TO:<ann@example.com>\r\n" +
		"RCPT TO:<nobody@example.com>\r\nRCPT TO:<eve@example.com>\r\nRCPT TO:<bob@example.com>\r\nRCPT TO:<eve@example.com>\r\nDATA\r\n")
	c.want("250 2.1.0", "250 2.1.5", "550 5.2.1", "250 2.1.5", "550 5.1.1", "250 2.1.5", "250 2.1.5", "452 4.5.3", "354 ")
	c.say("text\r\n.\r\n")
	c.want("250 2.0.0 <bob@", "451 4.3.0 <ann@", "250 2.0.0 <eve@", "250 2.0.0 <bob@")
	b.hasOnly("text\r\n")
	if got := b.bodies("ann@example.com"); len(got) != 0 {
		t.Errorf("ann has %q", got)
	}
}

func TestLimitsSessions(t *testing.T) {
	server, addr := start(t, lmtp.Config{Backend: newMemory(t, bob), SessionsMax: 2})
	first, _ := dial(t, addr), dial(t, addr)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	third := &client{t: t}
	third.use(conn)
	third.want("421 4.3.2")
	third.ended()
	first.ask("QUIT", "221")
	first.ended()
	eventually(t, "one session", func() bool { return server.Sessions() == 1 })
	dial(t, addr)
}

func TestLimitsErrors(t *testing.T) {
	_, addr := start(t, lmtp.Config{Backend: newMemory(t, bob)})
	c := dial(t, addr)
	for range 20 {
		c.ask("GET / HTTP/1.1", "500 5.5.1")
	}
	c.want("421 4.7.0")
	c.ended()
}

func TestLimitsTime(t *testing.T) {
	_, addr := start(t, lmtp.Config{Backend: newMemory(t, bob), CommandWait: 30 * time.Millisecond})
	c := dial(t, addr)
	c.say("NO") // not a command yet
	c.want("421 4.4.2")
	c.ended()

	_, addr = start(t, lmtp.Config{Backend: newMemory(t, bob), DataWait: 30 * time.Millisecond})
	c = open(t, addr)
	c.begin(bob)
	c.ask("DATA", "354")
	c.say("half a message\r\n")
	c.want("421 4.4.2")
	c.ended()
}

// TestEndlessCommand sends a line that never ends.
func TestEndlessCommand(t *testing.T) {
	_, addr := start(t, lmtp.Config{Backend: newMemory(t, bob)})
	c := dial(t, addr)
	c.say(strings.Repeat("x", 1<<20+40<<10))
	c.want("421 4.3.0")
}

func TestShutdownFinishesDeliveries(t *testing.T) {
	b := newMemory(t, bob)
	b.hold = make(chan struct{})
	server, addr := start(t, lmtp.Config{Backend: b})
	idle, busy := open(t, addr), open(t, addr)
	busy.begin(bob)
	busy.ask("DATA", "354")
	busy.say("text\r\n.\r\n")
	<-b.entered
	done := make(chan error, 1)
	go func() { done <- server.Shutdown(context.Background()) }()
	idle.want("421 4.3.2")
	idle.ended()
	close(b.hold)
	busy.want("250 2.0.0", "421 4.3.2")
	busy.ended()
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	b.hasOnly("text\r\n")
}

func TestShutdownCutsAtItsEnd(t *testing.T) {
	b := newMemory(t, bob)
	server, addr := start(t, lmtp.Config{Backend: b})
	c := open(t, addr)
	c.begin(bob)
	c.ask("DATA", "354")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Shutdown(ctx); err == nil {
		t.Error("Shutdown has waited for a message that never ends")
	}
	b.hasOnly()
}
