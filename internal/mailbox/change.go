package mailbox

// Change is one transaction's effects: rows put, altered and removed, with every id, date and flag decided. Applying it
// decides nothing (design section 4).
type Change struct {
	Effects []Effect
	Digest  Digest // of the mailbox after the change
}

// Effect is one of the small types below.
type Effect interface{ effect() }

type (
	// SetCounters gives the header's counters after the change.
	SetCounters struct {
		NextItemID      ItemID
		NextUIDValidity uint32
		Messages, Bytes uint64
	}
	// PutFolder makes or replaces a folder's row.
	PutFolder struct{ Folder Folder }
	// RemoveFolder removes a folder's row, its messages and its tombstones.
	RemoveFolder struct{ ID ItemID }
	// PutContent makes a content's row.
	PutContent struct{ Content Content }
	// RemoveContent removes a content that no message refers to any more, and forgets its blob. Changes made before
	// discarded contents were listed have it; no Draft makes it any more.
	RemoveContent struct{ ID ItemID }
	// DiscardContent removes a content that no message refers to any more, and lists its blob as discarded at the
	// transaction's sequence.
	DiscardContent struct {
		ID ItemID
		At int64 // seconds since 1970 UTC
	}
	// RemoveDiscarded removes rows from the list of discarded contents: their blobs are gone from the volume.
	RemoveDiscarded struct{ ContentIDs []ItemID } // ascending
	// PutMessage makes a message's row. Its ModSeq is the transaction's sequence and does not travel.
	PutMessage struct{ Message Message }
	// SetFlags gives the same flags to some messages of a folder; their ModSeq becomes the transaction's sequence.
	SetFlags struct {
		FolderID ItemID
		UIDs     []UID // ascending
		Flags    Flags
	}
	// Expunge removes messages of a folder, each leaving a tombstone.
	Expunge struct {
		FolderID ItemID
		UIDs     []UID // ascending
	}
	// PruneTombstones removes the tombstones of a folder up to a sequence, inclusive.
	PruneTombstones struct {
		FolderID ItemID
		UpTo     Sequence
	}
	// PutSubscription subscribes a name.
	PutSubscription struct{ Name string }
	// RemoveSubscription unsubscribes a name.
	RemoveSubscription struct{ Name string }
	// PutDelivery remembers a delivery at the transaction's sequence.
	PutDelivery struct{ Key DeliveryKey }
	// RemoveDelivery forgets a delivery: the MTA is known to have been answered, or the bound on keys is reached.
	RemoveDelivery struct{ Key DeliveryKey }
)

func (SetCounters) effect()        {}
func (PutFolder) effect()          {}
func (RemoveFolder) effect()       {}
func (PutContent) effect()         {}
func (RemoveContent) effect()      {}
func (DiscardContent) effect()     {}
func (RemoveDiscarded) effect()    {}
func (PutMessage) effect()         {}
func (SetFlags) effect()           {}
func (Expunge) effect()            {}
func (PruneTombstones) effect()    {}
func (PutSubscription) effect()    {}
func (RemoveSubscription) effect() {}
func (PutDelivery) effect()        {}
func (RemoveDelivery) effect()     {}

// MessageKey is the key of a message's or a tombstone's row.
type MessageKey struct {
	FolderID ItemID
	UID      UID
}

// Delta is what a change does to the rows of one mailbox, row by row: the last value of each row touched, nil where the row
// is removed. A database writes it without reading anything. Two things to mind: a name may pass from one folder to another
// within one delta, and a row that is removed may never have been there (made and removed in the same transaction).
type Delta struct {
	Header         Header // after the change, Sequence and Digest included
	Folders        map[ItemID]*Folder
	Contents       map[ItemID]*Content
	Discarded      []Touched[ItemID, Discarded]   // ascending, as the next and the one after
	Messages       []Touched[MessageKey, Message] // by folder, then UID
	Tombstones     []Touched[MessageKey, Tombstone]
	Marked         []Marking       // what was done to some of Messages that were there: nobody need look at it
	Subscriptions  map[string]bool // true: present
	Deliveries     map[DeliveryKey]*Delivery
	RemovedFolders []ItemID // their messages and tombstones go too and are not listed one by one

	// Was is the HighestSeq that each of Folders had before, 0 for a new one. It is no row: who remembers what transactions did
	// to a folder knows by it which of them this one follows.
	Was map[ItemID]Sequence
}
