package mailbox

func (o *Overlay) putMessage(m Message) error {
	s, err := o.existing(m.FolderID)
	if err != nil {
		return err
	}
	if m.UID < s.now.UIDNext || m.UID == 0 || m.UID == uidMax {
		return contradiction("UID %d of folder %d was used before, the next is %d", m.UID, m.FolderID, s.now.UIDNext)
	}
	if !m.Flags.isCanonical() {
		return contradiction("the flags of message %d in folder %d are not as flags must be", m.UID, m.FolderID)
	}
	refs, err := o.contentForMessage(m.ContentID)
	if err != nil {
		return err
	}
	if err := o.allocate(m.ID); err != nil {
		return err
	}
	m.ModSeq = o.sequence
	refs.change++
	s.now.UIDNext = m.UID + 1
	s.count(&m, +1)
	o.messages++
	o.bytes += m.Size
	s.alter(&m, o.sequence)
	o.tally.put(&m)
	return nil
}

// contentForMessage checks that a content exists. That other messages refer to it is proof enough, and cheaper to ask for
// than the content with its summary.
func (o *Overlay) contentForMessage(id ItemID) (*references, error) {
	refs, err := o.referencesTo(id)
	if err != nil {
		return nil, err
	}
	c, known := o.contents[id]
	if known && c != nil || !known && refs.base > 0 {
		return refs, nil
	}
	return nil, contradiction("there is no content %d", id)
}

// count adds a message to the folder's counters, or with -1 takes it out.
func (s *folderState) count(m *Message, n int) {
	s.now.Messages += uint32(n)
	s.now.Bytes += uint64(n) * m.Size
	if !m.Flags.Has(Seen) {
		s.now.Unseen += uint32(n)
	}
}

func (s *folderState) alter(m *Message, sequence Sequence) {
	s.messages.set(m.UID, m)
	s.now.HighestSeq = sequence
}

// setFlags has messages of the folder, which are as they were and ascend, be as they are now: with other flags.
func (o *Overlay) setFlags(s *folderState, was, now []Message) {
	s.messages.room(len(now))
	for i := range now {
		m := &now[i]
		o.tally.remove(&was[i])
		s.count(&was[i], -1)
		m.ModSeq = o.sequence
		s.count(m, +1)
		s.alter(m, o.sequence)
		o.tally.put(m)
	}
	if len(now) > 0 {
		s.flagged = append(s.flagged, flagged{was, now})
	}
}

func mustBeCanonical(folder ItemID, flags Flags) error {
	if !flags.isCanonical() {
		return contradiction("the flags for folder %d are not as flags must be", folder)
	}
	return nil
}

// expunge removes messages of the folder, as they are now.
func (o *Overlay) expunge(s *folderState, messages []Message) error {
	if err := o.readReferences(messages); err != nil {
		return err
	}
	for i := range messages {
		m := &messages[i]
		refs, err := o.referencesTo(m.ContentID)
		if err != nil {
			return err
		}
		refs.change--
		s.count(m, -1)
		o.messages--
		o.bytes -= m.Size
		o.tally.remove(m)
		t := Tombstone{FolderID: m.FolderID, UID: m.UID, Sequence: o.sequence}
		s.messages.set(m.UID, nil)
		s.expunged.set(m.UID, &t)
		s.now.Tombstones++
		s.now.HighestSeq = o.sequence
		o.tally.put(t)
	}
	return nil
}
