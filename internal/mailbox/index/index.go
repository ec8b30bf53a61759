// Package index owns folders' messages and their contents in memory, so that who opens a large folder again, or reads its flags or
// envelopes, need not ask the database for each of its rows.
//
// A Reader of a mailbox that a Cache lies over answers what it answered before, from memory where it can: the rows of a folder stay
// what they are as long as its HighestSeq does. What has changed the Cache knows of transactions that it is told of; of others it is read
// of the Reader beneath. It knows no engine, no protocol, and not who reads.
package index

import (
	"container/list"
	"math"
	"sync"

	"mailreplica/internal/mailbox"
)

const (
	uidMax = mailbox.UID(math.MaxUint32)

	// messagesMinDefault is from where on a folder is worth its memory: reading fewer rows takes no time.
	messagesMinDefault = 256
)

// Config bounds a Cache.
type Config struct {
	BytesMax         int64  // of all folders together
	ContentsBytesMax int64  // of all contents together, beside that
	PastBytesMax     int64  // of what transactions did, beside both
	MessagesMin      uint32 // smaller folders are not kept; 0 is the default
}

// Cache keeps folders of many mailboxes, those used last. It serves many goroutines at once.
type Cache struct {
	config   Config
	contents contents
	past     past

	mu      sync.Mutex
	bytes   int64
	folders map[key]*kept
	order   *list.List // of *kept; the one used last is in front
}

// key names a folder. A mailbox's number is never used again, so that its rows only ever go forward.
type key struct {
	mailboxID int64
	folder    mailbox.ItemID
}

// kept is what a Cache has of a folder: as it was read last, and the one before, for Readers of older snapshots.
type kept struct {
	key   key
	place *list.Element // under Cache.mu
	bytes int64         // under Cache.mu

	reading sync.Mutex // held while rows are read, so that they are read once for all who ask; taken before Cache.mu
	newest  *folder    // this and what follows under Cache.mu
	ahead   []*step    // what transactions did to it since, without a hole; past may have forgotten some of it
	before  *folder
}

// New makes an empty Cache.
func New(c Config) *Cache {
	if c.MessagesMin == 0 {
		c.MessagesMin = messagesMinDefault
	}
	return &Cache{
		config: c, folders: map[key]*kept{}, order: list.New(),
		contents: contents{bytesMax: c.ContentsBytesMax, blocks: map[blockKey]*block{}},
		past:     past{bytesMax: c.PastBytesMax, folders: map[key][]*step{}, order: list.New()},
	}
}

// Over is a Reader of the mailbox's rows that answers from memory what it can. rows are one snapshot; like it, what is given serves
// one goroutine.
func (c *Cache) Over(mailboxID int64, rows mailbox.Scanner) mailbox.Scanner {
	return &reader{Scanner: rows, cache: c, mailboxID: mailboxID}
}

// Forget drops what is kept of a mailbox that is no more.
func (c *Cache) Forget(mailboxID int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, held := range c.folders {
		if k.mailboxID == mailboxID {
			c.drop(held)
		}
	}
	c.contents.forget(mailboxID)
	c.past.forget(mailboxID)
}

// ContentsBytes is how much is kept of contents.
func (c *Cache) ContentsBytes() int64 {
	c.contents.mu.Lock()
	defer c.contents.mu.Unlock()
	return c.contents.bytes
}

// Bytes is how much is kept of folders.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// PastBytes is how much is kept of what transactions did.
func (c *Cache) PastBytes() int64 {
	c.past.mu.Lock()
	defer c.past.mu.Unlock()
	return c.past.bytes
}

// drop is called with mu held.
func (c *Cache) drop(held *kept) {
	if held.place == nil {
		return
	}
	c.order.Remove(held.place)
	held.place = nil
	c.bytes -= held.bytes
	delete(c.folders, held.key)
}

// at gives the folder as it is at a sequence of its own, if that is known.
func (c *Cache) at(k key, highest mailbox.Sequence) state {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := c.folders[k]
	if held == nil {
		return state{}
	}
	c.order.MoveToFront(held.place)
	return held.at(highest)
}

func (h *kept) at(highest mailbox.Sequence) state {
	for _, f := range []*folder{h.newest, h.before} {
		if f != nil && f.highest == highest {
			return state{folder: f}
		}
	}
	if i, found := stepAt(h.ahead, highest); found {
		return state{h.newest, h.ahead[: i+1 : i+1]}
	}
	return state{}
}

// holding gives what is kept of a folder; if nothing is, a new place for it where that is asked for.
func (c *Cache) holding(k key, make bool) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := c.folders[k]
	if held == nil && make {
		held = &kept{key: k}
		held.place = c.order.PushFront(held)
		c.folders[k] = held
	}
	return held
}

// newest is the last that was read of a folder.
func (c *Cache) newest(held *kept) *folder {
	c.mu.Lock()
	defer c.mu.Unlock()
	return held.newest
}

// put keeps what was read of a folder, and drops others if that is too much. It is called with held.reading held.
func (c *Cache) put(held *kept, f *folder) {
	before := c.newest(held)
	size := f.bytes(nil)
	if before != nil {
		if both := size + before.bytes(f); both <= c.config.BytesMax {
			size = both
		} else {
			before = nil // rather than that neither is kept
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if held.place == nil || held.newest != nil && held.newest.highest >= f.highest {
		return // forgotten meanwhile; or a Reader of an older snapshot read it
	}
	held.before, held.newest = before, f
	held.leaveBehind()
	c.resize(held, size+bytesOf(held.ahead))
}

// resize notes how large is what is kept of a folder, and drops others if that is too much. It is called with mu held.
func (c *Cache) resize(held *kept, bytes int64) {
	c.bytes += bytes - held.bytes
	held.bytes = bytes
	for c.bytes > c.config.BytesMax {
		c.drop(c.order.Back().Value.(*kept))
	}
}
