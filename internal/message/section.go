package message

import (
	"bytes"
	"io"
)

// Specifier is what of a part BODY[section] asks for (RFC 3501 6.4.5).
type Specifier int

// Whole is BODY[] and BODY[1]; the others are named as in IMAP. HEADER.FIELDS is Header, filtered by a FieldFilter.
const (
	Whole Specifier = iota
	Header
	Text
	MIME
)

// PartAt finds the part that a path of part numbers (from 1) names; the empty path names the message itself. The only
// part of a message that is no multipart is number 1.
func (s *Summary) PartAt(path []int) (*Part, bool) {
	part := &s.Root
	top := true // part is the top level of a message
	for i, n := range path {
		switch {
		case part.IsMultipart():
			if n < 1 || n > len(part.Children) {
				return nil, false
			}
			part, top = &part.Children[n-1], false
		case top && n == 1:
			top = false
		default:
			return nil, false
		}
		if part.Message != nil && i < len(path)-1 {
			part, top = &part.Message.Root, true // numbers go on inside the message
		}
	}
	return part, true
}

// Section finds the bytes of BODY[path] (Whole), BODY[path.HEADER], BODY[path.TEXT] or BODY[path.MIME]. It is not ok
// for a part that does not exist, for HEADER and TEXT of a part that is no message, and for MIME without a path.
func (s *Summary) Section(path []int, spec Specifier) (start, size int64, ok bool) {
	if len(path) == 0 && spec == Whole {
		return 0, s.Size, true
	}
	part, ok := s.PartAt(path)
	if !ok || len(path) == 0 && spec == MIME {
		return 0, 0, false
	}
	if len(path) > 0 && (spec == Header || spec == Text) {
		if part.Message == nil {
			return 0, 0, false
		}
		part = &part.Message.Root
	}
	switch spec {
	case Header, MIME:
		return part.HeaderStart, part.HeaderSize, true
	case Whole, Text:
		return part.BodyStart, part.BodySize, true
	}
	return 0, 0, false
}

// HeaderFields is what a FieldFilter keeps of one header.
func HeaderFields(header []byte, fields []string, not bool) []byte {
	f := NewFieldFilter(fields, not)
	size := f.Size(header)
	if size == 0 {
		return nil
	}
	return f.Append(make([]byte, 0, size), header)
}

// FieldFilter filters headers, as BODY[HEADER.FIELDS (...)] wants it, or HEADER.FIELDS.NOT if not is set: it keeps whole
// fields with their original bytes and in their order, then the blank line, if the header has one (RFC 3501 6.4.5).
// Lines that are no fields belong to the field before them; before the first they are left out of both.
type FieldFilter struct {
	wanted  map[string]bool
	longest int // of the names wanted
	not     bool
}

// NewFieldFilter makes a filter of fields' names, in any case.
func NewFieldFilter(fields []string, not bool) *FieldFilter {
	f := &FieldFilter{wanted: make(map[string]bool, len(fields)), not: not}
	for _, name := range fields {
		f.wanted[string(lowerASCII([]byte(name)))] = true
		f.longest = max(f.longest, len(name))
	}
	return f
}

// Size is how many bytes are kept of a header.
func (f *FieldFilter) Size(header []byte) (size int64) {
	lines := headerLines{filter: f, rest: header}
	for line := lines.next(); line != nil; line = lines.next() {
		size += int64(len(line))
	}
	return size
}

// Append appends what is kept of a header.
func (f *FieldFilter) Append(to, header []byte) []byte {
	lines := headerLines{filter: f, rest: header}
	for line := lines.next(); line != nil; line = lines.next() {
		to = append(to, line...)
	}
	return to
}

// Reader reads what is kept of a header, without holding it.
func (f *FieldFilter) Reader(header []byte) io.Reader {
	return &linesReader{lines: headerLines{filter: f, rest: header}}
}

type linesReader struct {
	lines headerLines
	line  []byte // what is left of it
}

func (r *linesReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(r.line) == 0 {
			if r.line = r.lines.next(); r.line == nil {
				break
			}
		}
		moved := copy(p[n:], r.line)
		r.line = r.line[moved:]
		n += moved
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// headerLines walks over the lines of a header that are kept. It allocates nothing for a line: a header may have millions.
type headerLines struct {
	filter  *FieldFilter
	rest    []byte
	keeping bool
}

// next is the next line that is kept, nil at the end.
func (h *headerLines) next() []byte {
	for len(h.rest) > 0 {
		n := bytes.IndexByte(h.rest, '\n') + 1
		if n == 0 {
			n = len(h.rest)
		}
		line := h.rest[:n]
		h.rest = h.rest[n:]
		if blank := trimEOL(line); len(blank) == 0 && line[n-1] == '\n' {
			h.rest = nil
			return line
		}
		colon := bytes.IndexByte(line, ':')
		if colon >= 0 && line[0] != ' ' && line[0] != '\t' {
			h.keeping = h.filter.wants(bytes.TrimRight(line[:colon], " \t")) != h.filter.not
		}
		if h.keeping {
			return line
		}
	}
	return nil
}

func (f *FieldFilter) wants(name []byte) bool {
	var short [80]byte // enough for any name that is in use
	return len(name) <= f.longest && f.wanted[string(lowerASCII(append(short[:0], name...)))]
}

// lowerASCII makes letters small, in place.
func lowerASCII(b []byte) []byte {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return b
}
