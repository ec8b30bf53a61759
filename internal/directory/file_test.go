package directory_test

import (
	"bytes"
	"os"
	"path/filepath"
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

// must1 gives a value whose making must not fail.
func must1[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return value
	}
}
