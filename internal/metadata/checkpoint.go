package metadata

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mailreplica/internal/fault"
)

// SQLite's write-ahead log is copied into the database by checkpoints. Left to itself, SQLite does that inside commits. Here
// a goroutine of its own does, beside writers and readers. Under load it never quite catches up, so the log would grow for
// ever; when it is long, the commit loop finishes the rest between two groups and has the log begin anew. Views older than
// the log's end prevent that: then it goes on growing and the store says so.
//
// A copy competes for the disk with what mail waits for, and pages that change often are copied once each time: so copies are
// rare. The last one before the log is to begin anew leaves little to the commit loop.
const (
	pageBytes       = 4 << 10 // SQLite's default
	walPages        = 5_000   // 20 MiB: copy in the background
	walRestartPages = 16_000  // 64 MiB: begin anew
	writeBackPages  = 64      // 256 KiB: have the kernel begin to write them
)

type checkpointer struct {
	store *Store
	c     *conn
	log   *os.File      // the write-ahead log
	due   chan struct{} // capacity 1
	mu    sync.Mutex    // one checkpoint at a time: another would fail, not wait

	pages, restartPages int64 // walPages and walRestartPages, but for tests

	held   atomic.Int64 // how many pages the log has
	copied atomic.Int64 // how many pages of the log the last copy in the background found in the database, or brought there

	// Owned by the commit loop: how many pages the log had when a copy was last asked for, and when it was last to begin
	// anew. Until it has grown by as much again, asking again would only cost. And when the kernel was last told to write.
	asked, restarted, written int64
}

func (k *checkpointer) open(ctx context.Context, s *Store) (err error) {
	if k == nil {
		return nil
	}
	k.store, k.due = s, make(chan struct{}, 1)
	k.pages, k.restartPages = walPages, walRestartPages
	if k.c, err = s.connect(ctx, s.writers); err != nil {
		return err
	}
	if k.log, err = os.Open(s.writers.(sqlitePool).path + "-wal"); err != nil {
		return fault.Wrap(fault.DatabaseUnavailable, err, "the write-ahead log of the mailstore's database cannot be opened")
	}
	return nil
}

func (k *checkpointer) close() error {
	if k == nil {
		return nil
	}
	if k.log != nil {
		_ = k.log.Close() // it is only read
	}
	return k.c.close()
}

func (k *checkpointer) loop() {
	if k == nil {
		return
	}
	for {
		select {
		case <-k.due:
			k.mu.Lock()
			begun := time.Now()
			_, copied, err := k.c.checkpoint("passive")
			k.store.measures.Checkpoints.Since(begun)
			k.mu.Unlock()
			if err == nil {
				k.copied.Store(copied)
			} else {
				k.store.logger.Error("the write-ahead log could not be copied into the mailstore's database", "error", err)
				k.store.noteLoss(k.c)
			}
		case <-k.store.closing:
			return
		}
	}
}

// afterCommit runs in the commit loop.
func (k *checkpointer) afterCommit(writer *conn) {
	if k == nil || writer == nil {
		return
	}
	pages := writer.link.(sqliteLink).c.LogPages()
	k.held.Store(pages)
	if pages < k.asked || pages < k.restarted || pages < k.written { // it has begun anew
		k.asked, k.restarted, k.written = 0, 0, 0
		k.copied.Store(0)
	}
	if pages-k.written >= writeBackPages {
		k.written = pages
		k.writeBack()
	}
	switch {
	case pages-k.restarted >= k.restartPages:
		k.restart(writer, pages-k.restarted)
	case pages-k.copied.Load() >= k.pages && pages-k.asked >= k.pages:
		k.asked = pages
		select {
		case k.due <- struct{}{}:
		default:
		}
	}
}

// writeBack has the kernel begin to write what the log has grown by. Left to the sync of the next copy, it would be megabytes at once, and
// the syncs of bodies and of the event log, on the same disk, would wait behind them.
func (k *checkpointer) writeBack() {
	const syncFileRangeWrite = 2
	_ = syscall.SyncFileRange(int(k.log.Fd()), 0, 0, syncFileRangeWrite) // whether it got there is told by that sync
}

// restart has the next commit begin the log anew if it can. It waits for readers, but not for long, and for a copy in the
// background only if the log has grown to twice what it may be: else the next commit asks again.
func (k *checkpointer) restart(writer *conn, grown int64) {
	if !k.mu.TryLock() {
		if grown < 2*k.restartPages {
			return
		}
		k.mu.Lock()
	}
	defer k.mu.Unlock()
	begun := time.Now()
	pages, copied, err := writer.checkpoint("restart")
	k.store.measures.Checkpoints.Since(begun)
	if err != nil {
		k.store.logger.Error("the write-ahead log of the mailstore's database cannot begin anew", "error", err)
		k.store.noteLoss(writer)
		return
	}
	k.restarted = pages
	if copied < pages {
		k.store.logger.Warn("the write-ahead log of the mailstore's database grows: a reader has held a snapshot for long",
			"pages", pages, "copied", copied)
	}
}

// checkpoint says how many pages the write-ahead log has, and how many of them the database has.
func (c *conn) checkpoint(mode string) (pages, copied int64, err error) {
	var blocked int64
	_, err = c.one("PRAGMA wal_checkpoint("+mode+")", nil, &blocked, &pages, &copied)
	return pages, copied, err
}
