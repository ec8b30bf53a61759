// Package cache keeps blobs of a volume near, as files in a folder: what was written or read lately is read from there, and
// while the volume is away too.
//
// A cache may lose anything at any time, and never serves what is not what the volume gave: every file carries checksums, and is
// never synced. It must not know what kind of volume it stands before. See DESIGN.md of package s3 for what goes through it.
package cache

import (
	"container/list"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"mailreplica/internal/fault"
)

const (
	lockName = "lock"
	tmpName  = "tmp"
	digits   = "0123456789abcdef" // a folder each, made when it is needed

	// fileOverheadBytes is what a file takes beside its bytes, roughly: an inode, and the end of its last block.
	fileOverheadBytes = 4 << 10
	// shareMax is the part of the cache that one blob may take: a few large ones must not drive out all others.
	shareMax = 4

	touchEvery   = 10 * time.Minute
	complainEach = time.Minute
)

// Cache is a folder of blobs. Several volumes may share it, and one process alone.
type Cache struct {
	folder   string
	bytesMax int64
	log      *slog.Logger
	lock     *os.File

	mu      sync.Mutex
	closed  bool                  // the folder may be another process's
	entries map[key]*list.Element // of *entry
	recent  *list.List            // the front was used last
	bytes   int64                 // of the entries, and of files that are being written
	flights map[key]*flight       // blobs that are being fetched
	stats   Stats
	told    time.Time // when a failure was logged last
	nextTmp int64
}

// Stats say what a cache holds, and how useful it was since it was opened.
type Stats struct {
	Blobs, Bytes int64
	Hits, Misses int64 // blobs that were opened
	Evicted      int64 // to make room
	Damaged      int64 // files that were found to be torn or rotten
	WritesFailed int64 // files that could not be written
}

type entry struct {
	key     key
	bytes   int64
	touched time.Time // its file's modification time, or later
}

// Open opens a cache in a folder, which is made if it is missing; what an earlier process left there is kept. Busy: another
// process has it open. Invalid: the folder cannot be used.
func Open(folder string, bytesMax int64, log *slog.Logger) (*Cache, error) {
	if bytesMax < 0 {
		return nil, fault.New(fault.Invalid, "the blob cache in %s cannot have %d bytes", folder, bytesMax)
	}
	c := &Cache{folder: folder, bytesMax: bytesMax, log: log,
		entries: map[key]*list.Element{}, recent: list.New(), flights: map[key]*flight{}}
	if err := c.takeLock(); err != nil {
		return nil, err
	}
	if err := c.load(); err != nil {
		c.Close()
		return nil, fault.Wrap(fault.Invalid, err, "the blob cache in %s cannot be used", folder).
			WithHint("give it a folder of its own on a local disk, or remove what is there")
	}
	return c, nil
}

// Close gives the folder up. Volumes that were wrapped go on without what is in it.
func (c *Cache) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	_ = c.lock.Close()
}

// Stats tells how the cache does.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Blobs, s.Bytes = int64(len(c.entries)), c.bytes
	return s
}

func (c *Cache) takeLock() error {
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "the folder %s of the blob cache cannot be made", c.folder)
	}
	lock, err := os.OpenFile(filepath.Join(c.folder, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the lock file of the blob cache in %s cannot be opened", c.folder)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fault.New(fault.Busy, "the blob cache in %s is in use by another process", c.folder).
				WithHint("stop the other process, or give each mailstore a cache folder of its own")
		}
		return fault.Wrap(fault.Invalid, err, "the folder %s of the blob cache cannot be locked", c.folder)
	}
	c.lock = lock
	return nil
}

// load removes what was being written when a process ended, and learns what is there. Whether a file is
// whole is seen when it is read.
func (c *Cache) load() error {
	if err := os.RemoveAll(filepath.Join(c.folder, tmpName)); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(c.folder, tmpName), 0o700); err != nil {
		return err
	}
	var found []*entry
	for _, digit := range digits {
		files, err := os.ReadDir(filepath.Join(c.folder, string(digit)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, file := range files {
			k, ok := parseKey(file.Name())
			if !ok {
				continue // not ours
			}
			info, err := file.Info()
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			found = append(found, &entry{key: k, bytes: info.Size() + fileOverheadBytes, touched: info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return a.touched.Compare(b.touched) })
	for _, e := range found {
		c.entries[e.key] = c.recent.PushFront(e)
		c.bytes += e.bytes
	}
	c.reserve(0) // the limit may be smaller than it was
	return nil
}

// reserve makes room for n more bytes, and reports whether there can be.
func (c *Cache) reserve(n int64) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	var victims []key
	for c.bytes+n > c.bytesMax && c.recent.Len() > 0 {
		oldest := c.recent.Back().Value.(*entry)
		c.remove(oldest.key)
		c.stats.Evicted++
		victims = append(victims, oldest.key)
	}
	fits := c.bytes+n <= c.bytesMax
	if fits {
		c.bytes += n
	}
	c.mu.Unlock()
	for _, k := range victims {
		_ = os.Remove(c.path(k)) // one that cannot be removed is found again when the cache is opened
	}
	return fits
}

func (c *Cache) release(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes -= n
}

// remove takes an entry out of the index; c.mu is held.
func (c *Cache) remove(k key) {
	if element, ok := c.entries[k]; ok {
		c.bytes -= element.Value.(*entry).bytes
		c.recent.Remove(element)
		delete(c.entries, k)
	}
}

// forget drops a blob, and one that is being fetched too.
func (c *Cache) forget(k key) {
	c.mu.Lock()
	c.remove(k)
	if f, ok := c.flights[k]; ok {
		f.dead = true
	}
	closed := c.closed
	c.mu.Unlock()
	if !closed {
		_ = os.Remove(c.path(k))
	}
}

// use marks an entry as used now, and reports whether there is one. The time is noted in the file now and then, so that a cache
// that is opened again knows roughly what was used last.
func (c *Cache) use(k key) bool {
	now := time.Now()
	c.mu.Lock()
	element, ok := c.entries[k]
	touch := false
	ok = ok && !c.closed
	if ok {
		c.recent.MoveToFront(element)
		if e := element.Value.(*entry); now.Sub(e.touched) > touchEvery {
			e.touched, touch = now, true
		}
	}
	c.mu.Unlock()
	if touch {
		_ = os.Chtimes(c.path(k), time.Time{}, now)
	}
	return ok
}

// count changes the statistics.
func (c *Cache) count(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.stats)
}

// complain tells the operator that files cannot be written: nothing fails by that, and everything is slower.
func (c *Cache) complain(err error) {
	c.mu.Lock()
	c.stats.WritesFailed++
	quiet := time.Since(c.told) < complainEach
	if !quiet {
		c.told = time.Now()
	}
	c.mu.Unlock()
	if !quiet {
		c.log.Warn("the blob cache cannot be written; blobs are read from their volume", "folder", c.folder, "error", err)
	}
}
