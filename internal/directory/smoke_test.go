package directory_test

import (
	"path/filepath"
	"testing"

	"mailreplica/internal/directory"
)

func TestSmoke(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	d, err := directory.Create(ctx, directory.Options{Path: filepath.Join(dir, "directory.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, h := range []string{"mbox1.example.com", "mbox2.example.com"} {
		if err := d.RegisterMailstore(ctx, directory.Mailstore{FQDN: h, Incarnation: "a"}); err != nil {
			t.Fatal(err)
		}
	}
	a, err := d.CreateAccount(ctx, directory.NewAccount{Name: "A@x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.PutReplica(ctx, a.ID, "mbox2.example.com", 10); err != nil {
		t.Fatal(err)
	}
	c, err := directory.OpenCopy(ctx, filepath.Join(dir, "copy.db"), directory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := directory.NewFollower(directory.FollowerConfig{Directory: d, Copy: c})
	f.Subscribe(func(e directory.Event) { t.Logf("%+v", e) })
	if err := f.Poll(ctx); err != nil {
		t.Fatal(err)
	}
	if ok, err := d.SetHome(ctx, a.ID, "mbox2.example.com", 2, []directory.Replica{{Mailstore: "mbox1.example.com", Priority: 10, State: directory.Available}}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := f.Poll(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := f.Lookup(ctx, "a@x")
	t.Logf("%+v %v %v", got, err, c.Replicas(a.ID))
}
