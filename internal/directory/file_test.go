package directory_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

func TestOpenNeverCreates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory.db")
	d, err := directory.Open(directory.Options{Path: path})
	must(t, err)
	defer d.Close()
	wantKind(t, d.Ping(t.Context()), fault.DirectoryUnavailable)
	if _, err := os.Stat(path); err == nil {
		t.Error("a directory was made")
	}
	must(t, os.WriteFile(path, nil, 0o600))
	wantKind(t, d.Ping(t.Context()), fault.DirectoryUnavailable)
	must(t, os.Remove(path))
	made, err := directory.Create(t.Context(), directory.Options{Path: path})
	must(t, err)
	defer made.Close()
	must(t, d.Ping(t.Context()))
	_, err = directory.Open(directory.Options{})
	wantKind(t, err, fault.Invalid)
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory.db")
	sqlite.newDirectory(t, directory.Options{Path: path})
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", filepath.Base(path)+suffix, info.Mode())
		}
	}
}

func TestGarbageIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory.db")
	must(t, os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600))
	d, err := directory.Open(directory.Options{Path: path})
	must(t, err)
	defer d.Close()
	wantKind(t, d.Ping(t.Context()), fault.DirectoryUnavailable)
	_, err = directory.OpenCopy(t.Context(), path, directory.Options{})
	wantKind(t, err, fault.DatabaseUnavailable)
}

// A file that is deleted under an open database must not go on swallowing writes.
func TestDeletedFileIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory.db")
	d := sqlite.newDirectory(t, directory.Options{Path: path})
	must(t, os.Remove(path))
	wantKind(t, d.SetConfig(t.Context(), "c", "1"), fault.DirectoryUnavailable)
	_, err := d.Mailstores(t.Context())
	wantKind(t, err, fault.DirectoryUnavailable)
}

func TestPathsWithSpecialCharacters(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a b?c#d%20&e=f")
	d := sqlite.newDirectory(t, directory.Options{Path: filepath.Join(folder, "directory.db")})
	must(t, d.SetConfig(t.Context(), "c", "1"))
	if _, err := os.Stat(filepath.Join(folder, "directory.db")); err != nil {
		t.Error(err)
	}
}

func TestNetworkFilesystems(t *testing.T) {
	for name, magic := range map[string]uint32{"nfs": 0x6969, "smb": 0x517b, "cifs": 0xff534d42, "smb2": 0xfe534d42,
		"fuse": 0x65735546, "ceph": 0x00c36400} {
		if !directory.NetworkFilesystem(magic) {
			t.Errorf("%s is let through", name)
		}
	}
	for name, magic := range map[string]uint32{"ext4": 0xef53, "xfs": 0x58465342, "btrfs": 0x9123683e, "zfs": 0x2fc12fc1,
		"tmpfs": 0x01021994, "overlayfs": 0x794c7630} {
		if directory.NetworkFilesystem(magic) {
			t.Errorf("%s is refused", name)
		}
	}
}

// Released migrations are never changed: databases out there were made by them. testdata/schema keeps a copy of each.
func TestMigrationsAreFrozen(t *testing.T) {
	frozen, err := filepath.Glob("testdata/schema/sqlite/*.sql")
	must(t, err)
	now, err := filepath.Glob("migrations/sqlite/*.sql")
	must(t, err)
	if len(frozen) == 0 || len(frozen) != len(now) {
		t.Fatalf("%d migrations, %d frozen copies: copy a new one to testdata/schema/sqlite", len(now), len(frozen))
	}
	for _, path := range frozen {
		want, err := os.ReadFile(path)
		must(t, err)
		got, err := os.ReadFile(strings.Replace(path, "testdata/schema", "migrations", 1))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s was changed (%v): add a new migration instead", filepath.Base(path), err)
		}
	}
}

// A directory of every released schema is brought to the newest when it is opened, and keeps its rows.
func TestReleasedSchemasOpen(t *testing.T) {
	released := must1(filepath.Glob("testdata/rows/sqlite/*.sql"))(t)
	schemas := must1(filepath.Glob("testdata/schema/sqlite/*.sql"))(t)
	if len(released) == 0 || len(released) != len(schemas) {
		t.Fatalf("%d schemas, rows for %d", len(schemas), len(released))
	}
	for i, rows := range released {
		path := filepath.Join(t.TempDir(), "directory.db")
		must(t, os.WriteFile(path, nil, 0o600))
		db := must1(sql.Open("sqlite", "file:"+path))(t)
		for _, script := range append(schemas[:i+1:i+1], rows) {
			must1(db.ExecContext(t.Context(), string(must1(os.ReadFile(script))(t))))(t)
		}
		must(t, db.Close())
		checkReleased(t, path)
	}
}

func checkReleased(t *testing.T, path string) {
	t.Helper()
	ctx := t.Context()
	d := must1(directory.Open(directory.Options{Path: path}))(t)
	defer d.Close()
	a := must1(d.AccountByName(ctx, "old@example.com"))(t)
	if a.MailHost != mbox1 || a.Epoch != 7 || a.Stream != 3 || !a.GlobalAdmin {
		t.Errorf("account %+v", a)
	}
	if got, want := replicasOf(t, d, a.ID), mbox2+" 10 available removing=false; "; got != want {
		t.Errorf("replicas %s, want %s", got, want)
	}
	if all := must1(d.Operations(ctx, directory.OperationFilter{}))(t); len(all) != 1 || all[0].State != directory.Successful {
		t.Errorf("operations %+v", all)
	}
	if all := must1(d.Notifications(ctx, 0))(t); len(all) != 1 || all[0].Operation == "" {
		t.Errorf("notifications %+v", all)
	}
	changes := must1(d.Since(ctx, 0))(t)
	if len(changes.Deleted) != 1 || len(changes.Mailstores) != 2 || len(changes.Config) != 1 || len(changes.Removed) != 1 {
		t.Errorf("changes %+v", changes)
	}
}

// must1 gives a value whose making must not fail.
func must1[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return value
	}
}
