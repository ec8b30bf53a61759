package metadata

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"mailreplica/internal/fault"
)

const lockName = "metadata.lock"

// lockDirectory takes the lock that makes this process the directory's only one, until the file is closed or the process
// ends however it ends. The file stays: removing it would let two processes lock two files of one name.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.DatabaseUnavailable, err, "the database's lock file cannot be opened")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.New(fault.Busy, "the database in %s is in use by %s", dir, holder(f)).
				WithHint("stop the other process, or give each mailstore a data directory of its own")
		}
		return nil, fault.Wrap(fault.DatabaseUnavailable, err, "the database's directory cannot be locked")
	}
	// Who holds it is a courtesy to the operator: failing to note it is no reason to refuse.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

func holder(f *os.File) string {
	text := make([]byte, 20)
	n, _ := f.ReadAt(text, 0)
	pid := bytes.TrimSpace(text[:n])
	if len(pid) == 0 {
		return "another process"
	}
	return "process " + string(pid)
}
