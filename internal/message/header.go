package message

import (
	"bytes"
	"strings"
)

// fieldName is a header field that the summary is made of.
type fieldName int

const (
	ignored fieldName = iota
	mimeVersion
	contentType
	contentEncoding
	contentID
	contentDescription
	contentDisposition
	contentLanguage
	contentLocation
	contentMD5
	fieldDate
	fieldSubject
	fieldInReplyTo
	fieldMessageID
	fieldFrom
	fieldSender
	fieldReplyTo
	fieldTo
	fieldCc
	fieldBcc
	fieldNamesEnd
)

const fieldNameBytesMax = 25 // the longest that lookField knows

// lookField finds a field by name; letter case does not matter.
func lookField(name []byte) fieldName {
	if len(name) > fieldNameBytesMax {
		return ignored
	}
	switch strings.ToLower(string(name)) {
	case "mime-version":
		return mimeVersion
	case "content-type":
		return contentType
	case "content-transfer-encoding":
		return contentEncoding
	case "content-id":
		return contentID
	case "content-description":
		return contentDescription
	case "content-disposition":
		return contentDisposition
	case "content-language":
		return contentLanguage
	case "content-location":
		return contentLocation
	case "content-md5":
		return contentMD5
	case "date":
		return fieldDate
	case "subject":
		return fieldSubject
	case "in-reply-to":
		return fieldInReplyTo
	case "message-id":
		return fieldMessageID
	case "from":
		return fieldFrom
	case "sender":
		return fieldSender
	case "reply-to":
		return fieldReplyTo
	case "to":
		return fieldTo
	case "cc":
		return fieldCc
	case "bcc":
		return fieldBcc
	}
	return ignored
}

// headerBlock gathers the header that is being read, a field at a time.
type headerBlock struct {
	message   bool // a message's header: it has an envelope, and is MIME only if it says so
	field     fieldName
	value     []byte // of field so far, unfolded
	fields    int
	textBytes int
	seen      [fieldNamesEnd]bool
	boundary  string
}

// reset begins a header.
func (h *headerBlock) reset(message bool) {
	*h = headerBlock{message: message, value: h.value[:0]}
}

// line takes a header line without its line end, or a fragment of one, and reports whether it is the blank line.
func (h *headerBlock) line(p *parser, b []byte, starts, wholeLine bool) (ends bool) {
	switch {
	case starts && wholeLine && len(b) == 0:
		return true
	case !starts || b[0] == ' ' || b[0] == '\t':
		h.add(b)
	default:
		h.endField(p)
		h.beginField(b)
	}
	return false
}

func (h *headerBlock) beginField(b []byte) {
	colon := bytes.IndexByte(b, ':')
	if colon < 0 || h.fields >= headerFieldsMax || h.textBytes >= headerTextBytesMax {
		return // a line without a colon is nobody's; it does not end the header either
	}
	h.fields++
	h.field = lookField(bytes.TrimRight(b[:colon], " \t"))
	if h.field >= fieldDate && !h.message {
		h.field = ignored
	}
	h.add(b[colon+1:])
}

func (h *headerBlock) add(b []byte) {
	if h.field != ignored {
		h.value = append(h.value, b[:min(len(b), fieldBytesMax-len(h.value))]...)
	}
}

// endField takes over the field that was gathered. Of a field that may stand once, the first counts; address lists of
// several fields are joined, lest one be checked by a filter and another be shown.
func (h *headerBlock) endField(p *parser) {
	field, value := h.field, h.value
	h.field, h.value = ignored, h.value[:0]
	if field == ignored {
		return
	}
	h.textBytes += len(value)
	again := h.seen[field]
	h.seen[field] = true
	top := p.top()
	if field >= fieldFrom {
		list := addressList(&top.envelope, field)
		*list = p.appendAddresses(*list, value)
		return
	}
	if again {
		return
	}
	if field >= fieldDate {
		p.setText(&top.envelope, field, value)
		return
	}
	h.contentField(p, &top.part, field, value)
}

func addressList(e *Envelope, field fieldName) *[]Address {
	switch field {
	case fieldFrom:
		return &e.From
	case fieldSender:
		return &e.Sender
	case fieldReplyTo:
		return &e.ReplyTo
	case fieldTo:
		return &e.To
	case fieldCc:
		return &e.Cc
	default:
		return &e.Bcc
	}
}

func (p *parser) setText(e *Envelope, field fieldName, value []byte) {
	var to *string
	var bit EnvelopeField
	switch field {
	case fieldDate:
		to, bit = &e.Date, FieldDate
	case fieldSubject:
		to, bit = &e.Subject, FieldSubject
	case fieldInReplyTo:
		to, bit = &e.InReplyTo, FieldInReplyTo
	default:
		to, bit = &e.MessageID, FieldMessageID
	}
	*to = p.text(value)
	if len(bytes.Trim(value, blanks)) == 0 {
		e.Empty |= bit // RFC 3501 7.4.2: absent is NIL, present but empty is ""
	}
}

func (h *headerBlock) contentField(p *parser, part *Part, field fieldName, value []byte) {
	switch field {
	case contentType:
		var params []Param
		part.Type, part.Subtype, params = parseContentType(value)
		h.boundary = boundaryOf(params)
		part.Params = p.keepParams(params)
		p.textBytes += len(part.Type) + len(part.Subtype)
	case contentEncoding:
		s := scanner{b: value}
		s.skip()
		part.Encoding = s.shortToken()
		p.textBytes += len(part.Encoding)
	case contentDisposition:
		var params []Param
		part.Disposition, params = parseDisposition(value)
		part.DispositionParams = p.keepParams(params)
		p.textBytes += len(part.Disposition)
	case contentLanguage:
		part.Language = parseLanguages(value)
		for _, l := range part.Language {
			p.textBytes += len(l)
		}
	case contentID:
		part.ID = p.text(value)
	case contentDescription:
		part.Description = p.text(value)
	case contentLocation:
		part.Location = p.text(value)
	case contentMD5:
		part.MD5 = p.text(value)
	}
}

// end is called where the header ends; it applies defaults and gives the boundary of a multipart.
func (h *headerBlock) end(p *parser, top *openPart, inDigest bool) (boundary string) {
	h.endField(p)
	part := &top.part
	boundary = h.boundary
	if h.message {
		top.envelope.applyDefaults()
		if !h.seen[mimeVersion] && !h.seen[contentType] {
			*part = Part{HeaderStart: part.HeaderStart, HeaderSize: part.HeaderSize, BodyStart: part.BodyStart}
		}
	}
	switch {
	case part.Type != "":
	case inDigest && !h.seen[contentType]:
		part.Type, part.Subtype = "message", "rfc822"
	default:
		part.Type, part.Subtype = "text", "plain" // RFC 2045 5.2
	}
	if part.IsText() {
		if _, ok := part.Param("charset"); !ok {
			part.Params = append(part.Params, Param{"charset", "us-ascii"})
		}
	}
	if part.Encoding == "" {
		part.Encoding = "7bit"
	}
	return boundary
}

func (e *Envelope) applyDefaults() {
	if len(e.Sender) == 0 {
		e.Sender = e.From
	}
	if len(e.ReplyTo) == 0 {
		e.ReplyTo = e.From
	}
}

// text keeps the text of a header value while there is room for it.
func (p *parser) text(value []byte) string {
	value = withoutLineEnds(bytes.Trim(value, blanks))
	if p.textBytes+len(value) > textBytesMax {
		p.textBytes = textBytesMax
		return ""
	}
	p.textBytes += len(value)
	return string(value)
}

const blanks = " \t\r\n"

// withoutLineEnds drops the stray CRs and LFs that may be left in a header value.
func withoutLineEnds(value []byte) []byte {
	if bytes.IndexByte(value, '\r') < 0 && bytes.IndexByte(value, '\n') < 0 {
		return value
	}
	kept := make([]byte, 0, len(value))
	for _, c := range value {
		if c != '\r' && c != '\n' {
			kept = append(kept, c)
		}
	}
	return kept
}

func (p *parser) keepParams(params []Param) []Param {
	for i, param := range params {
		n := len(param.Name) + len(param.Value)
		if p.textBytes+n > textBytesMax {
			p.textBytes = textBytesMax
			return params[:i]
		}
		p.textBytes += n
	}
	return params
}
