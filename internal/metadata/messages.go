package metadata

import (
	"database/sql"
	"encoding/binary"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

const (
	selectMessage = `SELECT folder_id, uid, item_id, content_id, modseq, internal_date, date_zone, size, system_flags,
		keywords FROM message WHERE mailbox_id = ?`
	countChanged = `SELECT count(*) FROM (SELECT 1 FROM message WHERE mailbox_id = ? AND folder_id = ? AND modseq > ?
		LIMIT ?) AS found`
	selectMessages = selectMessage + " AND folder_id = ? AND uid BETWEEN ? AND ? ORDER BY uid"
	scanMessages   = selectMessage + " AND (folder_id, uid) > (?, ?) ORDER BY folder_id, uid"
)

func (r *rows) Message(folder mailbox.ItemID, uid mailbox.UID) (m mailbox.Message, found bool, err error) {
	err = r.messages(selectMessage+" AND folder_id = ? AND uid = ?", func(one mailbox.Message) bool {
		m, found = one, true
		return false
	}, int64(folder), int64(uid))
	return m, found, err
}

func (r *rows) Messages(folder mailbox.ItemID, from, to mailbox.UID, yield func(mailbox.Message) bool) error {
	return r.messages(selectMessages, yield, int64(folder), int64(from), int64(to))
}

func (r *rows) ChangedSince(folder mailbox.ItemID, since mailbox.Sequence, yield func(mailbox.Message) bool) error {
	return r.changed(countChanged, "modseq", folder, since, func(condition string) error {
		return r.messages(selectMessage+" AND folder_id = ?"+condition, yield, int64(folder), int64(since))
	})
}

func (r *rows) ScanMessages(after mailbox.MessageKey, yield func(mailbox.Message) bool) error {
	return r.messages(scanMessages, yield, int64(after.FolderID), int64(after.UID))
}

// messages is made for millions of rows: what it scans into is allocated once, and equal keywords are decoded once.
func (r *rows) messages(query string, yield func(mailbox.Message) bool, args ...any) error {
	var (
		folder, uid, id, content, modseq, date, zone, size, flags int64
		keywords                                                  sql.RawBytes
	)
	dest := []any{&folder, &uid, &id, &content, &modseq, &date, &zone, &size, &flags, &keywords}
	known := map[string][]string{}
	return r.each(query, func(cur *cursor) (bool, error) {
		if err := cur.scan(dest...); err != nil {
			return false, err
		}
		m := mailbox.Message{
			FolderID: mailbox.ItemID(folder), UID: mailbox.UID(uid), ID: mailbox.ItemID(id),
			ContentID: mailbox.ItemID(content), ModSeq: mailbox.Sequence(modseq), InternalDate: date, DateZone: int16(zone),
			Size: uint64(size), Flags: mailbox.Flags{System: mailbox.SystemFlags(flags)},
		}
		if len(keywords) > 0 {
			words, ok := known[string(keywords)]
			if !ok {
				if words, ok = decodeKeywords(keywords); !ok {
					return false, fault.New(fault.DatabaseUnavailable, "the keywords of message %d in mailbox %d are damaged",
						m.ID, r.id)
				}
				if len(known) < keywordSetsMax {
					known[string(keywords)] = words
				}
			}
			m.Flags.Keywords = words
		}
		return yield(m), nil
	}, args...)
}

// keywordSetsMax bounds how many different sets of keywords one iteration remembers.
const keywordSetsMax = 4096

func messageValues(values []any, mailboxID int64, m *mailbox.Message) []any {
	return append(values, mailboxID, int64(m.FolderID), int64(m.UID), int64(m.ID), int64(m.ContentID), int64(m.ModSeq),
		m.InternalDate, int64(m.DateZone), int64(m.Size), int64(m.Flags.System), encodeKeywords(m.Flags.Keywords))
}

// encodeKeywords is each keyword behind its length.
func encodeKeywords(keywords []string) []byte {
	b := []byte{}
	for _, k := range keywords {
		b = binary.AppendUvarint(b, uint64(len(k)))
		b = append(b, k...)
	}
	return b
}

func decodeKeywords(b []byte) (keywords []string, ok bool) {
	for len(b) > 0 {
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return nil, false
		}
		keywords = append(keywords, string(b[n:n+int(length)]))
		b = b[n+int(length):]
	}
	return keywords, true
}
