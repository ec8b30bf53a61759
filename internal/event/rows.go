package event

import (
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// Row is a row of a mailbox: mailbox.Header, Folder, Content, Message, Tombstone, Delivery, Discarded, or Subscription.
type Row any

// Subscription is the row of a subscribed name.
type Subscription struct{ Name string }

// Tags of rows. A tag names a layout for ever: another layout of the same row takes another tag.
const (
	tagHeader uint8 = iota + 1
	tagFolder
	tagContent
	tagMessage
	tagTombstone
	tagSubscription
	tagDelivery
	tagDiscarded
)

// EncodeRow encodes one row of a mailbox, as snapshots carry it.
func EncodeRow(row Row) ([]byte, error) { return AppendRow(nil, row) }

// AppendRow appends the encoding of a row to b.
func AppendRow(b []byte, row Row) ([]byte, error) {
	switch r := row.(type) {
	case mailbox.Header:
		return appendRow(b, tagHeader, &r, (*codec).header)
	case mailbox.Folder:
		return appendRow(b, tagFolder, &r, (*codec).folder)
	case mailbox.Content:
		return AppendContent(b, &r)
	case mailbox.Message:
		return AppendMessage(b, &r)
	case mailbox.Tombstone:
		return appendRow(b, tagTombstone, &r, (*codec).tombstone)
	case Subscription:
		return appendRow(b, tagSubscription, &r, (*codec).subscription)
	case mailbox.Delivery:
		return appendRow(b, tagDelivery, &r, (*codec).delivery)
	case mailbox.Discarded:
		return appendRow(b, tagDiscarded, &r, (*codec).discarded)
	}
	return nil, fault.New(fault.Invalid, "%T is no row of a mailbox", row)
}

// AppendContent and AppendMessage are AppendRow for the rows that are many: they allocate nothing.
func AppendContent(b []byte, row *mailbox.Content) ([]byte, error) {
	c := codec{b: append(b, tagContent)}
	c.content(row)
	return c.b, c.err
}

// AppendMessage is said beside AppendContent.
func AppendMessage(b []byte, row *mailbox.Message) ([]byte, error) {
	c := codec{b: append(b, tagMessage)}
	c.storedMessage(row)
	return c.b, c.err
}

func appendRow[R any](b []byte, tag uint8, row *R, walk func(*codec, *R)) ([]byte, error) {
	c := codec{b: append(b, tag)}
	walk(&c, row)
	return c.b, c.err
}

// DecodeRow is the inverse of EncodeRow. What it returns shares no memory with b.
func DecodeRow(b []byte) (Row, error) {
	var rows Rows
	if err := rows.Decode(b, ""); err != nil {
		return nil, err
	}
	var row Row
	rows.Each(func(r Row) { row = r })
	return row, nil
}

// Rows are rows of a mailbox by their kinds. They are made to be decoded in large numbers, and to be used again.
type Rows struct {
	Headers       []mailbox.Header
	Folders       []mailbox.Folder
	Contents      []mailbox.Content
	Messages      []mailbox.Message
	Tombstones    []mailbox.Tombstone
	Subscriptions []Subscription
	Deliveries    []mailbox.Delivery
	Discarded     []mailbox.Discarded
}

// Len is how many rows there are.
func (r *Rows) Len() int {
	return len(r.Headers) + len(r.Folders) + len(r.Contents) + len(r.Messages) + len(r.Tombstones) + len(r.Subscriptions) +
		len(r.Deliveries) + len(r.Discarded)
}

// Each yields all of them, kind by kind.
func (r *Rows) Each(yield func(Row)) {
	each(r.Headers, yield)
	each(r.Folders, yield)
	each(r.Contents, yield)
	each(r.Messages, yield)
	each(r.Tombstones, yield)
	each(r.Subscriptions, yield)
	each(r.Deliveries, yield)
	each(r.Discarded, yield)
}

func each[R any](rows []R, yield func(Row)) {
	for _, row := range rows {
		yield(row)
	}
}

// Reset leaves no rows, and the memory that they took.
func (r *Rows) Reset() {
	*r = Rows{
		r.Headers[:0], r.Folders[:0], r.Contents[:0], r.Messages[:0], r.Tombstones[:0], r.Subscriptions[:0], r.Deliveries[:0],
		r.Discarded[:0],
	}
}

// Decode adds the row that b is the encoding of. If text holds the same bytes as b, the row's texts are parts of it, and its summary is
// of b: both live as long as the row does. With an empty text the row shares no memory with b. After an error the rows are of no use.
func (r *Rows) Decode(b []byte, text string) error {
	c := codec{reading: true, b: b, shared: text}
	var tag uint8
	number(&c, &tag)
	switch tag {
	case tagHeader:
		c.header(another(&r.Headers))
	case tagFolder:
		c.folder(another(&r.Folders))
	case tagContent:
		c.content(another(&r.Contents))
	case tagMessage:
		c.storedMessage(another(&r.Messages))
	case tagTombstone:
		c.tombstone(another(&r.Tombstones))
	case tagSubscription:
		c.subscription(another(&r.Subscriptions))
	case tagDelivery:
		c.delivery(another(&r.Deliveries))
	case tagDiscarded:
		c.discarded(another(&r.Discarded))
	default:
		c.fail("unknown row %d", tag)
	}
	return c.finish("row")
}

// another adds a blank row.
func another[R any](rows *[]R) *R {
	var blank R
	*rows = append(*rows, blank)
	return &(*rows)[len(*rows)-1]
}

// Layouts of rows: each writes the row given, or reads over a blank one.

func (c *codec) header(r *mailbox.Header) {
	c.sequence(&r.Sequence)
	number(c, &r.NextItemID)
	number(c, &r.NextUIDValidity)
	number(c, &r.Messages)
	number(c, &r.Bytes)
	c.digest(&r.Digest)
}

// storedMessage is a message with its ModSeq.
func (c *codec) storedMessage(r *mailbox.Message) {
	c.message(r)
	c.sequence(&r.ModSeq)
}

func (c *codec) tombstone(r *mailbox.Tombstone) {
	number(c, &r.FolderID)
	number(c, &r.UID)
	c.sequence(&r.Sequence)
}

func (c *codec) subscription(r *Subscription) { c.text(&r.Name, textBytesMax) }

func (c *codec) delivery(r *mailbox.Delivery) {
	c.fixed(r.Key[:])
	c.sequence(&r.Sequence)
}

func (c *codec) discarded(r *mailbox.Discarded) {
	number(c, &r.ContentID)
	c.text(&r.Volume, textBytesMax)
	c.text(&r.Blob, textBytesMax)
	c.sequence(&r.Sequence)
	integer(c, &r.At)
}

func (c *codec) folder(f *mailbox.Folder) {
	number(c, &f.ID)
	c.text(&f.Name, textBytesMax)
	number(c, &f.UIDValidity)
	number(c, &f.UIDNext)
	c.sequence(&f.HighestSeq)
	c.text(&f.SpecialUse, textBytesMax)
	number(c, &f.Messages)
	number(c, &f.Unseen)
	number(c, &f.Bytes)
	number(c, &f.Tombstones)
	c.sequence(&f.PrunedUpTo)
}

func (c *codec) content(t *mailbox.Content) {
	number(c, &t.ID)
	c.text(&t.Volume, textBytesMax)
	c.text(&t.Blob, textBytesMax)
	c.bytes(&t.Summary, summaryBytesMax)
}

// message is a message without its ModSeq: in a change that is the change's sequence.
func (c *codec) message(m *mailbox.Message) {
	number(c, &m.FolderID)
	number(c, &m.UID)
	number(c, &m.ID)
	number(c, &m.ContentID)
	integer(c, &m.InternalDate)
	integer(c, &m.DateZone)
	number(c, &m.Size)
	c.flags(&m.Flags)
}
