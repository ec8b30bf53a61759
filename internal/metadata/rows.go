package metadata

import (
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// rows are the rows of one mailbox in a View or Tx.
type rows struct {
	v  *View
	id int64
}

// Rows reads the rows of a mailbox. Every question about a mailbox that does not exist is answered NotFound.
func (v *View) Rows(mailboxID int64) mailbox.Scanner { return &rows{v: v, id: mailboxID} }

// each and one are the View's, for a mailbox that exists; its id is the first parameter.
func (r *rows) each(query string, row func(*cursor) (bool, error), args ...any) error {
	if err := r.v.exists(r.id); err != nil {
		return err
	}
	return r.v.each(query, append([]any{r.id}, args...), row)
}

func (r *rows) one(query string, args []any, dest ...any) (bool, error) {
	if err := r.v.exists(r.id); err != nil {
		return false, err
	}
	return r.v.one(query, append([]any{r.id}, args...), dest...)
}

func (r *rows) Header() (mailbox.Header, error) {
	m, found, err := r.v.MailboxByID(r.id)
	if err == nil && !found {
		err = noMailbox(r.id)
	}
	return m.Header, err
}

const selectFolder = `SELECT folder_id, name, uid_validity, uid_next, highest_seq, special_use, messages, unseen,
	total_bytes, tombstones, pruned_up_to FROM folder WHERE mailbox_id = ?`

func (r *rows) Folder(id mailbox.ItemID) (mailbox.Folder, bool, error) {
	return r.folder(selectFolder+" AND folder_id = ?", int64(id))
}

func (r *rows) FolderByName(name string) (mailbox.Folder, bool, error) {
	return r.folder(selectFolder+" AND name = ?", []byte(name))
}

func (r *rows) folder(query string, key any) (f mailbox.Folder, found bool, err error) {
	err = r.each(query, func(cur *cursor) (bool, error) {
		found = true
		return false, scanFolder(cur, &f)
	}, key)
	return f, found && err == nil, err
}

func (r *rows) Folders() ([]mailbox.Folder, error) {
	var all []mailbox.Folder
	err := r.each(selectFolder+" ORDER BY name", func(cur *cursor) (bool, error) {
		var f mailbox.Folder
		err := scanFolder(cur, &f)
		all = append(all, f)
		return true, err
	})
	return all, err
}

func scanFolder(cur *cursor, f *mailbox.Folder) error {
	var id, highest, bytes, pruned int64
	var name, use []byte
	err := cur.scan(&id, &name, &f.UIDValidity, &f.UIDNext, &highest, &use, &f.Messages, &f.Unseen, &bytes, &f.Tombstones,
		&pruned)
	f.ID, f.Name, f.SpecialUse = mailbox.ItemID(id), string(name), string(use)
	f.HighestSeq, f.Bytes, f.PrunedUpTo = mailbox.Sequence(highest), uint64(bytes), mailbox.Sequence(pruned)
	return err
}

const selectContent = "SELECT content_id, volume, blob_name, summary FROM content WHERE mailbox_id = ?"

func (r *rows) Content(id mailbox.ItemID) (c mailbox.Content, found bool, err error) {
	err = r.contents(selectContent+" AND content_id = ?", id, func(one mailbox.Content) bool {
		c, found = one, true
		return false
	})
	return c, found, err
}

func (r *rows) ScanContents(after mailbox.ItemID, yield func(mailbox.Content) bool) error {
	return r.contents(selectContent+" AND content_id > ? ORDER BY content_id", after, yield)
}

func (r *rows) contents(query string, key mailbox.ItemID, yield func(mailbox.Content) bool) error {
	return r.each(query, func(cur *cursor) (bool, error) {
		var id int64
		var volume, blob, summary []byte
		if err := cur.scan(&id, &volume, &blob, &summary); err != nil {
			return false, err
		}
		return yield(mailbox.Content{
			ID: mailbox.ItemID(id), Volume: string(volume), Blob: string(blob), Summary: summary,
		}), nil
	}, int64(key))
}

const countReferences = "SELECT count(*) FROM message WHERE mailbox_id = ? AND content_id = ?"

func (r *rows) References(content mailbox.ItemID) (int, error) {
	var n int
	_, err := r.one(countReferences, []any{int64(content)}, &n)
	return n, err
}

// changedMany is how many rows are worth sorting by UID when an index finds them by sequence. Beyond, all rows of the folder
// are read by UID, and those that have not changed are left out.
const changedMany = 5_000

const (
	selectTombstone = "SELECT folder_id, uid, seq FROM tombstone WHERE mailbox_id = ?"
	countTombstones = `SELECT count(*) FROM (SELECT 1 FROM tombstone WHERE mailbox_id = ? AND folder_id = ? AND seq > ?
		LIMIT ?) AS found`
	scanTombstones = selectTombstone + " AND (folder_id, uid) > (?, ?) ORDER BY folder_id, uid"
)

func (r *rows) Tombstones(folder mailbox.ItemID, since mailbox.Sequence, yield func(mailbox.Tombstone) bool) error {
	return r.changed(countTombstones, "seq", folder, since, func(condition string) error {
		return r.tombstones(selectTombstone+" AND folder_id = ?"+condition, yield, int64(folder), int64(since))
	})
}

// changed reads rows that changed since a sequence along one key or the other. An expression instead of a bare column
// keeps the engine, which knows nothing of how many rows there are, to the other one.
func (r *rows) changed(
	count, column string, folder mailbox.ItemID, since mailbox.Sequence, read func(condition string) error,
) error {
	var n int64
	if _, err := r.one(count, []any{int64(folder), int64(since), int64(changedMany)}, &n); err != nil || n == 0 {
		return err
	}
	if n < changedMany {
		return read(changedFew(column))
	}
	return read(changedMost(column))
}

func changedFew(column string) string  { return " AND " + column + " > ? ORDER BY uid + 0" }
func changedMost(column string) string { return " AND " + column + " + 0 > ? ORDER BY uid" }

func (r *rows) ScanTombstones(after mailbox.MessageKey, yield func(mailbox.Tombstone) bool) error {
	return r.tombstones(scanTombstones, yield, int64(after.FolderID), int64(after.UID))
}

func (r *rows) tombstones(query string, yield func(mailbox.Tombstone) bool, args ...any) error {
	var folder, uid, seq int64
	dest := []any{&folder, &uid, &seq}
	return r.each(query, func(cur *cursor) (bool, error) {
		if err := cur.scan(dest...); err != nil {
			return false, err
		}
		return yield(mailbox.Tombstone{
			FolderID: mailbox.ItemID(folder), UID: mailbox.UID(uid), Sequence: mailbox.Sequence(seq),
		}), nil
	}, args...)
}

func (r *rows) Subscriptions() ([]string, error) {
	var names []string
	const query = "SELECT name FROM subscription WHERE mailbox_id = ? ORDER BY name"
	err := r.each(query, func(cur *cursor) (bool, error) {
		var name []byte
		err := cur.scan(&name)
		names = append(names, string(name))
		return true, err
	})
	return names, err
}

const (
	selectDelivery   = "SELECT delivery_key, seq FROM delivery WHERE mailbox_id = ?"
	oldestDeliveries = selectDelivery + " ORDER BY seq, delivery_key LIMIT ?"
)

func (r *rows) Delivery(key mailbox.DeliveryKey) (d mailbox.Delivery, found bool, err error) {
	err = r.deliveries(selectDelivery+" AND delivery_key = ?", func(one mailbox.Delivery) bool {
		d, found = one, true
		return false
	}, key[:])
	return d, found, err
}

func (r *rows) OldestDeliveries(limit int) ([]mailbox.Delivery, error) {
	var oldest []mailbox.Delivery
	err := r.deliveries(oldestDeliveries, func(d mailbox.Delivery) bool {
		oldest = append(oldest, d)
		return true
	}, int64(max(limit, 0)))
	return oldest, err
}

func (r *rows) ScanDeliveries(after mailbox.DeliveryKey, yield func(mailbox.Delivery) bool) error {
	return r.deliveries(selectDelivery+" AND delivery_key > ? ORDER BY delivery_key", yield, after[:])
}

func (r *rows) deliveries(query string, yield func(mailbox.Delivery) bool, args ...any) error {
	return r.each(query, func(cur *cursor) (bool, error) {
		var d mailbox.Delivery
		var key []byte
		var seq int64
		if err := cur.scan(&key, &seq); err != nil {
			return false, err
		}
		if copy(d.Key[:], key) != len(d.Key) {
			return false, fault.New(fault.DatabaseUnavailable, "a delivery of mailbox %d is damaged", r.id)
		}
		d.Sequence = mailbox.Sequence(seq)
		return yield(d), nil
	}, args...)
}

func (r *rows) CountDeliveries() (int, error) {
	var n int
	_, err := r.one("SELECT count(*) FROM delivery WHERE mailbox_id = ?", nil, &n)
	return n, err
}
