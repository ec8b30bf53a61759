package imap

import (
	"io"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/message"
)

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

// prepare filters a header of a message. The mailbox may have fields of the message's own at hand. Of another, or a large one, what is kept
// is not held until it is written, for a command can ask for much: it is filtered again.
func (f *filter) prepare(partial *wire.Partial, m *opening, start, size int64) (piece, error) {
	if start == 0 && !f.not {
		text, ok, err := m.session.mailbox.Fields(m.session.ctx, m.content, f.names)
		if err != nil || ok {
			return f.prepareText(partial, text), err
		}
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

// prepareText filters a header that is not large.
func (f *filter) prepareText(partial *wire.Partial, text []byte) piece {
	kept := f.fields.Size(text)
	if kept < int64(len(text)) {
		text = f.fields.Append(make([]byte, 0, kept), text)
	}
	from, n := clip(kept, partial)
	return piece{present: true, text: text[from : from+n]}
}
