package mailbox

import "slices"

// Rows that a change needs one by one are read together where they lie near each other: a question costs more than a row.
const (
	togetherGap      = 16  // ids that are read over rather than asked around
	contentsTogether = 256 // whose rows are in memory at once; each may be large
	flagsTogether    = 32  // effects; each is merged with those before
)

// runs calls run for the first and last of ids that lie near each other, which ascend.
func runs(ids []ItemID, run func(from, to ItemID) error) error {
	for len(ids) > 0 {
		n := 1
		for n < len(ids) && ids[n]-ids[n-1] <= togetherGap {
			n++
		}
		if err := run(ids[0], ids[n-1]); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// contentsKeeper is the ability of a Reader that may have contents of messages at hand.
type contentsKeeper interface {
	ContentsOf(ids []ItemID, yield func(Content) bool) error
}

// ContentsOf yields the contents with those ids, which ascend and which messages of r refer to, each once, until yield returns false. Of an
// id without a content nothing is yielded, or the content that was removed. A Summary is good until yield returns.
func ContentsOf(r Reader, ids []ItemID, yield func(Content) bool) error {
	if k, ok := r.(contentsKeeper); ok {
		return k.ContentsOf(ids, yield)
	}
	return ReadContentsOf(r, ids, yield)
}

// ReadContentsOf is ContentsOf with nothing but the Reader's rows.
func ReadContentsOf(r Reader, ids []ItemID, yield func(Content) bool) error {
	more := true
	return runs(ids, func(from, to ItemID) error {
		if !more {
			return nil
		}
		if from == to {
			c, found, err := r.Content(from)
			more = !found || yield(c)
			return err
		}
		return r.Contents(from, to, func(c Content) bool {
			for len(ids) > 0 && ids[0] < c.ID {
				ids = ids[1:]
			}
			more = len(ids) == 0 || ids[0] != c.ID || yield(c)
			return more
		})
	})
}

// applyFirst carries out the first of some effects, together with those that follow where that saves work, and says how many.
func (o *Overlay) applyFirst(effects []Effect) (int, error) {
	if alike, named := flagging(effects); len(alike) > 1 {
		return len(alike), o.setFlagsOf(alike, named)
	}
	if err := o.readAhead(effects); err != nil {
		return 0, err
	}
	return 1, o.Apply(effects[0])
}

// named is a message that an effect names, which is the one of that index among some.
type named struct {
	uid UID
	by  int
}

func namedBy(by int, uids []UID) []named {
	all := make([]named, len(uids))
	for i, uid := range uids {
		all[i] = named{uid, by}
	}
	return all
}

// flagging are the first effects as far as they give flags to messages of one folder, to each once, and what they name, ascending. One STORE
// makes several where messages have had different flags, and their messages lie between each other.
func flagging(effects []Effect) (alike []SetFlags, all []named) {
	for _, e := range effects[:min(flagsTogether, len(effects))] {
		f, ok := e.(SetFlags)
		if !ok || len(alike) > 0 && f.FolderID != alike[0].FolderID || !ascending(f.UIDs) {
			break
		}
		merged, once := mergeNamed(all, namedBy(len(alike), f.UIDs))
		if !once {
			break
		}
		alike, all = append(alike, f), merged
	}
	return alike, all
}

// mergeNamed merges two lists that ascend; once is false if they have a message in common.
func mergeNamed(a, b []named) (merged []named, once bool) {
	if len(a) == 0 {
		return b, true
	}
	merged = make([]named, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].uid < b[0].uid:
			merged, a = append(merged, a[0]), a[1:]
		case a[0].uid > b[0].uid:
			merged, b = append(merged, b[0]), b[1:]
		default:
			return nil, false
		}
	}
	return append(append(merged, a...), b...), true
}

// setFlagsOf carries out effects on one folder that name no message twice.
func (o *Overlay) setFlagsOf(effects []SetFlags, all []named) error {
	folder := effects[0].FolderID
	uids := make([]UID, len(all))
	for i, n := range all {
		uids[i] = n.uid
	}
	s, was, err := o.named(folder, uids)
	if err != nil {
		return err
	}
	for _, e := range effects {
		if len(e.UIDs) == 0 {
			return contradiction("no messages of folder %d are named", folder)
		}
		if err := mustBeCanonical(folder, e.Flags); err != nil {
			return err
		}
	}
	now := slices.Clone(was)
	for i := range now {
		now[i].Flags = effects[all[i].by].Flags
	}
	o.setFlags(s, was, now)
	return nil
}

// readAhead reads what the first effects will ask for, if several ask for the same kind of row.
func (o *Overlay) readAhead(effects []Effect) error {
	switch e := effects[0].(type) {
	case DiscardContent:
		return o.readDiscarded(effects)
	case PutMessage:
		if e.Message.ContentID < o.was.NextItemID && o.references[e.Message.ContentID] == nil {
			return o.readReferences(copies(effects))
		}
	}
	return nil
}

// copies are the messages that the first effects put.
func copies(effects []Effect) (messages []Message) {
	for _, e := range effects {
		put, ok := e.(PutMessage)
		if !ok {
			break
		}
		messages = append(messages, put.Message)
	}
	return messages
}

// readReferences reads how many messages share each of the contents of some messages.
func (o *Overlay) readReferences(messages []Message) error {
	var ids []ItemID
	for _, m := range messages {
		if m.ContentID < o.was.NextItemID && o.references[m.ContentID] == nil {
			ids = append(ids, m.ContentID)
		}
	}
	if len(ids) < 2 {
		return nil
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	counts := make(map[ItemID]*references, len(ids))
	for _, id := range ids {
		counts[id] = &references{}
	}
	err := runs(ids, func(from, to ItemID) error {
		return o.base.ReferencesIn(from, to, func(id ItemID, n int) bool {
			if r := counts[id]; r != nil {
				r.base = n
			}
			return true
		})
	})
	if err != nil {
		return err
	}
	for id, r := range counts {
		o.references[id] = r
	}
	return nil
}

// readDiscarded reads the contents that the first effects discard, if they discard several of base.
func (o *Overlay) readDiscarded(effects []Effect) error {
	var ids []ItemID
	for _, e := range effects {
		d, ok := e.(DiscardContent)
		if !ok || len(ids) == contentsTogether {
			break
		}
		if _, read := o.read[d.ID]; read {
			return nil // with those that follow
		}
		if _, touched := o.contents[d.ID]; !touched {
			ids = append(ids, d.ID)
		}
	}
	if len(ids) < 2 {
		return nil
	}
	slices.Sort(ids)
	o.read = make(map[ItemID]Content, len(ids))
	return runs(slices.Compact(ids), func(from, to ItemID) error {
		return o.base.Contents(from, to, func(c Content) bool {
			if _, wanted := slices.BinarySearch(ids, c.ID); wanted {
				c.Summary = slices.Clone(c.Summary)
				o.read[c.ID] = c
			}
			return true
		})
	})
}
