package load_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/admin"
	"mailreplica/internal/bench/load"
	"mailreplica/internal/node/nodetest"
)

const (
	password = "correct horse"
	long     = time.Minute // longer than a run that ends by itself
)

// servers runs a mailstore with some accounts.
func servers(t *testing.T, accounts int) (lmtp, imap string, all []load.Account) {
	t.Helper()
	cluster := nodetest.Start(t, 1)
	listen := cluster.Config(0).Listen
	client, err := admin.NewClient(listen.Admin, nodetest.AdminToken, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range accounts {
		name := fmt.Sprintf("user%d@example.com", i)
		if _, err := client.CreateAccount(t.Context(), admin.CreateAccount{Name: name, Password: password, MailHost: nodetest.Name(0)}); err != nil {
			t.Fatal(err)
		}
		all = append(all, load.Account{Address: name, Login: name, Password: password})
	}
	return listen.LMTP, listen.IMAP, all
}

func TestDelivery(t *testing.T) {
	lmtp, imap, accounts := servers(t, 3)
	got, err := load.Delivery{LMTP: lmtp, Accounts: accounts, Connections: 4, Messages: load.NewMessages(2 << 10), Length: long, Count: 60}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Count != 60 || got.Failed != 0 || got.Latency.Count() != 60 || got.Rate <= 0 || got.Latency.Quantile(0.5) <= 0 {
		t.Errorf("%d delivered, %d failed, %d latencies, %v/s; want 60, 0, 60", got.Count, got.Failed, got.Latency.Count(), got.Rate)
	}
	for _, who := range accounts {
		w, err := load.WatchIMAP(t.Context(), imap, who)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := w.Messages(t.Context()); n != 20 || err != nil {
			t.Errorf("%s has %d messages, %v; want 20", who.Login, n, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDeliveryEndsInTime(t *testing.T) {
	lmtp, _, accounts := servers(t, 1)
	d := load.Delivery{LMTP: lmtp, Accounts: accounts, Connections: 2, Messages: load.NewMessages(2 << 10), Length: 300 * time.Millisecond}
	got, err := d.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Count == 0 || got.Elapsed < d.Length {
		t.Errorf("%d delivered in %s, want some in %s", got.Count, got.Elapsed, d.Length)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Run(ctx); err == nil {
		t.Error("a run that is over before it begins succeeds")
	}
}

func TestMailbox(t *testing.T) {
	_, imap, accounts := servers(t, 2)
	m := load.Mailbox{IMAP: imap, Accounts: accounts, Connections: 2, Messages: load.NewMessages(2 << 10), Length: 500 * time.Millisecond, Folder: "work"}
	got, err := m.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, step := range map[string]load.Result{"append": got.Append, "flag": got.Flag, "move": got.Move, "expunge": got.Expunge} {
		if step.Count == 0 || step.Failed != 0 || step.Latency.Count() != uint64(step.Count) {
			t.Errorf("%s: %d done, %d failed, %d latencies", name, step.Count, step.Failed, step.Latency.Count())
		}
	}
	if got.Move.Count > got.Append.Count || got.Expunge.Count > got.Move.Count {
		t.Errorf("%d appended, %d moved, %d expunged", got.Append.Count, got.Move.Count, got.Expunge.Count)
	}
	left := 0
	for _, who := range accounts {
		left += folder(t, imap, who, "work") + folder(t, imap, who, "work-moved")
	}
	if want := got.Append.Count - got.Expunge.Count; left != want {
		t.Errorf("%d messages are left, want %d", left, want)
	}
	if _, err := m.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "ALREADYEXISTS") {
		t.Errorf("working in folders that are there: %v", err)
	}
}

// folder is how many messages a folder has.
func folder(t *testing.T, addr string, who load.Account, name string) (n int) {
	t.Helper()
	c, err := load.DialIMAP(t.Context(), addr, who)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Do("EXAMINE "+name, func(line []byte) {
		if exists, ok := load.Exists(line); ok {
			n = exists
		}
	}); err != nil {
		t.Fatal(err)
	}
	uids, err := c.UIDs()
	if err != nil || len(uids) != n {
		t.Errorf("%s has %d messages and %d UIDs, %v", name, n, len(uids), err)
	}
	return n
}

func TestVisibility(t *testing.T) {
	lmtp, imap, accounts := servers(t, 2)
	got, err := load.Visibility{LMTP: lmtp, Accounts: accounts, Messages: load.NewMessages(2 << 10), Length: 300 * time.Millisecond, Pause: time.Millisecond,
		Watch: func(ctx context.Context, who load.Account) (load.Watcher, error) {
			return load.WatchIMAP(ctx, imap, who)
		},
	}.Run(t.Context())
	if err != nil || got.Count == 0 || got.Failed != 0 {
		t.Errorf("%d seen, %d failed, %v", got.Count, got.Failed, err)
	}
	for _, who := range accounts {
		got.Count -= folder(t, imap, who, "INBOX")
	}
	if got.Count != 0 {
		t.Errorf("%d more were seen than are there", got.Count)
	}
}

// late is a replica that has a message only after some looks.
type late struct{ looks, there int }

func (l *late) Close() error { return nil }

func (l *late) Messages(context.Context) (int, error) {
	if l.looks++; l.looks > 20 && l.looks%10 == 0 { // after those that learn what is there
		l.there++
	}
	return l.there, nil
}

func TestVisibilityWaits(t *testing.T) {
	lmtp, _, accounts := servers(t, 1)
	replica := &late{}
	got, err := load.Visibility{LMTP: lmtp, Accounts: accounts, Messages: load.NewMessages(2 << 10), Length: 200 * time.Millisecond,
		Watch: func(context.Context, load.Account) (load.Watcher, error) { return replica, nil },
	}.Run(t.Context())
	if err != nil || got.Count == 0 || replica.looks < 10*got.Count {
		t.Errorf("%d seen in %d looks, %v; want ten looks each", got.Count, replica.looks, err)
	}
}

// refusing is an LMTP server that takes one recipient's mail alone, and knows no pipelining.
func refusing(t *testing.T, allowed string) (addr string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	connections = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go refuse(conn, allowed)
		}
	}()
	return l.Addr().String(), connections
}

func refuse(conn net.Conn, allowed string) {
	defer conn.Close()
	io.WriteString(conn, "220 ready\r\n")
	content := false
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		switch {
		case err != nil:
			return
		case content && line != ".\r\n":
			continue
		case line == "DATA\r\n":
			io.WriteString(conn, "354 go on\r\n")
			content = true
			continue
		case strings.HasPrefix(line, "RCPT") && !strings.Contains(line, allowed):
			io.WriteString(conn, "550-not\r\n550 here\r\n")
			continue
		}
		content = false
		if r.Buffered() > 0 {
			return // the client sends on without waiting
		}
		io.WriteString(conn, "250 OK\r\n")
	}
}

func TestRefusedDeliveries(t *testing.T) {
	addr, connections := refusing(t, "good")
	accounts := []load.Account{{Address: "good@example.com"}}
	d := load.Delivery{LMTP: addr, Accounts: accounts, Connections: 1, Messages: load.NewMessages(2 << 10), Length: long, Count: 100}
	if got, err := d.Run(t.Context()); err != nil || got.Count != 100 {
		t.Errorf("%d delivered, %v; want 100", got.Count, err)
	}
	d.Accounts = append(d.Accounts, load.Account{Address: "bad@example.com"})
	before := connections.Load()
	got, err := d.Run(t.Context())
	if err == nil || got.Reason == nil || !strings.Contains(got.Reason.Error(), "550 here") {
		t.Errorf("half of the mail is refused: %v, %v", err, got.Reason)
	}
	if got.Count != 50 || got.Failed != 50 {
		t.Errorf("%d delivered, %d failed; want 50 each", got.Count, got.Failed)
	}
	if again := connections.Load() - before; again < 50 {
		t.Errorf("%d connections for 50 failures", again)
	}
	d.Accounts = d.Accounts[1:]
	if got, err := d.Run(t.Context()); err == nil || got.Count != 0 || got.Failed >= 100 {
		t.Errorf("all is refused: %d delivered, %d failed, %v; want it given up", got.Count, got.Failed, err)
	}
}

// TestSilentServer waits for an answer that does not come, until it is told to stop.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "220 ready\r\n")
		bufio.NewReader(conn).ReadString('\n')
		cancel()
		io.Copy(io.Discard, conn) // until the client leaves
	}()
	begun := time.Now()
	d := load.Delivery{LMTP: l.Addr().String(), Accounts: []load.Account{{Address: "a@example.com"}}, Connections: 1, Messages: load.NewMessages(0), Length: long}
	if _, err := d.Run(ctx); err == nil || time.Since(begun) > long/2 {
		t.Errorf("the run ends after %s with %v", time.Since(begun), err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	accounts := []load.Account{{Address: "a@example.com"}}
	if _, err := (load.Delivery{LMTP: addr, Accounts: accounts, Connections: 2, Messages: load.NewMessages(0), Length: long}).Run(t.Context()); err == nil {
		t.Error("deliveries to nobody succeed")
	}
	if _, err := (load.Mailbox{IMAP: addr, Accounts: accounts, Connections: 1, Messages: load.NewMessages(0), Length: long}).Run(t.Context()); err == nil {
		t.Error("work at nobody's succeeds")
	}
}
