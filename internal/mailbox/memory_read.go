package mailbox

import (
	"cmp"
	"maps"
	"slices"
)

// Header implements Reader.
func (m *Memory) Header() (Header, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.header, nil
}

// Folder implements Reader.
func (m *Memory) Folder(id ItemID) (Folder, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, found := m.folders[id]
	return f, found, nil
}

// FolderByName implements Reader.
func (m *Memory) FolderByName(name string) (Folder, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, f := range m.folders {
		if f.Name == name {
			return f, true, nil
		}
	}
	return Folder{}, false, nil
}

// Folders implements Reader.
func (m *Memory) Folders() ([]Folder, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.folders), func(a, b Folder) int { return cmp.Compare(a.Name, b.Name) }), nil
}

func (m *Memory) messagesOf(folder ItemID) []Message {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.messages[folder]
}

func (m *Memory) tombstonesOf(folder ItemID) []Tombstone {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.tombstones[folder]
}

// Message implements Reader.
func (m *Memory) Message(folder ItemID, uid UID) (Message, bool, error) {
	row, found := find(m.messagesOf(folder), uid, messageUID)
	return row, found, nil
}

// Messages implements Reader.
func (m *Memory) Messages(folder ItemID, from, to UID, yield func(Message) bool) error {
	rows := m.messagesOf(folder)
	start, _ := seek(rows, from, messageUID)
	for _, row := range rows[start:] {
		if row.UID > to || !yield(row) {
			break
		}
	}
	return nil
}

// ChangedSince implements Reader.
func (m *Memory) ChangedSince(folder ItemID, since Sequence, yield func(Message) bool) error {
	for _, row := range m.messagesOf(folder) {
		if row.ModSeq > since && !yield(row) {
			break
		}
	}
	return nil
}

// Content implements Reader.
func (m *Memory) Content(id ItemID) (Content, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, found := m.contents[id]
	return c, found, nil
}

// Contents implements Reader.
func (m *Memory) Contents(from, to ItemID, yield func(Content) bool) error {
	return m.ScanContents(max(from, 1)-1, func(c Content) bool { return c.ID <= to && yield(c) })
}

// References implements Reader.
func (m *Memory) References(content ItemID) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.references[content], nil
}

// ReferencesIn implements Reader.
func (m *Memory) ReferencesIn(from, to ItemID, yield func(ItemID, int) bool) error {
	m.mu.RLock()
	keys := sortedKeys(m.references, max(from, 1)-1, cmp.Compare[ItemID])
	m.mu.RUnlock()
	for _, id := range keys {
		if n, _ := m.References(id); id > to || n > 0 && !yield(id, n) {
			break
		}
	}
	return nil
}

// CountFolders implements Reader.
func (m *Memory) CountFolders() (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.folders), nil
}

// Tombstones implements Reader.
func (m *Memory) Tombstones(folder ItemID, since Sequence, yield func(Tombstone) bool) error {
	for _, row := range m.tombstonesOf(folder) {
		if row.Sequence > since && !yield(row) {
			break
		}
	}
	return nil
}

// Subscriptions implements Reader.
func (m *Memory) Subscriptions() ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Sorted(maps.Keys(m.subscriptions)), nil
}

// Delivery implements Reader.
func (m *Memory) Delivery(key DeliveryKey) (Delivery, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, found := m.deliveries[key]
	return d, found, nil
}

// OldestDeliveries implements Reader.
func (m *Memory) OldestDeliveries(limit int) ([]Delivery, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	deliveries := slices.SortedFunc(maps.Values(m.deliveries), compareDeliveries)
	return deliveries[:min(max(limit, 0), len(deliveries))], nil
}

// CountDeliveries implements Reader.
func (m *Memory) CountDeliveries() (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.deliveries), nil
}

// ScanContents implements Scanner.
func (m *Memory) ScanContents(after ItemID, yield func(Content) bool) error {
	m.mu.RLock()
	keys := sortedKeys(m.contents, after, cmp.Compare[ItemID])
	m.mu.RUnlock()
	for _, id := range keys {
		if c, found, _ := m.Content(id); found && !yield(c) {
			break
		}
	}
	return nil
}

// ScanMessages implements Scanner.
func (m *Memory) ScanMessages(after MessageKey, yield func(Message) bool) error {
	m.mu.RLock()
	folders := slices.Sorted(maps.Keys(m.messages))
	m.mu.RUnlock()
	for _, folder := range folders {
		for _, row := range m.messagesOf(folder) {
			if follows(MessageKey{folder, row.UID}, after) && !yield(row) {
				return nil
			}
		}
	}
	return nil
}

// ScanTombstones implements Scanner.
func (m *Memory) ScanTombstones(after MessageKey, yield func(Tombstone) bool) error {
	m.mu.RLock()
	folders := slices.Sorted(maps.Keys(m.tombstones))
	m.mu.RUnlock()
	for _, folder := range folders {
		for _, row := range m.tombstonesOf(folder) {
			if follows(MessageKey{folder, row.UID}, after) && !yield(row) {
				return nil
			}
		}
	}
	return nil
}

func follows(a, b MessageKey) bool {
	return cmp.Or(cmp.Compare(a.FolderID, b.FolderID), cmp.Compare(a.UID, b.UID)) > 0
}

// ScanDeliveries implements Scanner.
func (m *Memory) ScanDeliveries(after DeliveryKey, yield func(Delivery) bool) error {
	m.mu.RLock()
	keys := sortedKeys(m.deliveries, after, compareKeys)
	m.mu.RUnlock()
	for _, key := range keys {
		if d, found, _ := m.Delivery(key); found && !yield(d) {
			break
		}
	}
	return nil
}

// Discarded implements Reader.
func (m *Memory) Discarded(content ItemID) (Discarded, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, found := m.discarded[content]
	return d, found, nil
}

// ScanDiscarded implements Reader.
func (m *Memory) ScanDiscarded(after ItemID, yield func(Discarded) bool) error {
	m.mu.RLock()
	keys := sortedKeys(m.discarded, after, cmp.Compare[ItemID])
	m.mu.RUnlock()
	for _, id := range keys {
		if d, found, _ := m.Discarded(id); found && !yield(d) {
			break
		}
	}
	return nil
}
