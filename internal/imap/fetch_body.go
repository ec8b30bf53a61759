package imap

import (
	"context"
	"io"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/message"
)

const (
	// headerBytesMax bounds the header that HEADER.FIELDS looks at; what is behind it belongs to no field.
	headerBytesMax = 1 << 20
	// seenTimeout bounds how long FETCH waits for \Seen to be recorded: its answer does not depend on it.
	seenTimeout = 5 * time.Second
)

// piece is a section of a message, ready to be written. Everything that can fail without the connection is done before the
// first byte of a response is.
type piece struct {
	present bool   // the item is a piece of the body
	missing bool   // the message has no such part: NIL
	number  bool   // size alone is asked for
	binary  bool   // may hold NUL
	text    []byte // where it is in memory; else open reads size bytes
	size    int64
	open    func() (io.Reader, error)
}

func (s *session) preparePieces(plan *fetchPlan) ([]piece, error) {
	m := &plan.opening
	pieces := append(plan.pieces[:0], make([]piece, len(plan.items))...)
	plan.pieces = pieces
	for i, item := range plan.items {
		err := s.mayGoOn() // each may be a walk through the message
		if err != nil {
			return nil, err
		}
		switch item.Kind {
		case wire.FetchBinary, wire.FetchBinarySize:
			pieces[i], err = prepareBinary(item, m)
		default:
			if section, ok := sectionOf(item); ok {
				pieces[i], err = prepareSection(section, item.Partial, m, &plan.filters[i])
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return pieces, nil
}

// sectionOf is the section that an item asks for; the RFC822 items are other names of some (RFC 3501 section 6.4.5).
func sectionOf(item wire.FetchItem) (wire.Section, bool) {
	switch item.Kind {
	case wire.FetchRFC822:
		return wire.Section{}, true
	case wire.FetchRFC822Header:
		return wire.Section{Text: wire.SectionHeader}, true
	case wire.FetchRFC822Text:
		return wire.Section{Text: wire.SectionBody}, true
	case wire.FetchBodySection:
		return item.Section, true
	}
	return wire.Section{}, false
}

func specifier(text wire.SectionText) message.Specifier {
	switch text {
	case wire.SectionHeader, wire.SectionHeaderFields, wire.SectionHeaderFieldsNot:
		return message.Header
	case wire.SectionBody:
		return message.Text
	case wire.SectionMIME:
		return message.MIME
	}
	return message.Whole
}

func path(section wire.Section) []int {
	numbers := make([]int, len(section.Part))
	for i, n := range section.Part {
		numbers[i] = int(n)
	}
	return numbers
}

func prepareSection(section wire.Section, partial *wire.Partial, m *opening, f *filter) (piece, error) {
	start, size, found := m.summary.Section(path(section), specifier(section.Text))
	if !found {
		return piece{present: true, missing: true}, nil
	}
	if section.Fields != nil {
		return f.prepare(partial, m, start, min(size, headerBytesMax))
	}
	body, err := m.opened()
	if err != nil {
		return piece{}, err
	}
	from, n := clip(size, partial)
	return piece{present: true, size: n, open: func() (io.Reader, error) {
		return io.NewSectionReader(body, start+from, n), nil
	}}, nil
}

// clip cuts a partial out of size bytes; beyond the end there is nothing.
func clip(size int64, partial *wire.Partial) (from, n int64) {
	if partial == nil {
		return 0, size
	}
	from = min(int64(partial.Offset), size)
	return from, min(int64(partial.Count), size-from)
}

// prepareBinary undoes a part's transfer encoding (RFC 3516). The size has to be known before the first byte is sent, so
// the part is decoded twice rather than held.
func prepareBinary(item wire.FetchItem, m *opening) (piece, error) {
	p := piece{present: true, number: item.Kind == wire.FetchBinarySize, binary: true}
	start, size, found := m.summary.Section(path(item.Section), message.Whole)
	part, exists := m.summary.PartAt(path(item.Section))
	if !found || !exists {
		p.missing = true
		return p, nil
	}
	body, err := m.opened()
	if err != nil {
		return p, err
	}
	encoding := part.Encoding
	if len(item.Section.Part) == 0 || part.IsMultipart() || part.Message != nil {
		encoding = "" // RFC 2045 section 6.4: such bodies are not encoded
	}
	decode := func() (io.Reader, error) {
		r, err := message.DecodeTransfer(encoding, io.NewSectionReader(body, start, size))
		if fault.Is(err, fault.Invalid) {
			return nil, errUnknownEncoding
		}
		return r, err
	}
	r, err := decode()
	if err != nil {
		return p, err
	}
	decoded, err := io.Copy(io.Discard, r)
	if err != nil {
		return p, err
	}
	from, n := clip(decoded, item.Partial)
	p.size = n
	p.open = func() (io.Reader, error) {
		r, err := decode()
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, r, from); err != nil {
			return nil, err
		}
		return io.LimitReader(r, n), nil
	}
	return p, nil
}

// errUnknownEncoding is about one message's part, so the others of a FETCH are not held back.
var errUnknownEncoding = fault.New(fault.Invalid, "The part has an unknown transfer encoding")

func (s *session) writePiece(label string, p *piece) error {
	s.out.Raw(label)
	s.out.Raw(" ")
	switch {
	case p.number:
		s.out.Number(uint64(p.size))
		return nil
	case p.missing:
		s.out.Raw("NIL")
		return nil
	case p.open == nil:
		s.out.Bytes(p.text)
		return nil
	}
	r, err := p.open()
	if err != nil {
		r = failingReader{err}
	}
	if p.binary {
		return s.out.Literal8(p.size, r)
	}
	return s.out.Literal(p.size, r)
}

// failingReader breaks a literal off, and with it the connection.
type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// markSeen sets \Seen on messages whose bodies were fetched. Where it cannot be recorded, as when the log does not
// confirm, the answer was given all the same (design section 7) and the message stays unseen.
func (s *session) markSeen(uids []mailbox.UID) {
	if len(uids) == 0 || s.out.Flush() != nil { // what was fetched does not wait for the log
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, seenTimeout)
	defer cancel()
	err := s.mailbox.Update(ctx, func(d *mailbox.Draft) error {
		_, _, err := d.SetFlags(s.view.folder, uids, mailbox.AddFlags, mailbox.Flags{System: mailbox.Seen}, nil)
		return err
	})
	if err != nil {
		s.syncFailed(err)
	}
}
