package lmtp_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"mailreplica/internal/lmtp"
)

// fragile is a backend that panics for one recipient, and for large messages.
type fragile struct{ *memory }

const nobody = "nobody@example.com"

func (f fragile) Recipient(ctx context.Context, address string, relayed bool) (lmtp.Recipient, error) {
	if address == nobody {
		panic("a recipient that nobody can bear")
	}
	return f.memory.Recipient(ctx, address, relayed)
}

func (f fragile) Deliver(ctx context.Context, mail *lmtp.Mail) []lmtp.Outcome {
	if mail.Body.Size() > 100 {
		panic("a message that nobody can bear")
	}
	return f.memory.Deliver(ctx, mail)
}

// A session that panics ends without an answer, so that the MTA keeps the mail; the others go on.
func TestPanicEndsOneSession(t *testing.T) {
	b, spool := newMemory(t, bob), t.TempDir()
	server, addr := start(t, lmtp.Config{Backend: fragile{b}, SpoolDir: spool})
	other := open(t, addr)
	other.begin(bob)

	victim := open(t, addr)
	victim.begin()
	victim.say("RCPT TO:<" + nobody + ">\r\n")
	victim.ended()

	victim = open(t, addr)
	victim.begin(bob)
	victim.ask("DATA", "354")
	victim.say(strings.Repeat("a large message\r\n", 1<<17) + ".\r\n") // it needs a file
	victim.ended()

	eventually(t, "one session", func() bool { return server.Sessions() == 1 })
	if got := server.Panics(); got != 2 {
		t.Errorf("%d panics, want 2", got)
	}
	if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
		t.Errorf("%d files are left, %v, want none", len(left), err)
	}
	other.ask("DATA", "354")
	other.say("text\r\n.\r\n")
	other.want("250 2.0.0")
	open(t, addr).deliver("more\r\n", bob)
	b.hasOnly("text\r\n", "more\r\n")
}
