package replica

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/bench/load"
	"mailreplica/internal/blob"
	"mailreplica/internal/directory"
	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/message"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// many is a mailstore that is home of many accounts, each in order and with a replica, and knows the directory.
type many struct {
	store   *metadata.Store
	wishes  *directory.Copy
	manager *Manager
}

// accountsTogether is how many accounts are made in one transaction.
const accountsTogether = 1_000

// manyLieIn is where the records of all of them lie.
func manyLieIn() protocol.Stream {
	return protocol.Stream{ClusterID: "cluster", TopicID: [16]byte{1}, Partition: 1}
}

func newMany(b *testing.B, accounts int) *many {
	b.Helper()
	folder, logger := b.TempDir(), slog.New(slog.DiscardHandler)
	w := &many{}
	var err error
	if w.store, err = metadata.Open(b.Context(), filepath.Join(folder, "data"), logger); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = w.store.Close() })
	if w.wishes, err = directory.OpenCopy(b.Context(), filepath.Join(folder, "copy.db"), directory.Options{WriteTimeout: time.Minute}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = w.wishes.Close() })
	page := directory.Changes{Full: true, Directory: "d", Through: 1, Mailstores: []directory.Mailstore{{FQDN: source}, {FQDN: destination}}}
	for from := 0; from < accounts; from += accountsTogether {
		err := w.store.Update(b.Context(), metadata.Lazy, func(tx *metadata.Tx) error {
			for i := from; i < min(from+accountsTogether, accounts); i++ {
				if err := makeOne(tx, &page, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if _, err := w.wishes.Apply(b.Context(), page); err != nil {
		b.Fatal(err)
	}
	m, err := mailstore.Open(b.Context(), mailstore.Config{Self: source, Store: w.store, Logger: logger})
	if err != nil {
		b.Fatal(err)
	}
	g, lies := NewAgent(m, w.store, logger), manyLieIn()
	g.identity.ClusterID, g.identity.TopicID = lies.ClusterID, lies.TopicID
	g.streams[lies.Partition] = &stream{number: lies.Partition, caughtUp: true}
	m.Start(g, nil)
	w.manager = NewManager(ManagerConfig{Mailstore: m, Agent: g, Wishes: w.wishes, Logger: logger})
	return w
}

// makeOne makes the i-th account: its copy here, and what the directory knows of it.
func makeOne(tx *metadata.Tx, page *directory.Changes, i int) error {
	c, lies := protocol.NewLocal(account.NewID(), source), manyLieIn()
	c.Mode, c.Epoch, c.Stream = protocol.Log, 2, lies
	c.Members = map[string]event.ID{source: event.NewID(), destination: event.NewID()}
	page.Accounts = append(page.Accounts, directory.Account{
		ID: c.Account, Name: fmt.Sprintf("user%06d@example.com", i), Kind: directory.User, Status: directory.Active, MailHost: source,
		Epoch: 2, ClusterID: lies.ClusterID, TopicID: lies.TopicID, Stream: lies.Partition, Version: 1,
	})
	page.Replicas = append(page.Replicas, directory.Replica{AccountID: c.Account, Mailstore: destination, State: directory.Available, Version: 1})
	_, err := tx.CreateMailbox(c)
	return err
}

// growth are the numbers of accounts beside which a thing is measured.
func growth() []int { return []int{1_000, 10_000, 100_000} }

// BenchmarkSweep is what a mailstore with nothing to do spends on its accounts every 15 s.
func BenchmarkSweep(b *testing.B) {
	for _, accounts := range growth() {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			r := newMany(b, accounts).manager
			b.ReportAllocs()
			for b.Loop() {
				r.LookAtAll()
				for id, more := r.next(); more; id, more = r.next() {
					if err := r.reconcile(b.Context(), id); err != nil {
						b.Fatal(err)
					}
					r.leave(id, true)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*accounts), "ns/account")
		})
	}
}

// BenchmarkLoad is how long a mailstore takes to know its copies at a start, and the memory that they take.
func BenchmarkLoad(b *testing.B) {
	for _, accounts := range growth() {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			w := newMany(b, accounts)
			before := heap()
			var m *mailstore.Mailstore
			for b.Loop() {
				var err error
				if m, err = mailstore.Open(b.Context(), mailstore.Config{Self: source, Store: w.store, Logger: slog.New(slog.DiscardHandler)}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*accounts), "ns/account")
			b.ReportMetric(float64(heap()-before)/float64(accounts), "heap-B/account")
			runtime.KeepAlive(m)
		})
	}
}

// heap is what is in use of it.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// copied is how many messages the mailbox has of which a first copy is measured. Measure with -messages 1000000.
var copied = flag.Int("messages", 20_000, "messages of the mailbox that is copied by BenchmarkFirstCopy")

// BenchmarkFirstCopy is a snapshot's way from one database into another: both mailstores are in this process, and what lies between them
// is a pipe.
func BenchmarkFirstCopy(b *testing.B) {
	from := newAgent(b, source)
	a, err := from.m.Create(b.Context(), account.NewID())
	if err != nil {
		b.Fatal(err)
	}
	fillInbox(b, a, *copied)
	join := event.NewID()
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		to := newAgent(b, destination)
		b.StartTimer()
		begun := processorTime(b)
		in, out := io.Pipe()
		given := make(chan error, 1)
		go func() {
			err := give(b.Context(), from, a.ID(), join, out)
			_ = out.CloseWithError(err)
			given <- err
		}()
		if _, err := to.take(b.Context(), a.ID(), in, none); err != nil {
			b.Fatal(err)
		}
		if err := <-given; err != nil {
			b.Fatal(err)
		}
		used += processorTime(b) - begun
	}
	each := float64(b.N) * float64(*copied)
	b.ReportMetric(float64(used.Nanoseconds())/1000/each, "CPU-µs/message")
	b.ReportMetric(each/b.Elapsed().Seconds(), "messages/s")
}

// fillInbox appends messages like real ones to INBOX; they have no bodies.
func fillInbox(b *testing.B, a *mailstore.Account, n int) {
	b.Helper()
	made := load.NewMessages(8 << 10)
	var text []byte
	for have := 0; have < n; {
		messages := make([]mailbox.NewMessage, min(5_000, n-have))
		for i := range messages {
			text = made.Append(text[:0])
			summary, err := message.Parse(bytes.NewReader(text))
			if err != nil {
				b.Fatal(err)
			}
			messages[i] = mailbox.NewMessage{
				Volume: "primary", Blob: blob.NewName(), Size: uint64(len(text)), Summary: summary.Encode(), Received: time.Now(),
			}
		}
		err := a.Update(b.Context(), func(d *mailbox.Draft) error {
			inbox, _, err := d.FolderByName(mailbox.Inbox)
			if err == nil {
				_, err = d.Append(inbox.ID, messages)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		have += len(messages)
	}
}

// processorTime is what this process has used, user and system.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
