package index_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailbox/index"
)

// Single messages of a folder that is kept are read of no row, however many transactions it was told of since, and what these did counts.
func TestMessagesBehindManySteps(t *testing.T) {
	mailbox.CheckMemory(false) // it would read rows, and they are counted
	defer mailbox.CheckMemory(true)
	rng := rand.New(rand.NewPCG(7, 8))
	s := newIndexed(index.Config{BytesMax: 1 << 20, PastBytesMax: 1 << 20})
	s.tells = always
	inbox := fill(t, s, 700)
	uids := uidsOf(t, s, inbox)
	before, most := s.cache.Bytes(), int64(0)
	for range 300 {
		some := []mailbox.UID{uids[rng.IntN(len(uids))]}
		update(t, s, func(d *mailbox.Draft) error {
			if rng.IntN(5) == 0 {
				_, err := d.Expunge(inbox, some)
				return err
			}
			_, _, err := d.SetFlags(inbox, some, mailbox.AddFlags, mailbox.Flags{System: mailbox.SystemFlags(1 << rng.IntN(5))}, nil)
			return err
		})
		most = max(most, s.cache.Bytes())
		below := &counting{Scanner: s.rows}
		over := s.cache.Over(1, below)
		for _, uid := range append(some, uids[rng.IntN(len(uids))]) {
			got, there, err := over.Message(inbox, uid)
			want, exists, _ := s.rows.Message(inbox, uid)
			if err != nil || there != exists || !reflect.DeepEqual(got, want) {
				t.Fatalf("message %d: got %+v, %v, %v, want %+v, %v", uid, got, there, err, want, exists)
			}
		}
		if below.messages > 0 {
			t.Fatalf("%d messages were read of the rows", below.messages)
		}
	}
	if most <= before || most > 3*before {
		t.Errorf("%d bytes at first, %d at most: want what has happened to count, and not all of it to be kept", before, most)
	}
}

// BenchmarkTold tells of a change of one message's flags in a large folder that is kept.
func BenchmarkTold(b *testing.B) {
	s := newIndexed(index.Config{BytesMax: 64 << 20, PastBytesMax: 1 << 20})
	inbox := fill(b, s, 100_000)
	uidsOf(b, s, inbox)
	op, uid := mailbox.AddFlags, mailbox.UID(1)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if op == mailbox.AddFlags {
			uid = (uid + 997) % 100_000
		}
		s.tells = func(int) bool { b.StartTimer(); return true }
		update(b, s, func(d *mailbox.Draft) error {
			_, _, err := d.SetFlags(inbox, []mailbox.UID{uid}, op, mailbox.Flags{Keywords: []string{"$Told"}}, nil)
			return err
		})
		op = mailbox.AddFlags + mailbox.RemoveFlags - op
	}
}
