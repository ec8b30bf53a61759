package index_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailbox/index"
	"mailreplica/internal/mailbox/mailboxtest"
)

// reader is all that a Reader of an index can do.
type reader interface {
	mailbox.Scanner
	Outline(folder mailbox.ItemID) (mailbox.Outline, error)
	DeletedUIDs(folder mailbox.ItemID) ([]mailbox.UID, error)
	ContentsOf(ids []mailbox.ItemID, yield func(mailbox.Content) bool) error
}

// indexed is a mailbox in memory with an index over it. Every snapshot gets a Reader of its own.
type indexed struct {
	reader
	rows  *mailbox.Memory
	cache *index.Cache
	tells func(written int) bool // whether the cache is told of a transaction
	count int                    // of transactions
}

func never(int) bool  { return false }
func always(int) bool { return true }

func newIndexed(c index.Config) *indexed {
	s := &indexed{rows: mailbox.NewMemory(), cache: index.New(c), tells: never}
	s.reader = s.cache.Over(1, s.rows).(reader)
	return s
}

func (s *indexed) Write(d mailbox.Delta) error {
	err := s.rows.Write(d)
	if s.count++; err == nil && s.tells(s.count) {
		s.cache.Changed(1, &d)
	}
	s.reader = s.cache.Over(1, s.rows).(reader)
	return err
}

// TestSuite drives an index with the suite of all engines, with folders of any size and with room for some.
func TestSuite(t *testing.T) {
	roomy := index.Config{BytesMax: 64 << 20, ContentsBytesMax: 64 << 20, PastBytesMax: 64 << 20, MessagesMin: 1}
	narrow := index.Config{BytesMax: 2000, ContentsBytesMax: 4000, PastBytesMax: 8000, MessagesMin: 1}
	for name, c := range map[string]struct {
		index.Config
		tells func(int) bool
	}{
		"roomy, told of nothing": {roomy, never}, "roomy, told of all": {roomy, always},
		"narrow, told of most": {narrow, func(written int) bool { return written%5 > 0 }},
		"large folders":        {index.Config{BytesMax: 1 << 20, PastBytesMax: 1 << 20}, always},
	} {
		mailboxtest.Run(t, name, func(testing.TB) mailboxtest.Store {
			s := newIndexed(c.Config)
			s.tells = c.tells
			return s
		})
	}
}

func TestMain(m *testing.M) { mailboxtest.Main(m) }

// The tests of this package compare what memory says with the rows beneath; so they would see a difference.
func TestCheckedMemory(t *testing.T) {
	s := newIndexed(index.Config{BytesMax: 64 << 20})
	inbox := fill(t, s, 300)
	uidsOf(t, s, inbox)
	other := newIndexed(index.Config{BytesMax: 64 << 20})
	fill(t, other, 301)
	forged := s.cache.Over(1, other.rows)
	defer func() {
		if recover() == nil {
			t.Error("memory was believed")
		}
	}()
	uidsOf(t, forged, inbox)
}

// fill appends messages to INBOX.
func fill(t testing.TB, s *indexed, n int) mailbox.ItemID {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	update(t, s, func(d *mailbox.Draft) error { return d.InitialFolders() })
	inbox, _, err := s.FolderByName(mailbox.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(d *mailbox.Draft) error {
		messages := make([]mailbox.NewMessage, n)
		for i := range messages {
			messages[i] = mailboxtest.RandomMessage(rng)
		}
		_, err := d.Append(inbox.ID, messages)
		return err
	})
	return inbox.ID
}

func update(t testing.TB, s *indexed, fn func(*mailbox.Draft) error) {
	t.Helper()
	d, err := mailbox.NewDraft(s, time.Unix(1_790_000_000, 0))
	if err == nil {
		err = fn(d)
	}
	if err == nil && !d.Empty() {
		if _, err = d.Change(); err == nil {
			err = s.Write(d.Delta())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// counting counts the messages that are asked of the rows beneath.
type counting struct {
	mailbox.Scanner
	messages int
}

func (c *counting) Message(id mailbox.ItemID, uid mailbox.UID) (mailbox.Message, bool, error) {
	c.messages++
	return c.Scanner.Message(id, uid)
}

func (c *counting) Messages(id mailbox.ItemID, from, to mailbox.UID, yield func(mailbox.Message) bool) error {
	return c.Scanner.Messages(id, from, to, func(m mailbox.Message) bool {
		c.messages++
		return yield(m)
	})
}

func (c *counting) ChangedSince(id mailbox.ItemID, since mailbox.Sequence, yield func(mailbox.Message) bool) error {
	return c.Scanner.ChangedSince(id, since, func(m mailbox.Message) bool {
		c.messages++
		return yield(m)
	})
}

func uidsOf(t testing.TB, r mailbox.Reader, folder mailbox.ItemID) (uids []mailbox.UID) {
	t.Helper()
	err := r.Messages(folder, 1, 1<<32-1, func(m mailbox.Message) bool {
		uids = append(uids, m.UID)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return uids
}

// TestRowsAreReadOnce makes sure that what is kept is used, and that of what has changed only that is read, or nothing by who is told.
func TestRowsAreReadOnce(t *testing.T) {
	mailbox.CheckMemory(false) // it would read them again
	defer mailbox.CheckMemory(true)
	t.Run("not told", func(t *testing.T) { testRowsAreReadOnce(t, never, 2) })
	t.Run("told", func(t *testing.T) { testRowsAreReadOnce(t, always, 0) })
}

func testRowsAreReadOnce(t *testing.T, tells func(int) bool, changed int) {
	const n = 5000
	s := newIndexed(index.Config{BytesMax: 64 << 20, PastBytesMax: 64 << 20})
	s.tells = tells
	inbox := fill(t, s, n)
	read := func(want int) {
		t.Helper()
		rows := &counting{Scanner: s.rows}
		got := uidsOf(t, s.cache.Over(1, rows), inbox)
		if all := uidsOf(t, s.rows, inbox); !slices.Equal(got, all) {
			t.Fatalf("got %d messages, want %d", len(got), len(all))
		}
		if rows.messages != want {
			t.Errorf("%d rows were read, want %d", rows.messages, want)
		}
	}
	read(n)
	read(0)
	update(t, s, func(d *mailbox.Draft) error {
		_, _, err := d.SetFlags(inbox, []mailbox.UID{5, 2000}, mailbox.AddFlags, mailbox.Flags{Keywords: []string{"$New"}}, nil)
		return err
	})
	read(changed)
	update(t, s, func(d *mailbox.Draft) error {
		_, err := d.Expunge(inbox, []mailbox.UID{1, 256, 257, n})
		return err
	})
	read(0)
	update(t, s, func(d *mailbox.Draft) error { return d.PruneTombstones(inbox, d.Sequence()-1) })
	read(0)
	s.cache.Forget(2)
	read(0)
	if s.cache.Forget(1); s.cache.Bytes()+s.cache.PastBytes() != 0 {
		t.Errorf("%d bytes are kept of what was forgotten", s.cache.Bytes()+s.cache.PastBytes())
	}
	read(n - 4)
}

// A folder of several chunks is moved on by transactions, one or several at once, that alter whole chunks, parts of them, and what lies about
// their borders.
func TestLargeFolderMovesOn(t *testing.T) {
	mailbox.CheckMemory(false) // it would read rows, and they are counted
	defer mailbox.CheckMemory(true)
	const messages = 700 // in three chunks
	for name, tells := range map[string]func(int) bool{"told of all": always, "told of most": func(written int) bool { return written%4 > 0 }} {
		rng := rand.New(rand.NewPCG(3, 4))
		s := newIndexed(index.Config{BytesMax: 64 << 20, PastBytesMax: 64 << 20})
		s.tells = tells
		inbox := fill(t, s, messages)
		uids := uidsOf(t, s, inbox)
		flag := func(d *mailbox.Draft, some []mailbox.UID) error {
			f := mailbox.Flags{System: mailbox.SystemFlags(1 << rng.IntN(5))}
			if rng.IntN(4) == 0 {
				f.Keywords = []string{pick(rng, "$One", "$Two")}
			}
			_, _, err := d.SetFlags(inbox, some, pick(rng, mailbox.AddFlags, mailbox.RemoveFlags), f, nil)
			return err
		}
		some := func() []mailbox.UID {
			from := pick(rng, 0, 0, 250, 256, 512, rng.IntN(600)) % len(uids)
			return uids[from:min(len(uids), from+pick(rng, 1, 30, 256, 257, len(uids), len(uids)))]
		}
		for round := range 200 {
			update(t, s, func(d *mailbox.Draft) error {
				switch rng.IntN(5) {
				case 0:
					if round < 100 { // chunks are as large as they can be
						break
					}
					gone := slices.DeleteFunc(slices.Clone(some()), func(mailbox.UID) bool { return rng.IntN(50) > 0 })
					if _, err := d.Expunge(inbox, gone); err != nil {
						return err
					}
				case 1:
					if _, err := d.Append(inbox, []mailbox.NewMessage{mailboxtest.RandomMessage(rng)}); err != nil {
						return err
					}
				}
				return flag(d, some())
			})
			if rng.IntN(3) == 0 {
				continue // and looks at two transactions then
			}
			below := &counting{Scanner: s.rows}
			over := s.cache.Over(1, below).(reader)
			h, _ := s.Header()
			since := h.Sequence - mailbox.Sequence(rng.IntN(5))
			got, want := lookAt(t, over, inbox, since), lookAt(t, s.rows, inbox, since)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: got %+v, want %+v", name, got, want)
			}
			if name == "told of all" && below.messages > 0 {
				t.Fatalf("%s: %d messages were read of the rows", name, below.messages)
			}
			uids = uidsOf(t, over, inbox)
		}
	}
}

// lookAt is what a Reader says of a folder: of all its messages, of those that changed since, of all together.
func lookAt(t *testing.T, r mailbox.Reader, folder mailbox.ItemID, since mailbox.Sequence) (said []any) {
	t.Helper()
	say := func(m mailbox.Message) bool {
		if len(m.Flags.Keywords) == 0 {
			m.Flags.Keywords = nil
		}
		said = append(said, m)
		return true
	}
	outline, err1 := mailbox.OutlineOf(r, folder)
	deleted, err2 := mailbox.DeletedUIDs(r, folder)
	said = append(said, outline, deleted)
	if err := errors.Join(err1, err2, r.Messages(folder, 1, math.MaxUint32, say), r.ChangedSince(folder, since, say)); err != nil {
		t.Fatal(err)
	}
	return said
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// TestPrunedTombstones has the traces of expunged messages gone before the folder is read again.
func TestPrunedTombstones(t *testing.T) {
	s := newIndexed(index.Config{BytesMax: 64 << 20})
	inbox := fill(t, s, 3000)
	uidsOf(t, s, inbox)
	update(t, s, func(d *mailbox.Draft) error {
		_, err := d.Expunge(inbox, []mailbox.UID{7, 8})
		return err
	})
	update(t, s, func(d *mailbox.Draft) error { return d.PruneTombstones(inbox, d.Sequence()-1) })
	if got, want := uidsOf(t, s, inbox), uidsOf(t, s.rows, inbox); !slices.Equal(got, want) {
		t.Errorf("got %d messages, want %d", len(got), len(want))
	}
}

// TestManyKeywords has more sets of keywords than one chunk can name.
func TestManyKeywords(t *testing.T) {
	s := newIndexed(index.Config{BytesMax: 64 << 20})
	inbox := fill(t, s, 1000)
	uidsOf(t, s, inbox)
	update(t, s, func(d *mailbox.Draft) error {
		for uid := range mailbox.UID(1000) {
			word := string([]rune{'a' + rune(uid%26), 'a' + rune(uid/26%26), 'a' + rune(uid/676)})
			_, _, err := d.SetFlags(inbox, []mailbox.UID{uid + 1}, mailbox.ReplaceFlags, mailbox.Flags{Keywords: []string{word}}, nil)
			if err != nil {
				return err
			}
		}
		return nil
	})
	mailboxtest.Compare(t, rand.New(rand.NewPCG(1, 4)), s, s.rows)
}

// TestSnapshots reads old and new snapshots in any order, by several goroutines at once.
func TestSnapshots(t *testing.T) {
	const snapshots, readers, reads = 40, 4, 30
	s := newIndexed(index.Config{BytesMax: 1 << 20, ContentsBytesMax: 1 << 20, PastBytesMax: 1 << 20, MessagesMin: 1})
	fill(t, s, 2000)
	rng := rand.New(rand.NewPCG(1, 5))
	all := []*mailbox.Memory{s.rows.Clone()}
	var deltas []mailbox.Delta
	for len(all) < snapshots {
		d, _, err := mailboxtest.RandomDraft(rng, s.rows)
		if err != nil {
			t.Fatal(err)
		}
		if d.Empty() {
			continue
		}
		if _, err := d.Change(); err != nil {
			t.Fatal(err)
		}
		deltas = append(deltas, d.Delta())
		if err := s.rows.Write(d.Delta()); err != nil {
			t.Fatal(err)
		}
		all = append(all, s.rows.Clone())
	}
	var done sync.WaitGroup
	done.Go(func() { // while snapshots are read from before and from behind
		for i := range deltas {
			s.cache.Changed(1, &deltas[i])
		}
	})
	for reader := range readers {
		done.Go(func() {
			rng := rand.New(rand.NewPCG(6, uint64(reader)))
			for i := range reads {
				at := min(len(all)-1, i+rng.IntN(10)) // mostly forwards
				mailboxtest.Compare(t, rng, s.cache.Over(1, all[at]), all[at])
			}
		})
	}
	done.Wait()
}

// BenchmarkMessages reads a folder that is kept.
func BenchmarkMessages(b *testing.B) {
	const n = 100_000
	s := newIndexed(index.Config{BytesMax: 64 << 20})
	inbox := fill(b, s, n)
	uidsOf(b, s, inbox)
	b.ReportAllocs()
	for b.Loop() {
		seen := 0
		err := s.Messages(inbox, 1, 1<<32-1, func(m mailbox.Message) bool {
			if m.Flags.Has(mailbox.Seen) {
				seen++
			}
			return true
		})
		if err != nil || seen == 0 {
			b.Fatal(seen, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/message")
}

// BenchmarkChange brings a large folder up to date after one message's flags were changed.
func BenchmarkChange(b *testing.B) {
	s := newIndexed(index.Config{BytesMax: 64 << 20})
	inbox := fill(b, s, 100_000)
	uidsOf(b, s, inbox)
	op := mailbox.AddFlags
	for b.Loop() {
		b.StopTimer()
		update(b, s, func(d *mailbox.Draft) error {
			_, _, err := d.SetFlags(inbox, []mailbox.UID{50_000}, op, mailbox.Flags{Keywords: []string{"$Bench"}}, nil)
			return err
		})
		op = mailbox.AddFlags + mailbox.RemoveFlags - op
		b.StartTimer()
		if err := s.Messages(inbox, 50_000, 50_001, func(mailbox.Message) bool { return true }); err != nil {
			b.Fatal(err)
		}
	}
}

// The folder as it was before is kept too, and counts: nothing of it is shared where every message has changed.
func TestBytesOfBoth(t *testing.T) {
	const messages = 3000
	whole := func(s *indexed, inbox mailbox.ItemID) int64 {
		t.Helper()
		err := s.Messages(inbox, 1, math.MaxUint32, func(mailbox.Message) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		return s.cache.Bytes()
	}
	changeAll := func(s *indexed, inbox mailbox.ItemID, op mailbox.FlagOp) {
		t.Helper()
		var uids []mailbox.UID
		for uid := mailbox.UID(1); uid <= messages; uid++ {
			uids = append(uids, uid)
		}
		update(t, s, func(d *mailbox.Draft) error {
			_, _, err := d.SetFlags(inbox, uids, op, mailbox.Flags{System: mailbox.Flagged}, nil)
			return err
		})
	}
	roomy := newIndexed(index.Config{BytesMax: 64 << 20})
	inbox := fill(t, roomy, messages)
	one := whole(roomy, inbox)
	changeAll(roomy, inbox, mailbox.AddFlags)
	if both := whole(roomy, inbox); both < one*19/10 {
		t.Errorf("one folder takes %d bytes, both %d", one, both)
	}
	narrow := newIndexed(index.Config{BytesMax: one * 3 / 2})
	inbox = fill(t, narrow, messages)
	for _, op := range []mailbox.FlagOp{mailbox.AddFlags, mailbox.RemoveFlags, mailbox.AddFlags} {
		if kept := whole(narrow, inbox); kept == 0 || kept > one*3/2 {
			t.Errorf("of a folder of %d bytes %d are kept", one, kept)
		}
		changeAll(narrow, inbox, op)
	}
}
