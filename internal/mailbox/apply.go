package mailbox

import "mailreplica/internal/fault"

// Apply carries out one effect. It decides nothing: an effect that does not fit the rows is an error that wraps
// ErrContradiction. After any error the overlay is of no use.
func (o *Overlay) Apply(e Effect) error {
	switch e := e.(type) {
	case SetCounters:
		return o.setCounters(e)
	case PutFolder:
		return o.putFolder(e.Folder)
	case RemoveFolder:
		return o.removeFolder(e.ID)
	case PutContent:
		return o.putContent(e.Content)
	case RemoveContent:
		_, err := o.removeContent(e.ID)
		return err
	case DiscardContent:
		return o.discardContent(e)
	case RemoveDiscarded:
		return o.removeDiscarded(e.ContentIDs)
	case PutMessage:
		return o.putMessage(e.Message)
	case SetFlags:
		return o.setFlagsOf([]SetFlags{e}, namedBy(0, e.UIDs))
	case Expunge:
		s, messages, err := o.named(e.FolderID, e.UIDs)
		if err != nil {
			return err
		}
		return o.expunge(s, messages)
	case PruneTombstones:
		return o.pruneTombstones(e)
	case PutSubscription:
		return o.setSubscription(e.Name, true)
	case RemoveSubscription:
		return o.setSubscription(e.Name, false)
	case PutDelivery:
		return o.putDelivery(e.Key)
	case RemoveDelivery:
		return o.removeDelivery(e.Key)
	}
	return contradiction("unknown effect %T", e)
}

// named reads the messages that an effect names, all of which must exist.
func (o *Overlay) named(folder ItemID, uids []UID) (*folderState, []Message, error) {
	s, err := o.existing(folder)
	if err != nil {
		return nil, nil, err
	}
	if len(uids) == 0 || !ascending(uids) {
		return nil, nil, contradiction("the UIDs named in folder %d do not ascend", folder)
	}
	messages, err := readMessages(o, folder, uids)
	if err != nil {
		return nil, nil, err
	}
	if len(messages) != len(uids) {
		return nil, nil, contradiction("%d of the %d messages named in folder %d do not exist", len(uids)-len(messages), len(uids), folder)
	}
	return s, messages, nil
}

func (o *Overlay) setCounters(c SetCounters) error {
	h := o.header
	if c.NextItemID < o.nextItemID || c.NextUIDValidity < o.nextUIDValidity {
		return contradiction("counters go back: item id %d to %d, UIDVALIDITY %d to %d", o.nextItemID, c.NextItemID, o.nextUIDValidity, c.NextUIDValidity)
	}
	o.tally.remove(h)
	h.NextItemID, h.NextUIDValidity, h.Messages, h.Bytes = c.NextItemID, c.NextUIDValidity, c.Messages, c.Bytes
	o.tally.put(h)
	o.header, o.nextItemID, o.nextUIDValidity = h, c.NextItemID, c.NextUIDValidity
	return nil
}

// allocate checks that an item id is new. Whoever computes a change allocates ascending, in the order of the effects.
func (o *Overlay) allocate(id ItemID) error {
	if id < o.nextItemID || id == 0 {
		return contradiction("item id %d is used already, the next is %d", id, o.nextItemID)
	}
	o.nextItemID = id + 1
	return nil
}

func (o *Overlay) putContent(c Content) error {
	if err := o.allocate(c.ID); err != nil {
		return err
	}
	o.contents[c.ID] = &c
	o.tally.put(c)
	return nil
}

func (o *Overlay) removeContent(id ItemID) (Content, error) {
	c, found, err := o.Content(id)
	if err != nil {
		return c, err
	}
	if !found {
		return c, contradiction("there is no content %d", id)
	}
	n, err := o.References(id)
	if err != nil {
		return c, err
	}
	if n != 0 {
		return c, contradiction("%d messages refer to content %d", n, id)
	}
	o.contents[id] = nil
	o.tally.remove(c)
	return c, nil
}

func (o *Overlay) setSubscription(name string, present bool) error {
	subscribed, err := o.isSubscribed(name)
	if err != nil {
		return err
	}
	switch {
	case subscribed == present:
		return contradiction("the subscription of %q is %t already", name, present)
	case present:
		o.subscriptions.set(name, &name)
		o.subscriptionChange++
		o.tally.put(subscription(name))
	default:
		o.subscriptions.set(name, nil)
		o.subscriptionChange--
		o.tally.remove(subscription(name))
	}
	return nil
}

func (o *Overlay) putDelivery(key DeliveryKey) error {
	_, known, err := o.Delivery(key)
	if err != nil {
		return err
	}
	if known || key == (DeliveryKey{}) {
		return contradiction("delivery %x is known already, or no key", key)
	}
	d := Delivery{Key: key, Sequence: o.sequence}
	o.deliveries[key] = &d
	o.deliveryChange++
	o.tally.put(d)
	return nil
}

func (o *Overlay) removeDelivery(key DeliveryKey) error {
	d, known, err := o.Delivery(key)
	if err != nil {
		return err
	}
	if !known {
		return contradiction("delivery %x is not known", key)
	}
	o.deliveries[key] = nil
	o.deliveryChange--
	o.tally.remove(d)
	return nil
}

// finish checks that the counters in the rows are what the effects lead to.
func (o *Overlay) finish() error {
	h := o.header
	if h.NextItemID < o.nextItemID || h.NextUIDValidity < o.nextUIDValidity || h.Messages != o.messages || h.Bytes != o.bytes {
		return contradiction("the mailbox's counters are stale")
	}
	for id, s := range o.folders {
		if !s.removed && s.row != s.now {
			return contradiction("the counters of folder %d are stale", id)
		}
	}
	for id, c := range o.contents {
		if c != nil && o.references[id] == nil {
			return contradiction("no message refers to content %d", id)
		}
	}
	for id, r := range o.references {
		c, touched := o.contents[id]
		if r.base+r.change == 0 && (c != nil || !touched && r.change != 0) {
			return contradiction("no message refers to content %d any more", id)
		}
	}
	return nil
}

// Apply gives what a change does to the rows of base, after every check: the change fits the rows, and leads to the digest
// that it says. An error that wraps ErrContradiction or ErrDigest means that base has diverged.
func Apply(base Reader, sequence Sequence, c Change) (Delta, error) {
	o, err := NewOverlay(base, sequence)
	if err != nil {
		return Delta{}, err
	}
	if sequence != o.was.Sequence+1 {
		return Delta{}, contradiction("sequence %d does not follow %d", sequence, o.was.Sequence)
	}
	for left := c.Effects; len(left) > 0; {
		n, err := o.applyFirst(left)
		if err != nil {
			return Delta{}, err
		}
		left = left[n:]
	}
	if err := o.finish(); err != nil {
		return Delta{}, err
	}
	if o.tally.digest != c.Digest {
		return Delta{}, fault.Wrap(fault.Unusable, ErrDigest, "the digest at sequence %d is %s, not %s", sequence, o.tally.digest, c.Digest)
	}
	return o.Delta(), nil
}

// Touch gives a sequence to a record without rows (Join, Leave, …): only the header's sequence moves.
func Touch(base Reader, sequence Sequence) (Delta, error) {
	o, err := NewOverlay(base, sequence)
	if err != nil {
		return Delta{}, err
	}
	return o.Delta(), nil
}

// uidValidityLeap is what Leap adds to the counter of UIDVALIDITY first: the lost primary may have made folders that this
// copy does not know, under any names, and clients may have seen them.
const uidValidityLeap = 1 << 20

// Leap is what a Fence that accepts loss does (design section 4, rule 11), and a decree over a copy that was not the primary: the
// sequence leaps, and every folder takes a new UIDVALIDITY, in the order of their ids, for UIDs and modseqs may have been given
// out twice.
func Leap(base Reader, sequence Sequence) (Delta, error) {
	o, err := NewOverlay(base, sequence)
	if err != nil {
		return Delta{}, err
	}
	folders, err := o.Folders()
	if err != nil {
		return Delta{}, err
	}
	sortByID(folders)
	if uint64(o.nextUIDValidity)+uidValidityLeap+uint64(len(folders)) > uint64(uidValidityMax) {
		return Delta{}, fault.New(fault.TooLarge, "the mailbox has no UIDVALIDITY left")
	}
	if len(folders) > 0 {
		o.nextUIDValidity += uidValidityLeap
	}
	for _, f := range folders {
		f.UIDValidity, f.HighestSeq = o.nextUIDValidity, sequence
		if err := o.putFolder(f); err != nil {
			return Delta{}, err
		}
	}
	if len(folders) > 0 {
		if err := o.setCounters(o.counters()); err != nil {
			return Delta{}, err
		}
	}
	if err := o.finish(); err != nil {
		return Delta{}, err
	}
	return o.Delta(), nil
}

// counters are the header's counters as the effects so far lead to.
func (o *Overlay) counters() SetCounters {
	return SetCounters{NextItemID: o.nextItemID, NextUIDValidity: o.nextUIDValidity, Messages: o.messages, Bytes: o.bytes}
}
