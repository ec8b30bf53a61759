package metadata

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
)

// Write writes what a change does to the rows of a mailbox.
func (tx *Tx) Write(mailboxID int64, d mailbox.Delta) error {
	k, err := tx.state(mailboxID)
	if err != nil {
		return tx.note(err)
	}
	if err := tx.saveHeader(mailboxID, d.Header); err != nil {
		return err
	}
	if k = k.after(&d); k == nil {
		tx.chill(mailboxID)
	} else {
		tx.hot[mailboxID] = k
	}
	w := writer{tx: tx, id: mailboxID}
	for _, folder := range d.RemovedFolders {
		w.removeFolder(folder)
	}
	w.folders(d.Folders)
	w.contents(d.Contents)
	w.messages(d.Messages)
	w.tombstones(d.Tombstones)
	w.subscriptions(d.Subscriptions)
	w.deliveries(d.Deliveries)
	w.discarded(d.Discarded)
	return w.err
}

// LoadRows adds rows of a snapshot to a mailbox that is being made. They need not be complete or in order, but none may be there
// already: what is loaded are these rows, each once, or nothing. The header, of which there is one at most, is replaced.
func (tx *Tx) LoadRows(mailboxID int64, rows *event.Rows) error {
	if err := tx.exists(mailboxID); err != nil {
		return tx.note(err)
	}
	defer tx.chill(mailboxID)
	for _, h := range rows.Headers {
		if err := tx.saveHeader(mailboxID, h); err != nil {
			return err
		}
	}
	w := writer{tx: tx, id: mailboxID}
	load(&w, folders, rows.Folders, folderValues)
	load(&w, contents, rows.Contents, contentValues)
	load(&w, messages, rows.Messages, messageValues)
	load(&w, tombstones, rows.Tombstones, tombstoneValues)
	load(&w, deliveries, rows.Deliveries, deliveryValues)
	load(&w, discardeds, rows.Discarded, discardedValues)
	load(&w, subscriptions, rows.Subscriptions, func(values []any, id int64, s *event.Subscription) []any {
		return append(values, id, []byte(s.Name))
	})
	return w.err
}

// load adds rows of one kind.
func load[R any](w *writer, t *table, rows []R, appendValues func([]any, int64, *R) []any) {
	for part := range slices.Chunk(rows, putRowsMax) {
		w.values = w.values[:0]
		for i := range part {
			w.values = appendValues(w.values, w.id, &part[i])
		}
		if w.err == nil {
			w.err = w.tx.add(t, w.values)
		}
	}
}

// writer keeps the first error: after it, it does nothing.
type writer struct {
	tx     *Tx
	id     int64
	values []any
	err    error
}

func (w *writer) put(t *table, values []any) {
	if w.err == nil {
		w.err = w.tx.put(t, values)
	}
}

func (w *writer) exec(query string, args ...any) (n int64) {
	if w.err == nil {
		n, w.err = w.tx.exec(query, args...)
	}
	return n
}

func (w *writer) removeFolder(folder mailbox.ItemID) {
	for _, t := range []*table{messages, tombstones, recents} {
		w.clear("DELETE FROM "+t.name+" WHERE mailbox_id = ? AND folder_id = ?", w.id, int64(folder))
	}
	w.exec(deleteFolder, w.id, int64(folder))
}

// clear deletes any number of rows, in portions that the engine deletes quickly.
func (w *writer) clear(query string, args ...any) {
	most := w.tx.c.dialect.traits().deleteRows
	if most == 0 {
		w.exec(query, args...)
		return
	}
	query, args = query+" LIMIT ?", append(args, most)
	for w.exec(query, args...) == most {
	}
}

const (
	deleteFolder = "DELETE FROM folder WHERE mailbox_id = ? AND folder_id = ?"

	// updateFolder leaves the name, and so the index over it, alone.
	updateFolder = `UPDATE folder SET uid_validity = ?, uid_next = ?, highest_seq = ?, special_use = ?, messages = ?,
		unseen = ?, total_bytes = ?, tombstones = ?, pruned_up_to = ? WHERE mailbox_id = ? AND folder_id = ? AND name = ?`
)

// folders writes the folders' rows. Names are unique, and one change may give a folder the name that another gives up: so
// all that are removed or renamed go first.
func (w *writer) folders(rows map[mailbox.ItemID]*mailbox.Folder) {
	var renamed []any
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		f := rows[id]
		if f != nil {
			n := w.exec(updateFolder, int64(f.UIDValidity), int64(f.UIDNext), int64(f.HighestSeq), []byte(f.SpecialUse),
				int64(f.Messages), int64(f.Unseen), int64(f.Bytes), int64(f.Tombstones), int64(f.PrunedUpTo), w.id, int64(id),
				[]byte(f.Name))
			if n > 0 {
				continue
			}
			renamed = folderValues(renamed, w.id, f)
		}
		w.exec(deleteFolder, w.id, int64(id))
	}
	w.put(folders, renamed)
}

func folderValues(values []any, mailboxID int64, f *mailbox.Folder) []any {
	return append(values, mailboxID, int64(f.ID), []byte(f.Name), int64(f.UIDValidity), int64(f.UIDNext),
		int64(f.HighestSeq), []byte(f.SpecialUse), int64(f.Messages), int64(f.Unseen), int64(f.Bytes), int64(f.Tombstones),
		int64(f.PrunedUpTo))
}

func (w *writer) contents(rows map[mailbox.ItemID]*mailbox.Content) {
	var put, removed []any
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if c := rows[id]; c != nil {
			put = contentValues(put, w.id, c)
		} else {
			removed = append(removed, int64(id))
		}
	}
	w.remove("DELETE FROM content WHERE mailbox_id = ? AND content_id", []any{w.id}, removed)
	w.put(contents, put)
}

func contentValues(values []any, mailboxID int64, c *mailbox.Content) []any {
	return append(values, mailboxID, int64(c.ID), []byte(c.Volume), []byte(c.Blob), notNil(c.Summary))
}

// sortedKeys are keys in the order in which their rows lie: written in that order they share pages.
func sortedKeys[R any](rows map[mailbox.MessageKey]*R) []mailbox.MessageKey {
	return slices.SortedFunc(maps.Keys(rows), func(a, b mailbox.MessageKey) int {
		return cmp.Or(cmp.Compare(a.FolderID, b.FolderID), cmp.Compare(a.UID, b.UID))
	})
}

func (w *writer) messages(rows map[mailbox.MessageKey]*mailbox.Message) {
	keys := sortedKeys(rows)
	w.removeByUID("message", keys, func(key mailbox.MessageKey) bool { return rows[key] == nil })
	var put []any
	for _, key := range keys {
		if m := rows[key]; m != nil {
			put = messageValues(put, w.id, m)
		}
	}
	w.put(messages, put)
}

func (w *writer) tombstones(rows map[mailbox.MessageKey]*mailbox.Tombstone) {
	keys := sortedKeys(rows)
	w.removeByUID("tombstone", keys, func(key mailbox.MessageKey) bool { return rows[key] == nil })
	var put []any
	for _, key := range keys {
		if t := rows[key]; t != nil {
			put = tombstoneValues(put, w.id, t)
		}
	}
	w.put(tombstones, put)
}

// removeByUID deletes those of the rows that are removed, folder by folder.
func (w *writer) removeByUID(table string, keys []mailbox.MessageKey, isRemoved func(mailbox.MessageKey) bool) {
	query := "DELETE FROM " + table + " WHERE mailbox_id = ? AND folder_id = ? AND uid"
	var uids []any
	for i, key := range keys {
		if isRemoved(key) {
			uids = append(uids, int64(key.UID))
		}
		if i+1 == len(keys) || keys[i+1].FolderID != key.FolderID {
			w.remove(query, []any{w.id, int64(key.FolderID)}, uids)
			uids = uids[:0]
		}
	}
}

// removeRowsMax is how many rows one statement deletes by their keys.
const removeRowsMax = 64

// remove deletes rows by the last column of their key, which the query ends with: runs of numbers without a hole by their ends,
// others some at a time. Its powers of four below serve what is left over.
func (w *writer) remove(query string, args, last []any) {
	for len(last) > 0 && w.err == nil {
		run := 1
		for run < len(last) && run < removeRunMax && follows(last[run-1], last[run]) {
			run++
		}
		if run >= removeRunMin {
			w.exec(query+" BETWEEN ? AND ?", append(args[:len(args):len(args)], last[0], last[run-1])...)
			last = last[run:]
			continue
		}
		n := removeRowsMax
		for n > len(last) {
			n /= 4
		}
		w.exec(query+" IN (?"+strings.Repeat(", ?", n-1)+")", append(args[:len(args):len(args)], last[:n]...)...)
		last = last[n:]
	}
}

const (
	removeRunMin = 8     // fewer are not worth a statement of their own
	removeRunMax = 5_000 // what a server deletes quickly
)

func follows(a, b any) bool {
	x, number := a.(int64)
	y, too := b.(int64)
	return number && too && y == x+1
}

func tombstoneValues(values []any, mailboxID int64, t *mailbox.Tombstone) []any {
	return append(values, mailboxID, int64(t.FolderID), int64(t.UID), int64(t.Sequence))
}

func (w *writer) subscriptions(rows map[string]bool) {
	var put []any
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if rows[name] {
			put = append(put, w.id, []byte(name))
		} else {
			w.exec("DELETE FROM subscription WHERE mailbox_id = ? AND name = ?", w.id, []byte(name))
		}
	}
	w.put(subscriptions, put)
}

func (w *writer) deliveries(rows map[mailbox.DeliveryKey]*mailbox.Delivery) {
	keys := slices.SortedFunc(maps.Keys(rows), func(a, b mailbox.DeliveryKey) int { return bytes.Compare(a[:], b[:]) })
	var put, removed []any
	for _, key := range keys {
		if d := rows[key]; d != nil {
			put = deliveryValues(put, w.id, d)
		} else {
			removed = append(removed, key[:])
		}
	}
	w.remove("DELETE FROM delivery WHERE mailbox_id = ? AND delivery_key", []any{w.id}, removed)
	w.put(deliveries, put)
}

func deliveryValues(values []any, mailboxID int64, d *mailbox.Delivery) []any {
	return append(values, mailboxID, d.Key[:], int64(d.Sequence))
}
