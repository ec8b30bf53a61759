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
// (RFC 7162 section 3.1.3). changed, which are as they are now, and refused ascend; neither may be altered. Of a keyword that a message has
// in another case the message's spelling stays.
func (d *Draft) SetFlags(folder ItemID, uids []UID, op FlagOp, f Flags, unchangedSince *Sequence) (changed []Message, refused []UID, err error) {
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
	was, now, groups, err := op.alter(messages, f)
	if err != nil {
		return nil, nil, err
	}
	if err := d.room(len(now)*uidBytes + len(groups)*messageBytes(f)); err != nil {
		return nil, nil, err
	}
	for _, g := range groups {
		if err := mustBeCanonical(folder, g.flags); err != nil {
			return nil, nil, err
		}
	}
	d.overlay.setFlags(s, was, now)
	for _, g := range groups {
		if err := d.keep(SetFlags{FolderID: folder, UIDs: g.uids, Flags: g.flags}, nil); err != nil {
			return nil, nil, err
		}
	}
	return now, refused, nil
}

// flagGroup is messages that will have the same flags.
type flagGroup struct {
	flags Flags
	uids  []UID
}

// alter gives those of the messages whose flags change as they are and as they will be, and which of them will have the same flags. It
// takes messages over.
func (op FlagOp) alter(messages []Message, f Flags) (was, now []Message, groups []*flagGroup, err error) {
	was, now = messages[:0], make([]Message, 0, len(messages))
	outcomes := map[string]*flagGroup{} // by the flags that messages have; nil: they stay the same
	byFlags := map[string]*flagGroup{}
	var key []byte
	var last Flags
	var g *flagGroup
	for i, m := range messages {
		if i == 0 || !m.Flags.Equal(last) { // neighbours are often alike
			last = m.Flags
			var known bool
			key = last.appendKey(key[:0])
			if g, known = outcomes[string(key)]; !known {
				if g, err = op.outcome(last, f, byFlags, &groups); err != nil {
					return nil, nil, nil, err
				}
				outcomes[string(key)] = g
			}
		}
		if g == nil {
			continue
		}
		g.uids = append(g.uids, m.UID)
		was = append(was, m)
		m.Flags = g.flags
		now = append(now, m)
	}
	return was, now, groups, nil
}

// outcome is the group of messages that have some flags now, nil if they stay the same.
func (op FlagOp) outcome(have, f Flags, byFlags map[string]*flagGroup, groups *[]*flagGroup) (*flagGroup, error) {
	flags := op.apply(have, f)
	if flags.Equal(have) {
		return nil, nil
	}
	if err := flags.checkCount(); err != nil {
		return nil, err
	}
	key := string(flags.appendKey(nil))
	g := byFlags[key]
	if g == nil {
		g = &flagGroup{flags: flags}
		byFlags[key] = g
		*groups = append(*groups, g)
	}
	return g, nil
}

// appendKey appends what tells the flags from others.
func (f Flags) appendKey(key []byte) []byte {
	key = append(key, byte(f.System))
	for _, k := range f.Keywords {
		key = appendString(key, k)
	}
	return key
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
