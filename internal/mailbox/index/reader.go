package index

import (
	"iter"
	"slices"

	"mailreplica/internal/mailbox"
)

// reader is a snapshot's rows with the Cache over them.
type reader struct {
	mailbox.Scanner
	cache     *Cache
	mailboxID int64
	found     map[mailbox.ItemID]*folder // of this snapshot
}

// Message implements mailbox.Reader. One row is not worth bringing a folder up to date.
func (r *reader) Message(id mailbox.ItemID, uid mailbox.UID) (mailbox.Message, bool, error) {
	s, err := r.state(id)
	if err != nil {
		return mailbox.Message{}, false, err
	}
	if s.folder == nil {
		return r.Scanner.Message(id, uid)
	}
	m, found := s.message(uid)
	return m, found, r.checkMessage(id, uid, m, found)
}

// Messages implements mailbox.Reader.
func (r *reader) Messages(id mailbox.ItemID, from, to mailbox.UID, yield func(mailbox.Message) bool) error {
	if from == to {
		m, found, err := r.Message(id, from)
		if found && err == nil {
			yield(m)
		}
		return err
	}
	how := upToDate
	if from <= 1 && to == uidMax { // it is read whole anyway
		how = whole
	}
	f, err := r.folder(id, how)
	if err != nil {
		return err
	}
	if f == nil {
		return r.Scanner.Messages(id, from, to, yield)
	}
	if err := r.check(f, from, to); err != nil {
		return err
	}
	f.messages(from, to, yield)
	return nil
}

// Outline is what mailbox.OutlineOf asks for.
func (r *reader) Outline(id mailbox.ItemID) (mailbox.Outline, error) {
	f, err := r.folder(id, whole)
	if err != nil {
		return mailbox.Outline{}, err
	}
	if f == nil {
		return mailbox.ReadOutline(r.Scanner, id)
	}
	o := f.outline()
	return o, r.checkOutline(f, o)
}

// DeletedUIDs is what mailbox.DeletedUIDs asks for.
func (r *reader) DeletedUIDs(id mailbox.ItemID) ([]mailbox.UID, error) {
	f, err := r.folder(id, whole)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return mailbox.ReadDeletedUIDs(r.Scanner, id)
	}
	uids := f.deletedUIDs()
	return uids, r.checkDeleted(f, uids)
}

// happened is what was done to a folder after a sequence, if transactions are remembered that tell it all.
func (r *reader) happened(now mailbox.Folder, since mailbox.Sequence) (steps []*step, known bool) {
	return r.cache.past.between(key{r.mailboxID, now.ID}, since, now.HighestSeq)
}

// ChangedSince implements mailbox.Reader.
func (r *reader) ChangedSince(id mailbox.ItemID, since mailbox.Sequence, yield func(mailbox.Message) bool) error {
	now, exists, err := r.Folder(id)
	if err != nil || !exists {
		return err
	}
	if steps, known := r.happened(now, since); known {
		return r.yieldChanged(id, since, messagesOf(putBy(steps), id), yield)
	}
	f, err := r.folder(id, upToDate)
	if err != nil {
		return err
	}
	if f == nil {
		return r.Scanner.ChangedSince(id, since, yield)
	}
	return r.yieldChanged(id, since, func(yield func(mailbox.Message) bool) { f.changedSince(since, yield) }, yield)
}

func (r *reader) yieldChanged(id mailbox.ItemID, since mailbox.Sequence, all iter.Seq[mailbox.Message], yield func(mailbox.Message) bool) error {
	if err := r.checkChanged(id, since, all); err != nil {
		return err
	}
	all(yield)
	return nil
}

// Tombstones implements mailbox.Reader.
func (r *reader) Tombstones(id mailbox.ItemID, since mailbox.Sequence, yield func(mailbox.Tombstone) bool) error {
	now, exists, err := r.Folder(id)
	if err != nil || !exists {
		return err
	}
	steps, known := r.happened(now, since)
	if !known || now.PrunedUpTo > since {
		return r.Scanner.Tombstones(id, since, yield)
	}
	all := slices.Values(removedBy(steps, id))
	if err := r.checkTombstones(id, since, all); err != nil {
		return err
	}
	all(yield)
	return nil
}

// effort is what is done for a folder that is not kept as it is.
type effort int

const (
	upToDate effort = iota // carry out, or read, what has changed since it was kept
	whole                  // read it
)

// state gives what is known of a folder in this snapshot.
func (r *reader) state(id mailbox.ItemID) (state, error) {
	if f := r.found[id]; f != nil {
		return state{folder: f}, nil
	}
	now, err := r.worth(id)
	if err != nil || now.Messages == 0 {
		return state{}, err
	}
	return r.cache.at(key{r.mailboxID, id}, now.HighestSeq), nil
}

// worth gives a folder as it is in this snapshot, if it is one that is kept; one without messages if it is not.
func (r *reader) worth(id mailbox.ItemID) (mailbox.Folder, error) {
	now, exists, err := r.Folder(id)
	if err != nil || !exists || now.Messages < r.cache.config.MessagesMin || int64(now.Messages)*rowBytes > r.cache.config.BytesMax {
		return mailbox.Folder{}, err
	}
	return now, nil
}

// folder gives a folder as it is in this snapshot, nil if the rows beneath are to be asked.
func (r *reader) folder(id mailbox.ItemID, how effort) (*folder, error) {
	if f := r.found[id]; f != nil {
		return f, nil
	}
	now, err := r.worth(id)
	if err != nil || now.Messages == 0 {
		return nil, err
	}
	f, err := r.bring(key{r.mailboxID, id}, now, how)
	if f != nil {
		if r.found == nil {
			r.found = map[mailbox.ItemID]*folder{}
		}
		r.found[id] = f
	}
	return f, err
}

// bring makes what is kept of a folder what the snapshot has.
func (r *reader) bring(k key, now mailbox.Folder, how effort) (*folder, error) {
	if there := r.cache.at(k, now.HighestSeq); there.folder != nil && len(there.ahead) == 0 {
		return there.folder, nil
	}
	held := r.cache.holding(k, how == whole)
	if held == nil {
		return nil, nil
	}
	held.reading.Lock()
	defer held.reading.Unlock()
	var f *folder
	var err error
	there := r.cache.at(k, now.HighestSeq)
	switch old := r.cache.newest(held); {
	case there.folder != nil && len(there.ahead) == 0:
		return there.folder, nil // somebody else did
	case there.folder != nil:
		f = there.folder.behind(there.ahead, now)
	case old != nil:
		f, err = r.after(old, now)
	}
	if f == nil && err == nil && how == whole {
		f, err = read(r.Scanner, now)
	}
	if f == nil || err != nil {
		return nil, err
	}
	r.cache.put(held, f)
	return f, nil
}
