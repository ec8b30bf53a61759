package message

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"mailreplica/internal/fault"
)

// DecodeTransfer undoes a content transfer encoding (RFC 2045 section 6), for BINARY (RFC 3516) and for search. It makes
// the best of malformed content and fails only with r, and with fault.Invalid on an encoding that it does not know
// (UNKNOWN-CTE).
func DecodeTransfer(encoding string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(encoding) {
	case "", "7bit", "8bit", "binary":
		return r, nil
	case "base64":
		return base64.NewDecoder(base64.RawStdEncoding, &base64Letters{in: bufio.NewReader(r)}), nil
	case "quoted-printable":
		return &quotedPrintable{in: bufio.NewReader(r)}, nil
	}
	return nil, fault.New(fault.Invalid, "the content transfer encoding %q is not known", encoding)
}

// base64Letters lets through only the letters of base64, in whole quanta, and ends at the padding (RFC 2045 6.8).
type base64Letters struct {
	in    *bufio.Reader
	count int // letters let through
	held  int // the letter that may be the only one of the last quantum, -1 if none
	begun bool
	ended bool
}

func (l *base64Letters) Read(p []byte) (int, error) {
	if !l.begun {
		l.held, l.begun = -1, true
	}
	n := 0
	for n < len(p) && !l.ended {
		c, err := l.in.ReadByte()
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		if err != nil || c == '=' {
			l.ended = true
			break // a held letter is six bits of nothing
		}
		if !isBase64(c) {
			continue
		}
		if l.held < 0 && l.count%4 == 0 {
			l.held = int(c)
			continue
		}
		if l.held >= 0 {
			p[n] = byte(l.held)
			n++
			l.count++
			l.held = -1
			if n == len(p) {
				if err := l.in.UnreadByte(); err != nil {
					return n, err
				}
				break
			}
		}
		p[n] = c
		n++
		l.count++
	}
	if n == 0 && l.ended {
		return 0, io.EOF
	}
	return n, nil
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/'
}

// quotedPrintable decodes RFC 2045 6.7. What is malformed goes through as it is.
type quotedPrintable struct {
	in  *bufio.Reader
	out []byte // decoded and not yet read
	buf [whitespaceBytesHeld + 8]byte
	err error
}

func (q *quotedPrintable) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(q.out) == 0 {
			if q.err != nil {
				break
			}
			q.next()
			continue
		}
		moved := copy(p[n:], q.out)
		q.out = q.out[moved:]
		n += moved
	}
	if n == 0 && len(p) > 0 {
		return 0, q.err
	}
	return n, nil
}

// next decodes one element into out.
func (q *quotedPrintable) next() {
	q.out = q.buf[:0]
	c, err := q.in.ReadByte()
	switch {
	case err != nil:
		q.err = err
	case c == '=':
		q.escape()
	case c == ' ' || c == '\t' || c == '\r':
		q.out = append(q.out, c)
		q.blanks(false)
	default:
		q.out = append(q.out, c)
	}
}

// escape decodes what follows "=": two hexadecimal digits, or the blanks and the line end of a soft line break.
func (q *quotedPrintable) escape() {
	hex, _ := q.in.Peek(2)
	if len(hex) == 2 {
		high, ok1 := hexDigit(hex[0])
		low, ok2 := hexDigit(hex[1])
		if ok1 && ok2 {
			_, _ = q.in.Discard(2)
			q.out = append(q.out, high<<4|low)
			return
		}
	}
	q.out = append(q.out, '=')
	q.blanks(true)
}

// blanks reads on over blanks. Before a line end, or the end of the content, they were added in transport and are
// dropped; after "=" so is the line end.
func (q *quotedPrintable) blanks(soft bool) {
	for len(q.out) < whitespaceBytesHeld {
		c, err := q.in.ReadByte()
		if err != nil {
			q.err = err
			if errors.Is(err, io.EOF) {
				q.out = q.out[:0]
			}
			return
		}
		switch c {
		case ' ', '\t', '\r':
			q.out = append(q.out, c)
		case '\n':
			crlf := len(q.out) > 0 && q.out[len(q.out)-1] == '\r'
			q.out = q.out[:0]
			if soft {
				return
			}
			if crlf {
				q.out = append(q.out, '\r')
			}
			q.out = append(q.out, '\n')
			return
		default:
			_ = q.in.UnreadByte() // cannot fail after ReadByte
			return
		}
	}
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
