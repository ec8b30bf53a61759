// Package message owns what a mailstore knows of the inside of a mail message.
//
// A message is parsed once, at delivery or APPEND, into a Summary: its envelope and its MIME structure with byte
// offsets. The encoded Summary travels in the change and lies in the database of every copy, so that ENVELOPE,
// BODYSTRUCTURE and sizes are answered without the blob, and BODY[section] by reading one range of it.
//
// Content is hostile. Every limit degrades (text is cut, the rest becomes one opaque part) and none fails; parsing takes
// linear time and memory that does not grow with the message. The package must not know how IMAP writes any of this,
// nor where blobs, rows or events are kept.
package message

import "strings"

// Summary is what is kept of a message.
type Summary struct {
	Envelope Envelope
	Root     Part
	Size     int64 // bytes of the whole message: RFC822.SIZE
}

// Envelope holds header values as the ENVELOPE of IMAP wants them (RFC 3501 7.4.2, RFC 9051 7.5.2): unfolded, trimmed,
// encoded words (RFC 2047) left as they are. They never hold CR or LF, but may hold NUL and any 8-bit byte.
// Where the header has no Sender or Reply-To, or an empty one, the parser puts From in its place.
type Envelope struct {
	Date, Subject                      string
	From, Sender, ReplyTo, To, Cc, Bcc []Address
	InReplyTo, MessageID               string
	Empty                              EnvelopeField // which are "" because the header has them empty; the others that are "" are NIL
}

// EnvelopeField is a set of text fields of the envelope.
type EnvelopeField uint8

// The text fields of the envelope.
const (
	FieldDate EnvelopeField = 1 << iota
	FieldSubject
	FieldInReplyTo
	FieldMessageID
	fieldsAll = FieldDate | FieldSubject | FieldInReplyTo | FieldMessageID
)

// Address is one element of an address list. Of an ordinary address an empty Name or Route is absent (NIL), an empty
// Mailbox or Host could not be found in the header and is the empty string (a NIL there would mean a group).
type Address struct {
	Name    string // display name, or the comment behind an address; quotes and escapes removed, encoded words kept
	Route   string // source route (RFC 822), as "@a,@b"
	Mailbox string // local part, or the name of the group that starts here
	Host    string
	Group   GroupMark
}

// GroupMark says whether an element of an address list starts or ends a group (RFC 5322 3.4).
type GroupMark uint8

// GroupStart has a NIL Host and the group's name as Mailbox; of GroupEnd both are NIL.
const (
	NoGroup GroupMark = iota
	GroupStart
	GroupEnd
)

// Part is one body part, or the top level of a message. Defaults are applied: a type is always there (text/plain with
// charset=us-ascii, message/rfc822 inside multipart/digest), text always has a charset, Encoding is never empty.
// Letter case is the message's own.
//
// The header of a part is followed at once by its body: BodyStart is HeaderStart + HeaderSize.
type Part struct {
	Type, Subtype             string
	Params                    []Param // RFC 2231 parameters are kept as they are in the header
	ID, Description, Encoding string
	Disposition               string // "" is NIL
	DispositionParams         []Param
	Language                  []string
	Location, MD5             string

	HeaderStart, HeaderSize int64 // offset in the message, and bytes including the blank line
	BodyStart, BodySize     int64 // the line end before a boundary belongs to the boundary (RFC 2046 5.1.1)
	Lines                   int64 // LFs in the body

	Children []Part    // of a multipart, at least one (an empty text/plain where the message has none)
	Message  *Embedded // of message/rfc822, never nil there
}

// Param is a parameter of Content-Type or Content-Disposition; quoting is undone.
type Param struct{ Name, Value string }

// Embedded is the message inside a message/rfc822 part.
type Embedded struct {
	Envelope Envelope
	Root     Part
}

// IsMultipart reports whether the part has Children.
func (p *Part) IsMultipart() bool { return len(p.Children) > 0 }

// IsText reports whether the part is of type text.
func (p *Part) IsText() bool { return strings.EqualFold(p.Type, "text") }

// Param is the value of a Content-Type parameter, whatever its letter case.
func (p *Part) Param(name string) (string, bool) {
	for _, param := range p.Params {
		if strings.EqualFold(param.Name, name) {
			return param.Value, true
		}
	}
	return "", false
}

// end is the offset behind the part's body.
func (p *Part) end() int64 { return p.BodyStart + p.BodySize }
