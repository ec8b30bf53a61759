package metadata_test

import (
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"slices"
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

// rowsOf is how many messages the benchmarks of large folders hold. Measure with -rows 1000000.
var rowsOf = flag.Int("rows", 20_000, "messages in the folder that is read by benchmarks")

const inbox mailbox.ItemID = 1

func benchEach(b *testing.B, bench func(*testing.B, place)) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) { bench(b, e.place(b)) })
	}
}

// delivery is the delta by which n messages arrive in a mailbox's INBOX, with contents and delivery keys like real ones.
// The keys of the messages before are forgotten, as they are once the MTA has been answered.
type delivery struct {
	next   mailbox.UID
	header mailbox.Header
	forget []mailbox.DeliveryKey
}

func newDelivery() *delivery { return &delivery{next: 1, header: mailbox.EmptyHeader()} }

func (d *delivery) delta(n int) mailbox.Delta {
	d.header.Sequence++
	delta := mailbox.Delta{
		Contents: map[mailbox.ItemID]*mailbox.Content{}, Deliveries: map[mailbox.DeliveryKey]*mailbox.Delivery{}, Folders: map[mailbox.ItemID]*mailbox.Folder{},
	}
	messages := map[mailbox.MessageKey]*mailbox.Message{}
	for _, key := range d.forget {
		delta.Deliveries[key] = nil
	}
	d.forget = d.forget[:0]
	for range n {
		id := mailbox.ItemID(d.next) * 2
		delta.Contents[id] = &mailbox.Content{
			ID: id, Volume: "primary", Blob: fmt.Sprintf("2026/11/%016x", id), Summary: make([]byte, 600),
		}
		messages[mailbox.MessageKey{FolderID: inbox, UID: d.next}] = &mailbox.Message{
			FolderID: inbox, UID: d.next, ID: id + 1, ContentID: id, ModSeq: d.header.Sequence,
			InternalDate: 1_790_000_000 + int64(d.next), DateZone: 60, Size: 12_345 + uint64(d.next%50_000),
		}
		var key mailbox.DeliveryKey
		binary.BigEndian.PutUint64(key[:], uint64(d.next)*0x9e3779b97f4a7c15)
		delta.Deliveries[key] = &mailbox.Delivery{Key: key, Sequence: d.header.Sequence}
		d.forget = append(d.forget, key)
		d.next++
	}
	delta.Messages = ascending(messages)
	d.header.NextItemID, d.header.Messages = mailbox.ItemID(d.next)*2, uint64(d.next-1)
	delta.Folders[inbox] = &mailbox.Folder{
		ID: inbox, Name: "INBOX", UIDValidity: 1, UIDNext: d.next, HighestSeq: d.header.Sequence, Messages: uint32(d.next - 1),
	}
	delta.Header = d.header
	return delta
}

// BenchmarkDeliver is the apply path of an agent: deliveries of several mailboxes and a position in one transaction.
func BenchmarkDeliver(b *testing.B) { benchEach(b, benchDeliver) }

func benchDeliver(b *testing.B, p place) {
	for _, shape := range []struct{ mailboxes, messages int }{{1, 1}, {1, 10}, {1, 100}, {20, 1}, {20, 10}, {200, 1}} {
		b.Run(fmt.Sprintf("mailboxes=%d/messages=%d", shape.mailboxes, shape.messages), func(b *testing.B) {
			s := p.open(b)
			mailboxes := make([]*delivery, shape.mailboxes)
			ids := make([]int64, shape.mailboxes)
			for i := range mailboxes {
				ids[i], _ = create(b, s)
				mailboxes[i] = newDelivery()
			}
			_, c := create(b, s)
			offset := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				offset++
				update(b, s, func(tx *metadata.Tx) error {
					for i, d := range mailboxes {
						if err := tx.Write(ids[i], d.delta(shape.messages)); err != nil {
							return err
						}
						if err := tx.SaveCopy(ids[i], c); err != nil {
							return err
						}
					}
					return tx.SetPosition(metadata.Position{ClusterID: "c", Offset: offset})
				})
			}
			rate := float64(offset) * float64(shape.mailboxes*shape.messages) / b.Elapsed().Seconds()
			b.ReportMetric(rate, "messages/s")
		})
	}
}

// BenchmarkLoad is a snapshot's way into the database.
func BenchmarkLoad(b *testing.B) { benchEach(b, benchLoad) }

func benchLoad(b *testing.B, p place) {
	s := p.open(b)
	id, _ := create(b, s)
	d := newDelivery()
	rows := 0
	for b.Loop() {
		b.StopTimer()
		delta := d.delta(1000)
		var chunk event.Rows
		for uid := d.next - 1000; uid < d.next; uid++ {
			chunk.Messages = append(chunk.Messages, *delta.Messages[uid-(d.next-1000)].Row)
			chunk.Contents = append(chunk.Contents, *delta.Contents[mailbox.ItemID(uid)*2])
		}
		b.StartTimer()
		update(b, s, func(tx *metadata.Tx) error { return tx.LoadRows(id, &chunk) })
		rows += chunk.Len()
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func filled(b *testing.B, p place) (*metadata.Store, int64) {
	s := p.open(b)
	id, _ := create(b, s)
	d := newDelivery()
	for int(d.next) <= *rowsOf {
		update(b, s, func(tx *metadata.Tx) error { return tx.Write(id, d.delta(min(1000, *rowsOf+1-int(d.next)))) })
	}
	return s, id
}

func BenchmarkRead(b *testing.B) { benchEach(b, benchRead) }

func benchRead(b *testing.B, p place) {
	s, id := filled(b, p)
	n := mailbox.UID(*rowsOf)
	last := mailbox.Sequence(n+999) / 1000
	count := 0
	seen := func(mailbox.Message) bool { count++; return true }
	for _, read := range []struct {
		name string
		fn   func(r mailbox.Scanner) error
	}{
		{"Messages/all", func(r mailbox.Scanner) error { return r.Messages(inbox, 1, n, seen) }},
		{"Messages/one", func(r mailbox.Scanner) error { return r.Messages(inbox, n/2, n/2, seen) }},
		{"ScanMessages", func(r mailbox.Scanner) error { return r.ScanMessages(mailbox.MessageKey{}, seen) }},
		{"ChangedSince/all", func(r mailbox.Scanner) error { return r.ChangedSince(inbox, 0, seen) }},
		{"ChangedSince/last1000", func(r mailbox.Scanner) error { return r.ChangedSince(inbox, last-1, seen) }},
		{"ChangedSince/none", func(r mailbox.Scanner) error { return r.ChangedSince(inbox, last, seen) }},
		{"References", func(r mailbox.Scanner) error { _, err := r.References(mailbox.ItemID(n)); return err }},
		{"Content", func(r mailbox.Scanner) error { _, _, err := r.Content(mailbox.ItemID(n)); return err }},
	} {
		b.Run(read.name, func(b *testing.B) {
			count = 0
			b.ReportAllocs()
			for b.Loop() {
				if err := s.View(b.Context(), func(v *metadata.View) error { return read.fn(v.Rows(id)) }); err != nil {
					b.Fatal(err)
				}
			}
			if count > 0 {
				b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "messages/s")
			}
		})
	}
}

// BenchmarkUpdate is one small change by each of many goroutines.
func BenchmarkUpdate(b *testing.B) { benchEach(b, benchUpdate) }

func benchUpdate(b *testing.B, p place) {
	for _, d := range []metadata.Durability{metadata.Lazy, metadata.Fsynced} {
		b.Run([]string{"lazy", "fsynced"}[d], func(b *testing.B) {
			s := p.open(b)
			value := []byte("v")
			b.SetParallelism(32)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := s.Update(b.Context(), d, func(tx *metadata.Tx) error { return tx.SetValue("k", value) }); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
		})
	}
}

// ascending are rows as a delta has them.
func ascending[R any](rows map[mailbox.MessageKey]*R) []mailbox.Touched[mailbox.MessageKey, R] {
	return ascendingBy(func(a, b mailbox.MessageKey) int {
		return cmp.Or(cmp.Compare(a.FolderID, b.FolderID), cmp.Compare(a.UID, b.UID))
	}, rows)
}

func ascendingBy[K comparable, R any](compare func(a, b K) int, rows map[K]*R) (all []mailbox.Touched[K, R]) {
	for key, row := range rows {
		all = append(all, mailbox.Touched[K, R]{Key: key, Row: row})
	}
	slices.SortFunc(all, func(a, b mailbox.Touched[K, R]) int { return compare(a.Key, b.Key) })
	return all
}
