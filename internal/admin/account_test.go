package admin_test

import (
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/credential"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

func TestCreateAccount(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	made, err := c.CreateAccount(t.Context(), admin.CreateAccount{Name: "Alice@Example.com", Password: "secret", MailHost: "MBOX2.example.com"})
	must(t, err)
	if made.Name != "alice@example.com" || made.MailHost != admintest.Name(2) || len(made.Notes) > 0 {
		t.Errorf("got %+v", made)
	}
	id, err := account.ParseID(made.ID)
	must(t, err)
	stored, err := p.Directory.Account(t.Context(), id)
	must(t, err)
	if stored.Epoch == 0 {
		t.Error("the command ended before the mailbox was there")
	}
	must(t, credential.Verify(stored.PasswordHash, "secret"))

	for _, test := range []struct {
		name string
		in   admin.CreateAccount
		kind fault.Kind
		want string
	}{
		{"taken", admin.CreateAccount{Name: "alice@example.com", Password: "x"}, fault.Exists, "alice@example.com already"},
		{"unknown mailstore", admin.CreateAccount{Name: "b@example.com", Password: "x", MailHost: "mbox9.example.com"}, fault.NotFound, "mbox9"},
		{"pattern", admin.CreateAccount{Name: "b*@example.com", Password: "x"}, fault.Invalid, "pattern"},
		{"no domain", admin.CreateAccount{Name: "bob", Password: "x"}, fault.Invalid, "local@domain"},
		{"no password", admin.CreateAccount{Name: "b@example.com"}, fault.Invalid, "password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.CreateAccount(t.Context(), test.in)
			wantFault(t, err, test.kind, test.want)
		})
	}
}

func TestCreateAccountWhoseHomeIsDead(t *testing.T) {
	p := admintest.Start(t, 2)
	p.Mailstores[1].Kill()
	made, err := client(t, p, 1).CreateAccount(t.Context(), admin.CreateAccount{Name: "a@example.com", Password: "x", MailHost: admintest.Name(2)})
	must(t, err)
	if len(made.Notes) != 1 || !strings.Contains(made.Notes[0], "mbox2.example.com does not answer") {
		t.Errorf("got notes %q, want one that the home does not answer", made.Notes)
	}
}

func TestModifyAccount(t *testing.T) {
	p := admintest.Start(t, 2)
	a := p.Account(t, 2, "a@example.com")
	c := client(t, p, 1)
	status, password, yes := "LOCKED", "another", true
	changed, err := c.ModifyAccount(t.Context(), admin.ModifyAccount{Name: "A@example.com", Status: &status, Password: &password, IsGlobalAdmin: &yes})
	must(t, err)
	if changed.Status != "locked" || !changed.IsGlobalAdmin {
		t.Errorf("got %+v", changed)
	}
	stored, err := p.Directory.Account(t.Context(), a.ID)
	must(t, err)
	must(t, credential.Verify(stored.PasswordHash, "another"))

	bad := "asleep"
	_, err = c.ModifyAccount(t.Context(), admin.ModifyAccount{Name: "a@example.com", Status: &bad})
	wantFault(t, err, fault.Invalid, "asleep")
	_, err = c.ModifyAccount(t.Context(), admin.ModifyAccount{Name: "a@example.com"})
	wantFault(t, err, fault.Invalid, "nothing is to be changed")
	_, err = c.ModifyAccount(t.Context(), admin.ModifyAccount{Name: "z@example.com", IsGlobalAdmin: &yes})
	wantFault(t, err, fault.NotFound, "z@example.com")
}

func TestDeleteAccountFreesTheName(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 2)
	first := p.Account(t, 1, "a@example.com")
	o, err := c.DeleteAccount(t.Context(), first.ID.String())
	must(t, err)
	if op := finished(t, c, o.OperationID); op.State != "successful" {
		t.Errorf("got %+v, want it successful", op)
	}
	again, err := c.CreateAccount(t.Context(), admin.CreateAccount{Name: "a@example.com", Password: "x"})
	must(t, err)
	if again.ID == first.ID.String() {
		t.Error("the new account has the id of the old one")
	}
	_, err = c.DeleteAccount(t.Context(), "nobody@example.com")
	wantFault(t, err, fault.NotFound, "nobody@example.com")
}

// An account whose home is dead stays marked; its name is taken, and promoting another copy ends it.
func TestDeleteAccountWhoseHomeIsDead(t *testing.T) {
	p := admintest.Start(t, 2)
	a := p.Account(t, 1, "a@example.com")
	p.Replica(t, a.ID, 2, 10)
	p.Mailstores[0].Kill()
	c := client(t, p, 2)
	o, err := c.DeleteAccount(t.Context(), "a@example.com")
	must(t, err)
	if o.OperationID != "" || o.Pending != 1 || len(o.Notes) != 1 {
		t.Errorf("got %+v, want it pending with a note", o)
	}
	_, err = c.DeleteAccount(t.Context(), "a@example.com")
	wantFault(t, err, fault.Exists, "being deleted already")
	_, err = c.CreateAccount(t.Context(), admin.CreateAccount{Name: "a@example.com", Password: "x"})
	wantFault(t, err, fault.Exists, "still being deleted")

	o, err = c.Promote(t.Context(), admin.Promote{SourceMailHost: admintest.Name(1)})
	must(t, err)
	finished(t, c, o.OperationID)
	admintest.Eventually(t, "the end of the account", func() bool {
		gone, err := p.Directory.IsDeleted(t.Context(), a.ID)
		must(t, err)
		return gone
	})
}

func TestDistributionLists(t *testing.T) {
	p := admintest.Start(t, 1)
	c := client(t, p, 1)
	_, err := c.CreateList(t.Context(), "team@example.com")
	must(t, err)
	_, err = c.CreateAccount(t.Context(), admin.CreateAccount{Name: "team@example.com", Password: "x"})
	wantFault(t, err, fault.Exists, "distribution list")
	all, err := c.GetAllAccounts(t.Context(), admin.ListAccounts{})
	must(t, err)
	if len(all) != 0 {
		t.Errorf("got %v among the accounts", all)
	}
	_, err = c.DeleteAccount(t.Context(), "team@example.com")
	must(t, err)
	_, err = c.GetAccount(t.Context(), "team@example.com")
	wantFault(t, err, fault.NotFound, "team@example.com")
}

func TestGetAllAccounts(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	p.Account(t, 1, "a@example.com")
	p.Account(t, 2, "b@example.com")
	p.Account(t, 2, "c@example.org")
	for _, test := range []struct {
		in   admin.ListAccounts
		want string
	}{
		{admin.ListAccounts{}, "a@example.com b@example.com c@example.org"},
		{admin.ListAccounts{MailHost: []string{admintest.Name(2)}}, "b@example.com c@example.org"},
		{admin.ListAccounts{MailHost: []string{admintest.Name(2)}, Domains: []string{"Example.org"}}, "c@example.org"},
	} {
		found, err := c.GetAllAccounts(t.Context(), test.in)
		must(t, err)
		var names []string
		for _, a := range found {
			names = append(names, a.Name)
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.in, got, test.want)
		}
	}
	_, err := c.GetAllAccounts(t.Context(), admin.ListAccounts{MailHost: []string{"mbox9.example.com"}})
	wantFault(t, err, fault.NotFound, "mbox9")
}

func TestServers(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	a := p.Account(t, 1, "a@example.com")
	p.Replica(t, a.ID, 2, 10)
	servers, err := c.GetAllServers(t.Context())
	must(t, err)
	if len(servers) != 2 || servers[0].Accounts != 1 || servers[1].Replicas != 1 || !servers[1].Running {
		t.Errorf("got %+v", servers)
	}
	wantFault(t, c.DeleteServer(t.Context(), admintest.Name(2)), fault.Invalid, "1 replica")
	wantFault(t, c.DeleteServer(t.Context(), "mbox9.example.com"), fault.NotFound, "mbox9")
	must(t, p.Directory.RegisterMailstore(t.Context(), directory.Mailstore{FQDN: "mbox3.example.com", Incarnation: account.NewID().String()}))
	wantFault(t, c.DeleteServer(t.Context(), "mbox3.example.com"), fault.Invalid, "is running")
}

func TestServices(t *testing.T) {
	p := admintest.Start(t, 1)
	c := client(t, p, 1)
	for _, test := range []struct {
		do      string
		running bool
	}{{"stop", false}, {"start", true}, {"stop", false}, {"restart", true}} {
		s, err := c.SetService(t.Context(), admin.SetService{Name: "agent", Do: test.do})
		must(t, err)
		if s.Mailstore != admintest.Name(1) || len(s.Services) != 1 || s.Services[0].Running != test.running {
			t.Errorf("%s: got %+v", test.do, s)
		}
	}
	_, err := c.SetService(t.Context(), admin.SetService{Name: "printer", Do: "stop"})
	wantFault(t, err, fault.NotFound, "printer")
}
