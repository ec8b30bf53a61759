// Package disktest gives tests a disk that they decide about.
package disktest

import (
	"testing"

	"mailreplica/internal/sim/disk"
)

// Mount mounts a disk on a new folder until the test ends.
func Mount(t testing.TB) (d *disk.Disk, folder string) {
	t.Helper()
	if err := disk.Install(); err != nil {
		t.Fatal(err)
	}
	folder = t.TempDir()
	d, err := disk.Mount(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Unmount)
	return d, folder
}
