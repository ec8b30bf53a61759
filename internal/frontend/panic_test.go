package frontend_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
	"mailreplica/internal/frontend"
	"mailreplica/internal/lmtp"
)

// unbearable is in messages that make a mailstore panic while it parses and stores them.
const unbearable = "a message that nobody can bear"

// fragile panics while an unbearable message is written.
type fragile struct{ blob.Writer }

func (f fragile) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(unbearable)) {
		panic(unbearable)
	}
	return f.Writer.Write(p)
}

// TestPanicOfADelivery: the recipients are refused for now, and the mailstore, the session and the mailboxes go on.
func TestPanicOfADelivery(t *testing.T) {
	p := newPlatform(t, 2)
	a, b, c := p.account(0, "a@example.com"), p.account(0, "b@example.com"), p.account(1, "c@example.com")
	m := p.mta(0)
	m.delivers("before\r\n", "a@example.com", "b@example.com", "c@example.com")
	for range 2 * 16 { // more than are served at once: no turn is lost
		for _, got := range m.send(unbearable+"\r\n", "a@example.com", "b@example.com", "c@example.com") {
			m.want(got, "451 4.3.0")
			if strings.Contains(got, unbearable) {
				t.Errorf("the client is told of the inside: %q", got)
			}
		}
	}
	m.delivers("after\r\n", "a@example.com", "b@example.com", "c@example.com")
	p.hosts[0].hasMessages(t, a, "before\r\n", "after\r\n")
	p.hosts[0].hasMessages(t, b, "before\r\n", "after\r\n")
	p.hosts[1].hasMessages(t, c, "before\r\n", "after\r\n")
}

// TestPanicOfARelay: the recipients that live elsewhere are refused for now, the others get the mail.
func TestPanicOfARelay(t *testing.T) {
	p := newPlatform(t, 2)
	here, there := p.account(0, "a@example.com"), p.account(1, "b@example.com")
	relay := lmtp.NewRelay(lmtp.RelayConfig{
		Hostname: name(0), Token: token,
		Dial: func(context.Context, string, string) (net.Conn, error) { panic("a home that nobody can bear") },
	})
	t.Cleanup(relay.Close)
	var log bytes.Buffer
	backend := frontend.NewLMTP(frontend.LMTPConfig{
		Router: p.hosts[0].router, Relay: relay, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	outcomes := backend.Deliver(t.Context(), &lmtp.Mail{
		ID: "0123", Sender: "sender@example.net", Body: lmtp.NewBody([]byte(text)), Received: time.Now(),
		Client: lmtp.Client{HELO: "mta.example.net", Addr: "192.0.2.7:25"},
		Recipients: []lmtp.Recipient{
			{Address: "a@example.com", Account: here, Name: "a@example.com"},
			{Address: "b@example.com", Account: there, Name: "b@example.com"},
		},
	})
	if outcomes[0].Err != nil {
		t.Errorf("here: %v", outcomes[0].Err)
	}
	if err := outcomes[1].Err; !fault.Is(err, fault.Internal) {
		t.Errorf("there: got %v, want an internal error", err)
	}
	p.hosts[0].hasMessages(t, here, text)
	for _, part := range []string{"level=ERROR", "mail=0123", "a home that nobody can bear", "frontend.(*delivery).relayTo"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log does not have %q:\n%s", part, log.String())
		}
	}
}
