package message

import (
	"bytes"
	"strings"
)

// Specifier is what of a part BODY[section] asks for (RFC 3501 6.4.5).
type Specifier int

// Whole is BODY[] and BODY[1]; the others are named as in IMAP. HEADER.FIELDS is Header, filtered by HeaderFields.
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

// HeaderFields filters a header, as BODY[HEADER.FIELDS (...)] wants it, or HEADER.FIELDS.NOT if not is set: whole
// fields with their original bytes and in their order, then the blank line, if the header has one (RFC 3501 6.4.5).
// Lines that are no fields belong to the field before them; before the first they are left out of both.
func HeaderFields(header []byte, fields []string, not bool) []byte {
	wanted := make(map[string]bool, len(fields))
	for _, f := range fields {
		wanted[strings.ToLower(f)] = true
	}
	var kept []byte
	keeping := false
	for len(header) > 0 {
		n := bytes.IndexByte(header, '\n') + 1
		if n == 0 {
			n = len(header)
		}
		line := header[:n]
		header = header[n:]
		if blank := trimEOL(line); len(blank) == 0 && line[n-1] == '\n' {
			return append(kept, line...)
		}
		colon := bytes.IndexByte(line, ':')
		if colon >= 0 && line[0] != ' ' && line[0] != '\t' {
			name := bytes.TrimRight(line[:colon], " \t")
			keeping = wanted[strings.ToLower(string(name))] != not
		}
		if keeping {
			kept = append(kept, line...)
		}
	}
	return kept
}
