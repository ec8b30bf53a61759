package cache_test

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"mailreplica/internal/blob/blobtest"
)

// fullVariable makes the test binary the process whose files cannot grow.
const fullVariable = "CACHE_TEST_FULL"

// A disk that is full in the middle of a file costs speed, and nothing else. The limit on the size of files stands for it: it
// fails a write after some of its bytes, and needs neither root nor a filesystem of its own.
func TestFullDisk(t *testing.T) {
	if os.Getenv(fullVariable) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), fullVariable+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	const limit = 150_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
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
