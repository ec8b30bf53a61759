package mailbox

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"sync"
)

var _ Scanner = (*Memory)(nil)

// Memory is a mailbox in memory: the model that databases are compared with, and the mailbox of tests. It may be used by
// several goroutines; an iterator goes on with the rows as they were when it began.
type Memory struct {
	mu            sync.RWMutex
	header        Header
	folders       map[ItemID]Folder
	contents      map[ItemID]Content
	references    map[ItemID]int
	messages      map[ItemID][]Message   // by folder, ascending by UID; a slice is never altered in place
	tombstones    map[ItemID][]Tombstone // likewise
	subscriptions map[string]bool
	deliveries    map[DeliveryKey]Delivery
	discarded     map[ItemID]Discarded
}

// NewMemory makes a mailbox without rows at sequence 0.
func NewMemory() *Memory {
	return &Memory{
		header: EmptyHeader(), folders: map[ItemID]Folder{}, contents: map[ItemID]Content{}, references: map[ItemID]int{},
		messages: map[ItemID][]Message{}, tombstones: map[ItemID][]Tombstone{},
		subscriptions: map[string]bool{}, deliveries: map[DeliveryKey]Delivery{}, discarded: map[ItemID]Discarded{},
	}
}

// Clone is a mailbox with the same rows that shares nothing that is altered.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{
		header: m.header, folders: maps.Clone(m.folders), contents: maps.Clone(m.contents), references: maps.Clone(m.references),
		messages: cloneRows(m.messages), tombstones: cloneRows(m.tombstones),
		subscriptions: maps.Clone(m.subscriptions), deliveries: maps.Clone(m.deliveries), discarded: maps.Clone(m.discarded),
	}
}

// cloneRows clips the slices, so that neither of two mailboxes appends into the other's.
func cloneRows[R any](rows map[ItemID][]R) map[ItemID][]R {
	clone := make(map[ItemID][]R, len(rows))
	for id, r := range rows {
		clone[id] = slices.Clip(r)
		rows[id] = clone[id]
	}
	return clone
}

// Write puts and removes the rows of a delta.
func (m *Memory) Write(d Delta) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.header = d.Header
	for _, id := range d.RemovedFolders {
		for _, message := range m.messages[id] {
			m.refer(message.ContentID, -1)
		}
		delete(m.messages, id)
		delete(m.tombstones, id)
	}
	writeRows(m.folders, d.Folders)
	writeRows(m.contents, d.Contents)
	writeRows(m.deliveries, d.Deliveries)
	for _, row := range d.Discarded {
		if row.Row == nil {
			delete(m.discarded, row.Key)
		} else {
			m.discarded[row.Key] = *row.Row
		}
	}
	for name, present := range d.Subscriptions {
		if present {
			m.subscriptions[name] = true
		} else {
			delete(m.subscriptions, name)
		}
	}
	for folder, rows := range byFolder(d.Messages) {
		for uid, row := range rows {
			if old, found := find(m.messages[folder], uid, messageUID); found {
				m.refer(old.ContentID, -1)
			}
			if row != nil {
				m.refer(row.ContentID, +1)
			}
		}
		m.messages[folder] = replaceRows(m.messages[folder], rows, messageUID)
	}
	for folder, rows := range byFolder(d.Tombstones) {
		m.tombstones[folder] = replaceRows(m.tombstones[folder], rows, tombstoneUID)
	}
	return nil
}

func (m *Memory) refer(content ItemID, n int) {
	m.references[content] += n
	if m.references[content] == 0 {
		delete(m.references, content)
	}
}

func writeRows[K comparable, R any](rows map[K]R, changes map[K]*R) {
	for key, row := range changes {
		if row == nil {
			delete(rows, key)
		} else {
			rows[key] = *row
		}
	}
}

func byFolder[R any](changes []Touched[MessageKey, R]) map[ItemID]map[UID]*R {
	folders := map[ItemID]map[UID]*R{}
	for _, row := range changes {
		if folders[row.Key.FolderID] == nil {
			folders[row.Key.FolderID] = map[UID]*R{}
		}
		folders[row.Key.FolderID][row.Key.UID] = row.Row
	}
	return folders
}

// replaceRows gives rows with the changes. Only rows that follow the last one are added to the same array, where no older
// slice sees them.
func replaceRows[R any](rows []R, changes map[UID]*R, uidOf func(R) UID) []R {
	var added []R
	var last UID
	if len(rows) > 0 {
		last = uidOf(rows[len(rows)-1])
	}
	altered := false
	for uid, row := range changes {
		if uid <= last {
			altered = true
		}
		if row != nil {
			added = append(added, *row)
		}
	}
	if altered {
		rows = slices.DeleteFunc(slices.Clone(rows), func(r R) bool {
			_, changed := changes[uidOf(r)]
			return changed
		})
	}
	compare := func(a, b R) int { return cmp.Compare(uidOf(a), uidOf(b)) }
	slices.SortFunc(added, compare)
	rows = append(rows, added...)
	if altered {
		slices.SortFunc(rows, compare)
	}
	return rows
}

func find[R any](rows []R, uid UID, uidOf func(R) UID) (R, bool) {
	i, found := seek(rows, uid, uidOf)
	if !found {
		var none R
		return none, false
	}
	return rows[i], true
}

func seek[R any](rows []R, uid UID, uidOf func(R) UID) (int, bool) {
	return slices.BinarySearchFunc(rows, uid, func(r R, uid UID) int { return cmp.Compare(uidOf(r), uid) })
}

// sortedKeys are the keys of a map that follow after.
func sortedKeys[K comparable, R any](rows map[K]R, after K, compare func(a, b K) int) []K {
	var keys []K
	for key := range rows {
		if compare(key, after) > 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, compare)
	return keys
}

func compareKeys(a, b DeliveryKey) int { return bytes.Compare(a[:], b[:]) }
