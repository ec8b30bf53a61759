package mailboxtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"mailreplica/internal/mailbox"
)

// contentsCompared is how many contents are asked for one by one.
const contentsCompared = 50

// comparison is one comparison under way.
type comparison struct {
	t    testing.TB
	rng  *rand.Rand
	got  mailbox.Reader
	want mailbox.Scanner
}

// Compare compares all rows of two mailboxes through every method of Reader, and of Scanner where got is one: whole,
// in random ranges, and with iterators that are ended early.
func Compare(t testing.TB, rng *rand.Rand, got mailbox.Reader, want mailbox.Scanner) {
	t.Helper()
	c := &comparison{t, rng, got, want}
	c.header()
	for _, id := range c.folders() {
		c.messages(id)
		c.outline(id)
		c.deleted(id)
		c.tombstones(id)
	}
	c.contents()
	c.deliveries()
	c.discarded()
	if s, ok := got.(mailbox.Scanner); ok {
		c.scans(s)
	}
}

// text is a row as it compares: a slice that is nil and one that is empty are alike.
func text(row any) string { return fmt.Sprintf("%+v", row) }

func (c *comparison) same(what string, got any, gotErr error, want any, wantErr error) {
	c.t.Helper()
	if gotErr != nil || wantErr != nil {
		c.t.Fatalf("%s: errors %v and %v", what, gotErr, wantErr)
	}
	if reflect.DeepEqual(got, want) { // the usual case, told sooner
		return
	}
	if g, w := text(got), text(want); g != w {
		c.t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// found is the answer of a method that looks for one row.
type found struct {
	row any
	ok  bool
}

func (c *comparison) header() {
	c.t.Helper()
	got, err := c.got.Header()
	want, wantErr := c.want.Header()
	c.same("Header", got, err, want, wantErr)
	full, err := mailbox.FullDigest(c.got)
	c.same("FullDigest", full, err, want.Digest, nil)
}

func (c *comparison) folders() []mailbox.ItemID {
	c.t.Helper()
	got, err := c.got.Folders()
	want, wantErr := c.want.Folders()
	c.same("Folders", got, err, want, wantErr)
	n, err := c.got.CountFolders()
	c.same("CountFolders", n, err, len(want), nil)
	names, err := c.got.Subscriptions()
	wantNames, wantErr := c.want.Subscriptions()
	c.same("Subscriptions", fmt.Sprintf("%q", names), err, fmt.Sprintf("%q", wantNames), wantErr)
	ids := []mailbox.ItemID{0, 1 << 62}
	for _, f := range want {
		ids = append(ids, f.ID, f.ID+1)
	}
	for _, id := range ids {
		f, ok, err := c.got.Folder(id)
		w, wantOK, wantErr := c.want.Folder(id)
		c.same(fmt.Sprintf("Folder %d", id), found{f, ok}, err, found{w, wantOK}, wantErr)
	}
	for _, name := range append([]string{"", "inbox", "INBOX", "INBOX ", "nowhere", "sent"}, oddNames...) {
		f, ok, err := c.got.FolderByName(name)
		w, wantOK, wantErr := c.want.FolderByName(name)
		c.same(fmt.Sprintf("FolderByName %q", name), found{f, ok}, err, found{w, wantOK}, wantErr)
	}
	return ids
}

// collect gathers what an iterator yields, ending it after limit rows.
func collect[R any](limit int, iterate func(yield func(R) bool) error) ([]R, error) {
	var rows []R
	err := iterate(func(r R) bool {
		rows = append(rows, r)
		return len(rows) < limit
	})
	return rows, err
}

// limit is far beyond all rows, or now and then within them.
func (c *comparison) limit() int {
	if c.rng.IntN(3) == 0 {
		return 1 + c.rng.IntN(5)
	}
	return 1 << 30
}

func (c *comparison) sequences() []mailbox.Sequence {
	h, err := c.want.Header()
	if err != nil {
		c.t.Fatal(err)
	}
	back := mailbox.Sequence(c.rng.IntN(20))
	return []mailbox.Sequence{0, h.Sequence, h.Sequence - min(1, h.Sequence), h.Sequence - min(back, h.Sequence), h.Sequence + 1}
}

func (c *comparison) messages(folder mailbox.ItemID) {
	c.t.Helper()
	all, err := collect(1<<30, func(yield func(mailbox.Message) bool) error {
		return c.want.Messages(folder, 0, lastUID, yield)
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.contentsOf(folder, all)
	span := func() mailbox.UID {
		if len(all) == 0 {
			return mailbox.UID(c.rng.IntN(3))
		}
		return all[c.rng.IntN(len(all))].UID + mailbox.UID(c.rng.IntN(3)) - 1
	}
	for _, r := range [][2]mailbox.UID{{0, lastUID}, {1, lastUID}, {0, span()}, {span(), span()}, {span(), lastUID}, {3, 2}} {
		limit := c.limit()
		read := func(m mailbox.Reader) ([]mailbox.Message, error) {
			return collect(limit, func(yield func(mailbox.Message) bool) error { return m.Messages(folder, r[0], r[1], yield) })
		}
		got, err := read(c.got)
		want, wantErr := read(c.want)
		c.same(fmt.Sprintf("Messages %d %d:%d", folder, r[0], r[1]), got, err, want, wantErr)
	}
	for _, since := range c.sequences() {
		limit := c.limit()
		read := func(m mailbox.Reader) ([]mailbox.Message, error) {
			return collect(limit, func(yield func(mailbox.Message) bool) error { return m.ChangedSince(folder, since, yield) })
		}
		got, err := read(c.got)
		want, wantErr := read(c.want)
		c.same(fmt.Sprintf("ChangedSince %d %d", folder, since), got, err, want, wantErr)
	}
	for _, uid := range []mailbox.UID{0, 1, span(), span(), span(), lastUID} {
		got, ok, err := c.got.Message(folder, uid)
		want, wantOK, wantErr := c.want.Message(folder, uid)
		c.same(fmt.Sprintf("Message %d %d", folder, uid), found{got, ok}, err, found{want, wantOK}, wantErr)
	}
}

func (c *comparison) outline(folder mailbox.ItemID) {
	c.t.Helper()
	got, err := mailbox.OutlineOf(c.got, folder)
	want, wantErr := mailbox.ReadOutline(c.want, folder)
	c.same(fmt.Sprintf("OutlineOf %d", folder), got, err, want, wantErr)
}

func (c *comparison) deleted(folder mailbox.ItemID) {
	c.t.Helper()
	got, err := mailbox.DeletedUIDs(c.got, folder)
	want, wantErr := mailbox.ReadDeletedUIDs(c.want, folder)
	c.same(fmt.Sprintf("DeletedUIDs %d", folder), got, err, want, wantErr)
}

// contentsOf asks for the contents of all messages of a folder, of a run of them, and of some here and there.
func (c *comparison) contentsOf(folder mailbox.ItemID, messages []mailbox.Message) {
	c.t.Helper()
	var all []mailbox.ItemID
	for _, m := range messages {
		all = append(all, m.ContentID)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	from := c.rng.IntN(len(all) + 1)
	run := all[from : from+c.rng.IntN(len(all)-from+1)]
	some := slices.DeleteFunc(slices.Clone(all), func(mailbox.ItemID) bool { return c.rng.IntN(8) > 0 })
	for _, ids := range [][]mailbox.ItemID{run, some, all} {
		limit := c.limit()
		got, err := collect(limit, cloned(func(yield func(mailbox.Content) bool) error { return mailbox.ContentsOf(c.got, ids, yield) }))
		want, wantErr := collect(limit, cloned(func(yield func(mailbox.Content) bool) error {
			return mailbox.ReadContentsOf(c.want, ids, yield)
		}))
		c.same(fmt.Sprintf("ContentsOf %v in folder %d", ids, folder), got, err, want, wantErr)
	}
}

// cloned is an iterator whose contents are to be kept.
func cloned(iterate func(func(mailbox.Content) bool) error) func(func(mailbox.Content) bool) error {
	return func(yield func(mailbox.Content) bool) error {
		return iterate(func(c mailbox.Content) bool {
			c.Summary = bytes.Clone(c.Summary)
			return yield(c)
		})
	}
}

func (c *comparison) tombstones(folder mailbox.ItemID) {
	c.t.Helper()
	for _, since := range c.sequences() {
		limit := c.limit()
		read := func(m mailbox.Reader) ([]mailbox.Tombstone, error) {
			return collect(limit, func(yield func(mailbox.Tombstone) bool) error { return m.Tombstones(folder, since, yield) })
		}
		got, err := read(c.got)
		want, wantErr := read(c.want)
		c.same(fmt.Sprintf("Tombstones %d %d", folder, since), got, err, want, wantErr)
	}
}

func (c *comparison) sharedContents(from, to mailbox.ItemID, limit int) {
	c.t.Helper()
	type shared struct {
		id mailbox.ItemID
		n  int
	}
	read := func(r mailbox.Reader) ([]shared, error) {
		return collect(limit, func(yield func(shared) bool) error {
			return r.ReferencesIn(from, to, func(id mailbox.ItemID, n int) bool { return yield(shared{id, n}) })
		})
	}
	got, err := read(c.got)
	want, wantErr := read(c.want)
	c.same(fmt.Sprintf("ReferencesIn %d:%d", from, to), got, err, want, wantErr)
}

func (c *comparison) contents() {
	c.t.Helper()
	all, err := collect(1<<30, func(yield func(mailbox.Content) bool) error { return c.want.ScanContents(0, yield) })
	if err != nil {
		c.t.Fatal(err)
	}
	c.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:min(len(all), contentsCompared)] // ScanContents compares all of them
	for _, row := range append(all, mailbox.Content{}, mailbox.Content{ID: 1 << 62}) {
		got, ok, err := c.got.Content(row.ID)
		content, wantOK, wantErr := c.want.Content(row.ID)
		c.same(fmt.Sprintf("Content %d", row.ID), found{got, ok}, err, found{content, wantOK}, wantErr)
		n, err := c.got.References(row.ID)
		want, wantErr := c.want.References(row.ID)
		c.same(fmt.Sprintf("References %d", row.ID), n, err, want, wantErr)
		last := row.ID + mailbox.ItemID(c.rng.IntN(30))
		limit := c.limit()
		c.sharedContents(row.ID, last, limit)
		read := func(r mailbox.Reader) ([]mailbox.Content, error) {
			return collect(limit, cloned(func(yield func(mailbox.Content) bool) error { return r.Contents(row.ID, last, yield) }))
		}
		some, err := read(c.got)
		wanted, wantErr := read(c.want)
		c.same(fmt.Sprintf("Contents %d:%d", row.ID, last), some, err, wanted, wantErr)
	}
}

func (c *comparison) deliveries() {
	c.t.Helper()
	n, err := c.got.CountDeliveries()
	want, wantErr := c.want.CountDeliveries()
	c.same("CountDeliveries", n, err, want, wantErr)
	for _, limit := range []int{0, 1, want / 2, want, want + 3} {
		got, err := c.got.OldestDeliveries(limit)
		want, wantErr := c.want.OldestDeliveries(limit)
		c.same(fmt.Sprintf("OldestDeliveries %d", limit), got, err, want, wantErr)
	}
	for range 20 {
		key := randomKey(c.rng)
		got, ok, err := c.got.Delivery(key)
		want, wantOK, wantErr := c.want.Delivery(key)
		c.same(fmt.Sprintf("Delivery %x", key), found{got, ok}, err, found{want, wantOK}, wantErr)
	}
}

func (c *comparison) discarded() {
	c.t.Helper()
	id := mailbox.ItemID(c.rng.IntN(400))
	for _, after := range []mailbox.ItemID{0, id, 1 << 62} {
		scan(c, "ScanDiscarded", after, c.got.ScanDiscarded, c.want.ScanDiscarded)
	}
	known, err := collect(contentsCompared, func(yield func(mailbox.Discarded) bool) error { return c.want.ScanDiscarded(id, yield) })
	c.same("ScanDiscarded of the model", 0, err, 0, nil)
	for _, row := range append(known, mailbox.Discarded{ContentID: id}, mailbox.Discarded{ContentID: 1 << 62}) {
		got, ok, err := c.got.Discarded(row.ContentID)
		want, wantOK, wantErr := c.want.Discarded(row.ContentID)
		c.same(fmt.Sprintf("Discarded %d", row.ContentID), found{got, ok}, err, found{want, wantOK}, wantErr)
	}
}

func (c *comparison) scans(got mailbox.Scanner) {
	c.t.Helper()
	id, uid := mailbox.ItemID(c.rng.IntN(200)), mailbox.UID(c.rng.IntN(20))
	for _, after := range []mailbox.ItemID{0, id, 1 << 62} {
		scan(c, "ScanContents", after, got.ScanContents, c.want.ScanContents)
	}
	for _, after := range []mailbox.MessageKey{{}, {FolderID: 1 + id%8, UID: uid}, {FolderID: 1 + id%8, UID: lastUID}, {FolderID: 1 << 62}} {
		scan(c, "ScanMessages", after, got.ScanMessages, c.want.ScanMessages)
		scan(c, "ScanTombstones", after, got.ScanTombstones, c.want.ScanTombstones)
	}
	for _, after := range []mailbox.DeliveryKey{{}, randomKey(c.rng), {0: 0xff, 31: 0xff}} {
		scan(c, "ScanDeliveries", after, got.ScanDeliveries, c.want.ScanDeliveries)
	}
}

func scan[K, R any](c *comparison, what string, after K, got, want func(K, func(R) bool) error) {
	c.t.Helper()
	limit := c.limit()
	rows, err := collect(limit, func(yield func(R) bool) error { return got(after, yield) })
	wanted, wantErr := collect(limit, func(yield func(R) bool) error { return want(after, yield) })
	c.same(fmt.Sprintf("%s after %v", what, after), rows, err, wanted, wantErr)
}
