package directory_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const (
	mbox1 = "mbox1.example.com"
	mbox2 = "mbox2.example.com"
	mbox3 = "mbox3.example.com"
)

func mailstore(fqdn string) directory.Mailstore {
	return directory.Mailstore{FQDN: fqdn, AdminAddr: fqdn + ":7071", PeerAddr: fqdn + ":7072", LMTPAddr: fqdn + ":7025",
		IMAPAddr: fqdn + ":7143", Incarnation: "incarnation of " + fqdn}
}

func newAccount(t testing.TB, d *directory.Directory, name, home string) directory.Account {
	t.Helper()
	a, err := d.CreateAccount(t.Context(), directory.NewAccount{Name: name, MailHost: home})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("got %v (kind %v), want %v", err, fault.KindOf(err), kind)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// text gives replicas without what writes add.
func text(replicas []directory.Replica) string {
	s := ""
	for _, r := range replicas {
		s += fmt.Sprintf("%s %d %s removing=%v; ", r.Mailstore, r.Priority, r.State, r.Removing)
	}
	return s
}

func replicasOf(t testing.TB, d *directory.Directory, id account.ID) string {
	t.Helper()
	replicas, err := d.Replicas(context.Background(), id)
	must(t, err)
	return text(replicas)
}
