package directory_test

import (
	"strings"
	"testing"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

func TestSecondIncarnationIsRefused(t *testing.T) { onEngines(t, testSecondIncarnationIsRefused) }

func testSecondIncarnationIsRefused(t *testing.T, r rig) {
	clock := newClock()
	d := r.newDirectory(t, directory.Options{Now: clock.Now})
	first, second := mailstore(mbox1), mailstore(mbox1)
	second.Incarnation = "another"

	wantKind(t, d.RegisterMailstore(t.Context(), second), fault.Exists)
	must(t, d.RegisterMailstore(t.Context(), first)) // the same again: a restart
	for range 3 {
		clock.advance(directory.IncarnationLiveFor - time.Second)
		must(t, d.Heartbeat(t.Context(), mbox1, first.Incarnation))
		wantKind(t, d.RegisterMailstore(t.Context(), second), fault.Exists)
	}
	clock.advance(directory.IncarnationLiveFor)
	must(t, d.RegisterMailstore(t.Context(), second))
	wantKind(t, d.Heartbeat(t.Context(), mbox1, first.Incarnation), fault.Exists)
	must(t, d.Heartbeat(t.Context(), mbox1, second.Incarnation))
}

func TestRegisterMailstoreUpdatesAddresses(t *testing.T) {
	onEngines(t, testRegisterMailstoreUpdatesAddresses)
}

func testRegisterMailstoreUpdatesAddresses(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	before, err := d.Version(t.Context())
	must(t, err)
	m := mailstore(mbox1)
	must(t, d.RegisterMailstore(t.Context(), m))
	if after, err := d.Version(t.Context()); err != nil || after != before {
		t.Errorf("the same registration went from version %d to %d, %v", before, after, err)
	}
	m.LMTPAddr = "127.0.0.1:24"
	must(t, d.RegisterMailstore(t.Context(), m))
	got, err := d.Mailstore(t.Context(), mbox1)
	must(t, err)
	if got.LMTPAddr != m.LMTPAddr || got.Version <= before {
		t.Errorf("got %+v", got)
	}
	all, err := d.Mailstores(t.Context())
	if err != nil || len(all) != 3 || all[0].FQDN != mbox1 || all[2].FQDN != mbox3 {
		t.Errorf("got %+v, %v", all, err)
	}
}

func TestRegisterMailstoreRefuses(t *testing.T) { onEngines(t, testRegisterMailstoreRefuses) }

func testRegisterMailstoreRefuses(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	for _, fqdn := range []string{"", "Mbox1.example.com", "a b", "a,b", "a@b", "*"} {
		m := mailstore(fqdn)
		wantKind(t, d.RegisterMailstore(t.Context(), m), fault.Invalid)
	}
	m := mailstore("mbox4.example.com")
	m.Incarnation = ""
	wantKind(t, d.RegisterMailstore(t.Context(), m), fault.Invalid)
	wantKind(t, d.Heartbeat(t.Context(), "mbox9.example.com", "x"), fault.NotFound)
}

func TestDeleteMailstoreIsRefusedWhileInUse(t *testing.T) {
	onEngines(t, testDeleteMailstoreIsRefusedWhileInUse)
}

func testDeleteMailstoreIsRefusedWhileInUse(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	a := newAccount(t, d, "a@x", mbox1)
	newAccount(t, d, "b@x", mbox2)
	_, err := d.PutReplica(t.Context(), a.ID, mbox2, 1)
	must(t, err)
	err = d.DeleteMailstore(t.Context(), mbox2)
	wantKind(t, err, fault.Invalid)
	if want := "1 account and 1 replica are on " + mbox2; !strings.Contains(fault.Message(err), want) {
		t.Errorf("got %q, want %q", fault.Message(err), want)
	}
	must(t, d.DeleteMailstore(t.Context(), mbox3))
	_, err = d.Mailstore(t.Context(), mbox3)
	wantKind(t, err, fault.NotFound)
	wantKind(t, d.DeleteMailstore(t.Context(), mbox3), fault.NotFound)
}

func TestConfig(t *testing.T) { onEngines(t, testConfig) }

func testConfig(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	_, found, err := d.GetConfig(t.Context(), "brokers")
	must(t, err)
	if found {
		t.Error("found what was never set")
	}
	for _, value := range []string{"a:9092", "b:9092,c:9092", ""} {
		must(t, d.SetConfig(t.Context(), "brokers", value))
		got, found, err := d.GetConfig(t.Context(), "brokers")
		if err != nil || !found || got != value {
			t.Errorf("got %q, %v, %v, want %q", got, found, err, value)
		}
	}
	must(t, d.SetConfig(t.Context(), "other", "1"))
	all, err := d.AllConfig(t.Context())
	if err != nil || len(all) != 2 || all["other"] != "1" {
		t.Errorf("got %v, %v", all, err)
	}
	must(t, d.UnsetConfig(t.Context(), "other"))
	wantKind(t, d.UnsetConfig(t.Context(), "other"), fault.NotFound)
	wantKind(t, d.SetConfig(t.Context(), "", "1"), fault.Invalid)
	wantKind(t, d.SetConfig(t.Context(), "big", strings.Repeat("x", directory.ConfigValueBytesMax+1)), fault.TooLarge)
}
