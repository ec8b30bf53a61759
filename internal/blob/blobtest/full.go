package blobtest

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// fullVariable makes the test binary the process whose files cannot grow.
const fullVariable = "BLOB_TEST_FULL"

// InFullProcess runs the test that calls it in a process of its own, in which no file can grow beyond a limit, and reports whether this is
// that process. It stands for a disk that is full: it fails a write after some of its bytes, and needs neither root nor a filesystem of its
// own.
func InFullProcess(t *testing.T, limitBytes uint64) bool {
	t.Helper()
	if os.Getenv(fullVariable) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), fullVariable+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return false
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limitBytes, Max: limitBytes}); err != nil {
		t.Fatal(err)
	}
	return true
}
