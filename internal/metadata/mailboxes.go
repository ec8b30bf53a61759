package metadata

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/protocol"
)

// Mailbox is one account's mailbox as this mailstore holds it.
type Mailbox struct {
	ID     int64 // local to this database, never used twice
	Copy   protocol.Copy
	Header mailbox.Header
}

const (
	copyColumns = `self_mailstore, condition_code, mode_code, epoch, primary_mailstore, members, cluster_id, topic_id,
		partition_number, leader_epoch, head_sequence, head_record, next_offset, committed, committed_record, journal_count`
	headerColumns = `last_sequence, next_item_id, next_uid_validity, messages, total_bytes, digest`

	selectMailbox = "SELECT mailbox_id, account_id, " + copyColumns + ", " + headerColumns + " FROM mailbox"
)

// Mailboxes are all mailboxes, by id.
func (v *View) Mailboxes() ([]Mailbox, error) {
	var all []Mailbox
	err := v.each(selectMailbox+" ORDER BY mailbox_id", nil, func(cur *cursor) (bool, error) {
		m, err := scanMailbox(cur.scan)
		all = append(all, m)
		return true, err
	})
	return all, err
}

// Mailbox is the mailbox of an account.
func (v *View) Mailbox(id account.ID) (Mailbox, bool, error) {
	return v.mailbox(" WHERE account_id = ?", id[:])
}

// mailboxesTogether is how many mailboxes one statement looks up.
const mailboxesTogether = 64

// MailboxesOf are the mailboxes of accounts, in no order; accounts that have none here are left out.
func (v *View) MailboxesOf(ids []account.ID) ([]Mailbox, error) {
	if len(ids) == 1 {
		m, found, err := v.Mailbox(ids[0])
		if err != nil || !found {
			return nil, err
		}
		return []Mailbox{m}, nil
	}
	const query = selectMailbox + " WHERE account_id IN (?"
	all := make([]Mailbox, 0, len(ids))
	for part := range slices.Chunk(ids, mailboxesTogether) {
		keys := make([]any, mailboxesTogether) // always as many, so that the statement is the same
		for i := range keys {
			keys[i] = part[min(i, len(part)-1)][:]
		}
		err := v.each(query+strings.Repeat(", ?", mailboxesTogether-1)+")", keys, func(cur *cursor) (bool, error) {
			m, err := scanMailbox(cur.scan)
			all = append(all, m)
			return true, err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// MailboxByID is the mailbox with an id.
func (v *View) MailboxByID(id int64) (Mailbox, bool, error) {
	return v.mailbox(" WHERE mailbox_id = ?", id)
}

func (v *View) mailbox(where string, key any) (m Mailbox, found bool, err error) {
	err = v.each(selectMailbox+where, []any{key}, func(cur *cursor) (bool, error) {
		var err error
		m, err = scanMailbox(cur.scan)
		found = err == nil
		return false, err
	})
	return m, found, err
}

// exists says NotFound of a mailbox that was removed: its rows may be half gone.
func (v *View) exists(mailboxID int64) error {
	_, err := v.state(mailboxID)
	return err
}

func noMailbox(mailboxID int64) error {
	return fault.New(fault.NotFound, "mailbox %d does not exist on this mailstore", mailboxID)
}

func scanMailbox(scan func(...any) error) (Mailbox, error) {
	var (
		m                                        Mailbox
		id, self, primary, members, cluster      []byte
		topic, head, committed, digest           []byte
		epoch, nextItemID, usageMessages, usageB int64
		headSequence, committedSequence, last    int64
	)
	c, h := &m.Copy, &m.Header
	err := scan(&m.ID, &id, &self, &c.Condition, &c.Mode, &epoch, &primary, &members, &cluster, &topic,
		&c.Stream.Partition, &c.Stream.LeaderEpoch, &headSequence, &head, &c.NextOffset, &committedSequence, &committed,
		&c.Journal, &last, &nextItemID, &h.NextUIDValidity, &usageMessages, &usageB, &digest)
	if err != nil {
		return m, err
	}
	c.Self, c.Primary, c.Stream.ClusterID = string(self), string(primary), string(cluster)
	c.Epoch, c.Sequence, c.Committed = uint64(epoch), mailbox.Sequence(headSequence), mailbox.Sequence(committedSequence)
	h.Sequence, h.NextItemID = mailbox.Sequence(last), mailbox.ItemID(nextItemID)
	h.Messages, h.Bytes = uint64(usageMessages), uint64(usageB)
	var sum [16]byte
	whole := fill(c.Account[:], id) && fill(c.Stream.TopicID[:], topic) && fill(c.HeadID[:], head) &&
		fill(c.CommittedID[:], committed) && fill(sum[:], digest) &&
		c.Condition <= protocol.Diverged && c.Mode <= protocol.Resuming && c.Journal >= 0 &&
		min(headSequence, committedSequence, last) >= 0
	h.Digest = mailbox.DigestFromBytes(sum)
	if c.Members, err = decodeMembers(members); err != nil || !whole {
		return m, damagedMailbox(m.ID, err)
	}
	return m, nil
}

func damagedMailbox(id int64, err error) error {
	broken := damaged("the row of mailbox %d", id)
	broken.Cause = err
	return broken
}

func copyValues(values []value, c *protocol.Copy) []value {
	return append(values,
		letters(c.Self), number(c.Condition), number(c.Mode), number(c.Epoch), letters(c.Primary), raw(encodeMembers(c.Members)),
		letters(c.Stream.ClusterID), raw(c.Stream.TopicID[:]), number(c.Stream.Partition), number(c.Stream.LeaderEpoch),
		number(c.Sequence), raw(c.HeadID[:]), number(c.NextOffset), number(c.Committed), raw(c.CommittedID[:]), number(c.Journal),
	)
}

func headerValues(values []value, h *mailbox.Header) []value {
	digest := h.Digest.Bytes()
	return append(values,
		number(h.Sequence), number(h.NextItemID), number(h.NextUIDValidity), number(h.Messages), number(h.Bytes), raw(digest[:]),
	)
}

// CreateMailbox makes an empty mailbox for an account and gives its id. Exists if the account has one.
func (tx *Tx) CreateMailbox(c *protocol.Copy) (int64, error) {
	if _, found, err := tx.Mailbox(c.Account); err != nil || found {
		return 0, firstOf(err, fault.New(fault.Exists, "account %s has a mailbox on this mailstore already", c.Account))
	}
	const insert = "INSERT INTO mailbox (account_id, " + copyColumns + ", " + headerColumns + `) VALUES
		(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	header := mailbox.EmptyHeader()
	values := headerValues(copyValues([]value{raw(c.Account[:])}, c), &header)
	if err := tx.ready(); err != nil {
		return 0, err
	}
	if _, err := tx.c.run(insert, values); err != nil {
		return 0, tx.note(err)
	}
	var id int64
	_, err := tx.one("SELECT mailbox_id FROM mailbox WHERE account_id = ?", []any{c.Account[:]}, &id)
	return id, err
}

// SaveCopy stores what was judged of the account's log.
func (tx *Tx) SaveCopy(mailboxID int64, c *protocol.Copy) error {
	if err := tx.exists(mailboxID); err != nil {
		return tx.note(err)
	}
	saved := *c // what is due refers to arrays in it, and is written later
	due := tx.due(mailboxID)
	due.copy = copyValues(due.copy[:0], &saved)
	return tx.written()
}

func (tx *Tx) saveHeader(mailboxID int64, h mailbox.Header) error {
	if err := tx.exists(mailboxID); err != nil {
		return tx.note(err)
	}
	tx.due(mailboxID).header = &h
	return nil
}

// Columns that are set, in the order of copyValues and of headerValues.
var (
	setCopy   = strings.Join(strings.Fields(strings.ReplaceAll(copyColumns, ",", " ")), " = ?, ") + " = ?"
	setHeader = strings.Join(strings.Fields(strings.ReplaceAll(headerColumns, ",", " ")), " = ?, ") + " = ?"

	updateCopy    = "UPDATE mailbox SET " + setCopy + " WHERE mailbox_id = ?"
	updateHeader  = "UPDATE mailbox SET " + setHeader + " WHERE mailbox_id = ?"
	updateMailbox = "UPDATE mailbox SET " + setCopy + ", " + setHeader + " WHERE mailbox_id = ?"
)

// flush writes what is due to the rows of mailboxes.
func (v *View) flush() error {
	if v.tx == nil || len(v.tx.due) == 0 {
		return nil
	}
	if err := v.usable(); err != nil {
		return err
	}
	due := v.tx.due
	v.tx.due = nil
	ids := sorted(due)
	w := writer{v: v}
	for round := 0; ; round++ { // of two changes of one mailbox the second comes after the first
		var all []dueDelta
		for _, id := range ids {
			if deltas := due[id].deltas; round < len(deltas) {
				all = append(all, dueDelta{id, deltas[round]})
			}
		}
		if len(all) == 0 {
			break
		}
		w.write(all)
	}
	for _, id := range ids {
		w.mailbox(id, due[id])
	}
	return w.err
}

// mailbox writes a mailbox's own row.
func (w *writer) mailbox(id int64, row *mailboxRow) {
	query, values := updateMailbox, row.copy
	switch {
	case w.err != nil:
		return
	case row.header == nil:
		query = updateCopy
	case len(row.copy) == 0:
		query = updateHeader
	}
	if row.header != nil {
		values = headerValues(values, row.header)
	}
	n, err := w.v.c.run(query, append(values, number(id)))
	if err == nil && n == 0 {
		err = noMailbox(id)
	}
	w.err = w.v.note(err)
}

// encodeMembers is, for each member in the order of names, the length of its name, its name, and its Join.
func encodeMembers(members map[string]event.ID) []byte {
	b := make([]byte, 0, len(members)*48)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		id := members[name]
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		b = append(b, id[:]...)
	}
	return b
}

func decodeMembers(b []byte) (map[string]event.ID, error) {
	members := map[string]event.ID{}
	for len(b) > 0 {
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) || len(b)-n-int(length) < len(event.ID{}) {
			return nil, fmt.Errorf("members end in the middle of an entry")
		}
		b = b[n:]
		name := string(b[:length])
		members[name] = event.ID(b[length : length+16])
		b = b[length+16:]
	}
	return members, nil
}
