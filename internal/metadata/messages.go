package metadata

import (
	"database/sql"
	"encoding/binary"

	"mailreplica/internal/mailbox"
)

const (
	messageColumns = "folder_id, uid, item_id, content_id, modseq, internal_date, date_zone, size, system_flags, keywords"
	selectMessage  = "SELECT " + messageColumns + " FROM message WHERE mailbox_id = ?"
	oneMessage     = selectMessage + " AND folder_id = ? AND uid = ?"
)

// What reads many rows, and in which order.
var (
	selectMessages  = ordered{query: selectMessage + " AND folder_id = ? AND uid <= ?", key: []string{"uid"}, index: "PRIMARY"}
	changedMessages = ordered{query: selectMessage + " AND folder_id = ? AND modseq > ?", key: []string{"uid"}, index: "PRIMARY"}
	scanMessages    = ordered{query: selectMessage, key: []string{"folder_id", "uid"}, index: "PRIMARY"}
)

func (r *rows) Message(folder mailbox.ItemID, uid mailbox.UID) (m mailbox.Message, found bool, err error) {
	args, err := r.with(int64(folder), int64(uid))
	if err != nil {
		return m, false, err
	}
	return first(r.v, oneMessage, args, newMessageScan(r.id).scan)
}

func (r *rows) Messages(folder mailbox.ItemID, from, to mailbox.UID, yield func(mailbox.Message) bool) error {
	args, err := r.with(int64(folder), int64(to))
	if err != nil {
		return err
	}
	return walk(r.v, selectMessages, args, []any{int64(from) - 1}, newMessageScan(r.id).scan, uidOf, yield)
}

func (r *rows) ChangedSince(folder mailbox.ItemID, since mailbox.Sequence, yield func(mailbox.Message) bool) error {
	args, err := r.with(int64(folder), int64(since))
	if err != nil {
		return err
	}
	return walk(r.v, changedMessages, args, []any{int64(0)}, newMessageScan(r.id).scan, uidOf, yield)
}

func (r *rows) ScanMessages(after mailbox.MessageKey, yield func(mailbox.Message) bool) error {
	args, err := r.with()
	if err != nil {
		return err
	}
	keyOf := func(m *mailbox.Message) []any { return []any{int64(m.FolderID), int64(m.UID)} }
	behind := []any{int64(after.FolderID), int64(after.UID)}
	return walk(r.v, scanMessages, args, behind, newMessageScan(r.id).scan, keyOf, yield)
}

func uidOf(m *mailbox.Message) []any { return []any{int64(m.UID)} }

// messageScan is made for millions of rows: what it scans into is allocated once, and equal keywords are decoded once.
type messageScan struct {
	mailboxID                                                 int64
	folder, uid, id, content, modseq, date, zone, size, flags int64
	keywords                                                  sql.RawBytes
	dest                                                      []any
	known                                                     map[string][]string
}

func newMessageScan(mailboxID int64) *messageScan {
	s := &messageScan{mailboxID: mailboxID, known: map[string][]string{}}
	s.dest = []any{&s.folder, &s.uid, &s.id, &s.content, &s.modseq, &s.date, &s.zone, &s.size, &s.flags, &s.keywords}
	return s
}

func (s *messageScan) scan(cur *cursor) (mailbox.Message, error) {
	if err := cur.scan(s.dest...); err != nil {
		return mailbox.Message{}, err
	}
	if !s.sound() {
		return mailbox.Message{}, damaged("the message with UID %d of folder %d in mailbox %d", s.uid, s.folder, s.mailboxID)
	}
	m := mailbox.Message{
		FolderID: mailbox.ItemID(s.folder), UID: mailbox.UID(s.uid), ID: mailbox.ItemID(s.id),
		ContentID: mailbox.ItemID(s.content), ModSeq: mailbox.Sequence(s.modseq), InternalDate: s.date, DateZone: int16(s.zone),
		Size: uint64(s.size), Flags: mailbox.Flags{System: mailbox.SystemFlags(s.flags)},
	}
	if len(s.keywords) == 0 {
		return m, nil
	}
	words, ok := s.known[string(s.keywords)]
	if !ok {
		if words, ok = decodeKeywords(s.keywords); !ok {
			return m, damaged("the list of keywords of the message with UID %d of folder %d in mailbox %d", s.uid, s.folder, s.mailboxID)
		}
		if len(s.known) < keywordSetsMax {
			s.known[string(s.keywords)] = words
		}
	}
	m.Flags.Keywords = words
	return m, nil
}

// keywordSetsMax bounds how many different sets of keywords one iteration remembers.
const keywordSetsMax = 4096

func messageValues(values []value, mailboxID int64, m *mailbox.Message) []value {
	return append(values, number(mailboxID), number(m.FolderID), number(m.UID), number(m.ID), number(m.ContentID), number(m.ModSeq),
		number(m.InternalDate), number(m.DateZone), number(m.Size), number(m.Flags.System), raw(encodeKeywords(m.Flags.Keywords)))
}

// encodeKeywords is each keyword behind its length.
func encodeKeywords(keywords []string) []byte {
	var b []byte
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
