package message

import (
	"encoding/binary"
	"unsafe"

	"mailreplica/internal/fault"
)

// Decode is the inverse of Encode. It accepts only what Parse could have made: every part lies inside its parent, and
// every limit holds. The error is fault.Internal, for such bytes come from our own log or database.
//
// The texts of a summary share one copy of b.
func Decode(b []byte) (*Summary, error) {
	d := &decoder{}
	s := &Summary{}
	if d.begin(b, string(b)) {
		d.whole(s, true)
	}
	if d.err != nil {
		return nil, d.err
	}
	return s, nil
}

// whole reads a summary, with its parts or without.
func (d *decoder) whole(s *Summary, parts bool) {
	s.Size = d.offset()
	s.Envelope = d.envelope()
	if !parts || d.err != nil {
		return
	}
	s.Root = d.part(0, s.Size, 1)
	d.check(s.Root.HeaderStart == 0 && s.Root.end() == s.Size, "the top part is not the whole message")
	if d.i != len(d.b) {
		d.fail("%d bytes are left over", len(d.b)-d.i)
	}
}

// Decoder decodes many summaries, one after the other, into memory that it uses again: what it gives is good until it decodes the
// next, and as long as the bytes that it was decoded from stay what they are. The zero value is ready.
type Decoder struct {
	summary   Summary
	addresses room[Address]
	params    room[Param]
	parts     room[Part]
}

// Decode is what the function Decode does.
func (r *Decoder) Decode(b []byte) (*Summary, error) { return r.decode(b, true) }

// Envelope is what the function DecodeEnvelope does. Of the summary it gives, Root is empty.
func (r *Decoder) Envelope(b []byte) (*Summary, error) { return r.decode(b, false) }

func (r *Decoder) decode(b []byte, parts bool) (*Summary, error) {
	r.addresses.used, r.params.used, r.parts.used = 0, 0, 0
	r.summary = Summary{}
	d := decoder{rooms: r}
	if d.begin(b, unsafe.String(unsafe.SliceData(b), len(b))) { // the caller has promised to leave b alone
		d.whole(&r.summary, parts)
	}
	if d.err != nil {
		return nil, d.err
	}
	return &r.summary, nil
}

// roomEntries is how many entries of a kind a Decoder has memory for; most messages have fewer.
const roomEntries = 64

// room is memory for lists, given out again and again.
type room[T any] struct {
	entries []T
	used    int
}

// take gives an empty list that has room for n.
func (r *room[T]) take(n int) []T {
	if r.used+n > roomEntries {
		return make([]T, 0, n)
	}
	if r.entries == nil {
		r.entries = make([]T, roomEntries)
	}
	list := r.entries[r.used : r.used : r.used+n]
	r.used += n
	return list
}

// DecodeEnvelope is the Envelope and the Size of what Decode gives, without a look at the parts.
func DecodeEnvelope(b []byte) (envelope Envelope, size int64, err error) {
	d := &decoder{}
	var s Summary
	if d.begin(b, string(b)) {
		d.whole(&s, false)
	}
	if d.err != nil {
		return Envelope{}, 0, d.err
	}
	return s.Envelope, s.Size, nil
}

// decoder reads until the first error; after it, everything is zero.
type decoder struct {
	b         string
	i         int
	parts     int
	addressed int
	err       error
	rooms     *Decoder // nil: what is given is the caller's to keep
}

// begin takes what is to be decoded, if it can be.
func (d *decoder) begin(b []byte, text string) bool {
	switch {
	case len(b) > encodedBytesMax:
		d.fail("longer than %d bytes", encodedBytesMax)
	case len(b) == 0:
		d.fail("empty")
	case b[0] != encodingVersion:
		d.fail("version %d is not known", b[0])
	default:
		d.b, d.i = text, 1
		return true
	}
	return false
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fault.New(fault.Internal, "message summary: "+format, args...)
	}
	d.i = len(d.b)
}

func (d *decoder) check(ok bool, problem string) {
	if !ok {
		d.fail("%s", problem)
	}
}

func (d *decoder) number() uint64 {
	if d.i < len(d.b) && d.b[d.i] < 0x80 { // most are small
		d.i++
		return uint64(d.b[d.i-1])
	}
	var text [binary.MaxVarintLen64]byte
	n, size := binary.Uvarint(text[:copy(text[:], d.b[d.i:])])
	if size <= 0 {
		d.fail("cut off in a number")
		return 0
	}
	d.i += size
	return n
}

// offset is a number of bytes or lines in the message.
func (d *decoder) offset() int64 {
	n := d.number()
	if n > messageBytesMax {
		d.fail("offset %d is not possible", n)
		return 0
	}
	return int64(n)
}

// count is a number of things that take at least a byte each.
func (d *decoder) count(limit int, what string) int {
	n := d.number()
	if n > uint64(limit) || n > uint64(len(d.b)-d.i) {
		d.fail("%d %s are too many", n, what)
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := d.number()
	if n&1 == 1 {
		if n/2 >= uint64(len(dictionary)) {
			d.fail("word %d is not in the dictionary", n/2)
			return ""
		}
		return dictionary[n/2]
	}
	n /= 2
	if n > uint64(len(d.b)-d.i) {
		d.fail("cut off in a text")
		return ""
	}
	s := d.b[d.i : d.i+int(n)]
	d.i += int(n)
	return s
}

// needed is a text that is never empty.
func (d *decoder) needed(what string) string {
	s := d.text()
	if s == "" {
		d.fail("%s is empty", what)
	}
	return s
}

func (d *decoder) envelope() Envelope {
	flags := d.number()
	if flags&^envelopeBitsAll != 0 {
		d.fail("envelope flags %#x are not known", flags)
	}
	v := Envelope{Empty: EnvelopeField(flags) & fieldsAll}
	for _, to := range []*string{&v.Date, &v.Subject, &v.InReplyTo, &v.MessageID} {
		*to = d.text()
	}
	v.From = d.addresses()
	v.Sender, v.ReplyTo = v.From, v.From
	if flags&senderIsFrom == 0 {
		v.Sender = d.addresses()
	}
	if flags&replyToIsFrom == 0 {
		v.ReplyTo = d.addresses()
	}
	v.To = d.addresses()
	v.Cc = d.addresses()
	v.Bcc = d.addresses()
	return v
}

func (d *decoder) addresses() []Address {
	n := d.count(decodedAddressesMax-d.addressed, "addresses")
	if n == 0 {
		return nil
	}
	d.addressed += n
	list := listOf(d.rooms, n, func(r *Decoder) *room[Address] { return &r.addresses })
	for range n {
		group := d.number()
		if group > uint64(GroupEnd) {
			d.fail("group mark %d is not known", group)
		}
		list = append(list, Address{
			Group: GroupMark(group), Name: d.text(), Route: d.text(), Mailbox: d.text(), Host: d.text(),
		})
		if d.err != nil {
			return nil
		}
	}
	return list
}

func (d *decoder) params() []Param {
	n := d.count(paramsMax+1, "parameters") // one more: the default charset
	if n == 0 {
		return nil
	}
	params := listOf(d.rooms, n, func(r *Decoder) *room[Param] { return &r.params })
	for range n {
		params = append(params, Param{d.needed("a parameter's name"), d.text()})
	}
	return params
}

// part reads a part that must lie between two offsets.
func (d *decoder) part(from, to int64, depth int) Part {
	d.parts++
	if depth > nestingPartsMax {
		d.fail("parts are nested deeper than %d", nestingPartsMax)
	}
	if d.parts > decodedPartsMax {
		d.fail("more than %d parts", decodedPartsMax)
	}
	if d.err != nil {
		return Part{}
	}
	flags := d.number()
	if flags&^partBitsAll != 0 {
		d.fail("part flags %#x are not known", flags)
	}
	var p Part
	d.partTexts(&p, flags)
	p.HeaderStart = from + d.offset()
	p.HeaderSize = d.offset()
	p.BodyStart = p.HeaderStart + p.HeaderSize
	p.BodySize = d.offset()
	p.Lines = d.offset()
	d.check(p.end() <= to, "a part ends behind its parent")
	d.check(p.Lines <= p.BodySize, "a part has more lines than bytes")
	if flags&partHasChildren != 0 {
		d.children(&p, depth)
	}
	if flags&partHasMessage != 0 {
		d.check(flags&partHasChildren == 0, "a message has children")
		p.Message = &Embedded{Envelope: d.envelope()}
		p.Message.Root = d.part(p.BodyStart, p.end(), depth+1)
		root := &p.Message.Root
		d.check(root.HeaderStart == p.BodyStart && root.end() == p.end(), "a message does not fill its part")
	}
	return p
}

func (d *decoder) partTexts(p *Part, flags uint64) {
	p.Type = d.needed("a type")
	p.Subtype = d.needed("a subtype")
	p.Params = d.params()
	p.Encoding = d.needed("an encoding")
	if flags&partHasID != 0 {
		p.ID = d.needed("an id")
	}
	if flags&partHasDescription != 0 {
		p.Description = d.needed("a description")
	}
	if flags&partHasDisposition != 0 {
		p.Disposition = d.needed("a disposition")
		p.DispositionParams = d.params()
	}
	if flags&partHasLanguage != 0 {
		n := d.count(languagesMax, "languages")
		d.check(n > 0, "languages are empty")
		for range n {
			p.Language = append(p.Language, d.needed("a language"))
		}
	}
	if flags&partHasLocation != 0 {
		p.Location = d.needed("a location")
	}
	if flags&partHasMD5 != 0 {
		p.MD5 = d.needed("an MD5")
	}
}

func listOf[T any](rooms *Decoder, n int, kind func(*Decoder) *room[T]) []T {
	if rooms == nil {
		return make([]T, 0, n)
	}
	return kind(rooms).take(n)
}

// childrenAtOnce bounds what is made room for before it is read: a part is larger than what it is decoded from.
const childrenAtOnce = 8

func (d *decoder) children(p *Part, depth int) {
	n := d.count(decodedPartsMax-d.parts, "parts")
	d.check(n > 0, "a multipart has no parts")
	from := p.BodyStart
	p.Children = listOf(d.rooms, min(n, childrenAtOnce), func(r *Decoder) *room[Part] { return &r.parts })
	for range n {
		if d.err != nil {
			return
		}
		child := d.part(from, p.end(), depth+1)
		from = child.end()
		p.Children = append(p.Children, child)
	}
}
