package mailbox

func (o *Overlay) putFolder(f Folder) error {
	s, err := o.state(f.ID)
	if err != nil {
		return err
	}
	if other, taken, err := o.FolderByName(f.Name); err != nil {
		return err
	} else if taken && other.ID != f.ID || f.Name == "" {
		return contradiction("folder name %q of %d is taken or empty", f.Name, f.ID)
	}
	if s == nil {
		return o.addFolder(f)
	}
	if f.UIDValidity != s.now.UIDValidity {
		if f.UIDValidity < o.nextUIDValidity {
			return contradiction("UIDVALIDITY %d of folder %d was used before", f.UIDValidity, f.ID)
		}
		o.nextUIDValidity = f.UIDValidity + 1
	}
	if f.UIDNext < s.row.UIDNext || f.HighestSeq < s.row.HighestSeq || f.HighestSeq > o.sequence || f.PrunedUpTo < s.row.PrunedUpTo {
		return contradiction("the counters of folder %d go back", f.ID)
	}
	o.tally.remove(s.row)
	o.tally.put(f)
	if o.names[s.row.Name] == f.ID {
		delete(o.names, s.row.Name)
	}
	o.names[f.Name] = f.ID
	now := s.now
	s.now, s.row, s.isPut = f, f, true
	s.now.UIDNext = max(now.UIDNext, f.UIDNext)
	s.now.HighestSeq = max(now.HighestSeq, f.HighestSeq)
	s.now.Messages, s.now.Unseen, s.now.Bytes = now.Messages, now.Unseen, now.Bytes
	s.now.Tombstones, s.now.PrunedUpTo = now.Tombstones, now.PrunedUpTo
	return nil
}

func (o *Overlay) addFolder(f Folder) error {
	if err := o.allocate(f.ID); err != nil {
		return err
	}
	if f.UIDValidity < o.nextUIDValidity || f.UIDNext == 0 {
		return contradiction("UIDVALIDITY %d of new folder %d was used before, or it has no UIDNEXT", f.UIDValidity, f.ID)
	}
	o.nextUIDValidity = f.UIDValidity + 1
	s := &folderState{isPut: true, row: f, now: f}
	s.now.Messages, s.now.Unseen, s.now.Bytes, s.now.Tombstones, s.now.PrunedUpTo = 0, 0, 0, 0, 0
	s.now.HighestSeq = o.sequence
	o.folders[f.ID] = s
	o.names[f.Name] = f.ID
	o.folderChange++
	o.tally.put(f)
	return nil
}

// removeFolder reads all that the folder holds, for the digest and for the references to contents.
func (o *Overlay) removeFolder(id ItemID) error {
	s, err := o.existing(id)
	if err != nil {
		return err
	}
	var messages []Message
	err = o.Messages(id, 1, uidMax, func(m Message) bool {
		messages = append(messages, m)
		return true
	})
	if err != nil {
		return err
	}
	return o.removeFolderWith(s, messages)
}

func (o *Overlay) removeFolderWith(s *folderState, messages []Message) error {
	if err := o.readReferences(messages); err != nil {
		return err
	}
	refs := make([]*references, len(messages))
	for i, m := range messages {
		r, err := o.referencesTo(m.ContentID)
		if err != nil {
			return err
		}
		refs[i] = r
	}
	err := o.Tombstones(s.row.ID, 0, func(t Tombstone) bool {
		o.tally.remove(t)
		return true
	})
	if err != nil {
		return err
	}
	for i, m := range messages {
		refs[i].change--
		o.messages--
		o.bytes -= m.Size
		o.tally.remove(m)
	}
	o.tally.remove(s.row)
	if o.names[s.row.Name] == s.row.ID {
		delete(o.names, s.row.Name)
	}
	*s = folderState{inBase: s.inBase, row: s.row, now: s.now, removed: true}
	o.folderChange--
	return nil
}

// pruneTombstones removes old tombstones; those of the transaction itself stay.
func (o *Overlay) pruneTombstones(e PruneTombstones) error {
	s, err := o.existing(e.FolderID)
	if err != nil {
		return err
	}
	if e.UpTo <= s.now.PrunedUpTo || e.UpTo >= o.sequence {
		return contradiction("tombstones of folder %d cannot be pruned up to %d", e.FolderID, e.UpTo)
	}
	var old []Tombstone
	err = o.Tombstones(e.FolderID, s.now.PrunedUpTo, func(t Tombstone) bool {
		if t.Sequence <= e.UpTo {
			old = append(old, t)
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, t := range old {
		s.expunged.set(t.UID, nil)
		o.tally.remove(t)
	}
	s.now.Tombstones -= uint32(len(old))
	s.now.PrunedUpTo = e.UpTo
	return nil
}
