// Package disk lets a simulation decide what of a database's files survives. It stands between the SQL engine and its files: it
// keeps what was synced apart from what was only written, fails at any write or sync, and lays out the files as they would be
// found after the process was killed, or after the machine lost power.
//
// It knows files, and neither tables nor what is simulated. It is for tests: it changes the engine for the whole process.
package disk

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// Disk is the files of one folder during one life of a process.
type Disk struct {
	folder string

	mu       sync.Mutex
	files    map[string]*file // by name
	dead     bool
	full     bool
	slow     time.Duration
	left     int // writes and syncs until the disk fails for good; negative: never
	whenOver func()
}

// file is one file of a disk: what is durable, and what was done to it since.
type file struct {
	disk    *Disk
	durable []byte
	pending []write
}

const sectorBytes = 512 // what is written as a whole

// write is a write, or the cutting to a size where data is nil.
type write struct {
	offset int64
	data   []byte
}

// Mount watches a folder. What is in it counts as durable.
func Mount(folder string) (*Disk, error) {
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	d := &Disk{folder: real, files: map[string]*file{}, left: -1}
	engine.mu.Lock()
	defer engine.mu.Unlock()
	engine.disks[real] = d
	return d, nil
}

// Unmount ends the watching.
func (d *Disk) Unmount() {
	engine.mu.Lock()
	defer engine.mu.Unlock()
	delete(engine.disks, d.folder)
}

// Kill makes every later write fail: the process is dead.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
}

// KillAfter makes the disk fail for good at the n-th write or sync from now, from 1, and calls over then, on the goroutine that
// wrote: over must not wait for it. Of that write half is done.
func (d *Disk) KillAfter(n int, over func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.whenOver = n, over
}

// Fill makes the disk full, or gives it room again.
func (d *Disk) Fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// Slow makes every sync take so much longer, in the time of whoever syncs.
func (d *Disk) Slow(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = by
}

func (d *Disk) slowness() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slow
}

// Leave writes the files into another folder as they are found afterwards: after a kill all that was written, after a power loss
// what was synced and, at random, some of what was written since, the last of it perhaps by half.
func (d *Disk) Leave(to string, power bool, random *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(d.folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasSuffix(name, "-shm") || strings.HasSuffix(name, ".lock") {
			continue
		}
		var content []byte
		switch f := d.files[name]; {
		case f == nil: // not opened in this life
			if content, err = os.ReadFile(filepath.Join(d.folder, name)); err != nil {
				return err
			}
		case power:
			content = f.afterPowerLoss(random)
		default:
			content = f.afterKill()
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) afterKill() []byte {
	content := append([]byte(nil), f.durable...)
	for _, w := range f.pending {
		content = w.apply(content)
	}
	return content
}

func (f *file) afterPowerLoss(random *rand.Rand) []byte {
	content := append([]byte(nil), f.durable...)
	if len(f.pending) == 0 || random.IntN(2) == 0 {
		return content
	}
	reached := random.IntN(len(f.pending) + 1)
	for _, w := range f.pending[:reached] {
		content = w.apply(content)
	}
	if reached < len(f.pending) && random.IntN(2) == 0 {
		torn := f.pending[reached]
		if len(torn.data) > 0 {
			torn.data = torn.data[:random.IntN(len(torn.data))]
			content = torn.apply(content)
		}
	}
	return content
}

func (w write) apply(content []byte) []byte {
	if w.data == nil {
		return content[:min(int64(len(content)), w.offset)]
	}
	if end := w.offset + int64(len(w.data)); end > int64(len(content)) {
		content = append(content, make([]byte, end-int64(len(content)))...)
	}
	copy(content[w.offset:], w.data)
	return content
}

// before is asked before a file is opened; a file that no disk watches has no file.
func before(path string) (*file, int32) {
	folder, name := filepath.Split(path)
	engine.mu.Lock()
	d := engine.disks[filepath.Clean(folder)]
	engine.mu.Unlock()
	if d == nil {
		return nil, sqlite3.SQLITE_OK
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, sqlite3.SQLITE_CANTOPEN
	}
	f := d.files[name]
	if f != nil {
		if _, err := os.Stat(path); err == nil {
			return f, sqlite3.SQLITE_OK
		}
	}
	f = &file{disk: d}
	f.durable, _ = os.ReadFile(path) // a new file is empty
	d.files[name] = f
	return f, sqlite3.SQLITE_OK
}

// alive counts a write or a sync. The caller holds the disk's mu.
func (d *Disk) alive() bool {
	if d.left > 0 {
		if d.left--; d.left == 0 {
			d.dead = true
			if d.whenOver != nil {
				d.whenOver()
			}
		}
	}
	return !d.dead
}

func (f *file) wrote(data []byte, offset int64) int32 {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	dead := f.disk.dead
	switch {
	case !f.disk.alive():
		if !dead {
			f.pending = append(f.pending, write{offset, append([]byte{}, data[:len(data)/2/sectorBytes*sectorBytes]...)})
		}
		return sqlite3.SQLITE_IOERR_WRITE
	case f.disk.full:
		return sqlite3.SQLITE_FULL
	}
	f.pending = append(f.pending, write{offset, append([]byte{}, data...)})
	return sqlite3.SQLITE_OK
}

func (f *file) cut(size int64) int32 {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if !f.disk.alive() {
		return sqlite3.SQLITE_IOERR_TRUNCATE
	}
	f.pending = append(f.pending, write{offset: size})
	return sqlite3.SQLITE_OK
}

func (f *file) sync() int32 {
	time.Sleep(f.disk.slowness())
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if !f.disk.alive() {
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	for _, w := range f.pending {
		f.durable = w.apply(f.durable)
	}
	f.pending = nil
	return sqlite3.SQLITE_OK
}
