package mailstore_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// host is one mailstore with readers of its own. It can be killed and started again.
type host struct {
	t    *testing.T
	log  *fakeLog
	name string
	dir  string

	store *metadata.Store
	m     *mailstore.Mailstore
	ctx   context.Context
	kill  context.CancelFunc
	reads sync.WaitGroup

	mu      sync.Mutex
	readers map[int32]*reader
}

// reader is the live reader of one stream. Who waits for it waits at a channel: in virtual time nobody may wait at a mutex that
// is held for long.
type reader struct {
	applying chan struct{} // holds one while a batch is applied, and while a copy is handed over
	next     int64
}

func (r *reader) lock()   { r.applying <- struct{}{} }
func (r *reader) unlock() { <-r.applying }

func (l *fakeLog) host(t *testing.T, name string) *host {
	t.Helper()
	h := &host{t: t, log: l, name: name, dir: filepath.Join(t.TempDir(), name)}
	h.start()
	t.Cleanup(h.stop)
	return h
}

func logger() *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

func (h *host) start() {
	h.t.Helper()
	var err error
	if h.store, err = metadata.Open(h.t.Context(), h.dir, logger()); err != nil {
		h.t.Fatal(err)
	}
	if h.m, err = mailstore.Open(h.t.Context(), mailstore.Config{Self: h.name, Store: h.store, Logger: logger()}); err != nil {
		h.t.Fatal(err)
	}
	h.ctx, h.kill = context.WithCancel(context.Background())
	h.readers = map[int32]*reader{}
	h.m.Start(h, nil)
	for _, a := range h.m.All() {
		if c := a.Copy(); c.Mode != protocol.Local {
			if err := h.Follow(h.ctx, c.Stream.Partition); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

// stop ends the process; what is in doubt stays in doubt.
func (h *host) stop() {
	h.t.Helper()
	h.kill()
	h.reads.Wait()
	h.m.Close()
	if err := h.store.Close(); err != nil {
		h.t.Error(err)
	}
}

func (h *host) Append(stream int32, key, value []byte, done func(error)) {
	h.log.append(stream, key, value, done)
}

func (h *host) CaughtUp(int32) bool { return true }

func (h *host) Follow(ctx context.Context, stream int32) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readers[stream] != nil {
		return nil
	}
	r := &reader{applying: make(chan struct{}, 1), next: h.log.end(stream)}
	p := position(stream, r.next)
	err := h.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error {
		all, err := tx.Positions()
		for _, stored := range all {
			if stored.Stream == stream {
				r.next = stored.Offset
				return err
			}
		}
		return tx.SetPosition(p)
	})
	if err != nil {
		return err
	}
	h.readers[stream] = r
	h.reads.Go(func() { h.read(stream, r) })
	return nil
}

// read gives batches of random sizes to the mailstore. Now and then it begins a batch before what was judged already, or has
// one refused.
func (h *host) read(stream int32, r *reader) {
	for h.ctx.Err() == nil {
		entries, more := h.log.from(stream, r.next)
		if len(entries) == 0 {
			select {
			case <-more:
			case <-h.ctx.Done():
			}
			continue
		}
		entries = entries[:1+h.log.draw(min(len(entries), 20))]
		end := r.next + int64(len(entries))
		if again := min(r.next, int64(h.log.draw(4))); h.log.draw(10) == 0 {
			all, _ := h.log.from(stream, r.next-again)
			entries = all[:end-r.next+again]
		}
		r.lock()
		ctx, cancel := context.WithCancel(h.ctx)
		if h.log.draw(20) == 0 {
			cancel() // the database does not take it
		}
		if err := h.m.ApplyLive(ctx, position(stream, end), entries); err == nil {
			r.next = end
		} else if ctx.Err() == nil {
			h.t.Errorf("%s: ApplyLive: %v", h.name, err)
			h.kill()
		}
		cancel()
		r.unlock()
	}
}

func position(stream int32, offset int64) metadata.Position {
	s := where(stream)
	return metadata.Position{ClusterID: s.ClusterID, TopicID: s.TopicID, Stream: stream, Offset: offset, LeaderEpoch: -1}
}

func where(stream int32) protocol.Stream {
	return protocol.Stream{ClusterID: "cluster", TopicID: [16]byte{1}, Partition: stream, LeaderEpoch: -1}
}

func (h *host) account(id account.ID) *mailstore.Account {
	h.t.Helper()
	a, ok := h.m.Account(id)
	if !ok {
		h.t.Fatalf("%s holds no copy", h.name)
	}
	return a
}

// create makes an account, replicated from the start if a stream is given.
func (h *host) create(stream int32) account.ID {
	h.t.Helper()
	a, err := h.m.Create(h.t.Context(), account.NewID())
	if err != nil {
		h.t.Fatal(err)
	}
	if stream >= 0 {
		h.insist("Replicate", func() error { return a.Replicate(h.t.Context(), where(stream)) })
	}
	return a.ID()
}

// insist repeats what failed for want of the log.
func (h *host) insist(what string, do func() error) {
	h.t.Helper()
	var err error
	for range 50 {
		if err = do(); err == nil {
			return
		}
	}
	h.t.Fatalf("%s: %s: %v", h.name, what, err)
}

// copyFrom makes this host's copy of an account as package replica does: Join, snapshot, catch-up, hand-over.
func (h *host) copyFrom(source *host, id account.ID) {
	h.t.Helper()
	h.catchUp(h.load(source, id))
}

func (h *host) load(source *host, id account.ID) *mailstore.Account {
	h.t.Helper()
	ctx := h.t.Context()
	source.insist("Join", func() error { _, err := source.account(id).Join(ctx, h.name); return err })
	var taken *mailstore.Account
	err := source.m.Snapshot(ctx, id, func(row metadata.Mailbox, r mailbox.Scanner) error {
		rows := allRows(h.t, r)
		c := row.Copy.Clone()
		c.Self, c.Condition, c.Journal = h.name, protocol.CatchingUp, 0
		if err := c.MayGiveSnapshot(); err == nil {
			h.t.Error("a copy that is catching up may give snapshots")
		}
		loading, err := h.m.Load(ctx, c)
		if err != nil {
			return err
		}
		if err := loading.Rows(ctx, rows); err != nil {
			return err
		}
		taken, err = loading.Finish(ctx, row.Header)
		return err
	})
	if err != nil {
		h.t.Fatalf("%s: copying: %v", h.name, err)
	}
	return taken
}

// nextTransaction encodes a delivery as the given number of records, as the account's primary would append it next.
func (h *host) nextTransaction(id account.ID, parts int) (encoded [][]byte) {
	h.t.Helper()
	a := h.account(id)
	err := a.View(h.t.Context(), func(r mailbox.Reader) error {
		d, err := mailbox.NewDraft(r, time.Now())
		if err != nil {
			return err
		}
		m := mailbox.NewMessage{Volume: "v", Blob: "in parts", Size: 1, Summary: make([]byte, (parts-1)*event.PartBytesMax)}
		if _, _, err := d.Deliver(m, mailbox.DeliveryKey{}, "INBOX"); err != nil {
			return err
		}
		change, err := d.Change()
		if err != nil {
			return err
		}
		payload, err := event.EncodeChange(change)
		if err != nil {
			return err
		}
		for _, record := range event.Split(a.Copy().Next(event.Change), payload) {
			encoded = append(encoded, record.Encode())
		}
		return nil
	})
	if err != nil || len(encoded) != parts {
		h.t.Fatalf("%d parts, %v; want %d", len(encoded), err, parts)
	}
	return encoded
}

func (h *host) catchUp(a *mailstore.Account) {
	h.t.Helper()
	stream, read := a.Copy().Stream.Partition, a.Copy().NextOffset
	if err := h.Follow(h.ctx, stream); err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	r := h.readers[stream]
	h.mu.Unlock()
	for done := false; !done; {
		r.lock()
		next := r.next
		if done = next <= read; done {
			if err := a.GoLive(h.ctx, position(stream, next)); err != nil {
				h.t.Error(err)
			}
		}
		r.unlock()
		for read < next {
			entries, _ := h.log.from(stream, read)
			entries = entries[:1+h.log.draw(int(next-read))]
			if err := a.ApplyCatchUp(h.ctx, entries); err != nil {
				h.t.Fatal(err)
			}
			read += int64(len(entries))
		}
	}
}

func allRows(t *testing.T, r mailbox.Scanner) *event.Rows {
	t.Helper()
	var rows event.Rows
	folders, err := r.Folders()
	rows.Folders = folders
	names, err2 := r.Subscriptions()
	for _, name := range names {
		rows.Subscriptions = append(rows.Subscriptions, event.Subscription{Name: name})
	}
	err = errors.Join(err, err2,
		r.ScanContents(0, func(c mailbox.Content) bool { rows.Contents = append(rows.Contents, c); return true }),
		r.ScanMessages(mailbox.MessageKey{}, func(m mailbox.Message) bool { rows.Messages = append(rows.Messages, m); return true }),
		r.ScanTombstones(mailbox.MessageKey{}, func(x mailbox.Tombstone) bool { rows.Tombstones = append(rows.Tombstones, x); return true }),
		r.ScanDiscarded(0, func(d mailbox.Discarded) bool { rows.Discarded = append(rows.Discarded, d); return true }),
		r.ScanDeliveries(mailbox.DeliveryKey{}, func(d mailbox.Delivery) bool { rows.Deliveries = append(rows.Deliveries, d); return true }))
	if err != nil {
		t.Fatal(err)
	}
	return &rows
}
