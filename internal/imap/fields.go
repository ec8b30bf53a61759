package imap

import (
	"io"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/message"
)

// fieldsOfBytesMax bounds a header whose fields the mailbox is asked for. A larger one is read with the body, and held once.
const fieldsOfBytesMax = 16 << 10

// filter is HEADER.FIELDS or HEADER.FIELDS.NOT made ready.
type filter struct {
	names  []string // in lower case
	not    bool
	fields *message.FieldFilter
}

func filterOf(section wire.Section) (f filter) {
	if section.Fields == nil {
		return f
	}
	for _, field := range section.Fields {
		f.names = append(f.names, lowerName(field))
	}
	f.not = section.Text == wire.SectionHeaderFieldsNot
	f.fields = message.NewFieldFilter(f.names, f.not)
	return f
}

// prepare filters a header of a message. Of a large one what is kept is not held until it is written, for a command can ask for much: it
// is filtered again.
func (f *filter) prepare(partial *wire.Partial, m *opening, start, size int64) (piece, error) {
	if start == 0 && size <= fieldsOfBytesMax && !f.not {
		return f.prepareOwn(partial, m, size)
	}
	header, err := m.headerAt(start, size)
	if err != nil {
		return piece{}, err
	}
	from, n := clip(f.fields.Size(header), partial)
	return piece{present: true, size: n, open: func() (io.Reader, error) {
		header, err := m.headerAt(start, size)
		if err != nil {
			return nil, err
		}
		kept := f.fields.Reader(header)
		if _, err := io.CopyN(io.Discard, kept, from); err != nil {
			return nil, err
		}
		return io.LimitReader(kept, n), nil
	}}, nil
}

// prepareOwn filters the message's own header, of which the mailbox may have those fields at hand.
func (f *filter) prepareOwn(partial *wire.Partial, m *opening, size int64) (piece, error) {
	text, err := m.session.mailbox.Fields(m.session.ctx, m.content, size, f.names)
	if err != nil {
		return piece{}, err
	}
	kept := f.fields.Size(text)
	if kept < int64(len(text)) {
		text = f.fields.Append(make([]byte, 0, kept), text)
	}
	from, n := clip(kept, partial)
	return piece{present: true, text: text[from : from+n]}, nil
}
