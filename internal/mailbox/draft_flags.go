package mailbox

import "slices"

// FlagOp says what SetFlags does with the flags it is given.
type FlagOp uint8

// The operations of STORE (RFC 3501 section 6.4.6).
const (
	ReplaceFlags FlagOp = iota
	AddFlags
	RemoveFlags
)

// SetFlags alters the flags of those of the messages that exist. Messages whose flags would stay the same are left alone,
// modseq included. With unchangedSince, messages changed after it are refused, whether their flags would change or not
// (RFC 7162 section 3.1.3). changed and refused ascend. Of a keyword that a message has in another case the message's
// spelling stays.
func (d *Draft) SetFlags(folder ItemID, uids []UID, op FlagOp, f Flags, unchangedSince *Sequence) (changed, refused []UID, err error) {
	if err := d.begin(); err != nil {
		return nil, nil, err
	}
	s, err := d.folder(folder)
	if err != nil {
		return nil, nil, err
	}
	if f, err = f.Canonical(); err != nil {
		return nil, nil, err
	}
	messages, err := readMessages(d.overlay, folder, SortedUIDs(uids))
	if err != nil {
		return nil, nil, err
	}
	if unchangedSince != nil {
		messages = slices.DeleteFunc(messages, func(m Message) bool {
			late := m.ModSeq > *unchangedSince
			if late {
				refused = append(refused, m.UID)
			}
			return late
		})
	}
	groups, changed, err := groupByFlags(messages, op, f)
	if err != nil {
		return nil, nil, err
	}
	if err := d.room(len(changed)*uidBytes + len(groups)*messageBytes(f)); err != nil {
		return nil, nil, err
	}
	for _, g := range groups {
		e := SetFlags{FolderID: folder, UIDs: uidsOf(g.messages), Flags: g.flags}
		if err := d.keep(e, d.overlay.setFlags(s, g.messages, g.flags)); err != nil {
			return nil, nil, err
		}
	}
	return changed, refused, nil
}

// flagGroup is messages that will have the same flags.
type flagGroup struct {
	flags    Flags
	messages []Message
}

func groupByFlags(messages []Message, op FlagOp, f Flags) (groups []*flagGroup, changed []UID, err error) {
	byFlags := map[string]*flagGroup{}
	var key []byte
	for _, m := range messages {
		flags := op.apply(m.Flags, f)
		if flags.Equal(m.Flags) {
			continue
		}
		if err := flags.checkCount(); err != nil {
			return nil, nil, err
		}
		key = append(key[:0], byte(flags.System))
		for _, k := range flags.Keywords {
			key = appendString(key, k)
		}
		g := byFlags[string(key)]
		if g == nil {
			g = &flagGroup{flags: flags}
			byFlags[string(key)] = g
			groups = append(groups, g)
		}
		g.messages = append(g.messages, m)
		changed = append(changed, m.UID)
	}
	return groups, changed, nil
}

func (op FlagOp) apply(have, given Flags) Flags {
	switch op {
	case AddFlags:
		return have.With(given)
	case RemoveFlags:
		return have.Without(given)
	}
	return have.replacedBy(given)
}
