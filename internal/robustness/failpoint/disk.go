package failpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// fillBytes is how much is written to a disk at once until it is full.
const fillBytes = 1 << 20

// Filler is the name of the file that fills a disk.
const Filler = "filler"

// Disk is a small filesystem of its own, in memory, which can be filled.
type Disk struct {
	Path   string
	filler string
}

// Mount makes a disk at a path. It needs the right to mount.
func Mount(path string, megabytes int) (*Disk, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	options := fmt.Sprintf("size=%dm,mode=0700", megabytes)
	if err := syscall.Mount("mailreplica", path, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, options); err != nil {
		return nil, fmt.Errorf("a disk cannot be mounted at %s: %w (the suite fills disks of its own: run it as root)", path, err)
	}
	return &Disk{Path: path, filler: filepath.Join(path, Filler)}, nil
}

// Fill takes all the space there is, to the last byte.
func (d *Disk) Fill() error {
	file, err := os.OpenFile(d.filler, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	for size := fillBytes; size > 0; {
		if _, err := file.Write(make([]byte, size)); err == nil {
			continue
		} else if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		size /= 2
	}
	return nil
}

// Empty gives the space back.
func (d *Disk) Empty() error {
	if err := os.Remove(d.filler); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Unmount ends the disk, with all that is on it, even if somebody still uses it.
func (d *Disk) Unmount() error { return syscall.Unmount(d.Path, syscall.MNT_DETACH) }
