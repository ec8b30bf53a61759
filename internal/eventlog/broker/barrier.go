package broker

import (
	"errors"
	"io/fs"
	"net"
	"strings"
	"sync"
	"syscall"

	"mailreplica/internal/fault"
)

// barrier lets nothing out of the broker that rests on what is not on the disk yet: before an answer goes to a client, whatever the
// cluster has written up to then is synced. An answer is made after the writes that it tells of, by the same goroutine, so the
// changes of files that are known when the answer is about to be sent include them.
//
// kfake's own synchronous writes hold its only goroutine for two syncs a batch, one after another, and ignore what they return.
// Here the batches of all streams and clients share a sync, the cluster goes on meanwhile, and a failed sync ends the broker.
// The indexes (.idx) are not synced: they hold nothing but epochs, which do not change here, and marks of transactions, of
// which there are none; kfake reads batches from the segments alone.
type barrier struct {
	changes *changes
	failed  func(error)        // called once
	sync    func(string) error // of one file or folder

	mu      sync.Mutex
	synced  *sync.Cond
	waiting map[string]bool // files and folders that changed since the last sync began
	written uint64          // grows with every change
	durable uint64          // what written was when the last sync that ended had begun
	syncing bool
	err     error
}

// newBarrier watches a folder, before the cluster loads what is there. All of that counts as not synced: a process that was killed may
// have written it.
func newBarrier(dir string, failed func(error)) (*barrier, error) {
	changes, err := watchChanges(dir)
	if err != nil {
		return nil, err
	}
	b := &barrier{changes: changes, failed: failed, sync: syncPath, waiting: map[string]bool{}}
	b.synced = sync.NewCond(&b.mu)
	return b, nil
}

// close ends the watch, after which nothing passes.
func (b *barrier) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = net.ErrClosed
	}
	b.changes.close()
	b.synced.Broadcast()
}

// reach is how far the cluster has written by now: what await has to be given for an answer that was made before.
func (b *barrier) reach() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	if err := b.changes.each(b.changed); err != nil {
		b.fail(err)
	}
	return b.written, b.err
}

// await returns when all that had been written at a reach is durable, and the reach of which that is true by then.
func (b *barrier) await(reach uint64) (durable uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.durable < reach && b.err == nil {
		if b.syncing {
			b.synced.Wait()
			continue
		}
		b.lead()
	}
	return b.durable, b.err
}

func (b *barrier) changed(path string) {
	if strings.HasSuffix(path, ".idx") || strings.HasSuffix(path, ".tmp") {
		return
	}
	b.waiting[path] = true
	b.written++
}

// lead syncs all that has changed, for whoever waits. The caller holds mu, which is free meanwhile.
func (b *barrier) lead() {
	taken, written := b.waiting, b.written
	b.waiting, b.syncing = map[string]bool{}, true
	b.mu.Unlock()
	err := b.syncAll(taken)
	b.mu.Lock()
	b.syncing = false
	if err != nil {
		b.fail(err)
	} else {
		b.durable = written
	}
	b.synced.Broadcast()
}

// syncAll syncs files side by side, so that they share the disk's work.
func (b *barrier) syncAll(paths map[string]bool) error {
	results := make(chan error, len(paths))
	for path := range paths {
		if len(paths) == 1 {
			return b.sync(path)
		}
		go func() { results <- b.sync(path) }()
	}
	var err error
	for range paths {
		err = errors.Join(err, <-results)
	}
	return err
}

func (b *barrier) fail(err error) {
	if b.err == nil {
		b.err = err
		b.failed(fault.Wrap(fault.DatabaseUnavailable, err, "the broker cannot make sure of what it wrote").
			WithHint("check the disk, then start the broker again"))
	}
}

// syncPath syncs a file or folder. One that is gone needs none. Package os would ask the system five times more about each, to see
// whether it can be waited for.
func syncPath(path string) error {
	fd, err := uninterrupted(func() (int, error) { return syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = uninterrupted(func() (int, error) { return 0, syscall.Fsync(fd) })
		err = errors.Join(err, syscall.Close(fd))
	}
	if err != nil {
		return &fs.PathError{Op: "sync", Path: path, Err: err}
	}
	return nil
}

// uninterrupted calls the system until no signal interrupts it.
func uninterrupted(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
