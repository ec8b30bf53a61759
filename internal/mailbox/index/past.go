package index

import (
	"cmp"
	"container/list"
	"iter"
	"slices"
	"sync"
	"unsafe"

	"mailreplica/internal/mailbox"
)

// past is what the last transactions did to folders, so that who wants to know what has changed need not ask the rows.
//
// A transaction says which one it followed in its folder. So what happened since some sequence is known if the transactions
// that are remembered lead there without a hole, and nobody has to tell of all of them.
type past struct {
	bytesMax int64

	mu      sync.Mutex
	bytes   int64
	folders map[key][]*step // ascending by sequence
	order   *list.List      // of *step; the one told of last is in front
}

// step is what one transaction did to a folder, never altered.
type step struct {
	key      key
	place    *list.Element
	sequence mailbox.Sequence // of the transaction: the folder's HighestSeq behind it
	was      mailbox.Sequence // its HighestSeq before
	put      []*chunk
	gone     []mailbox.UID // ascending
}

func (s *step) bytes() int64 {
	const fixed = int64(unsafe.Sizeof(step{})+unsafe.Sizeof(list.Element{})) + 64 // the map's share
	n := fixed + int64(len(s.gone))*int64(unsafe.Sizeof(mailbox.UID(0)))
	for _, c := range s.put {
		n += c.bytes()
	}
	return n
}

// Changed tells what a transaction has done to a mailbox, when it is committed. Transactions of a mailbox are told of one after the
// other; one may be left out, but none may be told of that is not in the rows.
func (c *Cache) Changed(mailboxID int64, d *mailbox.Delta) {
	steps := map[mailbox.ItemID]*step{}
	for id, f := range d.Folders {
		if was, told := d.Was[id]; f != nil && told && f.HighestSeq == d.Header.Sequence {
			steps[id] = &step{key: key{mailboxID, id}, sequence: f.HighestSeq, was: was}
		}
	}
	if len(steps) == 0 {
		return
	}
	for rows := d.Messages; len(rows) > 0; {
		of := firstFolder(rows)
		if s := steps[rows[0].Key.FolderID]; s != nil {
			s.put = chunksOf(rows[:of])
		}
		rows = rows[of:]
	}
	for _, t := range d.Tombstones {
		if s := steps[t.Key.FolderID]; s != nil && t.Row != nil {
			s.gone = append(s.gone, t.Key.UID)
		}
	}
	for id, s := range steps {
		c.past.remember(s)
		c.moveOn(s, *d.Folders[id])
	}
}

// firstFolder is how many rows are of the same folder as the first.
func firstFolder(rows []mailbox.Touched[mailbox.MessageKey, mailbox.Message]) int {
	n := 1
	for n < len(rows) && rows[n].Key.FolderID == rows[0].Key.FolderID {
		n++
	}
	return n
}

// chunksOf makes chunks of those of the rows that were put.
func chunksOf(rows []mailbox.Touched[mailbox.MessageKey, mailbox.Message]) []*chunk {
	b := builder{room: len(rows)}
	for _, m := range rows {
		if m.Row != nil {
			b.add(*m.Row)
		}
	}
	b.end()
	return b.done
}

// moveOn notes for a folder that is kept what a transaction did, and carries it out with others when they are many, unless somebody is
// reading its rows.
func (c *Cache) moveOn(s *step, now mailbox.Folder) {
	c.mu.Lock()
	held := c.folders[s.key]
	many := held != nil && c.follow(held, s) && isMuch(held.ahead)
	c.mu.Unlock()
	if !many || !held.reading.TryLock() {
		return
	}
	defer held.reading.Unlock()
	there := c.at(s.key, s.sequence)
	if there.folder == nil {
		return // dropped meanwhile, or another step follows already
	}
	if made := there.folder.behind(there.ahead, now); made != nil {
		c.put(held, made)
	}
}

func (p *past) remember(s *step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	steps := p.folders[s.key]
	if n := len(steps); n > 0 && steps[n-1].sequence >= s.sequence {
		return
	}
	s.place = p.order.PushFront(s)
	p.folders[s.key] = append(steps, s)
	p.bytes += s.bytes()
	for p.bytes > p.bytesMax {
		p.drop(p.order.Back().Value.(*step))
	}
}

// drop forgets a step that is the first of its folder. It is called with mu held.
func (p *past) drop(s *step) {
	p.order.Remove(s.place)
	p.bytes -= s.bytes()
	if rest := p.folders[s.key][1:]; len(rest) > 0 {
		p.folders[s.key] = rest
	} else {
		delete(p.folders, s.key)
	}
}

// forget drops what is remembered of a mailbox.
func (p *past) forget(mailboxID int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, steps := range p.folders {
		if k.mailboxID == mailboxID {
			for _, s := range steps {
				p.drop(s)
			}
		}
	}
}

// between gives the steps that lead a folder from its state at since, a sequence of the mailbox, to the state at its HighestSeq now.
func (p *past) between(k key, since, now mailbox.Sequence) (steps []*step, known bool) {
	if now <= since {
		return nil, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.folders[k]
	end, found := stepAt(all, now)
	if !found {
		return nil, false
	}
	for first := end; ; first-- {
		switch {
		case all[first].was <= since:
			return all[first : end+1 : end+1], true
		case first == 0 || all[first-1].sequence != all[first].was:
			return nil, false
		}
	}
}

// removedBy are the tombstones that steps left, ascending by UID.
func removedBy(steps []*step, folder mailbox.ItemID) (gone []mailbox.Tombstone) {
	for _, s := range steps {
		for _, uid := range s.gone {
			gone = append(gone, mailbox.Tombstone{FolderID: folder, UID: uid, Sequence: s.sequence})
		}
	}
	slices.SortFunc(gone, func(a, b mailbox.Tombstone) int { return cmp.Compare(a.UID, b.UID) })
	return gone
}

// putBy are the messages that steps put and did not remove, as they are after all of them, ascending by UID.
func putBy(steps []*step) []*chunk {
	if len(steps) == 1 {
		return steps[0].put
	}
	type place struct {
		in *chunk
		at int
	}
	var put []place
	for _, s := range slices.Backward(steps) { // of a message that was put twice the last comes first
		for _, c := range s.put {
			for i := range c.rows {
				put = append(put, place{c, i})
			}
		}
	}
	uid := func(p place) mailbox.UID { return p.in.rows[p.at].uid }
	slices.SortStableFunc(put, func(a, b place) int { return cmp.Compare(uid(a), uid(b)) })
	put = slices.CompactFunc(put, func(a, b place) bool { return uid(a) == uid(b) })
	isGone := goneFrom(removedBy(steps, 0))
	b := builder{room: len(put)}
	for _, p := range put {
		if !isGone(uid(p)) {
			b.addFrom(p.in, p.at)
		}
	}
	b.end()
	return b.done
}

// messagesOf are the messages of chunks.
func messagesOf(chunks []*chunk, folder mailbox.ItemID) iter.Seq[mailbox.Message] {
	return func(yield func(mailbox.Message) bool) {
		for _, c := range chunks {
			for i := range c.rows {
				if !yield(c.message(folder, i)) {
					return
				}
			}
		}
	}
}

// goneFrom asks ascending tombstones for UIDs that ascend.
func goneFrom(gone []mailbox.Tombstone) func(mailbox.UID) bool {
	return func(uid mailbox.UID) bool {
		for len(gone) > 0 && gone[0].UID < uid {
			gone = gone[1:]
		}
		return len(gone) > 0 && gone[0].UID == uid
	}
}
