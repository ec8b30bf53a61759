package metadata

import (
	"database/sql"
	"math"

	"mailreplica/internal/mailbox"
)

// rows are the rows of one mailbox in a View or Tx.
type rows struct {
	v  *View
	id int64
}

// Rows reads the rows of a mailbox. Every question about a mailbox that does not exist is answered NotFound.
func (v *View) Rows(mailboxID int64) mailbox.Scanner { return &rows{v: v, id: mailboxID} }

// with is the parameters of a question about the mailbox, which must exist.
func (r *rows) with(args ...any) ([]any, error) {
	return append([]any{r.id}, args...), r.v.exists(r.id)
}

func (r *rows) one(query string, args []any, dest ...any) (bool, error) {
	if err := r.v.exists(r.id); err != nil {
		return false, err
	}
	return r.v.one(query, append([]any{r.id}, args...), dest...)
}

func (r *rows) Header() (mailbox.Header, error) {
	k, err := r.v.state(r.id)
	if err != nil {
		return mailbox.Header{}, err
	}
	return k.header, nil
}

const selectFolder = `SELECT folder_id, name, uid_validity, uid_next, highest_seq, special_use, messages, unseen,
	total_bytes, tombstones, pruned_up_to FROM folder WHERE mailbox_id = ?`

func (r *rows) Folder(id mailbox.ItemID) (mailbox.Folder, bool, error) {
	return r.folder(selectFolder+" AND folder_id = ?", int64(id), func(f *mailbox.Folder) bool { return f.ID == id })
}

func (r *rows) FolderByName(name string) (mailbox.Folder, bool, error) {
	return r.folder(selectFolder+" AND name = ?", []byte(name), func(f *mailbox.Folder) bool { return f.Name == name })
}

func (r *rows) folder(query string, key any, is func(*mailbox.Folder) bool) (f mailbox.Folder, found bool, err error) {
	k, err := r.v.state(r.id)
	if err != nil {
		return f, false, err
	}
	if f, found = k.folder(is); found {
		return f, true, r.checkFolder(query, key, f)
	}
	if f, found, err = first(r.v, query, []any{r.id, key}, scanFolder); found {
		k.keep(f)
	}
	return f, found, err
}

func (r *rows) Folders() ([]mailbox.Folder, error) {
	args, err := r.with()
	if err != nil {
		return nil, err
	}
	return collect(r.v, selectFolder+" ORDER BY name", args, scanFolder)
}

func (r *rows) CountFolders() (n int, err error) {
	_, err = r.one("SELECT count(*) FROM folder WHERE mailbox_id = ?", nil, &n)
	return n, err
}

func scanFolder(cur *cursor) (f mailbox.Folder, err error) {
	var id, highest, bytes, pruned int64
	var name, use []byte
	err = cur.scan(&id, &name, &f.UIDValidity, &f.UIDNext, &highest, &use, &f.Messages, &f.Unseen, &bytes, &f.Tombstones,
		&pruned)
	if err == nil && min(highest, pruned) < 0 {
		err = damaged("the row of folder %d, %.80q,", id, name)
	}
	f.ID, f.Name, f.SpecialUse = mailbox.ItemID(id), string(name), string(use)
	f.HighestSeq, f.Bytes, f.PrunedUpTo = mailbox.Sequence(highest), uint64(bytes), mailbox.Sequence(pruned)
	return f, err
}

const selectContent = "SELECT content_id, volume, blob_name, summary FROM content WHERE mailbox_id = ?"

func (r *rows) Content(id mailbox.ItemID) (c mailbox.Content, found bool, err error) {
	args, err := r.with(int64(id))
	if err != nil {
		return c, false, err
	}
	return first(r.v, selectContent+" AND content_id = ?", args, scanContent)
}

// contentsByID are contents in a range of ids, which are below 2^63 as sequences are.
var contentsByID = ordered{query: selectContent + " AND content_id <= ?", key: []string{"content_id"}, atOnce: heavyRows}

func (r *rows) Contents(from, to mailbox.ItemID, yield func(mailbox.Content) bool) error {
	args, err := r.with(int64(to))
	if err != nil || from > to {
		return err
	}
	scan := scanContent
	if r.v.store.dialect.traits().streams {
		scan = newContentScan().scan
	}
	return walk(r.v, contentsByID, args, []any{int64(max(from, 1) - 1)}, scan, contentID, yield)
}

func contentID(c *mailbox.Content) []any { return []any{int64(c.ID)} }

// contentScan scans many contents one after the other: their summaries are good until the next.
type contentScan struct {
	id                    int64
	volume, blob, summary sql.RawBytes
	dest                  []any
	last                  string // of the volumes: most contents are on the same
}

func newContentScan() *contentScan {
	s := &contentScan{}
	s.dest = []any{&s.id, &s.volume, &s.blob, &s.summary}
	return s
}

func (s *contentScan) scan(cur *cursor) (mailbox.Content, error) {
	if err := cur.scan(s.dest...); err != nil {
		return mailbox.Content{}, err
	}
	if string(s.volume) != s.last {
		s.last = string(s.volume)
	}
	return mailbox.Content{ID: mailbox.ItemID(s.id), Volume: s.last, Blob: string(s.blob), Summary: s.summary}, nil
}

func (r *rows) ScanContents(after mailbox.ItemID, yield func(mailbox.Content) bool) error {
	args, err := r.with()
	if err != nil {
		return err
	}
	byID := ordered{query: selectContent, key: []string{"content_id"}, atOnce: heavyRows}
	return walk(r.v, byID, args, []any{int64(after)}, scanContent, contentID, yield)
}

func scanContent(cur *cursor) (c mailbox.Content, err error) {
	var id int64
	var volume, blob []byte
	err = cur.scan(&id, &volume, &blob, &c.Summary)
	c.ID, c.Volume, c.Blob = mailbox.ItemID(id), string(volume), string(blob)
	return c, err
}

const countReferences = "SELECT count(*) FROM message WHERE mailbox_id = ? AND content_id = ?"

func (r *rows) References(content mailbox.ItemID) (int, error) {
	var n int
	_, err := r.one(countReferences, []any{int64(content)}, &n)
	return n, err
}

var sharedContents = ordered{
	query: "SELECT content_id, count(*) FROM message WHERE mailbox_id = ? AND content_id <= ?", key: []string{"content_id"}, grouped: true,
}

func (r *rows) ReferencesIn(from, to mailbox.ItemID, yield func(mailbox.ItemID, int) bool) error {
	args, err := r.with(int64(min(to, mailbox.ItemID(math.MaxInt64))))
	if err != nil || from > to {
		return err
	}
	type shared struct{ id, n int64 }
	scan := func(cur *cursor) (s shared, err error) {
		err = cur.scan(&s.id, &s.n)
		return s, err
	}
	keyOf := func(s *shared) []any { return []any{s.id} }
	return walk(r.v, sharedContents, args, []any{int64(max(from, 1) - 1)}, scan, keyOf, func(s shared) bool {
		return yield(mailbox.ItemID(s.id), int(s.n))
	})
}

const (
	tombstoneColumns = "folder_id, uid, seq"
	selectTombstone  = "SELECT " + tombstoneColumns + " FROM tombstone WHERE mailbox_id = ?"
)

// What reads many rows, and in which order.
var (
	selectTombstones = ordered{query: selectTombstone + " AND folder_id = ? AND seq > ?", key: []string{"uid"}, index: "PRIMARY"}
	scanTombstones   = ordered{query: selectTombstone, key: []string{"folder_id", "uid"}, index: "PRIMARY"}
)

func (r *rows) Tombstones(folder mailbox.ItemID, since mailbox.Sequence, yield func(mailbox.Tombstone) bool) error {
	args, err := r.with(int64(folder), int64(since))
	if err != nil {
		return err
	}
	keyOf := func(t *mailbox.Tombstone) []any { return []any{int64(t.UID)} }
	return walk(r.v, selectTombstones, args, []any{int64(0)}, scanTombstone, keyOf, yield)
}

func (r *rows) ScanTombstones(after mailbox.MessageKey, yield func(mailbox.Tombstone) bool) error {
	args, err := r.with()
	if err != nil {
		return err
	}
	keyOf := func(t *mailbox.Tombstone) []any { return []any{int64(t.FolderID), int64(t.UID)} }
	return walk(r.v, scanTombstones, args, []any{int64(after.FolderID), int64(after.UID)}, scanTombstone, keyOf, yield)
}

func scanTombstone(cur *cursor) (mailbox.Tombstone, error) {
	var folder, uid, seq int64
	err := cur.scan(&folder, &uid, &seq)
	if err == nil && !(isUID(uid) && seq >= 0) {
		err = damaged("the tombstone of UID %d of folder %d", uid, folder)
	}
	return mailbox.Tombstone{FolderID: mailbox.ItemID(folder), UID: mailbox.UID(uid), Sequence: mailbox.Sequence(seq)}, err
}

func (r *rows) Subscriptions() ([]string, error) {
	args, err := r.with()
	if err != nil {
		return nil, err
	}
	return collect(r.v, "SELECT name FROM subscription WHERE mailbox_id = ? ORDER BY name", args, func(cur *cursor) (string, error) {
		var name []byte
		err := cur.scan(&name)
		return string(name), err
	})
}

const (
	selectDelivery   = "SELECT delivery_key, seq FROM delivery WHERE mailbox_id = ?"
	oldestDeliveries = selectDelivery + " ORDER BY seq, delivery_key LIMIT ?"
)

func (r *rows) Delivery(key mailbox.DeliveryKey) (d mailbox.Delivery, found bool, err error) {
	k, err := r.v.state(r.id)
	if err == nil {
		err = r.count(k)
	}
	if err != nil {
		return d, false, err
	}
	if k.counted {
		for _, d := range k.deliveries {
			if d.Key == key {
				return d, true, r.checkDeliveries(k.deliveries)
			}
		}
		return d, false, r.checkDeliveries(k.deliveries)
	}
	return r.v.asked(askedDelivery{r.id, key}, func() (mailbox.Delivery, bool, error) {
		return first(r.v, selectDelivery+" AND delivery_key = ?", []any{r.id, key[:]}, r.scanDelivery)
	})
}

func (r *rows) OldestDeliveries(limit int) ([]mailbox.Delivery, error) {
	args, err := r.with(int64(max(limit, 0)))
	if err != nil {
		return nil, err
	}
	return collect(r.v, oldestDeliveries, args, r.scanDelivery)
}

func (r *rows) ScanDeliveries(after mailbox.DeliveryKey, yield func(mailbox.Delivery) bool) error {
	args, err := r.with()
	if err != nil {
		return err
	}
	byKey := ordered{query: selectDelivery, key: []string{"delivery_key"}}
	keyOf := func(d *mailbox.Delivery) []any { return []any{d.Key[:]} }
	return walk(r.v, byKey, args, []any{after[:]}, r.scanDelivery, keyOf, yield)
}

func (r *rows) scanDelivery(cur *cursor) (d mailbox.Delivery, err error) {
	var key []byte
	var seq int64
	if err := cur.scan(&key, &seq); err != nil {
		return d, err
	}
	if !fill(d.Key[:], key) || seq < 0 {
		return d, damaged("a delivery of mailbox %d", r.id)
	}
	d.Sequence = mailbox.Sequence(seq)
	return d, nil
}

// askedMax bounds the answers that a View keeps.
const askedMax = 256

type askedDelivery struct {
	mailboxID int64
	key       mailbox.DeliveryKey
}

// asked asks for a delivery of a mailbox that has many, the first time: those who compute a change ask more than once, and a server is
// a way off. A View is a snapshot, in which the answer is always the same. A Tx changes its rows, and keeps nothing.
func (v *View) asked(d askedDelivery, ask func() (mailbox.Delivery, bool, error)) (mailbox.Delivery, bool, error) {
	if known, was := v.deliveries[d]; was {
		if known == nil {
			return mailbox.Delivery{}, false, nil
		}
		return *known, true, nil
	}
	delivery, found, err := ask()
	if v.tx != nil || err != nil || len(v.deliveries) == askedMax {
		return delivery, found, err
	}
	if v.deliveries == nil {
		v.deliveries = map[askedDelivery]*mailbox.Delivery{}
	}
	v.deliveries[d] = nil
	if found {
		v.deliveries[d] = &delivery
	}
	return delivery, found, nil
}

func (r *rows) CountDeliveries() (n int, err error) {
	k, err := r.v.state(r.id)
	if err == nil {
		err = r.count(k)
	}
	if err != nil {
		return 0, err
	}
	if k.counted {
		return len(k.deliveries), r.checkDeliveries(k.deliveries)
	}
	_, err = r.one("SELECT count(*) FROM delivery WHERE mailbox_id = ?", nil, &n)
	return n, err
}
