package metadata

import (
	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
)

// Position says how far a stream was read.
type Position struct {
	ClusterID   string
	TopicID     [16]byte
	Stream      int32
	Offset      int64 // next to read
	LeaderEpoch int32
}

// JournalEntry is a transaction that this mailstore committed while replication was paused.
type JournalEntry struct {
	Sequence mailbox.Sequence
	ID       event.ID
	Record   []byte // as it will be appended
}

// syncedSetting is a setting whose value changes only so that something is written, see Store.end.
const syncedSetting = "synced"

// Positions are all positions, by cluster, topic and stream.
func (v *View) Positions() ([]Position, error) {
	const query = `SELECT cluster_id, topic_id, partition_number, next_offset, leader_epoch FROM stream_position
		ORDER BY cluster_id, topic_id, partition_number`
	var all []Position
	err := v.each(query, nil, func(cur *cursor) (bool, error) {
		var p Position
		var cluster, topic []byte
		if err := cur.scan(&cluster, &topic, &p.Stream, &p.Offset, &p.LeaderEpoch); err != nil {
			return false, err
		}
		p.ClusterID = string(cluster)
		if !fill(p.TopicID[:], topic) || p.Stream < 0 || p.Offset < 0 {
			return false, damaged("the position of stream %d of topic %x in cluster %.80q", p.Stream, topic, cluster)
		}
		all = append(all, p)
		return true, nil
	})
	return all, err
}

// SetPosition stores how far a stream was read.
func (tx *Tx) SetPosition(p Position) error {
	return tx.put(positions, []value{letters(p.ClusterID), raw(p.TopicID[:]), number(p.Stream), number(p.Offset), number(p.LeaderEpoch)})
}

// RemovePosition forgets a stream. The position's offset does not matter.
func (tx *Tx) RemovePosition(p Position) error {
	const remove = "DELETE FROM stream_position WHERE cluster_id = ? AND topic_id = ? AND partition_number = ?"
	_, err := tx.exec(remove, []byte(p.ClusterID), p.TopicID[:], int64(p.Stream))
	return err
}

// JournalHead is the entry of a mailbox's journal with the lowest sequence.
func (v *View) JournalHead(mailboxID int64) (head JournalEntry, found bool, err error) {
	err = v.Journal(mailboxID, func(e JournalEntry) bool {
		head, found = e, true
		return false
	})
	return head, found, err
}

// Journal yields a mailbox's journal, ascending by sequence, until yield returns false.
func (v *View) Journal(mailboxID int64, yield func(JournalEntry) bool) error {
	if err := v.exists(mailboxID); err != nil {
		return err
	}
	bySequence := ordered{
		query: "SELECT seq, record_id, record FROM journal WHERE mailbox_id = ?", key: []string{"seq"}, atOnce: journalRows,
	}
	scan := func(cur *cursor) (e JournalEntry, err error) {
		var seq int64
		var id []byte
		if err := cur.scan(&seq, &id, &e.Record); err != nil {
			return e, err
		}
		e.Sequence = mailbox.Sequence(seq)
		if !fill(e.ID[:], id) || seq < 0 {
			return e, damaged("the journal of mailbox %d", mailboxID)
		}
		return e, nil
	}
	keyOf := func(e *JournalEntry) []any { return []any{int64(e.Sequence)} }
	var broken error
	err := walk(v, bySequence, []any{mailboxID}, []any{int64(-1)}, scan, keyOf, func(e JournalEntry) bool {
		if broken = v.restOf(mailboxID, &e); broken != nil {
			return false
		}
		return yield(e)
	})
	return firstOf(broken, err)
}

// restOf adds to a record what is beyond the size of one value.
func (v *View) restOf(mailboxID int64, e *JournalEntry) error {
	if most := v.store.dialect.traits().valueBytes; most == 0 || len(e.Record) < most {
		return nil
	}
	for piece := int64(1); ; piece++ {
		var more []byte
		const query = "SELECT record FROM journal_more WHERE mailbox_id = ? AND seq = ? AND piece = ?"
		found, err := v.one(query, []any{mailboxID, int64(e.Sequence), piece}, &more)
		if err != nil || !found {
			return err
		}
		e.Record = append(e.Record, more...)
	}
}

// journalRows are read at once where an engine has to: records may be large.
const journalRows = 4

// AppendJournal adds an entry to a mailbox's journal. A sequence that is there already is a broken invariant.
func (tx *Tx) AppendJournal(mailboxID int64, e JournalEntry) error {
	if err := tx.exists(mailboxID); err != nil {
		return tx.note(err)
	}
	const insert = "INSERT INTO journal (mailbox_id, seq, record_id, record) VALUES (?, ?, ?, ?)"
	record, more := e.Record, []byte(nil)
	most := tx.c.dialect.traits().valueBytes
	if most > 0 && len(record) > most {
		record, more = record[:most], record[most:]
	}
	if _, err := tx.exec(insert, mailboxID, int64(e.Sequence), e.ID[:], record); err != nil {
		return err
	}
	for piece := int64(1); len(more) > 0; piece++ {
		n := min(most, len(more))
		if err := tx.put(journalMore, []value{number(mailboxID), number(e.Sequence), number(piece), raw(more[:n])}); err != nil {
			return err
		}
		more = more[n:]
	}
	return nil
}

// RemoveJournal removes the entry of a sequence, if there is one.
func (tx *Tx) RemoveJournal(mailboxID int64, sequence mailbox.Sequence) error {
	w := writer{v: &tx.View, id: mailboxID, err: tx.usable()}
	if tx.c.dialect.traits().valueBytes > 0 {
		w.exec("DELETE FROM journal_more WHERE mailbox_id = ? AND seq = ?", mailboxID, int64(sequence))
	}
	w.exec("DELETE FROM journal WHERE mailbox_id = ? AND seq = ?", mailboxID, int64(sequence))
	return w.err
}

// ClearJournal removes all entries.
func (tx *Tx) ClearJournal(mailboxID int64) error {
	w := writer{v: &tx.View, id: mailboxID, err: tx.usable()}
	if tx.c.dialect.traits().valueBytes > 0 {
		w.clear("DELETE FROM journal_more WHERE mailbox_id = ?", mailboxID)
	}
	w.clear("DELETE FROM journal WHERE mailbox_id = ?", mailboxID)
	return w.err
}

// Recent is the lowest UID of a folder that no session has claimed: messages from it on are \Recent for the next one.
func (v *View) Recent(mailboxID int64, folder mailbox.ItemID) (mailbox.UID, error) {
	if err := v.exists(mailboxID); err != nil {
		return 0, err
	}
	uid := int64(1)
	const query = "SELECT uid FROM recent WHERE mailbox_id = ? AND folder_id = ?"
	_, err := v.one(query, []any{mailboxID, int64(folder)}, &uid)
	if err == nil && !isUID(uid) {
		err = damaged("the claim of \\Recent in folder %d of mailbox %d", folder, mailboxID)
	}
	return mailbox.UID(uid), err
}

// ClaimRecent gives the messages below upTo to the session that asks. It never takes a claim back.
func (tx *Tx) ClaimRecent(mailboxID int64, folder mailbox.ItemID, upTo mailbox.UID) error {
	now, err := tx.Recent(mailboxID, folder)
	if err != nil || upTo <= now {
		return err
	}
	return tx.put(recents, []value{number(mailboxID), number(folder), number(upTo)})
}

// Value is a setting of this mailstore.
func (v *View) Value(key string) (value []byte, found bool, err error) {
	found, err = v.one("SELECT content FROM setting WHERE name = ?", []any{settingName(key)}, &value)
	return value, found, err
}

// SetValue stores a setting.
func (tx *Tx) SetValue(key string, content []byte) error {
	return tx.put(settings, []value{raw(settingName(key)), raw(content)})
}

// settingName keeps the callers' settings apart from the store's own.
func settingName(key string) []byte { return []byte("." + key) }
