package mailbox

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

var _ Reader = (*Overlay)(nil)

// Header has the counters that the effects so far lead to.
func (o *Overlay) Header() (Header, error) {
	h := o.header
	h.NextItemID = max(h.NextItemID, o.nextItemID)
	h.NextUIDValidity = max(h.NextUIDValidity, o.nextUIDValidity)
	h.Messages, h.Bytes, h.Digest = o.messages, o.bytes, o.tally.digest
	return h, nil
}

// Folder has the counters that the effects so far lead to.
func (o *Overlay) Folder(id ItemID) (Folder, bool, error) {
	s := o.folders[id]
	switch {
	case s == nil:
		return o.base.Folder(id)
	case s.removed:
		return Folder{}, false, nil
	}
	return s.now, true, nil
}

// FolderByName implements Reader.
func (o *Overlay) FolderByName(name string) (Folder, bool, error) {
	if id, put := o.names[name]; put {
		return o.folders[id].now, true, nil
	}
	f, found, err := o.base.FolderByName(name)
	if err != nil || !found {
		return Folder{}, false, err
	}
	if s := o.folders[f.ID]; s != nil {
		if s.removed || s.now.Name != name {
			return Folder{}, false, nil
		}
		return s.now, true, nil
	}
	return f, true, nil
}

// Folders implements Reader.
func (o *Overlay) Folders() ([]Folder, error) {
	base, err := o.base.Folders()
	if err != nil {
		return nil, err
	}
	folders := make([]Folder, 0, len(base)+len(o.folders))
	for _, f := range base {
		if o.folders[f.ID] == nil {
			folders = append(folders, f)
		}
	}
	for _, s := range o.folders {
		if !s.removed {
			folders = append(folders, s.now)
		}
	}
	slices.SortFunc(folders, func(a, b Folder) int { return cmp.Compare(a.Name, b.Name) })
	return folders, nil
}

// Message implements Reader.
func (o *Overlay) Message(folder ItemID, uid UID) (Message, bool, error) {
	if s := o.folders[folder]; s != nil {
		if row, known := s.messages.get(uid); known && row != nil && !s.removed {
			return *row, true, nil
		} else if known || s.removed || !s.inBase {
			return Message{}, false, nil
		}
	}
	return o.base.Message(folder, uid)
}

func messageUID(m Message) UID     { return m.UID }
func tombstoneUID(t Tombstone) UID { return t.UID }
func nothing[R any](func(R) bool) error {
	return nil
}

// Messages implements Reader.
func (o *Overlay) Messages(folder ItemID, from, to UID, yield func(Message) bool) error {
	base := func(yield func(Message) bool) error { return o.base.Messages(folder, from, to, yield) }
	s := o.folders[folder]
	switch {
	case from > to || s != nil && s.removed:
		return nil
	case s == nil:
		return base(yield)
	case !s.inBase:
		base = nothing[Message]
	}
	return s.messages.over(from, to, messageUID, base, yield)
}

// DeletedUIDs is what the function of that name asks for.
func (o *Overlay) DeletedUIDs(folder ItemID) ([]UID, error) {
	if s := o.folders[folder]; s != nil && (s.removed || !s.inBase || len(s.messages.rows) > 0) {
		return ReadDeletedUIDs(o, folder)
	}
	return DeletedUIDs(o.base, folder)
}

// ChangedSince implements Reader. Every message that the overlay has put has its sequence.
func (o *Overlay) ChangedSince(folder ItemID, since Sequence, yield func(Message) bool) error {
	base := func(yield func(Message) bool) error { return o.base.ChangedSince(folder, since, yield) }
	s := o.folders[folder]
	switch {
	case since >= o.sequence || s != nil && s.removed:
		return nil
	case s == nil:
		return base(yield)
	case !s.inBase:
		base = nothing[Message]
	}
	return s.messages.over(0, uidMax, messageUID, base, yield)
}

// Tombstones implements Reader.
func (o *Overlay) Tombstones(folder ItemID, since Sequence, yield func(Tombstone) bool) error {
	base := func(yield func(Tombstone) bool) error { return o.base.Tombstones(folder, since, yield) }
	s := o.folders[folder]
	switch {
	case since >= o.sequence || s != nil && s.removed:
		return nil
	case s == nil:
		return base(yield)
	case !s.inBase:
		base = nothing[Tombstone]
	}
	return s.expunged.over(0, uidMax, tombstoneUID, base, yield)
}

// Content implements Reader.
func (o *Overlay) Content(id ItemID) (Content, bool, error) {
	if c, known := o.contents[id]; known {
		if c == nil {
			return Content{}, false, nil
		}
		return *c, true, nil
	}
	if c, read := o.read[id]; read {
		return c, true, nil
	}
	return o.base.Content(id)
}

// Contents implements Reader.
func (o *Overlay) Contents(from, to ItemID, yield func(Content) bool) error {
	own := slices.DeleteFunc(slices.Sorted(maps.Keys(o.contents)), func(id ItemID) bool { return id < from || id > to })
	stopped := false
	pass := func(c *Content) bool {
		stopped = stopped || c != nil && !yield(*c)
		return !stopped
	}
	err := o.base.Contents(from, to, func(c Content) bool {
		for len(own) > 0 && own[0] < c.ID {
			id := own[0]
			if own = own[1:]; !pass(o.contents[id]) {
				return false
			}
		}
		if len(own) > 0 && own[0] == c.ID {
			own = own[1:]
			return pass(o.contents[c.ID])
		}
		return pass(&c)
	})
	if err != nil {
		return err
	}
	for len(own) > 0 && pass(o.contents[own[0]]) {
		own = own[1:]
	}
	return nil
}

// References implements Reader.
func (o *Overlay) References(content ItemID) (int, error) {
	r, err := o.referencesTo(content)
	if err != nil {
		return 0, err
	}
	return r.base + r.change, nil
}

// ReferencesIn implements Reader.
func (o *Overlay) ReferencesIn(from, to ItemID, yield func(ItemID, int) bool) error {
	counts := map[ItemID]int{}
	err := o.base.ReferencesIn(from, to, func(id ItemID, n int) bool {
		counts[id] = n
		return true
	})
	if err != nil {
		return err
	}
	for id, r := range o.references {
		if id >= from && id <= to {
			counts[id] = r.base + r.change
		}
	}
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		if counts[id] > 0 && !yield(id, counts[id]) {
			break
		}
	}
	return nil
}

// CountFolders implements Reader.
func (o *Overlay) CountFolders() (int, error) { return o.countFolders() }

// Subscriptions implements Reader.
func (o *Overlay) Subscriptions() ([]string, error) {
	base, err := o.base.Subscriptions()
	if err != nil {
		return nil, err
	}
	names := slices.DeleteFunc(slices.Clone(base), func(name string) bool {
		_, known := o.subscriptions.get(name)
		return known
	})
	for _, name := range o.subscriptions.all() {
		if name.Row != nil {
			names = append(names, name.Key)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Delivery implements Reader.
func (o *Overlay) Delivery(key DeliveryKey) (Delivery, bool, error) {
	if d, known := o.deliveries[key]; known {
		if d == nil {
			return Delivery{}, false, nil
		}
		return *d, true, nil
	}
	return o.base.Delivery(key)
}

// OldestDeliveries implements Reader.
func (o *Overlay) OldestDeliveries(limit int) ([]Delivery, error) {
	base, err := o.base.OldestDeliveries(limit + len(o.deliveries))
	if err != nil {
		return nil, err
	}
	deliveries := slices.DeleteFunc(slices.Clone(base), func(d Delivery) bool {
		_, known := o.deliveries[d.Key]
		return known
	})
	for d := range maps.Values(o.deliveries) {
		if d != nil {
			deliveries = append(deliveries, *d)
		}
	}
	slices.SortFunc(deliveries, compareDeliveries)
	return deliveries[:min(max(limit, 0), len(deliveries))], nil
}

func compareDeliveries(a, b Delivery) int {
	return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), bytes.Compare(a.Key[:], b.Key[:]))
}

// CountDeliveries implements Reader.
func (o *Overlay) CountDeliveries() (int, error) {
	if o.deliveryCount < 0 {
		n, err := o.base.CountDeliveries()
		if err != nil {
			return 0, err
		}
		o.deliveryCount = n
	}
	return o.deliveryCount + o.deliveryChange, nil
}

func sortByID(folders []Folder) {
	slices.SortFunc(folders, func(a, b Folder) int { return cmp.Compare(a.ID, b.ID) })
}
