package metadata

import (
	"cmp"
	"encoding/binary"
	"slices"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
)

const selectDiscarded = "SELECT content_id, volume, blob_name, seq, discarded_at FROM discarded WHERE mailbox_id = ?"

// dueDiscarded names the time twice: the first comparison finds the place in the index, in both engines.
func dueDiscarded(d dialect) string {
	return `SELECT mailbox_id, content_id, volume, blob_name, seq, discarded_at FROM discarded
		WHERE discarded_at >= ? AND discarded_at <= ? AND ` + d.after([]string{"discarded_at", "mailbox_id", "content_id"}) + `
		ORDER BY discarded_at, mailbox_id, content_id LIMIT ?`
}

// Discarded implements mailbox.Reader.
func (r *rows) Discarded(content mailbox.ItemID) (d mailbox.Discarded, found bool, err error) {
	args, err := r.with(int64(content))
	if err != nil {
		return d, false, err
	}
	return first(r.v, selectDiscarded+" AND content_id = ?", args, scanDiscardedRow)
}

// ScanDiscarded implements mailbox.Reader.
func (r *rows) ScanDiscarded(after mailbox.ItemID, yield func(mailbox.Discarded) bool) error {
	args, err := r.with()
	if err != nil {
		return err
	}
	byContent := ordered{query: selectDiscarded, key: []string{"content_id"}}
	keyOf := func(d *mailbox.Discarded) []any { return []any{int64(d.ContentID)} }
	return walk(r.v, byContent, args, []any{int64(after)}, scanDiscardedRow, keyOf, yield)
}

func scanDiscardedRow(cur *cursor) (mailbox.Discarded, error) { return scanDiscarded(cur) }

func scanDiscarded(cur *cursor, before ...any) (d mailbox.Discarded, err error) {
	var id, seq int64
	var volume, blob []byte
	err = cur.scan(append(before, &id, &volume, &blob, &seq, &d.At)...)
	if err == nil && seq < 0 {
		err = damaged("the row of discarded content %d", id)
	}
	d.ContentID, d.Volume, d.Blob, d.Sequence = mailbox.ItemID(id), string(volume), string(blob), mailbox.Sequence(seq)
	return d, err
}

// Due is a discarded content of one of the mailboxes.
type Due struct {
	MailboxID int64
	mailbox.Discarded
}

// DueDiscarded are contents of all mailboxes that were discarded at a time or before, the oldest first, at most limit. They
// follow after, which is zero at first. A mailbox that was removed may still have some.
func (v *View) DueDiscarded(upTo int64, after Due, limit int) ([]Due, error) {
	dialect := v.store.dialect
	args := append([]any{after.At, upTo}, dialect.afterValues([]any{after.At, after.MailboxID, int64(after.ContentID)})...)
	return collect(v, dueDiscarded(dialect), append(args, int64(limit)), func(cur *cursor) (due Due, err error) {
		due.Discarded, err = scanDiscarded(cur, &due.MailboxID)
		return due, err
	})
}

func (w *writer) discarded(rows []mailbox.Touched[mailbox.ItemID, mailbox.Discarded]) {
	for _, d := range rows {
		if d.Row != nil {
			w.values = discardedValues(w.values, w.id, d.Row)
		} else {
			w.gone = append(w.gone, number(w.id), number(d.Key))
		}
	}
}

const deleteDiscarded = "DELETE FROM discarded WHERE mailbox_id = ? AND content_id = ?"

func discardedValues(values []value, mailboxID int64, d *mailbox.Discarded) []value {
	return append(values, number(mailboxID), number(d.ContentID), letters(d.Volume), letters(d.Blob), number(d.Sequence), number(d.At))
}

// Ended is the mailbox of a deleted account that this mailstore was the home of, and whose blobs are still in their volumes.
type Ended struct {
	MailboxID int64
	Account   account.ID
	Members   []string // mailstores that had a copy
	At        int64    // seconds since 1970 UTC
}

// EndMailbox is RemoveMailbox for an account that was deleted: what its blobs are is kept until RemoveEnded.
func (tx *Tx) EndMailbox(e Ended) error {
	var members []byte
	for _, name := range e.Members {
		members = append(binary.AppendUvarint(members, uint64(len(name))), name...)
	}
	const insert = "INSERT INTO ended (mailbox_id, account_id, members, ended_at) VALUES (?, ?, ?, ?)"
	if _, err := tx.exec(insert, e.MailboxID, e.Account[:], members, e.At); err != nil {
		return err
	}
	return tx.RemoveMailbox(e.MailboxID)
}

// Ended are the mailboxes of deleted accounts, the oldest first.
func (v *View) Ended() ([]Ended, error) {
	var all []Ended
	const query = "SELECT mailbox_id, account_id, members, ended_at FROM ended"
	err := v.each(query, nil, func(cur *cursor) (bool, error) {
		var e Ended
		var id, members []byte
		if err := cur.scan(&e.MailboxID, &id, &members, &e.At); err != nil {
			return false, err
		}
		if !fill(e.Account[:], id) {
			return false, damaged("the row of removed mailbox %d", e.MailboxID)
		}
		for len(members) > 0 {
			length, n := binary.Uvarint(members)
			if n <= 0 || length > uint64(len(members)-n) {
				return false, damaged("the list of members of removed mailbox %d", e.MailboxID)
			}
			e.Members = append(e.Members, string(members[n:n+int(length)]))
			members = members[n+int(length):]
		}
		all = append(all, e)
		return true, nil
	})
	slices.SortFunc(all, func(a, b Ended) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.MailboxID, b.MailboxID)) })
	return all, err
}

// EndedBlobs are blobs that are left of a deleted account's mailbox, be it that its messages had them or that they had been
// discarded before: at most limit, ascending by content id from after on.
func (v *View) EndedBlobs(mailboxID int64, after mailbox.ItemID, limit int) ([]mailbox.Discarded, error) {
	const query = `SELECT content_id, volume, blob_name, 0, 0 FROM content WHERE mailbox_id = ? AND content_id > ?
		UNION ALL SELECT content_id, volume, blob_name, seq, discarded_at FROM discarded WHERE mailbox_id = ? AND content_id > ?
		ORDER BY content_id LIMIT ?`
	var blobs []mailbox.Discarded
	args := []any{mailboxID, int64(after), mailboxID, int64(after), int64(limit)}
	err := v.each(query, args, func(cur *cursor) (bool, error) {
		d, err := scanDiscarded(cur)
		blobs = append(blobs, d)
		return true, err
	})
	return blobs, err
}

// RemoveEndedBlobs forgets blobs of a deleted account's mailbox, and the mailbox itself with the last.
func (tx *Tx) RemoveEndedBlobs(mailboxID int64, ids []mailbox.ItemID) error {
	for _, id := range ids {
		if _, err := tx.exec("DELETE FROM content WHERE mailbox_id = ? AND content_id = ?", mailboxID, int64(id)); err != nil {
			return err
		}
		if _, err := tx.exec(deleteDiscarded, mailboxID, int64(id)); err != nil {
			return err
		}
	}
	left, err := tx.EndedBlobs(mailboxID, 0, 1)
	if err != nil || len(left) > 0 {
		return err
	}
	_, err = tx.exec("DELETE FROM ended WHERE mailbox_id = ?", mailboxID)
	return err
}
