package wire

import (
	"slices"
	"strconv"
	"strings"
)

// Fetch holds the arguments of FETCH and UID FETCH (RFC 3501 section 6.4.5, RFC 3516, RFC 7162).
type Fetch struct {
	UID             bool
	Set             SequenceSet
	Items           []FetchItem // macros are expanded
	ChangedSince    uint64
	HasChangedSince bool
	Vanished        bool
}

// FetchKind is what an item of FETCH asks for.
type FetchKind int

// The items of FETCH.
const (
	FetchFlags FetchKind = iota + 1
	FetchInternalDate
	FetchRFC822
	FetchRFC822Size
	FetchRFC822Header
	FetchRFC822Text
	FetchEnvelope
	FetchBody // BODY without a section: the structure without extensions
	FetchBodyStructure
	FetchUID
	FetchModSeq
	FetchBodySection // BODY[section]<partial>, BODY.PEEK[section]<partial>
	FetchBinary      // BINARY[part]<partial>, BINARY.PEEK[part]<partial>
	FetchBinarySize  // BINARY.SIZE[part]
)

// fetchNames spells the items without a section.
var fetchNames = [...]string{
	FetchFlags: "FLAGS", FetchInternalDate: "INTERNALDATE", FetchRFC822: "RFC822", FetchRFC822Size: "RFC822.SIZE",
	FetchRFC822Header: "RFC822.HEADER", FetchRFC822Text: "RFC822.TEXT", FetchEnvelope: "ENVELOPE", FetchBody: "BODY",
	FetchBodyStructure: "BODYSTRUCTURE", FetchUID: "UID", FetchModSeq: "MODSEQ",
}

var fetchSectionNames = map[string]FetchItem{
	"BODY": {Kind: FetchBodySection}, "BODY.PEEK": {Kind: FetchBodySection, Peek: true},
	"BINARY": {Kind: FetchBinary}, "BINARY.PEEK": {Kind: FetchBinary, Peek: true}, "BINARY.SIZE": {Kind: FetchBinarySize, Peek: true},
}

// FetchItem is one item of FETCH. Section and Partial belong to the kinds with a section.
type FetchItem struct {
	Kind    FetchKind
	Peek    bool // does not set \Seen
	Section Section
	Partial *Partial // nil for all of it
}

// Partial is a piece of a section in bytes.
type Partial struct{ Offset, Count uint32 }

// SectionText is the part of a message or a body part that a section names.
type SectionText int

// The texts of a section. SectionAll is the whole message or the body of the part.
const (
	SectionAll SectionText = iota
	SectionHeader
	SectionHeaderFields
	SectionHeaderFieldsNot
	SectionBody // TEXT
	SectionMIME
)

// Section names a piece of a message (RFC 3501 section 6.4.5).
type Section struct {
	Part   []uint32 // empty for the message itself
	Text   SectionText
	Fields []string // of HEADER.FIELDS and HEADER.FIELDS.NOT, as the client spelled them
}

const (
	fetchItemsMax = 512
	// fetchWalksMax bounds the items for which a header is filtered or a body decoded: each is a walk through the message.
	fetchWalksMax = 100
)

func parseFetch(p *parser, uid bool) any {
	f := &Fetch{UID: uid}
	p.space()
	f.Set = p.sequenceSet()
	p.space()
	if p.peek() == '(' {
		p.list(func() {
			if f.Items = append(f.Items, p.fetchItem()); len(f.Items) > fetchItemsMax {
				p.fail("Too many items")
			}
		})
		if len(f.Items) == 0 {
			p.fail("Expected an item")
		}
	} else if f.Items = p.fetchMacro(); f.Items == nil {
		f.Items = []FetchItem{p.fetchItem()}
	}
	if p.another() {
		p.list(func() { f.modifier(p, p.keyword()) })
	}
	if f.Vanished && (!uid || !f.HasChangedSince) {
		p.fail("VANISHED needs UID FETCH and CHANGEDSINCE") // RFC 7162 section 3.2.6
	}
	return f
}

func (f *Fetch) modifier(p *parser, name string) {
	switch name {
	case "CHANGEDSINCE":
		p.space()
		f.ChangedSince, f.HasChangedSince = p.number63(), true
	case "VANISHED":
		f.Vanished = true
	default:
		p.fail("Unknown modifier")
	}
}

// fetchMacro takes a macro, or nothing.
func (p *parser) fetchMacro() []FetchItem {
	start := p.pos
	kinds := []FetchKind{FetchFlags, FetchInternalDate, FetchRFC822Size}
	switch strings.ToUpper(p.run(nameChar)) {
	case "FAST":
	case "ALL":
		kinds = append(kinds, FetchEnvelope)
	case "FULL":
		kinds = append(kinds, FetchEnvelope, FetchBody)
	default:
		p.pos = start
		return nil
	}
	items := make([]FetchItem, len(kinds))
	for i, kind := range kinds {
		items[i].Kind = kind
	}
	return items
}

func (p *parser) fetchItem() FetchItem {
	name := p.keyword()
	if p.take('[') {
		item, known := fetchSectionNames[name]
		if !known {
			p.fail("Unknown item")
			return item
		}
		return p.fetchSection(item)
	}
	kind := slices.Index(fetchNames[:], name)
	if kind <= 0 {
		p.fail("Unknown item")
		return FetchItem{}
	}
	return FetchItem{Kind: FetchKind(kind)}
}

// fetchSection takes a section, and counts what is costly.
func (p *parser) fetchSection(item FetchItem) FetchItem {
	item = p.section(item)
	if item.Kind != FetchBodySection || item.Section.Fields != nil {
		if p.walks++; p.walks > fetchWalksMax {
			p.fail("Too many items")
		}
	}
	return item
}

// section takes a section after its "[", and what follows it.
func (p *parser) section(item FetchItem) FetchItem {
	item.Section.Part = p.sectionPart()
	if item.Kind == FetchBodySection && p.peek() != ']' {
		p.sectionText(&item.Section)
	}
	p.expect(']')
	if item.Kind != FetchBinarySize && p.take('<') {
		partial := &Partial{Offset: p.number32()}
		p.expect('.')
		partial.Count = p.nonZero32()
		p.expect('>')
		item.Partial = partial
	}
	return item
}

// sectionPart takes a part number with the dot that follows it if a text follows; there may be none.
func (p *parser) sectionPart() []uint32 {
	var part []uint32
	for p.err == nil && p.peek() >= '0' && p.peek() <= '9' {
		part = append(part, p.nonZero32())
		if !p.take('.') {
			if p.peek() != ']' {
				p.fail("Expected ]")
			}
			return part
		}
		if p.peek() == ']' {
			p.fail("Expected a part number")
		}
	}
	return part
}

func (p *parser) sectionText(s *Section) {
	switch p.keyword() {
	case "HEADER":
		s.Text = SectionHeader
	case "TEXT":
		s.Text = SectionBody
	case "MIME":
		s.Text = SectionMIME
		if len(s.Part) == 0 {
			p.fail("MIME needs a part number")
		}
	case "HEADER.FIELDS":
		s.Text = SectionHeaderFields
		s.Fields = p.headerFields()
	case "HEADER.FIELDS.NOT":
		s.Text = SectionHeaderFieldsNot
		s.Fields = p.headerFields()
	default:
		p.fail("Unknown section")
	}
}

func (p *parser) headerFields() []string {
	var fields []string
	p.space()
	p.list(func() {
		field := p.astring()
		for i := 0; i < len(field); i++ {
			if field[i] < 0x20 || field[i] >= 0x7f { // RFC 5322 section 2.2; and it is echoed in the response
				p.fail("Invalid name of a header field")
			}
		}
		fields = append(fields, field)
	})
	if len(fields) == 0 {
		p.fail("Expected a header field")
	}
	return fields
}

// Label is the item's name in a response: without .PEEK, and of a partial only where it begins.
func (i FetchItem) Label() string {
	var name string
	switch i.Kind {
	case FetchBodySection:
		name = "BODY"
	case FetchBinary:
		name = "BINARY"
	case FetchBinarySize:
		name = "BINARY.SIZE"
	default:
		return fetchNames[i.Kind]
	}
	b := append([]byte(name), '[')
	b = i.Section.appendTo(b)
	b = append(b, ']')
	if i.Partial != nil {
		b = append(b, '<')
		b = strconv.AppendUint(b, uint64(i.Partial.Offset), 10)
		b = append(b, '>')
	}
	return string(b)
}

func (s Section) appendTo(b []byte) []byte {
	for i, n := range s.Part {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	name := [...]string{"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"}[s.Text]
	if name == "" {
		return b
	}
	if len(s.Part) > 0 {
		b = append(b, '.')
	}
	b = append(b, name...)
	if s.Fields == nil {
		return b
	}
	for i, field := range s.Fields {
		b = append(b, ' ')
		if i == 0 {
			b = append(b, '(')
		}
		b = appendAString(b, field)
	}
	return append(b, ')')
}
