// Package mailbox owns what a mailbox is: its rows (folders, messages, contents, tombstones, subscriptions, delivery
// keys, discarded contents), the change that takes it from one sequence to the next, and the digest over its rows. It is pure: it knows no
// SQL, no log, no protocol of clients, and never looks inside a message.
//
// Data flows one way: a Draft computes a Change against a Reader; an Overlay applies a Change, on the source and on every
// replica alike, and yields the Delta of rows that a database writes.
package mailbox

import "time"

// Sequence is the number of a mailbox's last transaction, and so its IMAP modseq (RFC 7162): the n-th transaction has
// sequence n. It stays below 2^63.
type Sequence uint64

// ItemID names a folder, a message or a content within its mailbox; one counter serves all three and never goes back.
type ItemID uint64

// UID is a message's unique identifier in its folder (RFC 3501 section 2.3.1.1).
type UID uint32

// SystemFlags is a set of the system flags of RFC 3501 section 2.3.2. \Recent is not among them: it is local to a
// mailstore.
type SystemFlags uint8

// The system flags.
const (
	Seen SystemFlags = 1 << iota
	Answered
	Flagged
	Deleted
	DraftFlag
)

// Flags are a message's system flags and keywords. Keywords are sorted bytewise and unique without regard to ASCII case.
type Flags struct {
	System   SystemFlags
	Keywords []string
}

// Header holds a mailbox's counters.
type Header struct {
	Sequence        Sequence
	NextItemID      ItemID // starts at 1
	NextUIDValidity uint32 // starts at 1; given to each folder as it is made or renamed over
	Messages        uint64 // usage: messages in all folders
	Bytes           uint64 // usage: their sizes added up
	Digest          Digest // over every row and the counters above but Sequence
}

// Folder is one IMAP mailbox. Names are full paths in bytes, "/" between levels; INBOX is spelled so.
type Folder struct {
	ID          ItemID
	Name        string
	UIDValidity uint32
	UIDNext     UID // starts at 1
	HighestSeq  Sequence
	SpecialUse  string // "\Drafts", "\Sent", … (RFC 6154), or empty
	Messages    uint32
	Unseen      uint32
	Bytes       uint64
	Tombstones  uint32 // how many are kept
	// PrunedUpTo is the sequence up to which, inclusive, tombstones may be gone: a client that last synchronised before it
	// cannot be told what was expunged.
	PrunedUpTo Sequence
}

// Content is what messages that are copies of each other share: the blob and what was parsed from it once, at delivery.
// Envelope and Structure are encoded by package message and opaque here.
type Content struct {
	ID      ItemID
	Volume  string
	Blob    string // name in the volume
	Summary []byte // package message: envelope and structure
}

// Discarded is a content whose last message went. Its blob is still in the volume: the primary removes it after a grace
// period, when no copy of the mailbox refers to it any more, and then has the row removed by another change.
type Discarded struct {
	ContentID ItemID
	Volume    string
	Blob      string
	Sequence  Sequence // of the transaction that discarded it
	At        int64    // seconds since 1970 UTC, by the clock of the primary that decided the transaction
}

// Message is one message in one folder. Its row is keyed by folder and UID.
type Message struct {
	FolderID     ItemID
	UID          UID
	ID           ItemID
	ContentID    ItemID
	ModSeq       Sequence
	InternalDate int64 // seconds since 1970 UTC
	DateZone     int16 // minutes east of UTC, as given by APPEND
	Size         uint64
	Flags        Flags
}

// Received is InternalDate as a time in its own zone.
func (m Message) Received() time.Time {
	return time.Unix(m.InternalDate, 0).In(time.FixedZone("", int(m.DateZone)*60))
}

// Tombstone remembers an expunged message, so that QRESYNC clients can be told (RFC 7162 section 3.2).
type Tombstone struct {
	FolderID ItemID
	UID      UID
	Sequence Sequence // of the transaction that expunged it
}

// DeliveryKey is a hash of envelope sender, recipient and DATA as received (design section 4).
type DeliveryKey [32]byte

// Delivery is a delivery that is not known to have been answered.
type Delivery struct {
	Key      DeliveryKey
	Sequence Sequence // of the transaction that delivered it
}

// Reader reads the rows of one mailbox at one sequence. Slices and structs it returns are the caller's to keep but not to
// alter in place. Errors are of kind DatabaseUnavailable or Interrupted.
type Reader interface {
	Header() (Header, error)
	Folder(id ItemID) (Folder, bool, error)
	FolderByName(name string) (Folder, bool, error)
	// Folders are all folders, sorted by name bytewise.
	Folders() ([]Folder, error)
	CountFolders() (int, error)
	Message(folder ItemID, uid UID) (Message, bool, error)
	// Messages yields the messages of a folder with from ≤ UID ≤ to, ascending, until yield returns false.
	Messages(folder ItemID, from, to UID, yield func(Message) bool) error
	// ChangedSince yields the messages of a folder whose ModSeq is greater than since, ascending by UID.
	ChangedSince(folder ItemID, since Sequence, yield func(Message) bool) error
	Content(id ItemID) (Content, bool, error)
	// Contents yields the contents with from ≤ id ≤ to, ascending, until yield returns false. A Summary is good until then: who
	// wants to keep one clones it.
	Contents(from, to ItemID, yield func(Content) bool) error
	// References counts the messages that share a content.
	References(content ItemID) (int, error)
	// ReferencesIn yields the contents with from ≤ id ≤ to that messages share, ascending, and how many do, until yield returns false.
	ReferencesIn(from, to ItemID, yield func(content ItemID, messages int) bool) error
	// Tombstones yields the tombstones of a folder with a sequence greater than since, ascending by UID.
	Tombstones(folder ItemID, since Sequence, yield func(Tombstone) bool) error
	// Subscriptions are the subscribed names, sorted bytewise; they need not exist as folders.
	Subscriptions() ([]string, error)
	Delivery(key DeliveryKey) (Delivery, bool, error)
	// OldestDeliveries are the deliveries with the lowest sequences, at most limit, ordered by sequence then key.
	OldestDeliveries(limit int) ([]Delivery, error)
	CountDeliveries() (int, error)
	Discarded(content ItemID) (Discarded, bool, error)
	// ScanDiscarded yields the discarded contents with an id greater than after, ascending, until yield returns false.
	ScanDiscarded(after ItemID, yield func(Discarded) bool) error
}
