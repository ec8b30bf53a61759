package mailbox

import "encoding/binary"

// The canonical encoding of each row, for the digest only; it is never stored or sent. A tag tells the kinds of rows
// apart, numbers are uvarints, strings carry their length: two different rows never encode alike. Changing any of this
// changes every digest, so replicas of two versions would call each other diverged.
const (
	tagCounters     = 'H'
	tagFolder       = 'F'
	tagContent      = 'C'
	tagMessage      = 'M'
	tagTombstone    = 'T'
	tagSubscription = 'S'
	tagDelivery     = 'D'
	tagDiscarded    = 'X'
)

// row is anything that counts in the digest.
type row interface{ appendRow(b []byte) []byte }

func appendString[S string | []byte](b []byte, s S) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func (h Header) appendRow(b []byte) []byte {
	return appendNumbers(append(b, tagCounters), uint64(h.NextItemID), uint64(h.NextUIDValidity), h.Messages, h.Bytes)
}

func (f Folder) appendRow(b []byte) []byte {
	b = appendNumbers(append(b, tagFolder), uint64(f.ID), uint64(f.UIDValidity), uint64(f.UIDNext), uint64(f.HighestSeq),
		uint64(f.Messages), uint64(f.Unseen), f.Bytes, uint64(f.Tombstones), uint64(f.PrunedUpTo))
	return appendString(appendString(b, f.Name), f.SpecialUse)
}

func (c Content) appendRow(b []byte) []byte {
	b = appendNumbers(append(b, tagContent), uint64(c.ID))
	return appendString(appendString(appendString(b, c.Volume), c.Blob), c.Summary)
}

func (m Message) appendRow(b []byte) []byte {
	b = appendNumbers(append(b, tagMessage), uint64(m.FolderID), uint64(m.UID), uint64(m.ID), uint64(m.ContentID), uint64(m.ModSeq),
		uint64(m.InternalDate), uint64(uint16(m.DateZone)), m.Size, uint64(m.Flags.System), uint64(len(m.Flags.Keywords)))
	for _, keyword := range m.Flags.Keywords {
		b = appendString(b, keyword)
	}
	return b
}

func (t Tombstone) appendRow(b []byte) []byte {
	return appendNumbers(append(b, tagTombstone), uint64(t.FolderID), uint64(t.UID), uint64(t.Sequence))
}

func (d Delivery) appendRow(b []byte) []byte {
	return append(appendNumbers(append(b, tagDelivery), uint64(d.Sequence)), d.Key[:]...)
}

func (d Discarded) appendRow(b []byte) []byte {
	b = appendNumbers(append(b, tagDiscarded), uint64(d.ContentID), uint64(d.Sequence), uint64(d.At))
	return appendString(appendString(b, d.Volume), d.Blob)
}

// subscription is a subscribed name as a row.
type subscription string

func (s subscription) appendRow(b []byte) []byte {
	return appendString(append(b, tagSubscription), string(s))
}

// tally is a digest that moves with the rows. Its buffer is reused: hashing a row allocates nothing.
type tally struct {
	digest Digest
	buffer []byte
}

func (t *tally) put(r row) {
	t.buffer = r.appendRow(t.buffer[:0])
	t.digest = t.digest.add(t.buffer)
}

func (t *tally) remove(r row) {
	t.buffer = r.appendRow(t.buffer[:0])
	t.digest = t.digest.subtract(t.buffer)
}

// Sum is the digest of rows that are added to it. The zero value is that of none.
type Sum struct{ of tally }

// Digest is the digest of all that was added.
func (s *Sum) Digest() Digest { return s.of.digest }

// AddSubscription adds a subscribed name.
func (s *Sum) AddSubscription(name string) { s.of.put(subscription(name)) }

// AddRows adds rows: of the type Header, Folder, Content, Message, Tombstone, Delivery or Discarded.
func AddRows[R row](s *Sum, rows []R) {
	for i := range rows {
		s.of.put(any(&rows[i]).(row)) // by its address: a copy of its own for each would cost more than the hash
	}
}

// EmptyHeader is the header of a mailbox without rows, at sequence 0.
func EmptyHeader() Header {
	h := Header{NextItemID: 1, NextUIDValidity: 1}
	var t tally
	t.put(h)
	h.Digest = t.digest
	return h
}
