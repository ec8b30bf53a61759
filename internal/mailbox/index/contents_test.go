package index_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailbox/index"
	"mailreplica/internal/mailbox/mailboxtest"
)

// contentCounter counts the contents that are asked of the rows beneath.
type contentCounter struct {
	mailbox.Scanner
	contents int
}

func (c *contentCounter) Content(id mailbox.ItemID) (mailbox.Content, bool, error) {
	c.contents++
	return c.Scanner.Content(id)
}

func (c *contentCounter) Contents(from, to mailbox.ItemID, yield func(mailbox.Content) bool) error {
	return c.Scanner.Contents(from, to, func(content mailbox.Content) bool {
		c.contents++
		return yield(content)
	})
}

func contentIDs(t testing.TB, r mailbox.Reader, folder mailbox.ItemID) (ids []mailbox.ItemID) {
	t.Helper()
	err := r.Messages(folder, 1, 1<<32-1, func(m mailbox.Message) bool {
		ids = append(ids, m.ContentID)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// TestContentsAreReadOnce makes sure that contents are kept, those of new messages too, and that a few are not worth more than themselves.
func TestContentsAreReadOnce(t *testing.T) {
	mailbox.CheckMemory(false) // it would read them again
	defer mailbox.CheckMemory(true)
	const n = 1000
	s := newIndexed(index.Config{BytesMax: 64 << 20, ContentsBytesMax: 64 << 20})
	inbox := fill(t, s, n)
	read := func(ids []mailbox.ItemID, low, high int) {
		t.Helper()
		rows := &contentCounter{Scanner: s.rows}
		var got []mailbox.ItemID
		err := mailbox.ContentsOf(s.cache.Over(1, rows), ids, func(c mailbox.Content) bool {
			got = append(got, c.ID)
			return true
		})
		if err != nil || !slices.Equal(got, ids) {
			t.Fatalf("got %d contents of %d: %v", len(got), len(ids), err)
		}
		if rows.contents < low || rows.contents > high {
			t.Errorf("%d contents were read, want %d to %d", rows.contents, low, high)
		}
	}
	all := contentIDs(t, s.rows, inbox)
	read([]mailbox.ItemID{all[5], all[500], all[501]}, 3, 3)
	read(all, n, n)
	read(all, 0, 0)
	read([]mailbox.ItemID{all[5], all[500]}, 0, 0)
	rng := rand.New(rand.NewPCG(1, 7))
	update(t, s, func(d *mailbox.Draft) error {
		messages := make([]mailbox.NewMessage, 100)
		for i := range messages {
			messages[i] = mailboxtest.RandomMessage(rng)
		}
		_, err := d.Append(inbox, messages)
		return err
	})
	all = contentIDs(t, s.rows, inbox)
	read(all, 100, 100+64) // with those of the block that was not full
	read(all, 0, 0)
	kept := s.cache.ContentsBytes()
	s.cache.Forget(2)
	read(all, 0, 0)
	if s.cache.Forget(1); kept == 0 || s.cache.ContentsBytes() != 0 {
		t.Errorf("%d bytes were kept, and %d are of what was forgotten", kept, s.cache.ContentsBytes())
	}
}

// TestContentsBound keeps as much as there is room for, and no summary that is too large.
func TestContentsBound(t *testing.T) {
	const bytesMax = 50_000
	s := newIndexed(index.Config{BytesMax: 64 << 20, ContentsBytesMax: bytesMax})
	inbox := fill(t, s, 1000)
	large := func(d *mailbox.Draft) error {
		_, err := d.Append(inbox, []mailbox.NewMessage{{Volume: "v", Blob: "b", Summary: make([]byte, bytesMax*2)}})
		return err
	}
	update(t, s, large)
	ids := contentIDs(t, s.rows, inbox)
	mailbox.CheckMemory(false) // it would read those that are kept
	defer mailbox.CheckMemory(true)
	for turn := range 3 {
		read := 0
		rows := &contentCounter{Scanner: s.rows}
		err := mailbox.ContentsOf(s.cache.Over(1, rows), ids, func(mailbox.Content) bool {
			read++
			return true
		})
		if err != nil || read != len(ids) {
			t.Fatalf("%d contents of %d: %v", read, len(ids), err)
		}
		if kept := s.cache.ContentsBytes(); kept < bytesMax/2 || kept > bytesMax {
			t.Errorf("%d bytes are kept, want about %d", kept, bytesMax)
		}
		if turn > 0 && rows.contents > len(ids)*9/10 {
			t.Errorf("%d of %d contents were read again", rows.contents, len(ids))
		}
	}
}

// BenchmarkContents reads contents that are kept.
func BenchmarkContents(b *testing.B) {
	s := newIndexed(index.Config{BytesMax: 64 << 20, ContentsBytesMax: 64 << 20})
	ids := contentIDs(b, s.rows, fill(b, s, 10_000))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := mailbox.ContentsOf(s, ids, func(c mailbox.Content) bool {
			n += len(c.Summary)
			return true
		})
		if err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(ids)), "ns/content")
}
