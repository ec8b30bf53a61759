package message

import (
	"encoding/binary"
	"slices"
)

// The encoding, version 1. All numbers are unsigned varints.
//
//	summary  = version(byte) size envelope part
//	envelope = flags date subject in-reply-to message-id from [sender] [reply-to] to cc bcc
//	           flags: bits 0-3 are Empty, 4 and 5 say that sender and reply-to are as from and are left out
//	list     = count *address;  address = group name route mailbox host
//	part     = flags type subtype params encoding [id] [description] [disposition params] [languages] [location] [md5]
//	           gap header-size body-size lines [count *part] [envelope part]
//	           gap is the bytes between the end of the part before (else the start of the parent's body) and its header
//	text     = 2*length bytes, or 2*index+1 into the dictionary
const encodingVersion = 1

// Bits of an encoded part.
const (
	partHasID = 1 << iota
	partHasDescription
	partHasDisposition
	partHasLanguage
	partHasLocation
	partHasMD5
	partHasChildren
	partHasMessage
	partBitsAll = 1<<iota - 1
)

// Bits of an encoded envelope beside EnvelopeField.
const (
	senderIsFrom    = 1 << 4
	replyToIsFrom   = 1 << 5
	envelopeBitsAll = uint64(fieldsAll) | senderIsFrom | replyToIsFrom
)

// dictionary holds frequent texts of version 1. It is part of the encoding: never change an entry, append only with a
// new version.
var dictionary = [...]string{
	"", "text", "plain", "html", "multipart", "mixed", "alternative", "related", "report", "signed", "digest",
	"message", "rfc822", "delivery-status", "application", "octet-stream", "pdf", "image", "png", "jpeg", "gif",
	"audio", "video", "calendar", "7bit", "8bit", "binary", "quoted-printable", "base64", "7BIT", "8BIT",
	"charset", "us-ascii", "utf-8", "UTF-8", "iso-8859-1", "ISO-8859-1", "windows-1252", "boundary", "name", "filename",
	"format", "flowed", "type", "protocol", "micalg", "method", "attachment", "inline", "size", "delsp", "yes",
}

// Encode makes a summary bytes. It takes what Parse and Decode give.
func (s *Summary) Encode() []byte {
	e := encoder{index: make(map[string]uint64, len(dictionary))}
	for i, text := range dictionary {
		e.index[text] = uint64(i)
	}
	e.b = append(make([]byte, 0, 256), encodingVersion)
	e.number(uint64(s.Size))
	e.envelope(&s.Envelope)
	e.part(&s.Root, 0)
	return e.b
}

type encoder struct {
	b     []byte
	index map[string]uint64
}

func (e *encoder) number(n uint64) { e.b = binary.AppendUvarint(e.b, n) }

func (e *encoder) text(s string) {
	if i, ok := e.index[s]; ok {
		e.number(2*i + 1)
		return
	}
	e.number(2 * uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) envelope(v *Envelope) {
	flags := uint64(v.Empty & fieldsAll)
	if slices.Equal(v.Sender, v.From) {
		flags |= senderIsFrom
	}
	if slices.Equal(v.ReplyTo, v.From) {
		flags |= replyToIsFrom
	}
	e.number(flags)
	for _, text := range []string{v.Date, v.Subject, v.InReplyTo, v.MessageID} {
		e.text(text)
	}
	e.addresses(v.From)
	if flags&senderIsFrom == 0 {
		e.addresses(v.Sender)
	}
	if flags&replyToIsFrom == 0 {
		e.addresses(v.ReplyTo)
	}
	e.addresses(v.To)
	e.addresses(v.Cc)
	e.addresses(v.Bcc)
}

func (e *encoder) addresses(list []Address) {
	e.number(uint64(len(list)))
	for _, a := range list {
		e.number(uint64(a.Group))
		e.text(a.Name)
		e.text(a.Route)
		e.text(a.Mailbox)
		e.text(a.Host)
	}
}

func (e *encoder) params(params []Param) {
	e.number(uint64(len(params)))
	for _, p := range params {
		e.text(p.Name)
		e.text(p.Value)
	}
}

func partFlags(p *Part) uint64 {
	var flags uint64
	for _, f := range []struct {
		bit uint64
		set bool
	}{
		{partHasID, p.ID != ""},
		{partHasDescription, p.Description != ""},
		{partHasDisposition, p.Disposition != ""},
		{partHasLanguage, len(p.Language) > 0},
		{partHasLocation, p.Location != ""},
		{partHasMD5, p.MD5 != ""},
		{partHasChildren, len(p.Children) > 0},
		{partHasMessage, p.Message != nil},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	return flags
}

// part encodes a part whose header can start at an offset at the earliest.
func (e *encoder) part(p *Part, from int64) {
	flags := partFlags(p)
	e.number(flags)
	e.text(p.Type)
	e.text(p.Subtype)
	e.params(p.Params)
	e.text(p.Encoding)
	if p.ID != "" {
		e.text(p.ID)
	}
	if p.Description != "" {
		e.text(p.Description)
	}
	if p.Disposition != "" {
		e.text(p.Disposition)
		e.params(p.DispositionParams)
	}
	if len(p.Language) > 0 {
		e.number(uint64(len(p.Language)))
		for _, l := range p.Language {
			e.text(l)
		}
	}
	if p.Location != "" {
		e.text(p.Location)
	}
	if p.MD5 != "" {
		e.text(p.MD5)
	}
	e.number(uint64(p.HeaderStart - from))
	e.number(uint64(p.HeaderSize))
	e.number(uint64(p.BodySize))
	e.number(uint64(p.Lines))
	if len(p.Children) > 0 {
		e.number(uint64(len(p.Children)))
		from = p.BodyStart
		for i := range p.Children {
			e.part(&p.Children[i], from)
			from = p.Children[i].end()
		}
	}
	if p.Message != nil {
		e.envelope(&p.Message.Envelope)
		e.part(&p.Message.Root, p.BodyStart)
	}
}
