package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
)

// readers are those of parsers that have ended: their buffers would be most of what a small message costs in memory.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBufferBytes) }}

// Parse reads the whole message. The bytes may be anything; the only errors are those of r.
func Parse(r io.Reader) (*Summary, error) {
	in := readers.Get().(*bufio.Reader)
	in.Reset(r)
	defer func() {
		in.Reset(nil) // it keeps nothing of the message
		readers.Put(in)
	}()
	p := &parser{}
	p.open(0, true)
	for {
		fragment, err := in.ReadSlice('\n')
		if len(fragment) > 0 {
			p.fragment(fragment)
		}
		if err == io.EOF {
			return p.finish(), nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// parser is a machine that is fed lines (very long ones in fragments). Parts are open from their first header byte to
// the byte at which they are found to have ended, so they form a stack; a part is copied into its parent when it ends.
type parser struct {
	offset int64 // of the next byte
	lines  int64 // LFs before offset
	eol    int64 // length of the line end just before offset: 0, 1 or 2
	last   byte  // the byte before offset
	inLine bool  // offset is inside a line

	stack      []openPart
	boundaries []boundary
	parts      int // opened so far
	addresses  int // kept so far
	textBytes  int // kept so far

	state  state
	header headerBlock
	root   *Embedded
}

type state int

const (
	inHeader state = iota
	inBody
	inDelimiter // in the boundary line behind which a part begins
)

type openPart struct {
	part      Part
	envelope  Envelope
	message   bool  // its header is a message's, not a body part's
	digest    bool  // children default to message/rfc822
	bodyLines int64 // LFs before the body
	embedded  *Embedded
}

// boundary is one that may still come. depth is the height of the stack with its multipart on top.
type boundary struct {
	text  []byte
	depth int
}

func (p *parser) top() *openPart { return &p.stack[len(p.stack)-1] }

// full says that nothing more shall be taken from the message.
func (p *parser) full() bool { return p.parts >= partsMax || p.textBytes >= textBytesMax }

// open begins a part, or a message, whose header starts at an offset.
func (p *parser) open(start int64, message bool) {
	p.parts++
	p.stack = append(p.stack, openPart{part: Part{HeaderStart: start}, message: message})
	p.state = inHeader
	p.header.reset(message)
}

// fragment takes the next bytes: a line, or as much of a long one as fits the buffer.
func (p *parser) fragment(b []byte) {
	wholeLine := b[len(b)-1] == '\n'
	starts := !p.inLine
	if starts && len(p.boundaries) > 0 && b[0] == '-' && len(b) > 2 && b[1] == '-' && !p.full() {
		if i, closing := p.match(trimEOL(b[2:])); i >= 0 {
			p.delimiter(i, closing)
		}
	}
	headerEnds := false
	if p.state == inHeader {
		headerEnds = p.header.line(p, trimEOL(b), starts, wholeLine)
	}
	p.advance(b, wholeLine)
	switch {
	case headerEnds:
		p.endHeader(p.offset, p.lines)
	case wholeLine && p.state == inDelimiter:
		p.open(p.offset, false)
	}
}

// advance counts bytes and lines.
func (p *parser) advance(b []byte, wholeLine bool) {
	p.eol = 0
	if wholeLine {
		p.lines++
		p.eol = 1
		if len(b) > 1 {
			p.last = b[len(b)-2]
		}
		if p.last == '\r' && (len(b) > 1 || p.inLine) {
			p.eol = 2
		}
	}
	p.last = b[len(b)-1]
	p.offset += int64(len(b))
	p.inLine = !wholeLine
}

// match finds the boundary that a line (without its dashes and line end) is, -1 if none. Only the beginning of a line
// need match (RFC 2046 5.1.1), so of several the longest counts, and an exact match before any: one boundary may begin
// with another. The search goes from the innermost out, in case the same boundary is used twice.
func (p *parser) match(line []byte) (index int, closing bool) {
	index = -1
	best := -1
	for i := len(p.boundaries) - 1; i >= 0; i-- {
		text := p.boundaries[i].text
		if len(text) <= best || !bytes.HasPrefix(line, text) {
			continue
		}
		index, best = i, len(text)
		rest := line[len(text):]
		closing = bytes.HasPrefix(rest, []byte("--"))
		if len(rest) == 0 || string(rest) == "--" {
			break
		}
	}
	return index, closing
}

// delimiter handles a boundary line, which starts at offset: the parts inside its multipart end before the line end
// that precedes it.
func (p *parser) delimiter(index int, closing bool) {
	end, endLines := p.bodyEnd()
	p.endHeaders(end, endLines)
	depth := p.boundaries[index].depth
	for len(p.stack) > depth {
		end, endLines = p.closeTop(end, endLines)
	}
	if closing {
		p.boundaries = p.boundaries[:index]
		p.state = inBody // the epilogue
		return
	}
	p.boundaries = p.boundaries[:index+1]
	p.state = inDelimiter
}

// bodyEnd is where a body ends that a boundary at offset follows, and the LFs before that. A line came before, for the
// boundary was named in one.
func (p *parser) bodyEnd() (end, endLines int64) { return p.offset - p.eol, p.lines - 1 }

// endHeaders ends a header that is cut off, and the empty ones of the messages that were to begin there.
func (p *parser) endHeaders(end, endLines int64) {
	for p.state == inHeader {
		if end < p.top().part.HeaderStart { // the line end belongs to what precedes this header
			end, endLines = p.offset, p.lines
		}
		p.endHeader(end, endLines)
	}
}

// endHeader is called where the body of the part on top begins, and decides what that body is.
func (p *parser) endHeader(bodyStart, bodyLines int64) {
	top := p.top()
	part := &top.part
	part.HeaderSize = bodyStart - part.HeaderStart
	part.BodyStart = bodyStart
	top.bodyLines = bodyLines
	bound := p.header.end(p, top, p.inDigest())
	p.state = inBody
	deep := len(p.stack) >= nestingPartsMax
	switch {
	case strings.EqualFold(part.Type, "multipart"):
		if deep {
			part.opaque()
			return
		}
		top.digest = strings.EqualFold(part.Subtype, "digest")
		if bound != "" {
			p.boundaries = append(p.boundaries, boundary{text: []byte(bound), depth: len(p.stack)})
		}
	case strings.EqualFold(part.Type, "message") && strings.EqualFold(part.Subtype, "rfc822"):
		if deep || p.full() {
			part.opaque()
			return
		}
		p.open(bodyStart, true)
	}
}

// opaque makes a part that is not looked into what may stand in a BODYSTRUCTURE without an inside.
func (p *Part) opaque() { p.Type, p.Subtype = "application", "octet-stream" }

// inDigest says that the part on top is a child of a multipart/digest (RFC 2046 5.1.5).
func (p *parser) inDigest() bool {
	n := len(p.stack)
	return n > 1 && !p.top().message && p.stack[n-2].digest
}

// closeTop ends the part on top, puts it into its parent and gives the part's end. A body that would end before it
// begins, because the line end before the boundary is that of the header, is empty; its parents end no earlier.
func (p *parser) closeTop(end, endLines int64) (int64, int64) {
	top := *p.top()
	p.stack = p.stack[:len(p.stack)-1]
	part := top.part
	if end < part.BodyStart {
		end, endLines = part.BodyStart, top.bodyLines
	}
	part.BodySize = end - part.BodyStart
	part.Lines = endLines - top.bodyLines
	part.Message = top.embedded
	if strings.EqualFold(part.Type, "multipart") && len(part.Children) == 0 {
		// IMAP's grammar knows no multipart without parts: as Dovecot, we show an empty text/plain.
		at := part.end()
		part.Children = []Part{{
			Type: "text", Subtype: "plain", Params: []Param{{"charset", "us-ascii"}}, Encoding: "7bit",
			HeaderStart: at, BodyStart: at,
		}}
	}
	for n := len(p.boundaries); n > 0 && p.boundaries[n-1].depth > len(p.stack); n-- {
		p.boundaries = p.boundaries[:n-1]
	}
	switch {
	case len(p.stack) == 0:
		p.root = &Embedded{Envelope: top.envelope, Root: part}
	case top.message:
		p.top().embedded = &Embedded{Envelope: top.envelope, Root: part}
	default:
		parent := &p.top().part
		parent.Children = append(parent.Children, part)
	}
	return end, endLines
}

// finish ends everything at the end of the message.
func (p *parser) finish() *Summary {
	p.endHeaders(p.offset, p.lines)
	for len(p.stack) > 0 {
		p.closeTop(p.offset, p.lines)
	}
	return &Summary{Envelope: p.root.Envelope, Root: p.root.Root, Size: p.offset}
}

// trimEOL is a line without its CRLF or LF.
func trimEOL(b []byte) []byte {
	n := len(b)
	if n == 0 || b[n-1] != '\n' {
		return b
	}
	if n > 1 && b[n-2] == '\r' {
		return b[:n-2]
	}
	return b[:n-1]
}
