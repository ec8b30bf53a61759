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

// Write writes what a change does to the rows of a mailbox: when the function has returned, together with what it does to other
// mailboxes, or before the Tx asks the database anything. d must not be altered until then.
func (tx *Tx) Write(mailboxID int64, d mailbox.Delta) error {
	k, err := tx.state(mailboxID)
	if err != nil {
		return tx.note(err)
	}
	if k = k.after(&d); k == nil {
		tx.chill(mailboxID)
	} else {
		tx.hot[mailboxID] = k
	}
	due := tx.due(mailboxID)
	due.header = &d.Header
	due.deltas = append(due.deltas, &d)
	return tx.written()
}

// written writes what is due at once, if the Tx was told to.
func (tx *Tx) written() error {
	if tx.tx.atOnce {
		return tx.flush()
	}
	return nil
}

// Flush writes what is due of mailboxes, which is done anyway when the function has returned.
func (tx *Tx) Flush() error { return tx.note(firstOf(tx.usable(), tx.flush())) }

// AtOnce has every Write done before it returns, so that its error tells which mailbox the database refuses. It costs.
func (tx *Tx) AtOnce() { tx.tx.atOnce = true }

// LoadRows adds rows of a snapshot to a mailbox that is being made. They need not be complete or in order, but none may be there
// already: what is loaded are these rows, each once, or nothing. The header, of which there is one at most, is replaced.
func (tx *Tx) LoadRows(mailboxID int64, rows *event.Rows) error {
	if err := firstOf(tx.exists(mailboxID), tx.flush()); err != nil {
		return tx.note(err)
	}
	defer tx.chill(mailboxID)
	for _, h := range rows.Headers {
		if err := tx.saveHeader(mailboxID, h); err != nil {
			return err
		}
	}
	w := writer{v: &tx.View, id: mailboxID}
	load(&w, folders, rows.Folders, folderValues)
	load(&w, contents, rows.Contents, contentValues)
	load(&w, messages, rows.Messages, messageValues)
	load(&w, tombstones, rows.Tombstones, tombstoneValues)
	load(&w, deliveries, rows.Deliveries, deliveryValues)
	load(&w, discardeds, rows.Discarded, discardedValues)
	load(&w, subscriptions, rows.Subscriptions, func(values []value, id int64, s *event.Subscription) []value {
		return append(values, number(id), letters(s.Name))
	})
	return w.err
}

// load adds rows of one kind.
func load[R any](w *writer, t *table, rows []R, appendValues func([]value, int64, *R) []value) {
	for part := range slices.Chunk(rows, putRowsMax) {
		w.values = w.values[:0]
		for i := range part {
			w.values = appendValues(w.values, w.id, &part[i])
		}
		if w.err == nil {
			w.err = w.v.note(w.v.c.add(t, w.values))
		}
	}
}

// writer keeps the first error: after it, it does nothing.
type writer struct {
	v      *View
	id     int64   // of the mailbox whose rows are collected
	values []value // to be put
	gone   []value // keys to be removed
	err    error
}

func (w *writer) put(t *table, values []value) {
	if w.err == nil {
		w.err = w.v.note(w.v.c.put(t, values))
	}
}

func (w *writer) exec(query string, args ...any) (n int64) {
	if w.err == nil {
		n, w.err = w.v.c.exec(query, args...)
		w.err = w.v.note(w.err)
	}
	return n
}

// write writes a delta of each of some mailboxes, kind by kind: rows of one kind go together.
func (w *writer) write(all []dueDelta) {
	each := func(t *table, collect func(*mailbox.Delta)) {
		w.values, w.gone = w.values[:0], w.gone[:0]
		for _, d := range all {
			w.id = d.mailboxID
			collect(d.delta)
		}
		if w.err == nil {
			w.err = w.v.note(w.v.c.remove(t, w.gone))
		}
		w.put(t, w.values)
	}
	for _, d := range all {
		w.id = d.mailboxID
		for _, folder := range d.delta.RemovedFolders {
			w.removeFolder(folder)
		}
	}
	each(folders, func(d *mailbox.Delta) { w.folders(d.Folders) })
	each(contents, func(d *mailbox.Delta) { w.contents(d.Contents) })
	each(messages, w.messages)
	each(tombstones, func(d *mailbox.Delta) { w.tombstones(d.Tombstones) })
	each(subscriptions, func(d *mailbox.Delta) { w.subscriptions(d.Subscriptions) })
	each(deliveries, func(d *mailbox.Delta) { w.deliveries(d.Deliveries) })
	each(discardeds, func(d *mailbox.Delta) { w.discarded(d.Discarded) })
}

func (w *writer) removeFolder(folder mailbox.ItemID) {
	for _, t := range []*table{messages, tombstones, recents} {
		w.clear("DELETE FROM "+t.name+" WHERE mailbox_id = ? AND folder_id = ?", w.id, int64(folder))
	}
	w.exec(deleteFolder, w.id, int64(folder))
}

// clear deletes any number of rows, in portions that the engine deletes quickly.
func (w *writer) clear(query string, args ...any) {
	most := w.v.store.dialect.traits().deleteRows
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
	for _, id := range sorted(rows) {
		f := rows[id]
		if f != nil {
			n := w.exec(updateFolder, int64(f.UIDValidity), int64(f.UIDNext), int64(f.HighestSeq), []byte(f.SpecialUse),
				int64(f.Messages), int64(f.Unseen), int64(f.Bytes), int64(f.Tombstones), int64(f.PrunedUpTo), w.id, int64(id),
				[]byte(f.Name))
			if n > 0 {
				continue
			}
			w.values = folderValues(w.values, w.id, f)
		}
		w.exec(deleteFolder, w.id, int64(id))
	}
}

func folderValues(values []value, mailboxID int64, f *mailbox.Folder) []value {
	return append(values, number(mailboxID), number(f.ID), letters(f.Name), number(f.UIDValidity), number(f.UIDNext),
		number(f.HighestSeq), letters(f.SpecialUse), number(f.Messages), number(f.Unseen), number(f.Bytes), number(f.Tombstones),
		number(f.PrunedUpTo))
}

func (w *writer) contents(rows map[mailbox.ItemID]*mailbox.Content) {
	var removed []any
	for _, id := range sorted(rows) {
		if c := rows[id]; c != nil {
			w.values = contentValues(w.values, w.id, c)
		} else {
			removed = append(removed, int64(id))
		}
	}
	w.some("DELETE FROM content WHERE mailbox_id = ? AND content_id", []any{w.id}, removed)
}

func contentValues(values []value, mailboxID int64, c *mailbox.Content) []value {
	return append(values, number(mailboxID), number(c.ID), letters(c.Volume), letters(c.Blob), raw(c.Summary))
}

// sorted are keys in their order, in which their rows lie.
func sorted[K cmp.Ordered, R any](rows map[K]*R) []K {
	keys := make([]K, 0, len(rows))
	for key := range rows {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (w *writer) messages(d *mailbox.Delta) {
	removeByUID(w, "message", d.Messages)
	var marked []mailbox.Marking
	for _, m := range d.Marked {
		if m.To-m.From >= markAtOnceMin-1 && w.mark(m, d.Header.Sequence) {
			marked = append(marked, m)
		}
	}
	isMarked := among(marked)
	for _, m := range d.Messages {
		if m.Row != nil && !isMarked(m.Key) {
			w.values = messageValues(w.values, w.id, m.Row)
		}
	}
}

// markAtOnceMin is how many messages are worth a statement of their own.
const markAtOnceMin = 8

const (
	markMessages   = "UPDATE message SET modseq = ?, system_flags = (system_flags | ?) & ?" + markedMessages
	rewordMessages = "UPDATE message SET modseq = ?, system_flags = (system_flags | ?) & ?, keywords = ?" + markedMessages
	markedMessages = " WHERE mailbox_id = ? AND folder_id = ? AND uid BETWEEN ? AND ?"
)

// mark alters the flags of a run of messages where they lie, and reports whether all of them were there. Where they were not they are to be
// put, whatever this has altered.
func (w *writer) mark(m mailbox.Marking, sequence mailbox.Sequence) bool {
	found, first, last := int64(0), int64(m.From), int64(m.To)
	for from := first; from <= last; from += removeRunMax {
		query, args := markMessages, []any{int64(sequence), int64(m.Set), int64(mailbox.AllSystemFlags &^ m.Clear)}
		if m.Reworded {
			query, args = rewordMessages, append(args, encodeKeywords(m.Keywords))
		}
		found += w.exec(query, append(args, w.id, int64(m.FolderID), from, min(last, from+removeRunMax-1))...)
	}
	return found == last-first+1
}

// among asks runs for keys; both come in the order of rows.
func among(runs []mailbox.Marking) func(mailbox.MessageKey) bool {
	return func(key mailbox.MessageKey) bool {
		for len(runs) > 0 && (runs[0].FolderID < key.FolderID || runs[0].FolderID == key.FolderID && runs[0].To < key.UID) {
			runs = runs[1:]
		}
		return len(runs) > 0 && runs[0].FolderID == key.FolderID && runs[0].From <= key.UID
	}
}

func (w *writer) tombstones(rows []mailbox.Touched[mailbox.MessageKey, mailbox.Tombstone]) {
	removeByUID(w, "tombstone", rows)
	for _, t := range rows {
		if t.Row != nil {
			w.values = tombstoneValues(w.values, w.id, t.Row)
		}
	}
}

// removeByUID deletes those of the rows that are removed, folder by folder.
func removeByUID[R any](w *writer, table string, rows []mailbox.Touched[mailbox.MessageKey, R]) {
	query := "DELETE FROM " + table + " WHERE mailbox_id = ? AND folder_id = ? AND uid"
	var uids []any
	for i, r := range rows {
		if r.Row == nil {
			uids = append(uids, int64(r.Key.UID))
		}
		if i+1 == len(rows) || rows[i+1].Key.FolderID != r.Key.FolderID {
			w.some(query, []any{w.id, int64(r.Key.FolderID)}, uids)
			uids = uids[:0]
		}
	}
}

// removeRowsMax is how many rows one statement deletes, or alters, by their keys.
const removeRowsMax = 64

// some deletes or alters rows by the last column of their key, which the query ends with, and says how many there were: runs of
// numbers without a hole by their ends, others some at a time. Its powers of four below serve what is left over.
func (w *writer) some(query string, args, last []any) (found int64) {
	for len(last) > 0 && w.err == nil {
		run := 1
		for run < len(last) && run < removeRunMax && follows(last[run-1], last[run]) {
			run++
		}
		if run >= removeRunMin {
			found += w.exec(query+" BETWEEN ? AND ?", append(args[:len(args):len(args)], last[0], last[run-1])...)
			last = last[run:]
			continue
		}
		n := removeRowsMax
		for n > len(last) {
			n /= 4
		}
		found += w.exec(query+" IN (?"+strings.Repeat(", ?", n-1)+")", append(args[:len(args):len(args)], last[:n]...)...)
		last = last[n:]
	}
	return found
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

func tombstoneValues(values []value, mailboxID int64, t *mailbox.Tombstone) []value {
	return append(values, number(mailboxID), number(t.FolderID), number(t.UID), number(t.Sequence))
}

func (w *writer) subscriptions(rows map[string]bool) {
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		key := []value{number(w.id), letters(name)}
		if rows[name] {
			w.values = append(w.values, key...)
		} else {
			w.gone = append(w.gone, key...)
		}
	}
}

func (w *writer) deliveries(rows map[mailbox.DeliveryKey]*mailbox.Delivery) {
	keys := slices.SortedFunc(maps.Keys(rows), func(a, b mailbox.DeliveryKey) int { return bytes.Compare(a[:], b[:]) })
	for i := range keys {
		if d := rows[keys[i]]; d != nil {
			w.values = deliveryValues(w.values, w.id, d)
		} else {
			w.gone = append(w.gone, number(w.id), raw(keys[i][:]))
		}
	}
}

func deliveryValues(values []value, mailboxID int64, d *mailbox.Delivery) []value {
	return append(values, number(mailboxID), raw(d.Key[:]), number(d.Sequence))
}
