package cache_test

import (
	"testing"

	"mailreplica/internal/blob/blobtest"
)

// A disk that is full in the middle of a file costs speed, and nothing else.
func TestFullDisk(t *testing.T) {
	const limit = 150_000
	if !blobtest.InFullProcess(t, limit) {
		return
	}
	under := newVolume(t)
	c := open(t, t.TempDir(), plenty)
	v := c.Wrap(under)
	for i, size := range []int{1000, 140_000, 149_990, 200_000, 3 << 20} {
		content := blobtest.Content(uint64(i), size)
		name := blobtest.Put(t, v, content)
		for range 2 {
			blobtest.AssertContent(t, v, name, content)
		}
	}
	if s := c.Stats(); s.Blobs != 2 || s.WritesFailed == 0 || s.Damaged != 0 {
		t.Errorf("got %+v, want the two that fit, and no damage", s)
	}
}
