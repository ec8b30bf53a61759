package admin_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/peer"
)

// summary gives the accounts of an answer, each with its replicas.
func summary(found admin.AccountStatuses) string {
	var all []string
	for _, a := range found.Values {
		one := strings.TrimSuffix(a.AccountName, "@example.com")
		for _, r := range a.Replicas {
			one += fmt.Sprintf(" %s:%v", strings.TrimSuffix(r.Destination, ".example.com"), r.Available)
		}
		all = append(all, one)
	}
	return strings.Join(all, ", ")
}

func TestAccountStatusFilters(t *testing.T) {
	p := admintest.Start(t, 3)
	c := client(t, p, 1)
	a, b, d := p.Account(t, 1, "a@example.com"), p.Account(t, 2, "b@example.com"), p.Account(t, 1, "d@example.org")
	p.Account(t, 1, "bare@example.com")
	p.Replica(t, a.ID, 2, 10)
	p.Replica(t, a.ID, 3, 20)
	p.Replica(t, b.ID, 3, 10)
	p.Replica(t, d.ID, 3, 10)
	must(t, p.Directory.SetReplicaState(t.Context(), d.ID, admintest.Name(3), directory.Diverged))
	_, err := p.Directory.SetPaused(t.Context(), b.ID, true)
	must(t, err)
	p.Poll(t)
	mbox := func(i ...int) (names []string) {
		for _, one := range i {
			names = append(names, admintest.Name(one))
		}
		return names
	}
	for _, test := range []struct {
		in   admin.GetStatus
		want string
	}{
		{admin.GetStatus{}, "a mbox2:true mbox3:true, b mbox3:true, d@example.org mbox3:false"},
		{admin.GetStatus{MailHost: mbox(1)}, "a mbox2:true mbox3:true, d@example.org mbox3:false"},
		{admin.GetStatus{MailHost: mbox(1, 2), ReplicaServer: mbox(2)}, "a mbox2:true mbox3:true"},
		{admin.GetStatus{Domains: []string{"EXAMPLE.org"}}, "d@example.org mbox3:false"},
		{admin.GetStatus{Selection: admin.Selection{Accounts: []string{"bare@example.com", b.ID.String()}}}, "b mbox3:true, bare"},
		{admin.GetStatus{AccountStatus: "paused"}, "b mbox3:true"},
		{admin.GetStatus{AccountStatus: "Active", ReplicaStatus: "available"}, "a mbox2:true mbox3:true"},
		{admin.GetStatus{ReplicaStatus: "unavailable"}, "d@example.org mbox3:false"},
		{admin.GetStatus{Selection: admin.Selection{Accounts: []string{"a@example.com"}}, MailHost: mbox(2)}, ""},
	} {
		found, err := c.GetAccountStatus(t.Context(), test.in)
		must(t, err)
		if got := summary(found); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.in, got, test.want)
		}
	}
	for _, test := range []struct {
		in   admin.GetStatus
		kind fault.Kind
		want string
	}{
		{admin.GetStatus{AccountStatus: "asleep"}, fault.Invalid, "active or paused"},
		{admin.GetStatus{ReplicaStatus: "asleep"}, fault.Invalid, "available or unavailable"},
		{admin.GetStatus{MailHost: []string{"mbox9.example.com"}}, fault.NotFound, "mbox9"},
		{admin.GetStatus{ReplicaServer: []string{"mbox9.example.com"}}, fault.NotFound, "mbox9"},
		{admin.GetStatus{Selection: admin.Selection{Accounts: []string{"*@example.com"}}}, fault.Invalid, "pattern"},
		{admin.GetStatus{Selection: admin.Selection{Accounts: []string{"x@example.com"}}}, fault.NotFound, "x@example.com"},
	} {
		_, err := c.GetAccountStatus(t.Context(), test.in)
		wantFault(t, err, test.kind, test.want)
	}
}

// A mailstore that is dead, and one that takes a connection and never answers, give null within the bound.
func TestAccountStatusOfMailstoresThatDoNotAnswer(t *testing.T) {
	p := admintest.Start(t, 4)
	a := p.Account(t, 2, "a@example.com")
	p.Replica(t, a.ID, 1, 10)
	p.Replica(t, a.ID, 3, 20)
	p.Replica(t, a.ID, 4, 30)
	p.Mailstores[1].Kill()
	p.Mailstores[3].Kill()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	must(t, p.Directory.RegisterMailstore(t.Context(), directory.Mailstore{FQDN: admintest.Name(3), PeerAddr: silent.Addr().String(), Incarnation: "one of " + admintest.Name(3)}))
	p.Poll(t)
	began := time.Now()
	found, err := client(t, p, 1).GetAccountStatus(t.Context(), admin.GetStatus{})
	must(t, err)
	if took := time.Since(began); took > peer.StatusWait {
		t.Errorf("it took %s, more than %s", took, peer.StatusWait)
	}
	if got, want := summary(found), "a mbox1:true mbox3:false mbox4:false"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	one := found.Values[0]
	if one.MailboxID != nil || one.Sequence != nil || one.ItemID != nil || one.Details != nil {
		t.Errorf("got %+v, want null of the dead home", one)
	}
	if r := one.Replicas[0]; r.Sequence == nil || *r.Sequence != 12 || r.CanConnectToKafka == nil || !*r.CanConnectToKafka {
		t.Errorf("got %+v of a replica that answers", r)
	}
	for _, r := range one.Replicas[1:] {
		if r.MailboxID != nil || r.Sequence != nil || r.ItemID != nil || r.CanConnectToKafka != nil || r.Priority == 0 {
			t.Errorf("got %+v, want null of one that does not answer", r)
		}
	}
}

func TestAccountStatusOfManyAccounts(t *testing.T) {
	const accounts = 2_500 // several questions a mailstore
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	made := make(chan error)
	for i := range accounts {
		go func() {
			a, err := p.Directory.CreateAccount(t.Context(), directory.NewAccount{Name: fmt.Sprintf("u%04d@example.com", i), MailHost: admintest.Name(1)})
			if err == nil {
				_, err = p.Directory.SetHome(t.Context(), a.ID, admintest.Name(1), 1, nil)
			}
			made <- err
		}()
	}
	for range accounts {
		must(t, <-made)
	}
	o, err := c.SetDestination(t.Context(), admin.SetDestination{Selection: admin.Selection{All: true}, Destination: admintest.Name(2), Priority: 10})
	must(t, err)
	if op := finished(t, c, o.OperationID); op.Done != accounts || op.Failed != 0 {
		t.Errorf("got %+v", op)
	}
	p.Poll(t)
	found, err := c.GetAccountStatus(t.Context(), admin.GetStatus{ReplicaStatus: "available"})
	must(t, err)
	seen := map[string]bool{}
	for _, a := range found.Values {
		if _, err := account.ParseID(a.AccountID); err == nil && a.Sequence != nil {
			seen[a.AccountID] = true
		}
	}
	if len(seen) != accounts {
		t.Errorf("got %d accounts that are complete, want %d", len(seen), accounts)
	}
}

// TestWhyAMailstoreDoesNotAnswer: the log of the mailstore that asked says why, once, and when it is over.
func TestWhyAMailstoreDoesNotAnswer(t *testing.T) {
	p := admintest.Start(t, 2)
	one := p.Account(t, 1, "a@example.com")
	p.Replica(t, one.ID, 2, 10)
	var log bytes.Buffer
	c := p.Mailstores[0].Admin.Config
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	right := c.Peers
	c.Peers = peer.NewClient("another token of mailstores", nil)
	a := admin.NewAdmin(c)
	for range 3 {
		found, err := a.GetAccountStatus(t.Context(), admin.GetStatus{})
		must(t, err)
		if got := summary(found); got != "a mbox2:false" {
			t.Errorf("got %s", got)
		}
	}
	for _, fqdn := range []string{admintest.Name(1), admintest.Name(2)} {
		want := `level=ERROR msg="a mailstore does not answer" peer=` + fqdn + ` error="the peer token is missing or wrong"`
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("told %s\nwant once: %s", log.String(), want)
		}
	}
	a.Peers = right
	_, err := a.GetAccountStatus(t.Context(), admin.GetStatus{})
	must(t, err)
	if !strings.Contains(log.String(), `msg="a mailstore answers again" peer=mbox2.example.com`) {
		t.Errorf("told %s", log.String())
	}
}

// TestMistakesAreNoWarnings: what an administrator mistypes is told to him, and wakes nobody.
func TestMistakesAreNoWarnings(t *testing.T) {
	p := admintest.Start(t, 1)
	var log bytes.Buffer
	c := p.Mailstores[0].Admin.Config
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	server := httptest.NewServer(admin.New(c))
	defer server.Close()
	client, err := admin.NewClient(strings.TrimPrefix(server.URL, "http://"), admintest.AdminToken, nil)
	must(t, err)
	_, err = client.GetAccount(t.Context(), "nobody@example.com")
	wantFault(t, err, fault.NotFound, "nobody")
	if text := log.String(); !strings.Contains(text, "level=INFO") || strings.Contains(text, "level=WARN") {
		t.Errorf("told %s", text)
	}
}
