package mailbox

import (
	"slices"
	"time"

	"mailreplica/internal/fault"
)

// tombstonesPerFolderMax bounds the memory of expunged messages; the older half goes when it is exceeded.
const tombstonesPerFolderMax = 100_000

// NewMessage is a message whose body is durable already in a volume.
type NewMessage struct {
	Volume, Blob string
	Summary      []byte
	Size         uint64
	Received     time.Time
	Flags        Flags
}

// Append adds messages to a folder, all or none, and gives them as they are then, UIDs ascending.
func (d *Draft) Append(folder ItemID, messages []NewMessage) ([]Message, error) {
	if err := d.begin(); err != nil {
		return nil, err
	}
	s, err := d.folder(folder)
	if err != nil {
		return nil, err
	}
	if err := s.roomForUIDs(len(messages)); err != nil {
		return nil, err
	}
	flags := make([]Flags, len(messages))
	size := 0
	for i, m := range messages {
		if m.Volume == "" || m.Blob == "" {
			return nil, fault.New(fault.Internal, "a new message names no blob")
		}
		if flags[i], err = m.Flags.Canonical(); err != nil {
			return nil, err
		}
		size += contentBytes(m.Volume, m.Blob, m.Summary) + messageBytes(flags[i])
	}
	if err := d.room(size); err != nil {
		return nil, err
	}
	appended := make([]Message, 0, len(messages))
	for i, m := range messages {
		content := Content{ID: d.overlay.nextItemID, Volume: m.Volume, Blob: m.Blob, Summary: m.Summary}
		if err := d.emit(PutContent{content}); err != nil {
			return nil, err
		}
		_, offset := m.Received.Zone()
		row, err := d.put(s, Message{
			ContentID: content.ID, InternalDate: m.Received.Unix(), DateZone: int16(offset / 60), Size: m.Size, Flags: flags[i],
		})
		if err != nil {
			return nil, err
		}
		appended = append(appended, row)
	}
	return appended, nil
}

// put gives a message the folder's next UID and an id.
func (d *Draft) put(s *folderState, m Message) (Message, error) {
	m.FolderID, m.UID, m.ID = s.row.ID, s.now.UIDNext, d.overlay.nextItemID
	m.ModSeq = 0 // it does not travel
	err := d.emit(PutMessage{m})
	m.ModSeq = d.overlay.sequence
	return m, err
}

// roomForUIDs checks that the folder can give so many UIDs more. The last 32-bit number is never given, so that UIDNEXT
// can be said.
func (s *folderState) roomForUIDs(n int) error {
	if uint64(s.now.UIDNext)+uint64(n) > uint64(uidMax) {
		return fault.New(fault.TooLarge, "folder %q has no UIDs left: move its messages to a new folder", s.now.Name)
	}
	return nil
}

// Expunge removes those of the messages that exist, and says which.
func (d *Draft) Expunge(folder ItemID, uids []UID) ([]UID, error) {
	if err := d.begin(); err != nil {
		return nil, err
	}
	s, err := d.folder(folder)
	if err != nil {
		return nil, err
	}
	messages, err := readMessages(d.overlay, folder, SortedUIDs(uids))
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	if err := d.room(len(messages) * (uidBytes + rowBytes/2)); err != nil {
		return nil, err
	}
	return uidsOf(messages), d.remove(s, messages)
}

// remove expunges messages of a folder, then their contents where they were the last to refer to them.
func (d *Draft) remove(s *folderState, messages []Message) error {
	e := Expunge{FolderID: s.row.ID, UIDs: uidsOf(messages)}
	if err := d.keep(e, d.overlay.expunge(s, messages)); err != nil {
		return err
	}
	if err := d.removeOrphans(messages); err != nil {
		return err
	}
	return d.limitTombstones(s)
}

// limitTombstones removes the older half of too many tombstones, by whole transactions, but none of this one.
func (d *Draft) limitTombstones(s *folderState) error {
	if int(s.now.Tombstones) <= d.limits.tombstonesPerFolder {
		return nil
	}
	var sequences []Sequence
	err := d.overlay.Tombstones(s.row.ID, 0, func(t Tombstone) bool {
		sequences = append(sequences, t.Sequence)
		return true
	})
	if err != nil {
		return d.fail(err)
	}
	if len(sequences) == 0 {
		return nil
	}
	slices.Sort(sequences)
	upTo := min(sequences[len(sequences)/2], d.overlay.sequence-1)
	if upTo < sequences[0] {
		return nil
	}
	return d.emit(PruneTombstones{FolderID: s.row.ID, UpTo: upTo})
}

// PruneTombstones removes the tombstones of a folder up to a sequence, inclusive, but none of this transaction.
func (d *Draft) PruneTombstones(folder ItemID, upTo Sequence) error {
	if err := d.begin(); err != nil {
		return err
	}
	s, err := d.folder(folder)
	if err != nil {
		return err
	}
	upTo = min(upTo, d.overlay.sequence-1)
	if upTo <= s.now.PrunedUpTo {
		return nil
	}
	return d.emit(PruneTombstones{FolderID: folder, UpTo: upTo})
}

// Copy adds copies of those of the messages that exist to a folder, which may be the same. Copies share the content and
// keep flags and dates (RFC 3501 section 6.4.7). source and destination correspond, both ascending.
func (d *Draft) Copy(from ItemID, uids []UID, to ItemID) (source, destination []UID, err error) {
	_, messages, err := d.copyable(from, uids, to)
	if err != nil || len(messages) == 0 {
		return nil, nil, err
	}
	destination, err = d.copyTo(messages, to)
	if err != nil {
		return nil, nil, err
	}
	return uidsOf(messages), destination, nil
}

// Move is Copy, with the originals expunged in the same transaction (RFC 6851).
func (d *Draft) Move(from ItemID, uids []UID, to ItemID) (source, destination []UID, err error) {
	s, messages, err := d.copyable(from, uids, to)
	if err != nil || len(messages) == 0 {
		return nil, nil, err
	}
	destination, err = d.copyTo(messages, to)
	if err != nil {
		return nil, nil, err
	}
	return uidsOf(messages), destination, d.remove(s, messages)
}

func (d *Draft) copyable(from ItemID, uids []UID, to ItemID) (*folderState, []Message, error) {
	if err := d.begin(); err != nil {
		return nil, nil, err
	}
	source, err := d.folder(from)
	if err != nil {
		return nil, nil, err
	}
	target, err := d.folder(to)
	if err != nil {
		return nil, nil, err
	}
	messages, err := readMessages(d.overlay, from, SortedUIDs(uids))
	if err != nil {
		return nil, nil, err
	}
	if err := target.roomForUIDs(len(messages)); err != nil {
		return nil, nil, err
	}
	return source, messages, d.mayCopy(messages)
}

// mayCopy checks that there is room for copies of messages, and reads what their contents are asked for.
func (d *Draft) mayCopy(messages []Message) error {
	size := 0
	for _, m := range messages {
		size += messageBytes(m.Flags) + uidBytes
	}
	if err := d.room(size); err != nil {
		return err
	}
	return d.overlay.readReferences(messages)
}

func (d *Draft) copyTo(messages []Message, to ItemID) ([]UID, error) {
	s, err := d.folder(to)
	if err != nil {
		return nil, err
	}
	uids := make([]UID, 0, len(messages))
	for _, m := range messages {
		row, err := d.put(s, m)
		if err != nil {
			return nil, err
		}
		uids = append(uids, row.UID)
	}
	return uids, nil
}

func uidsOf(messages []Message) []UID {
	uids := make([]UID, len(messages))
	for i, m := range messages {
		uids[i] = m.UID
	}
	return uids
}
