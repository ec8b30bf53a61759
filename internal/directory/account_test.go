package directory_test

import (
	"fmt"
	"sync"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

func TestCreateAccount(t *testing.T) { onEngines(t, testCreateAccount) }

func testCreateAccount(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	made, err := d.CreateAccount(t.Context(),
		directory.NewAccount{Name: "John@Example.com", PasswordHash: "hash", GlobalAdmin: true})
	must(t, err)
	if made.Name != "john@example.com" || made.MailHost != mbox1 || made.Stream != -1 || made.Status != directory.Active ||
		made.Kind != directory.User || made.Epoch != 0 || !made.GlobalAdmin || made.Version == 0 || made.Created.IsZero() {
		t.Errorf("made %+v", made)
	}
	byID, err := d.Account(t.Context(), made.ID)
	must(t, err)
	byName, err := directory.AccountByName(t.Context(), d, "john@example.com")
	must(t, err)
	if byID != made || byName != made {
		t.Errorf("by id %+v, by name %+v, want %+v", byID, byName, made)
	}
}

func TestCreateAccountChoosesTheEmptiestMailstore(t *testing.T) {
	onEngines(t, testCreateAccountChoosesTheEmptiestMailstore)
}

func testCreateAccountChoosesTheEmptiestMailstore(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	newAccount(t, d, "a@x", mbox1)
	newAccount(t, d, "b@x", mbox2)
	if got := newAccount(t, d, "c@x", "").MailHost; got != mbox3 {
		t.Errorf("the third account is on %s, want %s", got, mbox3)
	}
	if got := newAccount(t, d, "d@x", "").MailHost; got != mbox1 {
		t.Errorf("the fourth account is on %s, want %s", got, mbox1)
	}
	counts, err := d.CountByHome(t.Context())
	must(t, err)
	if fmt.Sprint(counts) != fmt.Sprint(map[string]int{mbox1: 2, mbox2: 1, mbox3: 1}) {
		t.Errorf("counts %v", counts)
	}
}

// A dead mailstore whose accounts were promoted elsewhere is the emptiest, and must not get all the new ones.
func TestCreateAccountPrefersMailstoresThatRun(t *testing.T) {
	onEngines(t, testCreateAccountPrefersMailstoresThatRun)
}

func testCreateAccountPrefersMailstoresThatRun(t *testing.T, r rig) {
	now := newClock()
	d := r.newDirectory(t, directory.Options{Now: now.Now})
	newAccount(t, d, "a@x", mbox2)
	newAccount(t, d, "b@x", mbox3)
	newAccount(t, d, "c@x", mbox3)
	now.advance(directory.IncarnationLiveFor)
	for _, fqdn := range []string{mbox2, mbox3} {
		must(t, d.Heartbeat(t.Context(), fqdn, mailstore(fqdn).Incarnation))
	}
	if got := newAccount(t, d, "d@x", "").MailHost; got != mbox2 {
		t.Errorf("got %s, want %s: %s does not run", got, mbox2, mbox1)
	}
	now.advance(directory.IncarnationLiveFor)
	if got := newAccount(t, d, "e@x", "").MailHost; got != mbox1 {
		t.Errorf("got %s, want %s: none runs", got, mbox1)
	}
}

func TestCreateAccountRefuses(t *testing.T) { onEngines(t, testCreateAccountRefuses) }

func testCreateAccountRefuses(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	newAccount(t, d, "a@x", "")
	_, err := d.CreateList(t.Context(), "list@x")
	must(t, err)
	for _, c := range []struct {
		name, host string
		kind       fault.Kind
	}{
		{"a@x", "", fault.Exists},
		{"A@X", "", fault.Exists},
		{"list@x", "", fault.Exists},
		{"b", "", fault.Invalid},
		{"b*@x", "", fault.Invalid},
		{"b@x", "mbox9.example.com", fault.NotFound},
	} {
		_, err := d.CreateAccount(t.Context(), directory.NewAccount{Name: c.name, MailHost: c.host})
		if !fault.Is(err, c.kind) {
			t.Errorf("%s on %q: got %v, want %v", c.name, c.host, err, c.kind)
		}
	}
	_, err = d.CreateList(t.Context(), "a@x")
	wantKind(t, err, fault.Exists)
	_, err = d.CreateAccount(t.Context(), directory.NewAccount{Name: "b@x", Status: "asleep"})
	wantKind(t, err, fault.Invalid)
}

func TestCreateAccountWithoutAMailstore(t *testing.T) {
	onEngines(t, testCreateAccountWithoutAMailstore)
}

func testCreateAccountWithoutAMailstore(t *testing.T, r rig) {
	d, err := directory.Create(t.Context(), r.empty(t))
	must(t, err)
	defer d.Close()
	_, err = d.CreateAccount(t.Context(), directory.NewAccount{Name: "a@x"})
	wantKind(t, err, fault.NotFound)
}

// Names are bytes: what a collation would call equal is another name.
func TestNamesAreBytes(t *testing.T) { onEngines(t, testNamesAreBytes) }

func testNamesAreBytes(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	for _, name := range []string{"a@x", "ä@x", "a\u0308@x", "ß@x", "ss@x"} {
		newAccount(t, d, name, "")
	}
	a, err := directory.AccountByName(t.Context(), d, "ss@x")
	must(t, err)
	if a.Name != "ss@x" {
		t.Errorf("got %q", a.Name)
	}
	_, err = directory.AccountByName(t.Context(), d, "A@x")
	wantKind(t, err, fault.NotFound)
	_, err = directory.AccountByName(t.Context(), d, "a@x ")
	wantKind(t, err, fault.NotFound)
}

func TestUpdateAccountComparesAndSets(t *testing.T) { onEngines(t, testUpdateAccountComparesAndSets) }

func testUpdateAccountComparesAndSets(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	a := newAccount(t, d, "a@x", "")
	locked, hash, admin := directory.Locked, "other", true
	b, err := d.UpdateAccount(t.Context(), a.ID, a.Version, directory.AccountUpdate{Status: &locked, PasswordHash: &hash})
	must(t, err)
	if b.Status != locked || b.PasswordHash != hash || b.GlobalAdmin || b.Version <= a.Version {
		t.Errorf("got %+v", b)
	}
	_, err = d.UpdateAccount(t.Context(), a.ID, a.Version, directory.AccountUpdate{GlobalAdmin: &admin})
	wantKind(t, err, fault.Busy)
	_, err = d.UpdateAccount(t.Context(), account.NewID(), 1, directory.AccountUpdate{})
	wantKind(t, err, fault.NotFound)

	var wins, losses int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, err := d.UpdateAccount(t.Context(), a.ID, b.Version, directory.AccountUpdate{GlobalAdmin: &admin})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				wins++
			case fault.Is(err, fault.Busy):
				losses++
			}
		})
	}
	group.Wait()
	if wins != 1 || losses != 7 {
		t.Errorf("%d updates of one version won and %d lost, want 1 and 7", wins, losses)
	}
}

func TestDeleteAccount(t *testing.T) { onEngines(t, testDeleteAccount) }

func testDeleteAccount(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	a := newAccount(t, d, "a@x", mbox1)
	_, err := d.PutReplica(t.Context(), a.ID, mbox2, 10)
	must(t, err)
	wantKind(t, d.FinishDelete(t.Context(), a.ID), fault.Invalid)
	for range 2 { // marking is idempotent
		marked, err := d.BeginDelete(t.Context(), a.ID)
		must(t, err)
		if !marked.Deleting {
			t.Errorf("not marked: %+v", marked)
		}
	}
	_, err = d.CreateAccount(t.Context(), directory.NewAccount{Name: "a@x"})
	wantKind(t, err, fault.Exists)
	_, err = d.PutReplica(t.Context(), a.ID, mbox3, 10)
	wantKind(t, err, fault.Invalid)
	for range 2 {
		must(t, d.FinishDelete(t.Context(), a.ID))
	}
	_, err = d.Account(t.Context(), a.ID)
	wantKind(t, err, fault.NotFound)
	if deleted, err := d.IsDeleted(t.Context(), a.ID); err != nil || !deleted {
		t.Errorf("IsDeleted = %v, %v", deleted, err)
	}
	if got := replicasOf(t, d, a.ID); got != "" {
		t.Errorf("replicas left: %s", got)
	}
	b := newAccount(t, d, "a@x", "")
	if b.ID == a.ID {
		t.Error("the id was used again")
	}
	if deleted, err := d.IsDeleted(t.Context(), b.ID); err != nil || deleted {
		t.Errorf("IsDeleted of the new account = %v, %v", deleted, err)
	}
	wantKind(t, d.FinishDelete(t.Context(), account.NewID()), fault.NotFound)
}

func TestDeleteListAtOnce(t *testing.T) { onEngines(t, testDeleteListAtOnce) }

func testDeleteListAtOnce(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	list, err := d.CreateList(t.Context(), "list@x")
	must(t, err)
	_, err = d.BeginDelete(t.Context(), list.ID)
	must(t, err)
	newAccount(t, d, "list@x", "")
}

func TestSetStream(t *testing.T) { onEngines(t, testSetStream) }

func testSetStream(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	a := newAccount(t, d, "a@x", "")
	topic := [16]byte{1, 2, 3}
	got, err := d.SetStream(t.Context(), a.ID, "cluster", topic, 7)
	must(t, err)
	if got.ClusterID != "cluster" || got.TopicID != topic || got.Stream != 7 {
		t.Errorf("got %+v", got)
	}
	again, err := d.SetStream(t.Context(), a.ID, "cluster", topic, 7)
	must(t, err)
	if again != got {
		t.Errorf("the same again wrote %+v", again)
	}
	_, err = d.SetStream(t.Context(), a.ID, "cluster", topic, 8)
	wantKind(t, err, fault.Invalid)
	got, err = d.SetStream(t.Context(), a.ID, "", [16]byte{}, -1)
	must(t, err)
	if got.Stream != -1 || got.ClusterID != "" {
		t.Errorf("got %+v", got)
	}
}
