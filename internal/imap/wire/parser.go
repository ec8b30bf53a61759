package wire

import (
	"bytes"
	"math"
	"strings"
)

// parser walks over one framed command. The first error sticks: what is parsed after it is worthless and is thrown away,
// so only loops need to look at err.
type parser struct {
	text     []byte
	literals []literal // not taken yet; each stands at an offset of text
	pos      int
	depth    int // of search keys
	texts    int // TEXT and BODY keys taken
	walks    int // items of FETCH that are walks through the message
	err      *SyntaxError
}

// Classes of characters (RFC 3501 section 9).
const (
	atomChar    = 1 << iota // ATOM-CHAR
	astringChar             // ATOM-CHAR and "]"
	listChar                // and wildcards
	tagChar                 // ASTRING-CHAR but "+"
	nameChar                // what names of commands, options and items are made of
)

var classes = func() (t [256]uint8) {
	for c := 0x21; c < 0x7f; c++ {
		switch c {
		case '(', ')', '{', '"', '\\':
		case '%', '*':
			t[c] = listChar
		case ']':
			t[c] = astringChar | listChar | tagChar
		case '+':
			t[c] = atomChar | astringChar | listChar
		default:
			t[c] = atomChar | astringChar | listChar | tagChar
		}
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte(".-=_", byte(c)) >= 0 {
			t[c] |= nameChar
		}
	}
	return t
}()

func is(s string, class uint8) bool {
	for i := 0; i < len(s); i++ {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return s != ""
}

func (p *parser) fail(text string) {
	if p.err == nil {
		p.err = &SyntaxError{Text: text}
	}
}

// atLiteral reports whether a literal stands at the current position.
func (p *parser) atLiteral() bool { return len(p.literals) > 0 && p.literals[0].at == p.pos }

func (p *parser) atEnd() bool { return p.pos == len(p.text) && len(p.literals) == 0 }

// peek is the next character, "{" for a literal, 0 at the end; NUL cannot occur.
func (p *parser) peek() byte {
	switch {
	case p.atLiteral():
		return '{'
	case p.pos < len(p.text):
		return p.text[p.pos]
	}
	return 0
}

func (p *parser) take(c byte) bool {
	if p.err != nil || p.atLiteral() || p.peek() != c {
		return false
	}
	p.pos++
	return true
}

func (p *parser) expect(c byte) {
	if !p.take(c) {
		p.fail("Expected " + string(rune(c)))
	}
}

func (p *parser) skipSpaces() {
	for p.take(' ') {
	}
}

// space takes the space between arguments; more than one is let pass.
func (p *parser) space() {
	if !p.take(' ') {
		p.fail("Missing argument")
		return
	}
	p.skipSpaces()
}

// another reports whether an argument follows, and takes the space before it.
func (p *parser) another() bool {
	if p.peek() != ' ' {
		return false
	}
	p.skipSpaces()
	return p.err == nil && !p.atEnd()
}

// end takes spaces and fails unless nothing else follows.
func (p *parser) end() {
	p.skipSpaces()
	if !p.atEnd() {
		p.fail("Unexpected argument")
	}
}

// run takes characters of a class; there may be none. Where a literal stands, a run ends.
func (p *parser) run(class uint8) string {
	if p.err != nil {
		return ""
	}
	limit := len(p.text)
	if len(p.literals) > 0 {
		limit = p.literals[0].at
	}
	start := p.pos
	for p.pos < limit && classes[p.text[p.pos]]&class != 0 {
		p.pos++
	}
	return string(p.text[start:p.pos])
}

func (p *parser) word(class uint8, what string) string {
	s := p.run(class)
	if s == "" {
		p.fail("Expected " + what)
	}
	return s
}

// tag takes a command's tag.
func (p *parser) tag() string { return p.word(tagChar, "a tag") }

// tagOf is the tag at the start of a command that may not be readable beyond it.
func tagOf(text []byte) string {
	p := &parser{text: text}
	tag := p.run(tagChar)
	if p.peek() != ' ' && !p.atEnd() {
		return ""
	}
	return tag
}

func (p *parser) atom() string { return p.word(atomChar, "an atom") }

// keyword takes the name of a command, an option or an item, in upper case.
func (p *parser) keyword() string { return strings.ToUpper(p.word(nameChar, "a name")) }

// astring takes an atom, a quoted string or a literal. NIL is an atom like any other.
func (p *parser) astring() string {
	switch p.peek() {
	case '"', '{':
		return p.string()
	}
	return p.word(astringChar, "a string")
}

// string takes a quoted string or a literal.
func (p *parser) string() string {
	switch {
	case p.err != nil:
		return ""
	case p.atLiteral():
		s := string(p.literals[0].data)
		p.literals = p.literals[1:]
		return s
	case p.take('"'):
		return p.quoted()
	}
	p.fail("Expected a string")
	return ""
}

// quoted takes the rest of a quoted string. Bytes beyond ASCII are let pass: some clients send UTF-8.
func (p *parser) quoted() string {
	var b []byte
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		switch c {
		case '"':
			return string(b)
		case '\r':
			p.fail("CR in a quoted string")
			return ""
		case '\\':
			if p.pos == len(p.text) || p.text[p.pos] != '"' && p.text[p.pos] != '\\' {
				p.fail("Only \\ and \" can be escaped in a quoted string")
				return ""
			}
			c = p.text[p.pos]
			p.pos++
		}
		b = append(b, c)
	}
	p.fail("Missing \" at the end of a string")
	return ""
}

// nstring takes a string or NIL, which is nil.
func (p *parser) nstring() *string {
	if p.peek() != '"' && p.peek() != '{' {
		if !strings.EqualFold(p.run(atomChar), "NIL") {
			p.fail("Expected a string or NIL")
		}
		return nil
	}
	s := p.string()
	return &s
}

// number takes a decimal number up to max.
func (p *parser) number(max uint64) uint64 {
	var n uint64
	start := p.pos
	for p.err == nil && p.peek() >= '0' && p.peek() <= '9' {
		d := uint64(p.text[p.pos] - '0')
		if n > (max-d)/10 {
			p.fail("Number too big")
			return 0
		}
		n = n*10 + d
		p.pos++
	}
	if p.pos == start {
		p.fail("Expected a number")
	}
	return n
}

func (p *parser) number32() uint32 { return uint32(p.number(math.MaxUint32)) }

func (p *parser) nonZero32() uint32 {
	n := p.number32()
	if n == 0 {
		p.fail("Expected a number greater than 0")
	}
	return n
}

// number63 takes a mod-sequence or a size (RFC 7162 section 7).
func (p *parser) number63() uint64 { return p.number(math.MaxInt64) }

// list takes a parenthesised list; item takes one element or fails.
func (p *parser) list(item func()) {
	p.expect('(')
	for p.err == nil {
		p.skipSpaces()
		if p.take(')') {
			return
		}
		item()
		if c := p.peek(); c != ' ' && c != ')' {
			p.fail("Expected )")
		}
	}
}

// mailbox takes a mailbox name and decodes it.
func (p *parser) mailbox() string { return DecodeMailbox(p.astring()) }

func equalFold(b []byte, s string) bool { return bytes.EqualFold(b, []byte(s)) }
