package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"mailreplica/internal/admin"
	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// finished waits until an operation has ended.
func finished(t testing.TB, c *admin.Client, id string) admin.Operation {
	t.Helper()
	var op admin.Operation
	admintest.Eventually(t, "the end of operation "+id, func() bool {
		var err error
		op, err = c.GetOperation(t.Context(), id)
		must(t, err)
		return op.Finished()
	})
	return op
}

func named(names ...string) admin.Selection { return admin.Selection{Accounts: names} }

func replicasOf(t testing.TB, p *admintest.Platform, a directory.Account) string {
	t.Helper()
	replicas, err := p.Directory.Replicas(t.Context(), a.ID)
	must(t, err)
	var all []string
	for _, r := range replicas {
		all = append(all, fmt.Sprintf("%s %d %s", r.Mailstore, r.Priority, r.State))
	}
	return strings.Join(all, ", ")
}

func TestSetDestination(t *testing.T) {
	p := admintest.Start(t, 3)
	c := client(t, p, 3) // neither home nor destination
	a, b := p.Account(t, 1, "a@example.com"), p.Account(t, 2, "b@example.com")
	o, err := c.SetDestination(t.Context(), admin.SetDestination{Selection: named("a@example.com", a.ID.String()), Destination: "MBOX2.example.com", Priority: 10})
	must(t, err)
	if o.Accounts != 1 || len(o.Notes) > 0 {
		t.Errorf("got %+v, want one account, which was named twice", o)
	}
	if op := finished(t, c, o.OperationID); op.State != "successful" || op.Done != 1 || op.Host != admintest.Name(3) {
		t.Errorf("got %+v", op)
	}
	if got, want := replicasOf(t, p, a), "mbox2.example.com 10 available"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Another priority is all that a second time changes; all leaves out what has its home there.
	o, err = c.SetDestination(t.Context(), admin.SetDestination{Selection: admin.Selection{All: true}, Destination: admintest.Name(2), Priority: 5})
	must(t, err)
	if op := finished(t, c, o.OperationID); op.State != "successful" || op.Total != 1 {
		t.Errorf("got %+v", op)
	}
	if got, want := replicasOf(t, p, a)+"|"+replicasOf(t, p, b), "mbox2.example.com 5 available|"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A mailstore is told of its brokers, or starts, and is asked for a replica at once.
func TestSetDestinationWaitsForTheLog(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	a := p.Account(t, 1, "a@example.com")
	p.Mailstores[0].SetLogConnecting(3)
	o, err := c.SetDestination(t.Context(), admin.SetDestination{Selection: named("a@example.com"), Destination: admintest.Name(2), Priority: 5})
	must(t, err)
	if op := finished(t, c, o.OperationID); op.State != "successful" {
		t.Errorf("got %+v", op)
	}
	if got, want := replicasOf(t, p, a), "mbox2.example.com 5 available"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSetDestinationChangesNothingIfAnythingIsWrong(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	p.Account(t, 1, "a@example.com")
	p.Account(t, 2, "b@example.com")
	ending := p.Account(t, 1, "ending@example.com")
	_, err := c.CreateList(t.Context(), "team@example.com")
	must(t, err)
	p.Mailstores[0].SetLogAway(true) // so that it stays what it is
	_, err = p.Directory.BeginDelete(t.Context(), ending.ID)
	must(t, err)
	p.Poll(t)
	p.Mailstores[0].SetLogAway(true)

	mbox2 := admintest.Name(2)
	tests := []struct {
		name string
		in   admin.SetDestination
		kind fault.Kind
		want string
	}{
		{"nothing selected", admin.SetDestination{Destination: mbox2}, fault.Invalid, "no account is selected"},
		{"both selections", admin.SetDestination{Selection: admin.Selection{All: true, Accounts: []string{"a@example.com"}}, Destination: mbox2}, fault.Invalid, "both"},
		{"unknown account", admin.SetDestination{Selection: named("a@example.com", "x@example.com"), Destination: mbox2}, fault.NotFound, "x@example.com"},
		{"unknown id", admin.SetDestination{Selection: named("00000000-0000-4000-8000-000000000000"), Destination: mbox2}, fault.NotFound, "00000000"},
		{"pattern", admin.SetDestination{Selection: named("a@example.com", "a*@example.com"), Destination: mbox2}, fault.Invalid, "pattern"},
		{"distribution list", admin.SetDestination{Selection: named("team@example.com"), Destination: mbox2}, fault.Invalid, "distribution list"},
		{"being deleted", admin.SetDestination{Selection: named("ending@example.com"), Destination: mbox2}, fault.Invalid, "being deleted"},
		{"its home", admin.SetDestination{Selection: named("a@example.com", "b@example.com"), Destination: mbox2}, fault.Invalid, "is the home of b@example.com"},
		{"unknown mailstore", admin.SetDestination{Selection: named("a@example.com"), Destination: "mbox9.example.com"}, fault.NotFound, "mbox9"},
		{"priority too low", admin.SetDestination{Selection: named("a@example.com"), Destination: mbox2, Priority: -1}, fault.Invalid, "-1"},
		{"priority too high", admin.SetDestination{Selection: named("a@example.com"), Destination: mbox2, Priority: 1_000_001}, fault.Invalid, "1000001"},
		{"brokers away", admin.SetDestination{Selection: named("a@example.com"), Destination: mbox2}, fault.LogUnavailable, "do not answer"},
		{"many wrong", admin.SetDestination{Selection: named("w@example.com", "x@example.com", "y@example.com", "z@example.com"), Destination: mbox2}, fault.NotFound, "and 1 more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { refused(t, p, c, test.in, test.kind, test.want) })
	}
	p.Mailstores[0].SetLogAway(false)
	t.Run("volume", func(t *testing.T) {
		p.UseFolderVolume(t, 1, admintest.OwnVolume)
		defer p.UseFolderVolume(t, 1, admintest.SharedVolume)
		admintest.Eventually(t, "the end of the account that is being deleted", func() bool {
			gone, err := p.Directory.IsDeleted(t.Context(), ending.ID)
			must(t, err)
			return gone
		})
		refused(t, p, c, admin.SetDestination{Selection: named("a@example.com"), Destination: mbox2}, fault.VolumeUnavailable, "not centralised")
	})
	t.Run("volume of another", func(t *testing.T) { // whichever mailstore is asked
		for _, i := range []int{1, 2} {
			m := p.UseFolderVolume(t, i, admintest.OwnVolume)
			refused(t, p, c, admin.SetDestination{Selection: named("a@example.com"), Destination: mbox2}, fault.VolumeUnavailable, "of "+m+" is not centralised")
			p.UseFolderVolume(t, i, admintest.SharedVolume)
		}
	})
	t.Run("no brokers", func(t *testing.T) {
		must(t, p.Directory.UnsetConfig(t.Context(), admin.SettingBrokers))
		refused(t, p, c, admin.SetDestination{Selection: named("a@example.com"), Destination: mbox2}, fault.LogUnavailable, "no brokers")
	})
}

func refused(t *testing.T, p *admintest.Platform, c *admin.Client, in admin.SetDestination, kind fault.Kind, want string) {
	t.Helper()
	before, err := p.Directory.Version(t.Context())
	must(t, err)
	_, err = c.SetDestination(t.Context(), in)
	wantFault(t, err, kind, want)
	after, err := p.Directory.Version(t.Context())
	must(t, err)
	if before != after {
		t.Errorf("the directory was changed from version %d to %d", before, after)
	}
}

func TestRemoveDestination(t *testing.T) {
	p := admintest.Start(t, 3)
	c := client(t, p, 1)
	a := p.Account(t, 1, "a@example.com")
	p.Replica(t, a.ID, 2, 10)
	p.Replica(t, a.ID, 3, 20)
	_, err := c.RemoveDestination(t.Context(), admin.RemoveDestination{Selection: named("a@example.com"), Destination: "mbox9.example.com"})
	wantFault(t, err, fault.NotFound, "mbox9")

	p.Mailstores[2].Kill() // it need not be there
	o, err := c.RemoveDestination(t.Context(), admin.RemoveDestination{Selection: named("a@example.com"), Destination: admintest.Name(3)})
	must(t, err)
	if op := finished(t, c, o.OperationID); op.State != "successful" || len(o.Notes) > 0 {
		t.Errorf("got %+v and notes %q", op, o.Notes)
	}
	if got, want := replicasOf(t, p, a), "mbox2.example.com 10 available"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = c.RemoveDestination(t.Context(), admin.RemoveDestination{Selection: named("a@example.com"), Destination: admintest.Name(3)})
	wantFault(t, err, fault.NotFound, "no replica on mbox3")
	o, err = c.RemoveDestination(t.Context(), admin.RemoveDestination{Selection: admin.Selection{All: true}, Destination: admintest.Name(3)})
	must(t, err)
	if o.OperationID != "" || len(o.Notes) != 1 {
		t.Errorf("got %+v, want a note that there is nothing to do", o)
	}
}

func TestRemoveDestinationWhoseHomeIsDead(t *testing.T) {
	p := admintest.Start(t, 2)
	a := p.Account(t, 1, "a@example.com")
	p.Replica(t, a.ID, 2, 10)
	p.Mailstores[0].Kill()
	o, err := client(t, p, 2).RemoveDestination(t.Context(), admin.RemoveDestination{Selection: named("a@example.com"), Destination: admintest.Name(2)})
	must(t, err)
	if o.OperationID != "" || o.Pending != 1 || len(o.Notes) != 1 || !strings.Contains(o.Notes[0], "mbox1.example.com does not answer") {
		t.Errorf("got %+v, want it pending with a note", o)
	}
}

func TestPauseAndRestart(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 2)
	a := p.Account(t, 1, "a@example.com")
	p.Account(t, 1, "b@example.com")
	p.Replica(t, a.ID, 2, 10)
	_, err := c.Pause(t.Context(), named("b@example.com"))
	wantFault(t, err, fault.Invalid, "b@example.com has no replica")
	_, err = c.Pause(t.Context(), admin.Selection{})
	wantFault(t, err, fault.Invalid, "no account is selected")

	o, err := c.Pause(t.Context(), admin.Selection{All: true})
	must(t, err)
	if op := finished(t, c, o.OperationID); op.State != "successful" || op.Total != 1 {
		t.Errorf("pause: got %+v", op)
	}
	_, err = c.RemoveDestination(t.Context(), admin.RemoveDestination{Selection: named("a@example.com"), Destination: admintest.Name(2)})
	wantFault(t, err, fault.Paused, "paused")
	o, err = c.Restart(t.Context(), admin.Selection{All: true})
	must(t, err)
	if op := finished(t, c, o.OperationID); op.State != "successful" {
		t.Errorf("restart: got %+v", op)
	}
}

// The wish stays; that it is not carried out yet is told, with the reason.
func TestWhatIsNotCarriedOutIsTold(t *testing.T) {
	for _, test := range []struct {
		name, want string
		hurt       func(*admintest.Mailstore)
	}{
		{"the log is away", "the event log does not answer mbox1", func(m *admintest.Mailstore) { m.SetLogAway(true) }},
		{"the home is dead", "its home mbox1.example.com does not answer", func(m *admintest.Mailstore) { m.Kill() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := admintest.Start(t, 2)
			c := client(t, p, 2)
			a := p.Account(t, 1, "a@example.com")
			p.Replica(t, a.ID, 2, 10)
			test.hurt(p.Mailstores[0])
			o, err := c.Pause(t.Context(), named("a@example.com"))
			must(t, err)
			op := finished(t, c, o.OperationID)
			failures, err := c.GetFailures(t.Context(), admin.GetFailures{ID: op.ID})
			must(t, err)
			if op.State != "failed" || len(failures.Values) != 1 || failures.Values[0].AccountName != "a@example.com" ||
				!strings.Contains(failures.Values[0].Reason, test.want) {
				t.Errorf("got %+v with %+v, want the reason %q", op, failures, test.want)
			}
			stored, err := p.Directory.Account(t.Context(), a.ID)
			must(t, err)
			if !stored.Paused {
				t.Error("the wish was dropped")
			}
		})
	}
}

func TestPromote(t *testing.T) {
	p := admintest.Start(t, 3)
	c := client(t, p, 2)
	a, b := p.Account(t, 1, "a@example.com"), p.Account(t, 1, "b@example.com")
	p.Account(t, 1, "bare@example.com")
	p.Replica(t, a.ID, 2, 10)
	p.Replica(t, b.ID, 3, 10)
	p.Mailstores[0].Kill()
	for _, test := range []struct {
		name string
		in   admin.Promote
		kind fault.Kind
		want string
	}{
		{"nothing selected", admin.Promote{}, fault.Invalid, "no account is selected"},
		{"a destination selects nothing", admin.Promote{Destination: admintest.Name(2)}, fault.Invalid, "no account is selected"},
		{"unknown source", admin.Promote{SourceMailHost: "mbox9.example.com"}, fault.NotFound, "mbox9"},
		{"unknown destination", admin.Promote{Selection: named("a@example.com"), Destination: "mbox9.example.com"}, fault.NotFound, "mbox9"},
		{"its home", admin.Promote{Selection: named("a@example.com"), Destination: admintest.Name(1)}, fault.Invalid, "is the home"},
		{"source and destination", admin.Promote{SourceMailHost: admintest.Name(1), Destination: admintest.Name(1)}, fault.Invalid, "both"},
		{"another home", admin.Promote{Selection: named("a@example.com"), SourceMailHost: admintest.Name(3)}, fault.Invalid, "not mbox3"},
		{"threads", admin.Promote{Selection: named("a@example.com"), Threads: -1}, fault.Invalid, "threads"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.Promote(t.Context(), test.in)
			wantFault(t, err, test.kind, test.want)
		})
	}
	o, err := c.Promote(t.Context(), admin.Promote{SourceMailHost: "mbox1.example.com"})
	must(t, err)
	op := finished(t, c, o.OperationID)
	failures, err := c.GetFailures(t.Context(), admin.GetFailures{ID: op.ID})
	must(t, err)
	if op.State != "failed" || op.Total != 3 || op.Failed != 1 || len(failures.Values) != 1 || failures.Values[0].AccountName != "bare@example.com" {
		t.Errorf("got %+v with %+v, want bare@example.com alone to fail", op, failures)
	}
	after, err := c.GetAccount(t.Context(), "b@example.com")
	must(t, err)
	if after.MailHost != admintest.Name(3) {
		t.Errorf("the home of b is %s, want mbox3", after.MailHost)
	}
	o, err = c.Promote(t.Context(), admin.Promote{Selection: named("a@example.com"), SourceMailHost: admintest.Name(2)})
	must(t, err)
	if op := finished(t, c, o.OperationID); op.Total != 1 {
		t.Errorf("got %+v, want one account", op)
	}
}

// Who accepts a loss is told of what.
func TestPromoteTellsWhatMayBeLost(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 2)
	a, b := p.Account(t, 1, "a@example.com"), p.Account(t, 1, "b@example.com")
	p.Replica(t, a.ID, 2, 10)
	p.Replica(t, b.ID, 2, 10)
	_, err := p.Directory.SetPaused(t.Context(), a.ID, true)
	must(t, err)
	o, err := c.Promote(t.Context(), admin.Promote{Selection: admin.Selection{All: true}, AcceptLoss: true})
	must(t, err)
	if got := strings.Join(o.Notes, "|"); !strings.HasSuffix(got, "may be lost of a@example.com (mbox1.example.com)") {
		t.Errorf("got the notes %q, want a@example.com and its home", got)
	}
}

func TestPromoteAgainFindsNothing(t *testing.T) {
	p := admintest.Start(t, 2)
	o, err := client(t, p, 1).Promote(t.Context(), admin.Promote{SourceMailHost: admintest.Name(2)})
	must(t, err)
	if o.OperationID != "" || len(o.Notes) != 1 || !strings.Contains(o.Notes[0], "no account has its home on mbox2") {
		t.Errorf("got %+v", o)
	}
}

func TestReseed(t *testing.T) {
	p := admintest.Start(t, 3)
	c := client(t, p, 3)
	a := p.Account(t, 1, "a@example.com")
	p.Replica(t, a.ID, 2, 10)
	_, err := c.Reseed(t.Context(), admin.Reseed{Selection: named("a@example.com"), From: admintest.Name(3)})
	wantFault(t, err, fault.Invalid, "holds no copy")
	_, err = c.Reseed(t.Context(), admin.Reseed{Selection: admin.Selection{All: true}, From: admintest.Name(2)})
	wantFault(t, err, fault.Invalid, "does not take all")
	_, err = c.Reseed(t.Context(), admin.Reseed{From: admintest.Name(2)})
	wantFault(t, err, fault.Invalid, "no account is selected")
	if hint := fault.HintOf(err); strings.Contains(hint, "all") {
		t.Errorf("no account: the hint %q names all, which is refused", hint)
	}
	o, err := c.Reseed(t.Context(), admin.Reseed{Selection: named("a@example.com"), From: admintest.Name(2)})
	must(t, err)
	finished(t, c, o.OperationID)
	if got, want := strings.Join(p.Reseeded(), ","), "mbox2.example.com "+a.ID.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStopAndRemoveOperations(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	a := p.Account(t, 1, "a@example.com")
	p.Replica(t, a.ID, 2, 10)
	release := p.HoldPromotions()
	defer release()
	for _, test := range []struct {
		state string
		end   func(id string) error
	}{
		{"stopped", func(id string) error { _, err := c.StopOperation(t.Context(), id); return err }},
		{"removed", func(id string) error { _, err := c.RemoveOperation(t.Context(), id); return err }},
	} {
		o, err := c.Promote(t.Context(), admin.Promote{Selection: named("a@example.com")})
		must(t, err)
		must(t, test.end(o.OperationID))
		if op := finished(t, c, o.OperationID); op.State != test.state {
			t.Errorf("got %+v, want it %s", op, test.state)
		}
	}
	_, err := c.GetOperation(t.Context(), "no id")
	wantFault(t, err, fault.Invalid, "no id")
	_, err = c.StopOperation(t.Context(), "00000000-0000-4000-8000-000000000000")
	wantFault(t, err, fault.NotFound, "no operation")
}

// A home that answers, but whose mailbox is lost or broken, cannot carry a wish out; nobody waits for it for ever.
func TestWhatTheHomeCannotDoIsTold(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 2)
	a := p.Account(t, 1, "a@example.com")
	p.Replica(t, a.ID, 2, 10)
	p.Mailstores[0].SetBroken("gap")
	o, err := c.RemoveDestination(t.Context(), admin.RemoveDestination{Selection: named("a@example.com"), Destination: admintest.Name(2)})
	must(t, err)
	op := finished(t, c, o.OperationID)
	failures, err := c.GetFailures(t.Context(), admin.GetFailures{ID: op.ID})
	must(t, err)
	if op.State != "failed" || len(failures.Values) != 1 || !strings.Contains(failures.Values[0].Reason, "is gap") {
		t.Errorf("got %+v with %+v", op, failures)
	}
}
