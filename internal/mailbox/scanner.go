package mailbox

import "slices"

// Scanner is a Reader whose rows can be walked whole, in the order of their keys, for snapshots, audits and tests. Each
// walk begins after a key (the zero value: at the first row) and goes on until yield returns false, so that it can be done
// in chunks. Folders and subscriptions are few: Reader gives them at once.
type Scanner interface {
	Reader
	// ScanContents yields the contents with an id greater than after, ascending.
	ScanContents(after ItemID, yield func(Content) bool) error
	// ScanMessages yields the messages of all folders that follow after, ascending by folder id, then UID.
	ScanMessages(after MessageKey, yield func(Message) bool) error
	// ScanTombstones yields the tombstones of all folders that follow after, ascending by folder id, then UID.
	ScanTombstones(after MessageKey, yield func(Tombstone) bool) error
	// ScanDeliveries yields the deliveries whose key follows after bytewise, ascending. No delivery has the zero key.
	ScanDeliveries(after DeliveryKey, yield func(Delivery) bool) error
}

// FullDigest computes the digest from all rows. For a healthy mailbox it is the one in the header. Where base is no Scanner
// contents are found through the messages that refer to them, so one that nothing refers to is missed, and shows.
func FullDigest(base Reader) (Digest, error) {
	h, err := base.Header()
	if err != nil {
		return Digest{}, err
	}
	if h == (Header{}) {
		h = EmptyHeader()
	}
	var t tally
	t.put(h)
	folders, err := base.Folders()
	if err != nil {
		return Digest{}, err
	}
	for _, f := range folders {
		t.put(f)
	}
	names, err := base.Subscriptions()
	if err != nil {
		return Digest{}, err
	}
	for _, name := range names {
		t.put(subscription(name))
	}
	if err := base.ScanDiscarded(0, putAll[Discarded](&t)); err != nil {
		return Digest{}, err
	}
	if s, ok := base.(Scanner); ok {
		err = t.putScanned(s)
	} else {
		err = t.putRead(base, folders)
	}
	return t.digest, err
}

func putAll[R row](t *tally) func(R) bool {
	return func(r R) bool {
		t.put(r)
		return true
	}
}

func (t *tally) putScanned(s Scanner) error {
	if err := s.ScanContents(0, putAll[Content](t)); err != nil {
		return err
	}
	if err := s.ScanMessages(MessageKey{}, putAll[Message](t)); err != nil {
		return err
	}
	if err := s.ScanTombstones(MessageKey{}, putAll[Tombstone](t)); err != nil {
		return err
	}
	return s.ScanDeliveries(DeliveryKey{}, putAll[Delivery](t))
}

func (t *tally) putRead(r Reader, folders []Folder) error {
	var contents []ItemID
	for _, f := range folders {
		err := r.Messages(f.ID, 1, uidMax, func(m Message) bool {
			t.put(m)
			contents = append(contents, m.ContentID)
			return true
		})
		if err != nil {
			return err
		}
		if err := r.Tombstones(f.ID, 0, putAll[Tombstone](t)); err != nil {
			return err
		}
	}
	slices.Sort(contents)
	for _, id := range slices.Compact(contents) {
		c, found, err := r.Content(id)
		if err != nil {
			return err
		}
		if found {
			t.put(c)
		}
	}
	n, err := r.CountDeliveries()
	if err != nil {
		return err
	}
	deliveries, err := r.OldestDeliveries(n)
	for _, d := range deliveries {
		t.put(d)
	}
	return err
}
