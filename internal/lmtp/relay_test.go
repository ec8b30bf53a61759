package lmtp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/lmtp"
	"mailreplica/internal/mailbox"
)

const (
	there     = "mbox2.example.com"
	peerToken = "a token of 32+ bytes: =?UTF 8?="
)

func startHome(t testing.TB, b *memory, server *tls.Config) lmtp.Home {
	t.Helper()
	b.host = there
	_, addr := start(t, lmtp.Config{Backend: b, Hostname: there, Token: peerToken, TLS: server})
	return lmtp.Home{FQDN: there, Addr: addr}
}

func relay(t testing.TB, token string, client *tls.Config) *lmtp.Relay {
	t.Helper()
	r := lmtp.NewRelay(lmtp.RelayConfig{Hostname: here, Token: token, TLS: client})
	t.Cleanup(r.Close)
	return r
}

func mailTo(b *memory, body string, names ...string) *lmtp.Mail {
	m := &lmtp.Mail{
		ID: "0123", Sender: "sender@example.net", Body: lmtp.NewBody([]byte(body)), Received: time.Now(),
		Client: lmtp.Client{HELO: "mta.example.net", Addr: "192.0.2.7:25"},
	}
	for _, name := range names {
		r := lmtp.Recipient{Address: name, Name: name}
		if a := b.accounts[name]; a != nil {
			r.Account = a.id
		}
		m.Recipients = append(m.Recipients, r)
	}
	return m
}

func TestRelayKeepsEveryByteAndTheKey(t *testing.T) {
	b := newMemory(t, bob)
	home, r := startHome(t, b, nil), relay(t, peerToken, nil)
	random := rand.New(rand.NewPCG(3, 4))
	var want []string
	for range 100 {
		body := randomMessage(random) + fmt.Sprint(len(want))
		m := mailTo(b, body, bob)
		got := r.Deliver(t.Context(), home, m, nil)
		if got[0].Err != nil {
			t.Fatal(got[0].Err)
		}
		want = append(want, body)
		if known, found, err := b.accounts[bob].rows.Delivery(m.Key(m.Recipients[0])); err != nil || !found || known.Sequence != got[0].Receipt.Sequence {
			t.Fatalf("the home knows the delivery: %t with sequence %d, %v; the receipt says %d", found, known.Sequence, err, got[0].Receipt.Sequence)
		}
	}
	b.hasOnly(want...)
	trace := string(b.inbox(bob)[0])
	trace = trace[:traceLength(t, []byte(trace))]
	for _, part := range []string{
		"Return-Path: <sender@example.net>\r\n", "from mta.example.net ([192.0.2.7])", "\r\n\tby mbox2.example.com (Mailreplica through mbox1.example.com) with LMTP id",
	} {
		if !strings.Contains(trace, part) {
			t.Errorf("the trace %q has no %q", trace, part)
		}
	}
	if b.countAnswered() != 0 {
		t.Error("the home took the relay for the client: it cannot know what the client has read")
	}
}

func TestRelayOutcomes(t *testing.T) {
	b := newMemory(t, bob, "ann@example.com")
	b.refuse["old@example.com"] = fault.New(fault.Closed, "closed")
	b.refuse["moved@example.com"] = fault.New(fault.NotHome, "moved: the home is mbox3")
	b.fail["ann@example.com"] = fault.New(fault.LogUnavailable, "no answer [yet] from it")
	home, r := startHome(t, b, nil), relay(t, peerToken, nil)
	names := []string{bob, "old@example.com", "moved@example.com", "ann@example.com", "nobody@example.com", "[x] y@example.com"}
	for range 120 { // more than are sent at once
		names = append(names, "nobody@example.com")
	}
	got := r.Deliver(t.Context(), home, mailTo(b, "text", names...), nil)
	want := []fault.Kind{-1, fault.Closed, fault.NotHome, fault.LogUnavailable, fault.NotFound, fault.NotFound}
	for i, o := range got {
		kind := fault.NotFound
		if i < len(want) {
			kind = want[i]
		}
		if kind < 0 {
			if o.Err != nil {
				t.Errorf("%s: %v", names[i], o.Err)
			}
			continue
		}
		if !fault.Is(o.Err, kind) {
			t.Errorf("%s: %v, want %s", names[i], o.Err, kind)
		}
	}
	if got := fault.Message(got[3].Err); got != "no answer [yet] from it" {
		t.Errorf("the message is %q", got)
	}
	b.hasOnly("text")
	// Nobody accepted, then the connection is used again.
	if got := r.Deliver(t.Context(), home, mailTo(b, "text", "nobody@example.com"), nil); !fault.Is(got[0].Err, fault.NotFound) {
		t.Errorf("got %v, want NotFound", got[0].Err)
	}
	if got := r.Deliver(t.Context(), home, mailTo(b, "more", bob), nil); got[0].Err != nil {
		t.Error(got[0].Err)
	}
	b.hasOnly("text", "more")
}

func TestRelayTooLarge(t *testing.T) {
	b := newMemory(t, bob)
	_, addr := start(t, lmtp.Config{Backend: b, Token: peerToken, MessageBytesMax: 10})
	got := relay(t, peerToken, nil).Deliver(t.Context(), lmtp.Home{FQDN: there, Addr: addr}, mailTo(b, "eleven bytes", bob), nil)
	if !fault.Is(got[0].Err, fault.TooLarge) {
		t.Errorf("got %v, want TooLarge", got[0].Err)
	}
}

func TestRelayUnreachable(t *testing.T) {
	b := newMemory(t, bob)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	home := lmtp.Home{FQDN: there, Addr: l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := relay(t, peerToken, nil)
	got := r.Deliver(t.Context(), home, mailTo(b, "text", bob, bob), nil)
	if !fault.Is(got[0].Err, fault.HomeUnreachable) || !fault.Is(got[1].Err, fault.HomeUnreachable) {
		t.Errorf("got %v, want HomeUnreachable for both", got)
	}
	if err := r.Answered(t.Context(), home, nil); !fault.Is(err, fault.HomeUnreachable) {
		t.Errorf("Answered: %v, want HomeUnreachable", err)
	}
}

// TestRelayWrongToken: nobody gets past a wrong token, and the home takes nothing from such a session.
func TestRelayWrongToken(t *testing.T) {
	b := newMemory(t, bob)
	home := startHome(t, b, nil)
	got := relay(t, "another token of that length", nil).Deliver(t.Context(), home, mailTo(b, "text", bob), nil)
	if !fault.Is(got[0].Err, fault.HomeUnreachable) {
		t.Errorf("got %v, want HomeUnreachable", got[0].Err)
	}
	c := open(t, home.Addr)
	c.say("XMAILREPLICA TOKEN=wrong\r\nMAIL FROM:<a@x>\r\nRCPT TO:<" + bob + ">\r\nBDAT 1 LAST\r\nx")
	c.want("421 4.7.0")
	b.hasOnly()

	// A server that has no token takes no mark, and is no home.
	_, addr := start(t, lmtp.Config{Backend: b})
	open(t, addr).ask("XMAILREPLICA TOKEN=", "421 4.7.0")
	got = relay(t, peerToken, nil).Deliver(t.Context(), lmtp.Home{FQDN: there, Addr: addr}, mailTo(b, "text", bob), nil)
	if !fault.Is(got[0].Err, fault.HomeUnreachable) {
		t.Errorf("got %v, want HomeUnreachable", got[0].Err)
	}
	b.hasOnly()
}

// TestRelayKeptConnectionDies: a connection that was kept and has died is replaced.
func TestRelayKeptConnectionDies(t *testing.T) {
	b := newMemory(t, bob)
	server := lmtp.New(lmtp.Config{Backend: b, Hostname: there, Token: peerToken})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }() // it ends with Shutdown
	home, r := lmtp.Home{FQDN: there, Addr: l.Addr().String()}, relay(t, peerToken, nil)
	if got := r.Deliver(t.Context(), home, mailTo(b, "one", bob), nil); got[0].Err != nil {
		t.Fatal(got[0].Err)
	}
	if server.Sessions() != 1 {
		t.Errorf("%d sessions, want 1 that is kept", server.Sessions())
	}
	if err := server.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if l, err = net.Listen("tcp", home.Addr); err != nil {
		t.Fatal(err)
	}
	again := lmtp.New(lmtp.Config{Backend: b, Hostname: there, Token: peerToken})
	go func() { _ = again.Serve(l) }() // as above
	if got := r.Deliver(t.Context(), home, mailTo(b, "two", bob), nil); got[0].Err != nil {
		t.Error(got[0].Err)
	}
	b.hasOnly("one", "two")
	if err := again.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestRelayTellsAnswers(t *testing.T) {
	b := newMemory(t, bob)
	home, r := startHome(t, b, nil), relay(t, peerToken, nil)
	var receipts []lmtp.Receipt
	for i := range 120 {
		receipts = append(receipts, lmtp.Receipt{Account: b.accounts[bob].id, Key: mailbox.DeliveryKey{byte(i)}, Sequence: mailbox.Sequence(i)})
	}
	if got := r.Deliver(t.Context(), home, mailTo(b, "one", bob), receipts[:100]); got[0].Err != nil {
		t.Fatal(got[0].Err)
	}
	if err := r.Answered(t.Context(), home, receipts[100:]); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(b.relayed) != fmt.Sprint(receipts) {
		t.Errorf("the home was told of %v, want %v", b.relayed, receipts)
	}
}

func TestRelayTLS(t *testing.T) {
	serverTLS, clientTLS := testTLS(t)
	b := newMemory(t, bob)
	home := startHome(t, b, serverTLS)
	if got := relay(t, peerToken, clientTLS).Deliver(t.Context(), home, mailTo(b, "text", bob), nil); got[0].Err != nil {
		t.Error(got[0].Err)
	}
	b.hasOnly("text")
	// Without TLS on the other side nothing is sent, the token least of all.
	if got := relay(t, peerToken, clientTLS).Deliver(t.Context(), startHome(t, b, nil), mailTo(b, "more", bob), nil); !fault.Is(got[0].Err, fault.HomeUnreachable) {
		t.Errorf("got %v, want HomeUnreachable", got[0].Err)
	}
	b.hasOnly("text")
}

func TestRelayGivesUp(t *testing.T) {
	b := newMemory(t, bob)
	b.hold = make(chan struct{})
	home, r := startHome(t, b, nil), relay(t, peerToken, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-b.entered
		cancel()
	}()
	if got := r.Deliver(ctx, home, mailTo(b, "text", bob), nil); !fault.Is(got[0].Err, fault.HomeUnreachable) {
		t.Errorf("got %v, want HomeUnreachable", got[0].Err)
	}
	close(b.hold)
}

// TestRelayAbandons: of a mail that was given up, the home gets no more than it has. An orderly end would send the rest on.
func TestRelayAbandons(t *testing.T) {
	b := newMemory(t, bob)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "220 x\r\n250 XMAILREPLICA\r\n250 marked\r\n250 mail\r\n250 rcpt\r\n")
		for in := bufio.NewReader(conn); err == nil; {
			var line string
			if line, err = in.ReadString('\n'); strings.HasPrefix(line, "BDAT") {
				cancel()
			}
		}
		ended <- err
	}()
	home := lmtp.Home{FQDN: there, Addr: l.Addr().String()}
	if got := relay(t, peerToken, nil).Deliver(ctx, home, mailTo(b, "text\r\n", bob), nil); !fault.Is(got[0].Err, fault.HomeUnreachable) {
		t.Errorf("got %v, want HomeUnreachable", got[0].Err)
	}
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v, want %v", err, syscall.ECONNRESET)
	}
}

// TestRelayToAStoppedHome: the kernel of a stopped process still accepts connections and data.
func TestRelayToAStoppedHome(t *testing.T) {
	b := newMemory(t, bob)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := lmtp.NewRelay(lmtp.RelayConfig{Hostname: here, Token: peerToken, AnswerWait: 30 * time.Millisecond})
	home := lmtp.Home{FQDN: there, Addr: l.Addr().String()}
	got := r.Deliver(t.Context(), home, mailTo(b, "text", bob), nil)
	if !fault.Is(got[0].Err, fault.HomeUnreachable) || !errors.Is(got[0].Err, os.ErrDeadlineExceeded) {
		t.Errorf("a new connection: %v, want HomeUnreachable for a deadline", got[0].Err)
	}
	first, err := l.Accept() // of the attempt above
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	// One that was kept answers one mail, and then no more.
	served := make(chan net.Conn, 2)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 x\r\n250 XMAILREPLICA\r\n250 marked\r\n250 mail\r\n250 rcpt\r\n250 2.0.0 1 delivered\r\n")
			served <- conn
		}
	}()
	if got := r.Deliver(t.Context(), home, mailTo(b, "text", bob), nil); got[0].Err != nil {
		t.Fatal(got[0].Err)
	}
	got = r.Deliver(t.Context(), home, mailTo(b, "text", bob), nil)
	if !fault.Is(got[0].Err, fault.HomeUnreachable) || !errors.Is(got[0].Err, os.ErrDeadlineExceeded) {
		t.Errorf("a kept connection: %v, want HomeUnreachable for a deadline", got[0].Err)
	}
	if len(served) != 1 {
		t.Errorf("%d connections, want 1: a new one fares no better", len(served))
	}
	_ = (<-served).Close() // the other side has closed it
}
