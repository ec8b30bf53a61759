package lmtp_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"mailreplica/internal/lmtp"
)

const bob = "bob@example.com"

// pieces are what random messages are made of: whatever could be taken for an end, or for a line's.
var pieces = []string{
	".", "..", "\r", "\n", "\r\n", "\r\n.", "\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r\n", "\r\n.\r", "\r\r\n.", "\x00", "\xff", "a", "text ",
	"QUIT\r\n", "\r\nRSET\r\n", "MAIL FROM:<evil@example.net>\r\n", strings.Repeat("x", 5000), "\r\n..\r\n", ".\r", ".\n",
}

func randomMessage(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(40) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// TestKeepsEveryByte sends random bytes by DATA and BDAT, cut into random segments, with a command right behind them.
func TestKeepsEveryByte(t *testing.T) {
	b := newMemory(t, bob)
	_, addr := start(t, lmtp.Config{Backend: b})
	r := rand.New(rand.NewPCG(1, 2))
	c := open(t, addr)
	var want []string
	for i := range 400 {
		message := randomMessage(r)
		c.begin(bob)
		if i%2 == 0 {
			message += "\r\n" // DATA can carry nothing else
			c.ask("DATA", "354 ")
			c.sayInSegments(r, stuff(message)+".\r\nNOOP\r\n")
			c.want("250 2.0.0 <", "250 2.0.0 OK")
		} else {
			cut := r.IntN(len(message) + 1)
			c.sayInSegments(r, fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%sNOOP\r\n", cut, message[:cut], len(message)-cut, message[cut:]))
			c.want("250 2.0.0", "250 2.0.0 <", "250 2.0.0 OK")
		}
		want = append(want, message)
	}
	got := b.bodies(bob)
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if string(got[i]) != want[i] {
			t.Fatalf("message %d is %.200q, want %.200q", i, got[i], want[i])
		}
	}
}

func (c *client) sayInSegments(r *rand.Rand, s string) {
	c.t.Helper()
	if err := c.conn.(*net.TCPConn).SetNoDelay(true); err != nil {
		c.t.Fatal(err)
	}
	for len(s) > 0 {
		n := min(len(s), 1+r.IntN(200))
		if r.IntN(3) == 0 {
			n = min(len(s), 1+r.IntN(3))
		}
		c.say(s[:n])
		s = s[n:]
	}
}

func TestKeepsALongLine(t *testing.T) {
	b := newMemory(t, bob)
	_, addr := start(t, lmtp.Config{Backend: b})
	message := strings.Repeat("a.\x00\xff", 25<<20/4) + "\r\n"
	c := open(t, addr)
	c.deliver(message, bob)
	if got := b.bodies(bob); len(got) != 1 || string(got[0]) != message {
		t.Fatalf("%d messages, or other bytes", len(got))
	}
}

func TestKeepsEmptyMessages(t *testing.T) {
	b := newMemory(t, bob)
	_, addr := start(t, lmtp.Config{Backend: b})
	c := open(t, addr)
	c.begin(bob)
	c.ask("DATA", "354 ")
	c.ask(".", "250 2.0.0")
	c.begin(bob)
	c.ask("BDAT 0 LAST", "250 2.0.0")
	b.hasOnly("", "") // the second is no repeat: the first was answered
}

// TestSmuggling ends messages the way other servers can be made to believe in, with commands behind that.
func TestSmuggling(t *testing.T) {
	for _, end := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\n.\r\r\n", "\r\n\x00.\r\n", "\r\n. \r\n"} {
		b := newMemory(t, bob)
		_, addr := start(t, lmtp.Config{Backend: b})
		message := "Subject: 1\r\n\r\nfirst" + end + "MAIL FROM:<evil@example.net>\r\nRCPT TO:<" + bob + ">\r\nDATA\r\nsecond\r\n"
		c := open(t, addr)
		c.begin(bob)
		c.ask("DATA", "354 ")
		c.say(message + ".\r\n")
		c.want("250 2.0.0 <")
		c.ask("NOOP", "250 2.0.0 OK")
		got := b.bodies(bob)
		// A dot that begins a line is removed where a CRLF stands before it, and nowhere else.
		want := strings.ReplaceAll(message, "\r\n.", "\r\n")
		if len(got) != 1 || string(got[0]) != want {
			t.Errorf("after %q: %q, want one message %q", end, got, want)
		}
	}
}

// TestRefusedContentIsNotRun sends messages that are refused at every stage; their lines must never become commands.
func TestRefusedContentIsNotRun(t *testing.T) {
	const evil = "MAIL FROM:<evil@example.net>\r\nRCPT TO:<" + bob + ">\r\nDATA\r\nevil\r\n"
	big := strings.Repeat(evil, 100)
	t.Run("over-size DATA", func(t *testing.T) {
		b := newMemory(t, bob)
		_, addr := start(t, lmtp.Config{Backend: b, MessageBytesMax: 1000})
		c := open(t, addr)
		c.begin(bob, bob)
		c.ask("DATA", "354 ")
		c.say(big + ".\r\nNOOP\r\n")
		c.want("552 5.3.4", "552 5.3.4", "250 2.0.0 OK")
		c.deliver("after\r\n", bob)
		b.hasOnly("after\r\n")
	})
	t.Run("over-size BDAT", func(t *testing.T) {
		b := newMemory(t, bob)
		_, addr := start(t, lmtp.Config{Backend: b, MessageBytesMax: 1000})
		c := open(t, addr)
		c.begin(bob)
		c.say(fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%sNOOP\r\n", len(big), big, len(big), big))
		c.want("552 5.3.4", "503 5.5.1", "250 2.0.0 OK")
		c.begin(bob)
		c.say(fmt.Sprintf("BDAT %d LAST\r\n%sNOOP\r\n", len(big), big))
		c.want("552 5.3.4", "250 2.0.0 OK")
		c.deliver("after\r\n", bob)
		b.hasOnly("after\r\n")
	})
	t.Run("BDAT without recipients", func(t *testing.T) {
		b := newMemory(t, bob)
		_, addr := start(t, lmtp.Config{Backend: b})
		c := open(t, addr)
		c.say(fmt.Sprintf("BDAT %d LAST\r\n%sNOOP\r\n", len(evil), evil))
		c.want("503 5.5.1", "250 2.0.0 OK")
		b.hasOnly()
	})
	t.Run("malformed BDAT", func(t *testing.T) {
		for _, size := range []string{"", "x", "-1", "1 LAST LAST", "5 FIRST", "99999999999999999999"} {
			b := newMemory(t, bob)
			_, addr := start(t, lmtp.Config{Backend: b})
			c := open(t, addr)
			c.begin(bob)
			c.say("BDAT " + size + "\r\n")
			c.want("501 5.5.4")
			c.ended()
			b.hasOnly()
		}
	})
	t.Run("an endless message", func(t *testing.T) {
		b := newMemory(t, bob)
		_, addr := start(t, lmtp.Config{Backend: b})
		c := open(t, addr)
		c.begin(bob)
		c.ask("BDAT 9000000000 LAST", "421 4.3.0")
		c.ended()
		b.hasOnly()
	})
}

func (m *memory) hasOnly(want ...string) {
	m.t.Helper()
	got := m.bodies(bob)
	if len(got) != len(want) {
		m.t.Fatalf("%d messages %q, want %d", len(got), got, len(want))
	}
	for i := range want {
		if string(got[i]) != want[i] {
			m.t.Errorf("message %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestTraceFields(t *testing.T) {
	b := newMemory(t, bob)
	_, addr := start(t, lmtp.Config{Backend: b})
	c := open(t, addr)
	c.deliver("Return-Path: <forged@example.net>\r\n\r\nkept\r\n", bob)
	c.ask("MAIL FROM:<>", "250 2.1.0")
	c.ask("RCPT TO:<"+bob+">", "250 2.1.5")
	c.ask("DATA", "354 ")
	c.ask("a bounce\r\n.", "250 2.0.0")
	all := b.inbox(bob)
	if len(all) != 2 {
		t.Fatalf("%d messages, want 2", len(all))
	}
	lines := strings.SplitN(string(all[0]), "\r\n", 6)
	for i, want := range []string{
		"Return-Path: <sender@example.net>", "Received: from mta.example.net ([127.0.0.1])",
		"\tby mbox1.example.com (Mailreplica) with LMTP id ", "\tfor <bob@example.com>; ", "Return-Path: <forged@example.net>", "\r\nkept\r\n",
	} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is %q, want %q…", i, lines[i], want)
		}
	}
	if !bytes.HasPrefix(all[1], []byte("Return-Path: <>\r\nReceived: ")) {
		t.Errorf("the bounce begins with %.60q", all[1])
	}
}
