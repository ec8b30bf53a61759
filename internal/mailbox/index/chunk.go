package index

import (
	"cmp"
	"slices"
	"unsafe"

	"mailreplica/internal/mailbox"
)

const (
	chunkRowsMax = 256 // what a change of one message copies
	chunkSetsMax = 255 // different sets of keywords in one chunk, for row.set has a byte

	rowBytes   = int64(unsafe.Sizeof(row{}))
	chunkBytes = int64(unsafe.Sizeof(chunk{})) + int64(unsafe.Sizeof(&chunk{}))

	setBytes     = int64(unsafe.Sizeof([]string{}))
	keywordBytes = int64(unsafe.Sizeof("")) // without its text
)

// row is a message without its folder. It holds no pointer: the collector has nothing to follow in a million of them.
type row struct {
	id      mailbox.ItemID
	content mailbox.ItemID
	modSeq  mailbox.Sequence
	size    uint64
	date    int64
	uid     mailbox.UID
	zone    int16
	system  mailbox.SystemFlags
	set     uint8 // 0: no keywords; else those of sets[set-1]
}

// chunk is a run of a folder's messages, never altered.
type chunk struct {
	rows    []row // ascending by UID, at least one
	sets    [][]string
	highest mailbox.Sequence // of their mod-sequences
	unseen  int              // index of the first without \Seen, len(rows) if there is none
	gaps    bool             // between the UIDs
	deleted bool             // some have \Deleted
}

func (c *chunk) bytes() int64 {
	n := chunkBytes + int64(cap(c.rows))*rowBytes + int64(cap(c.sets))*setBytes
	for _, set := range c.sets {
		for _, keyword := range set {
			n += int64(len(keyword)) + keywordBytes
		}
	}
	return n
}

func (c *chunk) last() mailbox.UID { return c.rows[len(c.rows)-1].uid }

// find is the index of the first row with that UID or a greater one.
func (c *chunk) find(uid mailbox.UID) (int, bool) {
	return slices.BinarySearchFunc(c.rows, uid, func(r row, uid mailbox.UID) int { return cmp.Compare(r.uid, uid) })
}

func (c *chunk) message(folder mailbox.ItemID, i int) mailbox.Message {
	r := &c.rows[i]
	m := mailbox.Message{
		FolderID: folder, UID: r.uid, ID: r.id, ContentID: r.content, ModSeq: r.modSeq, InternalDate: r.date, DateZone: r.zone,
		Size: r.size, Flags: mailbox.Flags{System: r.system},
	}
	if r.set > 0 {
		m.Flags.Keywords = c.sets[r.set-1]
	}
	return m
}

// builder makes chunks of messages that come ascending.
type builder struct {
	done []*chunk
	now  chunk
	room int // of a chunk at first: as many messages as may come
}

func (b *builder) add(m mailbox.Message) {
	b.addRow(row{
		id: m.ID, content: m.ContentID, modSeq: m.ModSeq, size: m.Size, date: m.InternalDate, uid: m.UID, zone: m.DateZone,
		system: m.Flags.System,
	}, m.Flags.Keywords)
}

// addFrom adds a row of another chunk.
func (b *builder) addFrom(c *chunk, i int) {
	r := c.rows[i]
	var keywords []string
	if r.set > 0 {
		keywords = c.sets[r.set-1]
	}
	b.addRow(r, keywords)
}

func (b *builder) addRow(r row, keywords []string) {
	set, room := b.now.setOf(keywords)
	if !room || len(b.now.rows) == chunkRowsMax {
		b.end()
		set, _ = b.now.setOf(keywords)
	}
	r.set = set
	if b.now.rows == nil {
		b.now.rows = make([]row, 0, min(chunkRowsMax, b.room))
	}
	if n := len(b.now.rows); n > 0 && b.now.rows[n-1].uid+1 != r.uid {
		b.now.gaps = true
	}
	if b.now.unseen == len(b.now.rows) && r.system&mailbox.Seen != 0 {
		b.now.unseen++
	}
	b.now.deleted = b.now.deleted || r.system&mailbox.Deleted != 0
	b.now.rows = append(b.now.rows, r)
	b.now.highest = max(b.now.highest, r.modSeq)
}

// end completes a chunk.
func (b *builder) end() {
	if len(b.now.rows) == 0 {
		return
	}
	c := b.now
	c.rows = slices.Clip(c.rows)
	if cap(c.rows) < chunkRowsMax {
		c.rows = slices.Clone(c.rows) // the room that is left is not kept
	}
	b.done = append(b.done, &c)
	b.now = chunk{}
}

// keep takes a chunk over as it is.
func (b *builder) keep(c *chunk) {
	b.end()
	b.done = append(b.done, c)
}

// setOf finds keywords among the sets, or adds them if there is room.
func (c *chunk) setOf(keywords []string) (set uint8, room bool) {
	if len(keywords) == 0 {
		return 0, true
	}
	for i, known := range c.sets {
		if slices.Equal(known, keywords) {
			return uint8(i + 1), true
		}
	}
	if len(c.sets) == chunkSetsMax {
		return 0, false
	}
	c.sets = append(c.sets, keywords)
	return uint8(len(c.sets)), true
}
