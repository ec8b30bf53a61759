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
	c := codec{b: b}
	tag := tagOfRow(row)
	if tag == 0 {
		return nil, fault.New(fault.Invalid, "%T is no row of a mailbox", row)
	}
	number(&c, &tag)
	c.row(row)
	return c.b, c.err
}

// DecodeRow is the inverse of EncodeRow. What it returns shares no memory with b.
func DecodeRow(b []byte) (Row, error) {
	c := codec{reading: true, b: b}
	var tag uint8
	number(&c, &tag)
	row := c.row(blankRow(tag))
	if row == nil {
		c.fail("unknown row %d", tag)
	}
	if err := c.finish("row"); err != nil {
		return nil, err
	}
	return row, nil
}

func tagOfRow(row Row) uint8 {
	switch row.(type) {
	case mailbox.Header:
		return tagHeader
	case mailbox.Folder:
		return tagFolder
	case mailbox.Content:
		return tagContent
	case mailbox.Message:
		return tagMessage
	case mailbox.Tombstone:
		return tagTombstone
	case Subscription:
		return tagSubscription
	case mailbox.Delivery:
		return tagDelivery
	case mailbox.Discarded:
		return tagDiscarded
	}
	return 0
}

func blankRow(tag uint8) Row {
	rows := [...]Row{
		tagHeader: mailbox.Header{}, tagFolder: mailbox.Folder{}, tagContent: mailbox.Content{}, tagMessage: mailbox.Message{},
		tagTombstone: mailbox.Tombstone{}, tagSubscription: Subscription{}, tagDelivery: mailbox.Delivery{},
		tagDiscarded: mailbox.Discarded{},
	}
	if int(tag) >= len(rows) {
		return nil
	}
	return rows[tag]
}

// row walks the layout of a row: it writes the one given, or reads over a blank one. nil if there is no such row.
func (c *codec) row(row Row) Row {
	switch r := row.(type) {
	case mailbox.Header:
		c.sequence(&r.Sequence)
		number(c, &r.NextItemID)
		number(c, &r.NextUIDValidity)
		number(c, &r.Messages)
		number(c, &r.Bytes)
		c.digest(&r.Digest)
		return r
	case mailbox.Folder:
		c.folder(&r)
		return r
	case mailbox.Content:
		c.content(&r)
		return r
	case mailbox.Message:
		c.message(&r)
		c.sequence(&r.ModSeq)
		return r
	case mailbox.Tombstone:
		number(c, &r.FolderID)
		number(c, &r.UID)
		c.sequence(&r.Sequence)
		return r
	case Subscription:
		c.text(&r.Name, textBytesMax)
		return r
	case mailbox.Delivery:
		c.fixed(r.Key[:])
		c.sequence(&r.Sequence)
		return r
	case mailbox.Discarded:
		number(c, &r.ContentID)
		c.text(&r.Volume, textBytesMax)
		c.text(&r.Blob, textBytesMax)
		c.sequence(&r.Sequence)
		integer(c, &r.At)
		return r
	}
	return nil
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
