package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"mailreplica/internal/fault"
)

// changes tells which files below a folder were written to, by inotify(7): the kernel queues an event before the call that
// caused it returns. Its methods are called by one goroutine at a time.
type changes struct {
	root    string
	fd      int
	folders map[int32]string // by watch
	found   []string         // by looking, not by an event
	buffer  [eventsBytes]byte
}

const (
	eventsBytes   = 16 << 10
	eventBytesMax = syscall.SizeofInotifyEvent + syscall.NAME_MAX + 1
	eventsWanted  = syscall.IN_MODIFY | syscall.IN_CREATE | syscall.IN_MOVED_TO
)

// watchChanges begins to watch. All that is there counts as changed.
func watchChanges(root string) (*changes, error) {
	root, err := filepath.EvalSymlinks(root) // nothing below a link would be found
	if err != nil {
		return nil, fault.Wrap(fault.DatabaseUnavailable, err, "the broker's folder cannot be watched")
	}
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		return nil, fault.Wrap(fault.DatabaseUnavailable, err, "the broker's folder %s cannot be watched", root).
			WithHint("raise fs.inotify.max_user_instances")
	}
	c := &changes{root: root, fd: fd, folders: map[int32]string{}}
	if err := c.watch(root); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *changes) close() { _ = syscall.Close(c.fd) } // nothing is written to it

// watch watches a folder and those in it, and finds what is there: files may have been made before the watch. What is removed
// meanwhile is passed by; the rest counts.
func (c *changes) watch(folder string) error {
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = c.find(path, entry)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fault.Wrap(fault.DatabaseUnavailable, err, "the broker's folder %s cannot be watched", folder).
			WithHint("raise fs.inotify.max_user_watches")
	}
	return nil
}

func (c *changes) find(path string, entry fs.DirEntry) error {
	c.found = append(c.found, path)
	switch {
	case entry.Type()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a link, beyond which nothing can be watched", path)
	case !entry.IsDir():
		return nil
	}
	wd, err := syscall.InotifyAddWatch(c.fd, path, eventsWanted)
	if err == nil {
		c.folders[int32(wd)] = path
	}
	return err
}

// each calls fn for every file that was written to, and every folder that got an entry, since the last call.
func (c *changes) each(fn func(path string)) error {
	for {
		n, err := uninterrupted(func() (int, error) { return syscall.Read(c.fd, c.buffer[:]) })
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			return err
		}
		if err := c.take(c.buffer[:max(n, 0)], fn); err != nil {
			return err
		}
		for _, path := range c.found {
			fn(path)
		}
		c.found = c.found[:0]
		if n < eventsBytes-eventBytesMax { // there were no more
			return nil
		}
	}
}

// take takes events: watch, mask, cookie, length of the name, name padded with zeros.
func (c *changes) take(events []byte, fn func(path string)) error {
	for len(events) >= syscall.SizeofInotifyEvent {
		watch, mask := int32(binary.NativeEndian.Uint32(events)), binary.NativeEndian.Uint32(events[4:])
		end := syscall.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
		name := string(bytes.TrimRight(events[syscall.SizeofInotifyEvent:end], "\x00"))
		events = events[end:]
		if mask&syscall.IN_Q_OVERFLOW != 0 {
			if err := c.watch(c.root); err != nil {
				return err
			}
			continue
		}
		folder, watched := c.folders[watch]
		switch {
		case mask&syscall.IN_IGNORED != 0:
			delete(c.folders, watch)
			continue
		case !watched || name == "":
			continue
		case mask&(syscall.IN_CREATE|syscall.IN_MOVED_TO) != 0:
			fn(folder)
		}
		path := filepath.Join(folder, name)
		if mask&syscall.IN_ISDIR == 0 {
			fn(path)
		} else if err := c.watch(path); err != nil {
			return err
		}
	}
	return nil
}
