package message

import "strings"

// scanner reads the lexical elements of structured header fields (RFC 5322 3.2, RFC 2045 5.1). It never goes back over
// an element that has no end: an open comment or quoted string reaches to the end of the field.
type scanner struct {
	b       []byte // unfolded
	i       int
	comment string // the last comment that skip met
	keep    bool   // whether comment is wanted
}

func (s *scanner) done() bool { return s.i >= len(s.b) }

// peek is the next byte, 0 at the end (where done is true).
func (s *scanner) peek() byte {
	if s.done() {
		return 0
	}
	return s.b[s.i]
}

// is reports whether the next byte is c.
func (s *scanner) is(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// skip passes over blanks and comments and reports whether there were any.
func (s *scanner) skip() bool {
	start := s.i
	for s.i < len(s.b) {
		switch {
		case isBlank(s.b[s.i]):
			s.i++
		case s.b[s.i] == '(':
			s.skipComment()
		default:
			return s.i > start
		}
	}
	return s.i > start
}

// skipComment passes over a comment; comments nest.
func (s *scanner) skipComment() {
	var text strings.Builder
	depth := 0
	for ; s.i < len(s.b); s.i++ {
		c := s.b[s.i]
		switch {
		case c == '(':
			depth++
			if depth == 1 {
				continue
			}
		case c == ')':
			depth--
		case c == '\\' && s.i+1 < len(s.b):
			s.i++
			c = s.b[s.i]
		}
		if depth == 0 {
			s.i++
			break
		}
		if s.keep && c != '\r' && c != '\n' {
			text.WriteByte(c)
		}
	}
	if s.keep {
		s.comment = strings.Trim(text.String(), blanks)
	}
}

// quoted reads a quoted string, which begins here, without its quotes and escapes.
func (s *scanner) quoted() string {
	var text strings.Builder
	for s.i++; s.i < len(s.b); s.i++ {
		c := s.b[s.i]
		switch {
		case c == '"':
			s.i++
			return text.String()
		case c == '\\' && s.i+1 < len(s.b):
			s.i++
			c = s.b[s.i]
		}
		if c != '\r' && c != '\n' {
			text.WriteByte(c)
		}
	}
	return text.String()
}

// token reads a token of MIME, "" if there is none; 8-bit bytes are let through.
func (s *scanner) token() string {
	start := s.i
	for s.i < len(s.b) && isToken(s.b[s.i]) {
		s.i++
	}
	return string(s.b[start:s.i])
}

// shortToken is a token, "" if it is longer than any that means something.
func (s *scanner) shortToken() string {
	t := s.token()
	if len(t) > tokenBytesMax {
		return ""
	}
	return t
}

func isToken(c byte) bool {
	return c > ' ' && c != 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?=`, rune(c))
}
