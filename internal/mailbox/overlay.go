package mailbox

import (
	"errors"
	"maps"
	"math"
	"slices"

	"mailreplica/internal/fault"
)

const (
	uidMax         UID      = math.MaxUint32
	uidValidityMax uint32   = math.MaxUint32
	sequenceMax    Sequence = 1<<63 - 1
	itemIDMax      ItemID   = math.MaxUint64
)

// ErrContradiction is wrapped by the error about an effect that does not fit the rows it is applied to: the copies have
// diverged. Any other error of an Overlay comes from the Reader beneath it.
var ErrContradiction = errors.New("the change contradicts the rows")

// ErrDigest is wrapped by the error about a change that leads to another digest than it says: the copies have diverged.
var ErrDigest = errors.New("the digest differs")

func contradiction(format string, args ...any) error {
	return fault.Wrap(fault.Unusable, ErrContradiction, format, args...)
}

// Overlay is the rows of a Reader with those that one transaction has put and removed. It is a Reader of the result. It
// must not be changed from within the yield functions of its own iterators, and serves one goroutine.
type Overlay struct {
	base     Reader
	was      Header // of base
	header   Header // as SetCounters said; Digest is kept in tally
	sequence Sequence
	tally    tally

	// What the effects so far make of the counters; the header must say the same in the end.
	nextItemID      ItemID
	nextUIDValidity uint32
	messages, bytes uint64

	folders       map[ItemID]*folderState
	names         map[string]ItemID // of folders put
	contents      map[ItemID]*Content
	read          map[ItemID]Content // of base: some that are about to be removed
	references    map[ItemID]*references
	subscriptions touched[string, string]
	subscribed    map[string]bool // of base; nil until asked for
	deliveries    map[DeliveryKey]*Delivery
	discarded     touched[ItemID, Discarded]

	folderCount, deliveryCount   int // of base; -1 until asked for
	folderChange, deliveryChange int
	subscriptionChange           int
}

// folderState is a folder that the overlay has touched.
type folderState struct {
	inBase   bool
	was      Sequence // HighestSeq of base
	isPut    bool     // an effect gave the row
	removed  bool
	row      Folder // as in base, or as an effect gave it
	now      Folder // row with the counters that the effects so far lead to; the row must say the same in the end
	messages touched[UID, Message]
	flagged  []flagged // of messages, those that got flags
	expunged touched[UID, Tombstone]
}

// references counts the messages that share a content.
type references struct{ base, change int }

// NewOverlay begins a transaction with a sequence over the rows of base, which must not change while it is used.
func NewOverlay(base Reader, sequence Sequence) (*Overlay, error) {
	header, err := base.Header()
	if err != nil {
		return nil, err
	}
	if header == (Header{}) {
		header = EmptyHeader()
	}
	if sequence <= header.Sequence || sequence > sequenceMax {
		return nil, contradiction("sequence %d cannot follow %d", sequence, header.Sequence)
	}
	o := &Overlay{
		base: base, was: header, header: header, sequence: sequence,
		nextItemID: header.NextItemID, nextUIDValidity: header.NextUIDValidity,
		messages: header.Messages, bytes: header.Bytes,
		folders: map[ItemID]*folderState{}, names: map[string]ItemID{}, contents: map[ItemID]*Content{},
		references: map[ItemID]*references{}, deliveries: map[DeliveryKey]*Delivery{}, folderCount: -1, deliveryCount: -1,
	}
	o.header.Sequence = sequence
	o.tally.digest = header.Digest
	return o, nil
}

// state is the folder's state, loaded from base at first touch; nil if there is no such folder.
func (o *Overlay) state(id ItemID) (*folderState, error) {
	if s := o.folders[id]; s != nil {
		if s.removed {
			return nil, nil
		}
		return s, nil
	}
	f, found, err := o.base.Folder(id)
	if err != nil || !found {
		return nil, err
	}
	s := &folderState{inBase: true, was: f.HighestSeq, row: f, now: f}
	o.folders[id] = s
	return s, nil
}

// existing is state, with a folder that is missing as a contradiction.
func (o *Overlay) existing(id ItemID) (*folderState, error) {
	s, err := o.state(id)
	if err == nil && s == nil {
		err = contradiction("there is no folder %d", id)
	}
	return s, err
}

func (o *Overlay) referencesTo(content ItemID) (*references, error) {
	if r := o.references[content]; r != nil {
		return r, nil
	}
	r := &references{}
	if content < o.was.NextItemID {
		n, err := o.base.References(content)
		if err != nil {
			return nil, err
		}
		r.base = n
	}
	o.references[content] = r
	return r, nil
}

func (o *Overlay) isSubscribed(name string) (bool, error) {
	if row, known := o.subscriptions.get(name); known {
		return row != nil, nil
	}
	if o.subscribed == nil {
		names, err := o.base.Subscriptions()
		if err != nil {
			return false, err
		}
		o.subscribed = make(map[string]bool, len(names))
		for _, n := range names {
			o.subscribed[n] = true
		}
	}
	return o.subscribed[name], nil
}

// countSubscriptions is how many names are subscribed, once isSubscribed has read those of base.
func (o *Overlay) countSubscriptions() int { return len(o.subscribed) + o.subscriptionChange }

// countFolders is how many folders there are.
func (o *Overlay) countFolders() (int, error) {
	if o.folderCount < 0 {
		n, err := o.base.CountFolders()
		if err != nil {
			return 0, err
		}
		o.folderCount = n
	}
	return o.folderCount + o.folderChange, nil
}

// Delta is what the effects applied so far do to the rows. It shares memory with the overlay, which is done with then.
func (o *Overlay) Delta() Delta {
	d := Delta{
		Header:  o.header,
		Folders: map[ItemID]*Folder{}, Contents: o.contents, Deliveries: o.deliveries,
		Discarded: o.discarded.all(), Subscriptions: map[string]bool{}, Was: map[ItemID]Sequence{},
	}
	d.Header.Digest = o.tally.digest
	for _, id := range slices.Sorted(maps.Keys(o.folders)) {
		s := o.folders[id]
		switch {
		case s.removed && s.inBase:
			d.Folders[id] = nil
			d.RemovedFolders = append(d.RemovedFolders, id)
		case !s.removed:
			if s.isPut {
				row := s.row
				d.Folders[id], d.Was[id] = &row, s.was
			}
			d.Messages = appendTouched(d.Messages, id, s.messages.all())
			d.Tombstones = appendTouched(d.Tombstones, id, s.expunged.all())
			d.Marked = append(d.Marked, s.markings(o.sequence)...)
		}
	}
	for _, name := range o.subscriptions.all() {
		d.Subscriptions[name.Key] = name.Row != nil
	}
	return d
}

func appendTouched[R any](all []Touched[MessageKey, R], folder ItemID, rows []Touched[UID, R]) []Touched[MessageKey, R] {
	all = slices.Grow(all, len(rows))
	for _, r := range rows {
		all = append(all, Touched[MessageKey, R]{MessageKey{folder, r.Key}, r.Row})
	}
	return all
}
