package directory_test

import (
	"fmt"
	"sync"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

func TestReplicas(t *testing.T) { onEngines(t, testReplicas) }

func testReplicas(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	ctx := t.Context()
	a := newAccount(t, d, "a@x", mbox1)
	for mailstore, priority := range map[string]int{mbox2: 20, mbox3: 10} {
		_, err := d.PutReplica(ctx, a.ID, mailstore, priority)
		must(t, err)
	}
	if got, want := replicasOf(t, d, a.ID),
		mbox3+" 10 initialising removing=false; "+mbox2+" 20 initialising removing=false; "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	must(t, d.SetReplicaState(ctx, a.ID, mbox2, directory.Available))
	changed, err := d.PutReplica(ctx, a.ID, mbox2, 5) // another priority keeps the state
	must(t, err)
	if changed.State != directory.Available || changed.Priority != 5 {
		t.Errorf("got %+v", changed)
	}
	again, err := d.PutReplica(ctx, a.ID, mbox2, 5)
	must(t, err)
	if again != changed {
		t.Errorf("the same wish wrote %+v over %+v", again, changed)
	}
	if all, err := d.Replicas(ctx, a.ID); err != nil || len(all) != 2 || all[0] != changed {
		t.Errorf("stored are %+v, %v", all, err)
	}
	wantKind(t, d.SetReplicaState(ctx, a.ID, mbox1, directory.Gap), fault.NotFound)
	wantKind(t, d.SetReplicaState(ctx, a.ID, mbox2, "tired"), fault.Invalid)
}

func TestPutReplicaRefuses(t *testing.T) { onEngines(t, testPutReplicaRefuses) }

func testPutReplicaRefuses(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	ctx := t.Context()
	a := newAccount(t, d, "a@x", mbox1)
	list, err := d.CreateList(ctx, "list@x")
	must(t, err)
	_, err = d.PutReplica(ctx, a.ID, mbox1, 1)
	wantKind(t, err, fault.Invalid)
	_, err = d.PutReplica(ctx, a.ID, "mbox9.example.com", 1)
	wantKind(t, err, fault.NotFound)
	_, err = d.PutReplica(ctx, account.NewID(), mbox2, 1)
	wantKind(t, err, fault.NotFound)
	_, err = d.PutReplica(ctx, list.ID, mbox2, 1)
	wantKind(t, err, fault.Invalid)
}

func TestRemoveReplica(t *testing.T) { onEngines(t, testRemoveReplica) }

func testRemoveReplica(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	ctx := t.Context()
	a := newAccount(t, d, "a@x", mbox1)
	wantKind(t, d.RemoveReplica(ctx, a.ID, mbox2), fault.NotFound)
	_, err := d.PutReplica(ctx, a.ID, mbox2, 1)
	must(t, err)
	must(t, d.SetReplicaState(ctx, a.ID, mbox2, directory.Available))
	must(t, d.RemoveReplica(ctx, a.ID, mbox2))
	must(t, d.RemoveReplica(ctx, a.ID, mbox2))
	if got, want := replicasOf(t, d, a.ID), mbox2+" 1 available removing=true; "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// Wished for anew before the Leave is in the log: the end of the old copy must not take the new wish with it.
	_, err = d.PutReplica(ctx, a.ID, mbox2, 1)
	must(t, err)
	wantKind(t, d.FinishRemoveReplica(ctx, a.ID, mbox2), fault.Busy)
	if got, want := replicasOf(t, d, a.ID), mbox2+" 1 initialising removing=false; "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	must(t, d.RemoveReplica(ctx, a.ID, mbox2))
	must(t, d.FinishRemoveReplica(ctx, a.ID, mbox2))
	must(t, d.FinishRemoveReplica(ctx, a.ID, mbox2))
	if got := replicasOf(t, d, a.ID); got != "" {
		t.Errorf("got %s, want none", got)
	}
}

func TestSetHomeComparesAndSets(t *testing.T) { onEngines(t, testSetHomeComparesAndSets) }

func testSetHomeComparesAndSets(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	ctx := t.Context()
	a := newAccount(t, d, "a@x", mbox1)
	set := func(host string, epoch uint64, want bool) {
		t.Helper()
		got, err := d.SetHome(ctx, a.ID, host, epoch, nil)
		if err != nil || got != want {
			t.Errorf("SetHome(%s, %d) = %v, %v, want %v", host, epoch, got, err, want)
		}
	}
	set(mbox1, 1, true)
	set(mbox2, 3, true)
	set(mbox1, 2, false) // the late report of an older reign
	set(mbox2, 3, false) // the same again
	set(mbox3, 3, false)
	got, err := d.Account(ctx, a.ID)
	must(t, err)
	if got.MailHost != mbox2 || got.Epoch != 3 {
		t.Errorf("home %s of epoch %d, want %s of 3", got.MailHost, got.Epoch, mbox2)
	}
	_, err = d.SetHome(ctx, account.NewID(), mbox1, 1, nil)
	wantKind(t, err, fault.NotFound)
	_, err = d.SetHome(ctx, a.ID, mbox1, 0, nil)
	wantKind(t, err, fault.Internal)
}

// TestDeclareHome has decrees weighed against an epoch that has passed since, and a report of a promotion that ended a pause.
func TestDeclareHome(t *testing.T) { onEngines(t, testDeclareHome) }

func testDeclareHome(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	a := newAccount(t, d, "a@x", mbox1)
	tests := []struct {
		host         string
		epoch, known uint64
		want         bool
	}{
		{mbox1, 1, 0, true},
		{mbox2, 1_001, 1, true},
		{mbox1, 1_001, 1, false},
		{mbox1, 2_001, 1, false},
		{mbox2, 1_001, 1_001, false},
		{mbox1, 2_001, 1_001, true},
	}
	for _, test := range tests {
		got, err := d.DeclareHome(t.Context(), a.ID, test.host, test.epoch, test.known, nil)
		must(t, err)
		if got != test.want {
			t.Errorf("DeclareHome(%s, %d, known %d) = %v, want %v", test.host, test.epoch, test.known, got, test.want)
		}
	}
	_, err := d.SetPaused(t.Context(), a.ID, true)
	must(t, err)
	for i, loss := range []bool{false, true} {
		none := func(string, []directory.Replica) []directory.Replica { return nil }
		must(t, d.SetHomes(t.Context(), []directory.NewHome{
			{ID: a.ID, MailHost: mbox2, Epoch: uint64(3_000 + i), AfterLoss: loss, Replicas: none},
		}))
		if got, err := d.Account(t.Context(), a.ID); err != nil || got.Paused == loss || got.Epoch != uint64(3_000+i) {
			t.Errorf("after a promotion with loss %v: %+v, %v", loss, got, err)
		}
	}
}

// TestSetHomes reports more homes than one write takes, one of an account that is gone, and one of a reign that is over.
func TestSetHomes(t *testing.T) { onEngines(t, testSetHomes) }

func testSetHomes(t *testing.T, r rig) {
	const accounts = 300
	d := r.newDirectory(t, directory.Options{})
	var homes []directory.NewHome
	var made []directory.Account
	for i := range accounts {
		a := newAccount(t, d, fmt.Sprintf("a%d@x", i), mbox1)
		_, err := d.PutReplica(t.Context(), a.ID, mbox2, i)
		must(t, err)
		made = append(made, a)
		homes = append(homes, directory.NewHome{ID: a.ID, MailHost: mbox2, Epoch: 7,
			Replicas: func(home string, stored []directory.Replica) []directory.Replica {
				return []directory.Replica{{Mailstore: home, Priority: stored[0].Priority, State: directory.Unavailable}}
			}})
	}
	homes[1].ID = account.NewID()
	_, err := d.SetHome(t.Context(), made[2].ID, mbox3, 7, nil)
	must(t, err)
	must(t, d.SetHomes(t.Context(), homes))
	for i, a := range made {
		want := fmt.Sprintf("%s 7 %s %d unavailable removing=false; ", mbox2, mbox1, i)
		switch i {
		case 1:
			want = fmt.Sprintf("%s 0 %s %d initialising removing=false; ", mbox1, mbox2, i)
		case 2:
			want = fmt.Sprintf("%s 7 %s %d initialising removing=false; ", mbox3, mbox2, i)
		}
		stored, err := d.Account(t.Context(), a.ID)
		must(t, err)
		if got := fmt.Sprintf("%s %d %s", stored.MailHost, stored.Epoch, replicasOf(t, d, a.ID)); got != want {
			t.Errorf("account %d is %s, want %s", i, got, want)
		}
	}
}

func TestSetHomeRace(t *testing.T) { onEngines(t, testSetHomeRace) }

func testSetHomeRace(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	a := newAccount(t, d, "a@x", mbox1)
	hosts := []string{mbox1, mbox2, mbox3}
	var group sync.WaitGroup
	for epoch := uint64(1); epoch <= 60; epoch++ {
		group.Go(func() {
			if _, err := d.SetHome(t.Context(), a.ID, hosts[epoch%3], epoch, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	got, err := d.Account(t.Context(), a.ID)
	must(t, err)
	if got.Epoch != 60 || got.MailHost != hosts[0] {
		t.Errorf("home %s of epoch %d, want %s of 60", got.MailHost, got.Epoch, hosts[0])
	}
}

func TestSetHomeMovesReplicas(t *testing.T) { onEngines(t, testSetHomeMovesReplicas) }

func testSetHomeMovesReplicas(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	ctx := t.Context()
	for _, fqdn := range []string{"mbox4.example.com", "mbox5.example.com"} {
		must(t, d.RegisterMailstore(ctx, mailstore(fqdn)))
	}
	a := newAccount(t, d, "a@x", mbox1)
	put := func(mailstore string, priority int, state directory.ReplicaState) {
		t.Helper()
		_, err := d.PutReplica(ctx, a.ID, mailstore, priority)
		must(t, err)
		must(t, d.SetReplicaState(ctx, a.ID, mailstore, state))
	}
	put(mbox2, 10, directory.Available)
	put(mbox3, 20, directory.Available)
	put("mbox4.example.com", 30, directory.Initialising) // a wish that nobody granted yet
	put("mbox5.example.com", 40, directory.Available)    // which the report is too old to name
	must(t, d.RemoveReplica(ctx, a.ID, mbox3))
	changed, err := d.SetHome(ctx, a.ID, mbox2, 2, []directory.Replica{
		{Mailstore: mbox1, Priority: 10, State: directory.Unavailable},
		{Mailstore: mbox3, Priority: 20, State: directory.Available},
		{Mailstore: mbox2, Priority: 1, State: directory.Available}, // the home itself: no replica
	})
	must(t, err)
	want := mbox1 + " 10 unavailable removing=false; " + mbox3 + " 20 available removing=true; " +
		"mbox4.example.com 30 initialising removing=false; mbox5.example.com 40 available removing=false; "
	if got := replicasOf(t, d, a.ID); !changed || got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSetPaused(t *testing.T) { onEngines(t, testSetPaused) }

func testSetPaused(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	a := newAccount(t, d, "a@x", mbox1)
	got, err := d.SetPaused(t.Context(), a.ID, true)
	must(t, err)
	if !got.Paused || got.Version <= a.Version {
		t.Errorf("got %+v", got)
	}
	again, err := d.SetPaused(t.Context(), a.ID, true)
	must(t, err)
	if again != got {
		t.Errorf("the same wish wrote %+v", again)
	}
}
