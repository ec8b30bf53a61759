package metadata_test

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mariadb"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// Benchmarks of what one change costs on a source and on a replica. A source draws the change up in a View and writes the
// rows that it computed; a replica decodes the change, applies it, and writes. Both are in one database here. Besides the usual
// figures they report the CPU of the process (which for MariaDB is the client's side alone) for each of the three steps.

// pair is a mailbox and its replica.
type pair struct {
	source, replica int64
	copies          [2]*protocol.Copy
	answered        []mailbox.DeliveryKey

	sequence mailbox.Sequence
	delta    mailbox.Delta
	payload  []byte
}

type changes struct {
	b      *testing.B
	store  *metadata.Store
	pairs  []*pair
	offset int64
	keys   uint64
	cpu    [3]time.Duration // draft, write, apply
	count  func() int64
}

func newChanges(b *testing.B, p place, mailboxes int) *changes {
	x := &changes{b: b, store: p.open(b), count: func() int64 { return 0 }}
	if p.config != nil {
		x.count = questions(b)
	}
	for range mailboxes {
		y := &pair{}
		y.source, y.copies[0] = create(b, x.store)
		y.replica, y.copies[1] = create(b, x.store)
		for _, c := range y.copies {
			c.Members = map[string]event.ID{"mbox1.example.com": event.NewID(), "mbox2.example.com": event.NewID()}
			c.Stream.ClusterID, c.Primary = "MkU3OEVBNTcwNTJENDM2Qg", "mbox1.example.com"
		}
		x.pairs = append(x.pairs, y)
	}
	x.do(func(d *mailbox.Draft, _ *pair) error { return d.InitialFolders() })
	return x
}

// questions counts what the server was asked.
func questions(b *testing.B) func() int64 {
	config := mariadb.Config{Address: server.Address(), User: server.User(), Password: server.Password()}
	db, err := mariadb.Open(config, mariadb.Options{Interpolate: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return func() (n int64) {
		var name string
		if err := db.QueryRowContext(b.Context(), "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n); err != nil {
			b.Fatal(err)
		}
		return n
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// step runs one of the three steps.
func (x *changes) step(n int, fn func()) {
	began := cpuTime()
	fn()
	x.cpu[n] += cpuTime() - began
}

// do makes one change of each mailbox, and applies all of them in one transaction on either side.
func (x *changes) do(operate func(*mailbox.Draft, *pair) error) {
	x.step(0, func() {
		for _, y := range x.pairs {
			x.draft(y, operate)
		}
	})
	x.step(1, func() {
		x.write(func(tx *metadata.Tx, y *pair) error { return tx.Write(y.source, y.delta) }, 0)
	})
	x.step(2, func() { x.write(replay, 1) })
}

func (x *changes) draft(y *pair, operate func(*mailbox.Draft, *pair) error) {
	var change mailbox.Change
	err := x.store.ViewAt(x.b.Context(), y.source, y.sequence, func(v *metadata.View) error {
		d, err := mailbox.NewDraft(v.Rows(y.source), time.Unix(1_790_000_000, 0))
		if err != nil {
			return err
		}
		if err := operate(d, y); err != nil {
			return err
		}
		y.sequence = d.Sequence()
		if change, err = d.Change(); err == nil {
			y.delta = d.Delta()
		}
		return err
	})
	if err == nil {
		y.payload, err = event.EncodeChange(change)
	}
	if err != nil {
		x.b.Fatal(err)
	}
}

func replay(tx *metadata.Tx, y *pair) error {
	change, err := event.DecodeChange(y.payload)
	if err != nil {
		return err
	}
	delta, err := mailbox.Apply(tx.Rows(y.replica), y.sequence, change)
	if err != nil {
		return err
	}
	return tx.Write(y.replica, delta)
}

func (x *changes) write(fn func(*metadata.Tx, *pair) error, side int) {
	x.offset++
	update(x.b, x.store, func(tx *metadata.Tx) error {
		for _, y := range x.pairs {
			if err := fn(tx, y); err != nil {
				return err
			}
			c := y.copies[side]
			c.Advance(y.sequence, event.ID{1})
			id := []int64{y.source, y.replica}[side]
			if err := tx.SaveCopy(id, c); err != nil {
				return err
			}
		}
		return tx.SetPosition(metadata.Position{ClusterID: "MkU3OEVBNTcwNTJENDM2Qg", Stream: int32(side), Offset: x.offset})
	})
}

// measure runs operate, which makes n changes of what users would call one thing each, and before it, unmeasured, prepare.
func (x *changes) measure(n int, prepare func(), operate func(*mailbox.Draft, *pair) error) {
	x.b.ReportAllocs()
	x.cpu = [3]time.Duration{}
	asked, unmeasured := x.count(), int64(0)
	for x.b.Loop() {
		if prepare != nil {
			x.b.StopTimer()
			kept, before := x.cpu, x.count()
			prepare()
			x.cpu = kept
			unmeasured += x.count() - before
			x.b.StartTimer()
		}
		x.do(operate)
	}
	asked = x.count() - asked - unmeasured
	for i, name := range []string{"draft-ns", "write-ns", "apply-ns"} {
		x.b.ReportMetric(float64(x.cpu[i])/float64(x.b.N*n), name)
	}
	if asked > 0 {
		x.b.ReportMetric(float64(asked)/float64(x.b.N*n), "questions")
	}
}

func (x *changes) message() mailbox.NewMessage {
	return mailbox.NewMessage{
		Volume: "primary", Blob: "2026/11/29/" + account.NewID().String(), Summary: make([]byte, 600),
		Size: 8192, Received: time.Unix(1_790_000_000, 0),
	}
}

// deliver delivers n messages to INBOX. The keys of the deliveries before are known to be answered.
func (x *changes) deliver(d *mailbox.Draft, y *pair, n int) error {
	if err := d.Answered(y.answered); err != nil {
		return err
	}
	y.answered = y.answered[:0]
	for range n {
		x.keys++
		var key mailbox.DeliveryKey
		binary.BigEndian.PutUint64(key[:], x.keys*0x9e3779b97f4a7c15)
		y.answered = append(y.answered, key)
		if _, _, err := d.Deliver(x.message(), key, ""); err != nil {
			return err
		}
	}
	return nil
}

func (x *changes) fill(n int) {
	for ; n > 0; n -= 1000 {
		x.do(func(d *mailbox.Draft, y *pair) error { return x.deliver(d, y, min(n, 1000)) })
	}
}

func (x *changes) folder(name string) (f mailbox.Folder) {
	view(x.b, x.store, func(v *metadata.View) (err error) {
		f, _, err = v.Rows(x.pairs[0].source).FolderByName(name)
		return err
	})
	return f
}

// BenchmarkChangeDeliver is deliveries: so many messages to each of so many mailboxes, in one transaction on either side. Figures in
// ns are by message, "ns/op" and allocations by transaction.
func BenchmarkChangeDeliver(b *testing.B) {
	benchEngines(b, func(b *testing.B, newPlace func(testing.TB) place) {
		for _, shape := range []struct{ mailboxes, messages int }{{1, 1}, {16, 1}, {1, 16}, {16, 16}} {
			b.Run(fmt.Sprintf("mailboxes=%d/messages=%d", shape.mailboxes, shape.messages), func(b *testing.B) {
				x := newChanges(b, newPlace(b), shape.mailboxes)
				x.fill(100)
				x.measure(shape.mailboxes*shape.messages, nil, func(d *mailbox.Draft, y *pair) error {
					return x.deliver(d, y, shape.messages)
				})
			})
		}
	})
}

// BenchmarkChangeFlags, and those below, are single changes of one mailbox of 20,000 messages (-rows), of which they touch n.
func BenchmarkChangeFlags(b *testing.B) {
	benchOn(b, []int{1, 10_000}, func(x *changes, n int) {
		on := false
		uids := x.uids(n)
		inbox := x.folder("INBOX").ID
		x.measure(1, nil, func(d *mailbox.Draft, _ *pair) error {
			on = !on
			op := mailbox.AddFlags
			if !on {
				op = mailbox.RemoveFlags
			}
			_, _, err := d.SetFlags(inbox, uids, op, mailbox.Flags{System: mailbox.Seen}, nil)
			return err
		})
	})
}

func BenchmarkChangeCopy(b *testing.B) {
	benchOn(b, []int{1, 10_000}, func(x *changes, n int) {
		inbox, uids := x.folder("INBOX").ID, x.uids(n)
		clear := func() {
			if x.folder("Trash").Messages > 200_000 {
				x.do(func(d *mailbox.Draft, _ *pair) error { return d.DeleteFolder("Trash") })
				x.do(func(d *mailbox.Draft, _ *pair) error { _, err := d.CreateFolder("Trash", ""); return err })
			}
		}
		if n == 1 {
			clear = nil
		}
		x.measure(1, clear, func(d *mailbox.Draft, _ *pair) error {
			trash, _, err := d.FolderByName("Trash")
			if err == nil {
				_, _, err = d.Copy(inbox, uids, trash.ID)
			}
			return err
		})
	})
}

// BenchmarkChangeMove moves messages to and fro.
func BenchmarkChangeMove(b *testing.B) {
	benchOn(b, []int{1, 10_000}, func(x *changes, n int) {
		from, to, uids := x.folder("INBOX").ID, x.folder("Trash").ID, x.uids(n)
		x.measure(1, nil, func(d *mailbox.Draft, _ *pair) (err error) {
			_, uids, err = d.Move(from, uids, to)
			from, to = to, from
			return err
		})
	})
}

func BenchmarkChangeAppend(b *testing.B) {
	benchOn(b, []int{1}, func(x *changes, n int) {
		inbox := x.folder("INBOX").ID
		x.measure(1, nil, func(d *mailbox.Draft, _ *pair) error {
			_, err := d.Append(inbox, []mailbox.NewMessage{x.message()})
			return err
		})
	})
}

func BenchmarkChangeExpunge(b *testing.B) {
	benchOn(b, []int{1, 10_000}, func(x *changes, n int) {
		inbox := x.folder("INBOX").ID
		var next mailbox.UID = 1
		x.measure(1, func() {
			if f := x.folder("INBOX"); int(f.Messages) < n {
				next = f.UIDNext
				x.fill(max(n, 1000))
			}
		}, func(d *mailbox.Draft, _ *pair) error {
			uids := make([]mailbox.UID, n)
			for i := range uids {
				uids[i] = next
				next++
			}
			_, err := d.Expunge(inbox, uids)
			return err
		})
	})
}

// BenchmarkChangeDeleteFolder deletes a folder of n messages that are nowhere else.
func BenchmarkChangeDeleteFolder(b *testing.B) {
	benchOn(b, []int{10_000}, func(x *changes, n int) {
		x.measure(1, func() {
			x.do(func(d *mailbox.Draft, _ *pair) error {
				f, err := d.CreateFolder("Old", "")
				messages := make([]mailbox.NewMessage, n)
				for i := range messages {
					messages[i] = x.message()
				}
				if err == nil {
					_, err = d.Append(f.ID, messages)
				}
				return err
			})
		}, func(d *mailbox.Draft, _ *pair) error { return d.DeleteFolder("Old") })
	})
}

// BenchmarkChangeCreate makes one folder more where there are 5,000, and takes it away again every other time.
func BenchmarkChangeCreate(b *testing.B) {
	benchEach(b, func(b *testing.B, p place) {
		x := newChanges(b, p, 1)
		x.do(func(d *mailbox.Draft, _ *pair) error {
			for i := range 5000 {
				if _, err := d.CreateFolder(fmt.Sprintf("folder %05d", i), ""); err != nil {
					return err
				}
			}
			return nil
		})
		made := false
		x.measure(1, nil, func(d *mailbox.Draft, _ *pair) (err error) {
			if made = !made; made {
				_, err = d.CreateFolder("one more", "")
				return err
			}
			return d.DeleteFolder("one more")
		})
	})
}

func benchEngines(b *testing.B, bench func(*testing.B, func(testing.TB) place)) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) { bench(b, e.place) })
	}
}

func benchOn(b *testing.B, sizes []int, bench func(x *changes, n int)) {
	benchEngines(b, func(b *testing.B, newPlace func(testing.TB) place) {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
				x := newChanges(b, newPlace(b), 1)
				x.fill(*rowsOf)
				bench(x, n)
			})
		}
	})
}

func (x *changes) uids(n int) []mailbox.UID {
	uids := make([]mailbox.UID, n)
	for i := range uids {
		uids[i] = mailbox.UID(i + 1)
	}
	return uids
}
