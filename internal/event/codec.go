package event

import (
	"encoding/binary"
	"slices"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// codec walks a layout in either direction: one description of each layout serves the writer and the reader, so the two
// cannot differ. Layouts are canonical: there is one encoding of a value, and any other is refused.
//
// The first failure sticks, and everything after it does nothing.
type codec struct {
	reading bool
	b       []byte // writing: what has been written; reading: what is left
	shared  string // reading: what ends with b, if texts are to be parts of it and slices of b
	uids    int    // listed so far
	err     error
}

// finish is the end of reading: it refuses what follows the layout.
func (c *codec) finish(what string) error {
	if c.err == nil && len(c.b) > 0 {
		c.fail("%d bytes follow it", len(c.b))
	}
	if c.err != nil {
		return fault.Wrap(fault.Invalid, c.err, "malformed %s", what)
	}
	return nil
}

func (c *codec) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fault.New(fault.Invalid, format, args...)
		c.b = nil
	}
}

func (c *codec) failTooLarge(format string, args ...any) {
	if c.err == nil {
		c.err = fault.New(fault.TooLarge, format, args...)
		c.b = nil
	}
}

type unsigned interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64
}

// number is an unsigned integer of as few bytes as hold it.
func number[T unsigned](c *codec, v *T) {
	if c.err != nil {
		return
	}
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, uint64(*v))
		return
	}
	x, n := binary.Uvarint(c.b)
	if n <= 0 || n > 1 && c.b[n-1] == 0 || uint64(T(x)) != x {
		c.fail("a number is cut off, padded or too large")
		return
	}
	*v, c.b = T(x), c.b[n:]
}

// integer is a signed integer, small magnitudes first.
func integer[T ~int16 | ~int64](c *codec, v *T) {
	x := uint64(int64(*v)<<1) ^ uint64(int64(*v)>>63)
	number(c, &x)
	if c.reading {
		y := int64(x>>1) ^ -int64(x&1)
		*v = T(y)
		if int64(T(y)) != y {
			c.fail("a signed number is too large")
		}
	}
}

// sequence is a number below 2^63: databases hold no larger one.
func (c *codec) sequence(v *mailbox.Sequence) {
	number(c, v)
	if *v>>sequenceBitsMax != 0 {
		c.fail("sequence %d is 2^63 or more", *v)
	}
}

// count is the length of a list, of which each member takes a byte or more.
func (c *codec) count(n int) int {
	v := uint64(n)
	number(c, &v)
	if c.reading && v > uint64(len(c.b)) {
		c.fail("a list is cut off")
		return 0
	}
	return int(v)
}

// fixed is a field of a fixed length; v has it already.
func (c *codec) fixed(v []byte) {
	switch {
	case c.err != nil:
	case !c.reading:
		c.b = append(c.b, v...)
	case len(c.b) < len(v):
		c.fail("a field is cut off")
	default:
		c.b = c.b[copy(v, c.b):]
	}
}

// text is a string of at most max bytes, of any content.
func (c *codec) text(v *string, max int) {
	n := c.length(len(*v), max)
	if c.err != nil {
		return
	}
	if !c.reading {
		c.b = append(c.b, *v...)
		return
	}
	if c.shared != "" {
		from := len(c.shared) - len(c.b)
		*v, c.b = c.shared[from:from+n], c.b[n:]
		return
	}
	*v, c.b = string(c.b[:n]), c.b[n:]
}

// bytes is text for slices. An empty slice is read as nil; what is read is a copy, for the input may be reused or large, unless it is
// shared.
func (c *codec) bytes(v *[]byte, max int) {
	n := c.length(len(*v), max)
	if c.err != nil {
		return
	}
	if !c.reading {
		c.b = append(c.b, *v...)
		return
	}
	if c.shared == "" {
		*v, c.b = append([]byte(nil), c.b[:n]...), c.b[n:]
		return
	}
	*v = nil
	if n > 0 {
		*v = c.b[:n:n]
	}
	c.b = c.b[n:]
}

func (c *codec) length(n, max int) int {
	if !c.reading && n > max {
		c.failTooLarge("a field of %d bytes is over the limit of %d", n, max)
	}
	n = c.count(n)
	if c.reading && n > max {
		c.fail("a field of %d bytes is over the limit of %d", n, max)
	}
	return n
}

// uidList is a list of strictly ascending UIDs. Each item is the distance from the UID before, twice, plus one if a run of
// consecutive UIDs begins there, whose further length follows: a mailbox of 20,000 messages is named in five bytes.
func (c *codec) uidList(v *[]mailbox.UID) {
	if c.reading {
		c.readUIDs(v)
		return
	}
	type item struct{ first, further uint64 }
	var items []item
	previous := uint64(0)
	for _, uid := range *v {
		switch u := uint64(uid); {
		case u <= previous:
			c.fail("UIDs do not ascend: %d after %d", u, previous)
			return
		case len(items) > 0 && u == previous+1:
			items[len(items)-1].further++
		default:
			items = append(items, item{first: u})
		}
		previous = uint64(uid)
	}
	c.allowUIDs(uint64(len(*v)))
	c.count(len(items))
	previous = 0
	for _, it := range items {
		distance := (it.first - previous - 1) << 1
		if it.further > 0 {
			distance |= 1
		}
		number(c, &distance)
		if it.further > 0 {
			number(c, &it.further)
		}
		previous = it.first + it.further
	}
}

func (c *codec) readUIDs(v *[]mailbox.UID) {
	items := c.count(0)
	previous := uint64(0)
	var uids []mailbox.UID
	for i := range items {
		var distance, further uint64
		number(c, &distance)
		if distance&1 == 1 {
			number(c, &further)
			if further == 0 {
				c.fail("a run of UIDs has no length")
			}
		}
		if i > 0 && distance>>1 == 0 {
			c.fail("a run of UIDs is split")
		}
		first := previous + 1 + distance>>1
		if further > ChangeUIDsMax || first+further > 1<<32-1 {
			c.fail("a UID is 2^32 or more")
		}
		c.allowUIDs(1 + further)
		if c.err != nil {
			return
		}
		uids = slices.Grow(uids, int(1+further))
		for u := first; u <= first+further; u++ {
			uids = append(uids, mailbox.UID(u))
		}
		previous = first + further
	}
	*v = uids
}

// idList is a list of strictly ascending ids, each as its distance from the one before, less one.
func (c *codec) idList(v *[]mailbox.ItemID) {
	n := c.count(len(*v))
	c.allowUIDs(uint64(n))
	if c.err != nil {
		return
	}
	if c.reading && n > 0 {
		*v = make([]mailbox.ItemID, n)
	}
	previous := mailbox.ItemID(0)
	for i := range n {
		id := &(*v)[i]
		if !c.reading && *id <= previous {
			c.fail("ids do not ascend: %d after %d", *id, previous)
			return
		}
		distance := *id - previous - 1
		number(c, &distance)
		if c.reading {
			*id = previous + 1 + distance
			if *id <= previous {
				c.fail("an id is 2^64 or more")
			}
		}
		if c.err != nil {
			return
		}
		previous = *id
	}
}

func (c *codec) allowUIDs(n uint64) {
	if n > uint64(ChangeUIDsMax-c.uids) {
		c.failTooLarge("a change lists more than %d UIDs", ChangeUIDsMax)
		return
	}
	c.uids += int(n)
}

// flags are a message's flags. Keywords ascend bytewise (mailbox.Flags).
func (c *codec) flags(v *mailbox.Flags) {
	number(c, &v.System)
	const known = mailbox.Seen | mailbox.Answered | mailbox.Flagged | mailbox.Deleted | mailbox.DraftFlag
	if v.System&^known != 0 {
		c.fail("unknown system flags %#x", v.System)
	}
	n := c.count(len(v.Keywords))
	if n > keywordsMax {
		c.failTooLarge("%d keywords are over the limit of %d", n, keywordsMax)
		return
	}
	if c.reading && n > 0 {
		v.Keywords = make([]string, n)
	}
	for i := range n {
		c.text(&v.Keywords[i], textBytesMax)
		if i > 0 && v.Keywords[i-1] >= v.Keywords[i] {
			c.fail("keywords do not ascend: %q after %q", v.Keywords[i], v.Keywords[i-1])
		}
		if c.err != nil {
			return
		}
	}
}

func (c *codec) digest(v *mailbox.Digest) {
	b := v.Bytes()
	c.fixed(b[:])
	*v = mailbox.DigestFromBytes(b)
}
