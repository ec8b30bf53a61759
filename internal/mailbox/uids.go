package mailbox

import "slices"

// SortedUIDs gives the UIDs ascending and unique. A slice that is so already is returned as it is; otherwise a copy.
func SortedUIDs(uids []UID) []UID {
	if ascending(uids) {
		return uids
	}
	sorted := slices.Clone(uids)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// ContainsUID reports whether an ascending slice has the UID.
func ContainsUID(sorted []UID, uid UID) bool {
	_, found := slices.BinarySearch(sorted, uid)
	return found
}

// SubtractUIDs gives the UIDs of a that b lacks; both are ascending.
func SubtractUIDs(a, b []UID) []UID {
	var selected []UID
	for _, uid := range a {
		for len(b) > 0 && b[0] < uid {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != uid {
			selected = append(selected, uid)
		}
	}
	return selected
}

// ascending reports whether the UIDs ascend strictly.
func ascending(uids []UID) bool {
	for i := 1; i < len(uids); i++ {
		if uids[i] <= uids[i-1] {
			return false
		}
	}
	return true
}

// runGap is the largest hole between wanted UIDs that is cheaper to read over than to begin a new read for.
const runGap = 16

// readMessages reads those of the ascending UIDs that exist, ascending.
func readMessages(r Reader, folder ItemID, uids []UID) ([]Message, error) {
	messages := make([]Message, 0, len(uids))
	err := eachMessage(r, folder, uids, func(m Message) { messages = append(messages, m) })
	if err != nil {
		return nil, err
	}
	return messages, nil
}

// eachMessage yields those of the ascending UIDs that exist, ascending: near ones are read in one range, far ones one by one.
func eachMessage(r Reader, folder ItemID, uids []UID, yield func(Message)) error {
	for len(uids) > 0 {
		n := 1
		for n < len(uids) && uids[n]-uids[n-1] <= runGap {
			n++
		}
		run := uids[:n]
		uids = uids[n:]
		if n == 1 {
			m, found, err := r.Message(folder, run[0])
			if err != nil {
				return err
			}
			if found {
				yield(m)
			}
			continue
		}
		err := r.Messages(folder, run[0], run[n-1], func(m Message) bool {
			for len(run) > 0 && run[0] < m.UID {
				run = run[1:]
			}
			if len(run) > 0 && run[0] == m.UID {
				yield(m)
			}
			return len(run) > 0
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deletedFinder is the ability of a Reader that need not look at each message.
type deletedFinder interface {
	DeletedUIDs(folder ItemID) ([]UID, error)
}

// DeletedUIDs are the UIDs of a folder's messages that carry \Deleted, ascending.
func DeletedUIDs(r Reader, folder ItemID) ([]UID, error) {
	if f, ok := r.(deletedFinder); ok {
		return f.DeletedUIDs(folder)
	}
	return ReadDeletedUIDs(r, folder)
}

// ReadDeletedUIDs is DeletedUIDs with nothing but the Reader's rows.
func ReadDeletedUIDs(r Reader, folder ItemID) ([]UID, error) {
	var uids []UID
	err := r.Messages(folder, 1, uidMax, func(m Message) bool {
		if m.Flags.System&Deleted != 0 {
			uids = append(uids, m.UID)
		}
		return true
	})
	return uids, err
}

// DeletedAmong are those of the ascending UIDs whose messages carry \Deleted. It reads no other messages of the folder but those between near
// ones.
func DeletedAmong(r Reader, folder ItemID, among []UID) ([]UID, error) {
	var uids []UID
	err := eachMessage(r, folder, among, func(m Message) {
		if m.Flags.System&Deleted != 0 {
			uids = append(uids, m.UID)
		}
	})
	return uids, err
}
