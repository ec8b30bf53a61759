package broker

import (
	"os"
	"path/filepath"
	"syscall"

	"mailreplica/internal/fault"
)

// lockDir makes the directory and locks it for this process. The kernel releases the lock when the process ends,
// however it ends, so a lock file that is left behind locks nobody out.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.DatabaseUnavailable, err, "the broker's directory %s cannot be made", dir)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.DatabaseUnavailable, err, "the broker's directory %s cannot be locked", dir)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fault.Wrap(fault.Exists, err, "another broker uses %s", dir).
			WithHint("stop it, or give this one another directory")
	}
	return lock, nil
}
