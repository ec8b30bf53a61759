package index

import (
	"cmp"
	"slices"
	"sort"
	"sync"

	"mailreplica/internal/mailbox"
)

// folder is the messages of a folder as of one of its transactions, never altered. A later one shares its chunks with it.
type folder struct {
	id      mailbox.ItemID
	highest mailbox.Sequence // the folder's HighestSeq: as long as it stays, so do the messages
	count   uint32
	chunks  []*chunk

	outlining sync.Once
	outlined  mailbox.Outline // what outline found; of its slices the longest has 8 bytes for each gap between UIDs
}

// bytes is what a folder takes beside another, with which it may share chunks; nil is none.
func (f *folder) bytes(other *folder) int64 {
	n := int64(0)
	var others []*chunk
	if other != nil {
		others = other.chunks
	}
	for _, c := range f.chunks {
		for len(others) > 0 && others[0].last() < c.last() {
			others = others[1:]
		}
		if len(others) == 0 || others[0] != c {
			n += c.bytes()
		}
	}
	return n
}

// from is the first chunk that can have the UID.
func (f *folder) from(uid mailbox.UID) int {
	at, _ := slices.BinarySearchFunc(f.chunks, uid, func(c *chunk, uid mailbox.UID) int { return cmp.Compare(c.last(), uid) })
	return at
}

func (f *folder) message(uid mailbox.UID) (mailbox.Message, bool) {
	if at := f.from(uid); at < len(f.chunks) {
		if i, found := f.chunks[at].find(uid); found {
			return f.chunks[at].message(f.id, i), true
		}
	}
	return mailbox.Message{}, false
}

func (f *folder) messages(from, to mailbox.UID, yield func(mailbox.Message) bool) {
	for _, c := range f.chunks[f.from(from):] {
		i, _ := c.find(from)
		for ; i < len(c.rows); i++ {
			if c.rows[i].uid > to || !yield(c.message(f.id, i)) {
				return
			}
		}
	}
}

func (f *folder) changedSince(since mailbox.Sequence, yield func(mailbox.Message) bool) {
	for _, c := range f.chunks {
		if c.highest <= since {
			continue
		}
		for i := range c.rows {
			if c.rows[i].modSeq > since && !yield(c.message(f.id, i)) {
				return
			}
		}
	}
}

// deletedUIDs looks at messages of chunks where some are marked \Deleted.
func (f *folder) deletedUIDs() (uids []mailbox.UID) {
	for _, c := range f.chunks {
		if !c.deleted {
			continue
		}
		for i := range c.rows {
			if c.rows[i].system&mailbox.Deleted != 0 {
				uids = append(uids, c.rows[i].uid)
			}
		}
	}
	return uids
}

// outline is what SELECT asks for. It must not be altered.
func (f *folder) outline() mailbox.Outline {
	f.outlining.Do(func() { f.outlined = f.lookOver() })
	return f.outlined
}

// lookOver looks at chunks, and at messages only where their UIDs have gaps.
func (f *folder) lookOver() (o mailbox.Outline) {
	for _, c := range f.chunks {
		if o.Unseen == 0 && c.unseen < len(c.rows) {
			o.Unseen = o.Messages + c.unseen + 1
		}
		if c.gaps {
			for i := range c.rows {
				o.AddRun(c.rows[i].uid, 1)
			}
		} else {
			o.AddRun(c.rows[0].uid, len(c.rows))
		}
		for _, set := range c.sets {
			o.AddKeywords(set)
		}
	}
	return o
}

// read reads a folder whole.
func read(rows mailbox.Reader, f mailbox.Folder) (*folder, error) {
	b := builder{room: chunkRowsMax}
	b.done = make([]*chunk, 0, f.Messages/chunkRowsMax+1)
	err := rows.Messages(f.ID, 0, uidMax, func(m mailbox.Message) bool {
		b.add(m)
		return true
	})
	return b.folder(f), err
}

func (b *builder) folder(f mailbox.Folder) *folder {
	b.end()
	made := &folder{id: f.ID, highest: f.HighestSeq, chunks: b.done}
	for _, c := range b.done {
		made.count += uint32(len(c.rows))
	}
	return made
}

// after is the folder as it has become, by what has changed since; nil where that is not known, or would be a lot.
func (r *reader) after(f *folder, now mailbox.Folder) (*folder, error) {
	if now.HighestSeq < f.highest {
		return nil, nil
	}
	if steps, known := r.happened(now, f.highest); known {
		return f.behind(steps, now), nil
	}
	if now.PrunedUpTo > f.highest {
		return nil, nil
	}
	put, gone, err := readChanged(r.Scanner, f.id, f.highest)
	if err != nil {
		return nil, err
	}
	return f.with(now, put, gone), nil
}

func readChanged(rows mailbox.Reader, id mailbox.ItemID, since mailbox.Sequence) (put []*chunk, gone []mailbox.Tombstone, err error) {
	b := builder{room: chunkRowsMax}
	err = rows.ChangedSince(id, since, func(m mailbox.Message) bool {
		b.add(m)
		return true
	})
	if err == nil {
		err = rows.Tombstones(id, since, func(t mailbox.Tombstone) bool {
			gone = append(gone, t)
			return true
		})
	}
	b.end()
	return b.done, gone, err
}

// behind is the folder as it is behind steps that lead from here to what it is now.
func (f *folder) behind(steps []*step, now mailbox.Folder) *folder {
	return f.with(now, putBy(steps), removedBy(steps, f.id))
}

// with puts and removes messages, both ascending by UID and none in both; nil if that does not lead to what the folder is now. Messages that
// are put and were not there have greater UIDs than all that were.
func (f *folder) with(now mailbox.Folder, put []*chunk, gone []mailbox.Tombstone) *folder {
	b := builder{room: chunkRowsMax}
	b.done = make([]*chunk, 0, len(f.chunks)+len(put)+1)
	left := queue{chunks: put}
	for n, c := range f.chunks {
		last := c.last()
		if n == len(f.chunks)-1 {
			last = uidMax
		}
		goes := sort.Search(len(gone), func(i int) bool { return gone[i].UID > last })
		if whole := left.insteadOf(c); whole != nil && (last != uidMax || left.isEmpty()) {
			b.keep(whole)
		} else {
			b.merge(c, &left, last, gone[:goes])
		}
		gone = gone[goes:]
	}
	left.move(uidMax, &b) // there was no chunk
	if made := b.folder(now); made.count == now.Messages {
		return made
	}
	return nil
}

func (b *builder) merge(c *chunk, put *queue, last mailbox.UID, gone []mailbox.Tombstone) {
	if !put.has(last) && len(gone) == 0 {
		b.keep(c)
		return
	}
	b.end()
	for i := range c.rows {
		uid := c.rows[i].uid
		for len(gone) > 0 && gone[0].UID < uid {
			gone = gone[1:]
		}
		if !put.move(uid, b) && (len(gone) == 0 || gone[0].UID != uid) {
			b.addFrom(c, i)
		}
	}
	put.move(last, b)
}

// queue is rows of chunks, of which the first are taken.
type queue struct {
	chunks []*chunk
	at     int // in the first of them
}

func (q *queue) isEmpty() bool { return len(q.chunks) == 0 }

// has reports whether there are rows up to a UID.
func (q *queue) has(upTo mailbox.UID) bool { return !q.isEmpty() && q.chunks[0].rows[q.at].uid <= upTo }

// move takes the rows up to a UID for a builder, and reports whether there was one of just that UID.
func (q *queue) move(upTo mailbox.UID, b *builder) (found bool) {
	for q.has(upTo) {
		c := q.chunks[0]
		found = c.rows[q.at].uid == upTo
		b.addFrom(c, q.at)
		if q.at++; q.at == len(c.rows) {
			q.chunks, q.at = q.chunks[1:], 0
		}
	}
	return found
}

// insteadOf takes the first chunk, if it has all the messages of another and no more. Of its UIDs none was given since, for none is greater.
func (q *queue) insteadOf(c *chunk) *chunk {
	if q.isEmpty() || q.at > 0 {
		return nil
	}
	first := q.chunks[0]
	if len(first.rows) != len(c.rows) || first.rows[0].uid != c.rows[0].uid || first.last() != c.last() {
		return nil
	}
	q.chunks = q.chunks[1:]
	return first
}
