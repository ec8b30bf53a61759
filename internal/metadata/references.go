package metadata

import (
	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
)

// BlobReference says that a mailbox in this database names a blob.
type BlobReference struct {
	Blob      string
	ContentID mailbox.ItemID
	Discarded bool // by a row of the list of discarded contents, or of an account that was deleted
}

// NextOwner gives the mailbox with the lowest id above after that may name blobs, be it one of a deleted account.
func (v *View) NextOwner(after int64) (mailboxID int64, id account.ID, ended, found bool, err error) {
	const next = `SELECT mailbox_id, account_id, 0 FROM mailbox WHERE mailbox_id > ?
		UNION ALL SELECT mailbox_id, account_id, 1 FROM ended WHERE mailbox_id > ? ORDER BY mailbox_id LIMIT 1`
	var bytes []byte
	var deleted int64
	found, err = v.one(next, []any{after, after}, &mailboxID, &bytes, &deleted)
	copy(id[:], bytes)
	return mailboxID, id, deleted != 0, found, err
}

const (
	contentBlobs = `SELECT content_id, blob_name FROM content WHERE mailbox_id = ? AND content_id > ? AND volume = ?
		ORDER BY content_id LIMIT ?`
	discardedBlobs = `SELECT content_id, blob_name FROM discarded WHERE mailbox_id = ? AND content_id > ? AND volume = ?
		ORDER BY content_id LIMIT ?`
)

// BlobReferences are the blobs of a volume that the contents of a mailbox name, or its discarded contents, ascending by content
// from after on, at most limit. Whoever reads the contents before the discarded ones misses none that moves between.
func (v *View) BlobReferences(mailboxID int64, volume string, discarded bool, after mailbox.ItemID, limit int) ([]BlobReference, error) {
	query := contentBlobs
	if discarded {
		query = discardedBlobs
	}
	var found []BlobReference
	args := []any{mailboxID, int64(after), []byte(volume), int64(limit)}
	err := v.each(query, args, func(cur *cursor) (bool, error) {
		var id int64
		var blob []byte
		err := cur.scan(&id, &blob)
		found = append(found, BlobReference{Blob: string(blob), ContentID: mailbox.ItemID(id), Discarded: discarded})
		return true, err
	})
	return found, err
}

// MessagesOf are the messages that share a content, at most limit.
func (v *View) MessagesOf(mailboxID int64, content mailbox.ItemID, limit int) ([]mailbox.MessageKey, error) {
	const query = "SELECT folder_id, uid FROM message WHERE mailbox_id = ? AND content_id = ? ORDER BY folder_id, uid LIMIT ?"
	var keys []mailbox.MessageKey
	err := v.each(query, []any{mailboxID, int64(content), int64(limit)}, func(cur *cursor) (bool, error) {
		var folder, uid int64
		err := cur.scan(&folder, &uid)
		keys = append(keys, mailbox.MessageKey{FolderID: mailbox.ItemID(folder), UID: mailbox.UID(uid)})
		return true, err
	})
	return keys, err
}
