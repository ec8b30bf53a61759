package index

import (
	"sync"
	"unsafe"

	"mailreplica/internal/mailbox"
)

const (
	// blockIDs is how many ids a block spans. About half of them are contents: what else a mailbox has takes its ids from the
	// same counter.
	blockIDs = 64

	// blockWantedMin is how many contents of a block have to be wanted at once for the others to be read along with them.
	blockWantedMin = 8

	// summaryBytesMax is from where on a summary is not worth its memory.
	summaryBytesMax = 64 << 10
)

// contents are contents of many mailboxes. Nobody has to tell it what has changed: a content never does, and its id is never used
// again. One that was removed may stay here, for it is only asked for by who has a message that refers to it.
//
// Where there is too much, any block goes. If it were the one used longest ago, a folder somewhat larger than the room would be read from
// its start to its end, and each block would be gone just before its turn.
type contents struct {
	bytesMax int64

	mu     sync.Mutex
	bytes  int64
	blocks map[blockKey]*block
}

type blockKey struct {
	mailboxID int64
	number    mailbox.ItemID // of all blocks of the mailbox: its first id divided by blockIDs
}

// block is the contents of a run of ids, never altered. The collector finds five pointers in it.
type block struct {
	key     blockKey
	entries []entry // ascending by id
	volumes []string
	names   string // of blobs, one behind the other
	text    []byte // summaries likewise
}

// entry is a content of a block.
type entry struct {
	nameEnd, textEnd uint32
	id               uint8 // behind the first of the block
	volume           uint8
}

func (b *block) bytes() int64 {
	const fixed = int64(unsafe.Sizeof(block{})) + 64 // the map's share
	n := fixed + int64(cap(b.entries))*int64(unsafe.Sizeof(entry{})) + int64(len(b.names)) + int64(cap(b.text))
	for _, volume := range b.volumes {
		n += int64(len(volume)) + int64(unsafe.Sizeof(volume))
	}
	return n
}

func (b *block) content(i int) mailbox.Content {
	e := &b.entries[i]
	var name, text uint32
	if i > 0 {
		name, text = b.entries[i-1].nameEnd, b.entries[i-1].textEnd
	}
	return mailbox.Content{
		ID: b.key.number*blockIDs + mailbox.ItemID(e.id), Volume: b.volumes[e.volume], Blob: b.names[name:e.nameEnd],
		Summary: b.text[text:e.textEnd:e.textEnd],
	}
}

// has reports whether a block has contents with all of the ids, which ascend and lie in it.
func (b *block) has(ids []mailbox.ItemID) bool {
	i := 0
	for _, id := range ids {
		for i < len(b.entries) && b.entries[i].id < uint8(id%blockIDs) {
			i++
		}
		if i == len(b.entries) || b.entries[i].id != uint8(id%blockIDs) {
			return false
		}
	}
	return true
}

// get gives a block, if it is kept.
func (c *contents) get(k blockKey) *block {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[k]
}

// put keeps a block, and drops others if that is too much.
func (c *contents) put(b *block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.blocks[b.key]; old != nil {
		c.drop(old)
	}
	c.blocks[b.key] = b
	c.bytes += b.bytes()
	for _, some := range c.blocks { // in no order
		if c.bytes <= c.bytesMax {
			break
		}
		c.drop(some)
	}
}

// drop is called with mu held.
func (c *contents) drop(b *block) {
	delete(c.blocks, b.key)
	c.bytes -= b.bytes()
}

// forget drops what is kept of a mailbox.
func (c *contents) forget(mailboxID int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, b := range c.blocks {
		if k.mailboxID == mailboxID {
			c.drop(b)
		}
	}
}

// blockBuilder makes blocks of contents that come ascending, and hands on each when the next begins.
type blockBuilder struct {
	mailboxID int64
	put       func(*block)
	now       *block
	names     []byte
	text      []byte
}

func (b *blockBuilder) add(c mailbox.Content) {
	if len(c.Summary) > summaryBytesMax {
		return
	}
	number := c.ID / blockIDs
	if b.now == nil || b.now.key.number != number {
		b.end()
		b.now = &block{key: blockKey{b.mailboxID, number}, entries: make([]entry, 0, blockIDs/2)}
		b.names, b.text = b.names[:0], b.text[:0]
	}
	b.names = append(b.names, c.Blob...)
	b.text = append(b.text, c.Summary...)
	b.now.entries = append(b.now.entries, entry{
		nameEnd: uint32(len(b.names)), textEnd: uint32(len(b.text)), id: uint8(c.ID % blockIDs), volume: b.now.volume(c.Volume),
	})
}

// volume finds a volume among those of the block, or adds it.
func (b *block) volume(name string) uint8 {
	for i := range b.volumes {
		if b.volumes[i] == name {
			return uint8(i)
		}
	}
	b.volumes = append(b.volumes, name)
	return uint8(len(b.volumes) - 1)
}

// end completes a block.
func (b *blockBuilder) end() {
	if b.now == nil {
		return
	}
	b.now.names = string(b.names)
	b.now.text = append(make([]byte, 0, len(b.text)), b.text...)
	b.put(b.now)
	b.now = nil
}

// ContentsOf is what mailbox.ContentsOf asks for.
func (r *reader) ContentsOf(ids []mailbox.ItemID, yield func(mailbox.Content) bool) error {
	for len(ids) > 0 {
		rest, more, err := r.contentsKept(ids, yield)
		if err != nil || !more {
			return err
		}
		read := 0 // of the blocks that follow
		for read < len(rest) && r.worthReading(rest[read:]) {
			read += inBlock(rest[read:])
		}
		if read == 0 {
			read = min(inBlock(rest), len(rest))
			err = mailbox.ReadContentsOf(r.Scanner, rest[:read], stopping(yield, &more))
		} else {
			err = r.readBlocks(rest[:read], stopping(yield, &more))
		}
		if err != nil || !more {
			return err
		}
		ids = rest[read:]
	}
	return nil
}

// stopping is yield, and remembers that it has returned false.
func stopping(yield func(mailbox.Content) bool, more *bool) func(mailbox.Content) bool {
	return func(c mailbox.Content) bool {
		*more = yield(c)
		return *more
	}
}

// inBlock is how many of the first ids are in one block.
func inBlock(ids []mailbox.ItemID) int {
	n := 0
	for n < len(ids) && ids[n]/blockIDs == ids[0]/blockIDs {
		n++
	}
	return n
}

// contentsKept yields the first contents as far as they are kept, and gives the ids of the others.
func (r *reader) contentsKept(ids []mailbox.ItemID, yield func(mailbox.Content) bool) (rest []mailbox.ItemID, more bool, err error) {
	for len(ids) > 0 {
		n := inBlock(ids)
		b := r.cache.contents.get(blockKey{r.mailboxID, ids[0] / blockIDs})
		if b == nil || !b.has(ids[:n]) {
			return ids, true, nil
		}
		i := 0
		for _, id := range ids[:n] {
			for b.entries[i].id < uint8(id%blockIDs) {
				i++
			}
			c := b.content(i)
			if err := r.checkContent(c); err != nil {
				return nil, false, err
			}
			if !yield(c) {
				return nil, false, nil
			}
		}
		ids = ids[n:]
	}
	return nil, true, nil
}

// worthReading reports whether the whole block of the first ids is read: it is not kept, or lacks some, and many are wanted.
func (r *reader) worthReading(ids []mailbox.ItemID) bool {
	n := inBlock(ids)
	if n < blockWantedMin {
		return false
	}
	b := r.cache.contents.get(blockKey{r.mailboxID, ids[0] / blockIDs})
	return b == nil || !b.has(ids[:n])
}

// readBlocks reads all contents from the block of the first id to that of the last, keeps them, and yields those that are wanted.
func (r *reader) readBlocks(ids []mailbox.ItemID, yield func(mailbox.Content) bool) error {
	b := blockBuilder{mailboxID: r.mailboxID, put: r.cache.contents.put}
	first, last := ids[0]/blockIDs*blockIDs, ids[len(ids)-1]/blockIDs*blockIDs+blockIDs-1
	stopped := false
	err := r.Scanner.Contents(first, last, func(c mailbox.Content) bool {
		b.add(c)
		for len(ids) > 0 && ids[0] < c.ID {
			ids = ids[1:]
		}
		stopped = len(ids) > 0 && ids[0] == c.ID && !yield(c)
		return !stopped
	})
	if err == nil && !stopped {
		b.end()
	}
	return err
}
