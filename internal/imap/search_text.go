package imap

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"mailreplica/internal/message"
)

const findBufferBytes = 32 << 10

// fold makes a text comparable without regard to case.
func fold(s string) string { return strings.ToLower(s) }

// foldInPlaceBytesMax bounds what is looked for without folding the text first: that can take the product of both lengths.
const foldInPlaceBytesMax = 64

// containsFold reports whether a text, once folded, contains what is folded already.
func containsFold(text, needle string) bool {
	if len(needle) > foldInPlaceBytesMax || needle == "" || !ascii(text) {
		return strings.Contains(fold(text), needle)
	}
	for i := 0; i+len(needle) <= len(text); i++ {
		if lower(text[i]) == needle[0] && hasPrefixFold(text[i:], needle) {
			return true
		}
	}
	return false
}

func hasPrefixFold[T string | []byte](text T, prefix string) bool {
	for i := range len(prefix) {
		if lower(text[i]) != prefix[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func ascii[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// match looks into the envelope where it holds the field, else into the header itself.
func (k headerMatcher) match(c *candidate) verdict {
	if envelopeFields[k.field] {
		e := c.envelope()
		if e == nil {
			return unknown
		}
		return k.matchEnvelope(e)
	}
	if c.opening == nil {
		return unknown
	}
	if !c.mayGoOn() {
		return no
	}
	values, err := c.fields(k)
	if err != nil {
		return c.fail(err)
	}
	return verdictOf(slices.ContainsFunc(values, func(value string) bool { return strings.Contains(value, k.needle) }))
}

// envelopeFields are the fields that an envelope holds whole.
var envelopeFields = map[string]bool{
	"subject": true, "message-id": true, "in-reply-to": true, "date": true, "from": true, "to": true, "cc": true, "bcc": true,
}

func (k headerMatcher) matchEnvelope(e *message.Envelope) verdict {
	switch k.field {
	case "subject":
		return k.matchText(e.Subject, e.Empty&message.FieldSubject != 0)
	case "message-id":
		return k.matchText(e.MessageID, e.Empty&message.FieldMessageID != 0)
	case "in-reply-to":
		return k.matchText(e.InReplyTo, e.Empty&message.FieldInReplyTo != 0)
	case "date":
		return k.matchText(e.Date, e.Empty&message.FieldDate != 0)
	case "from":
		return k.matchAddresses(e.From)
	case "to":
		return k.matchAddresses(e.To)
	case "cc":
		return k.matchAddresses(e.Cc)
	}
	return k.matchAddresses(e.Bcc)
}

func (k headerMatcher) matchText(value string, empty bool) verdict {
	if k.needle == "" {
		return verdictOf(value != "" || empty)
	}
	return verdictOf(containsFold(message.DecodeHeader(value), k.needle))
}

func (k headerMatcher) matchAddresses(list []message.Address) verdict {
	if k.needle == "" {
		return verdictOf(len(list) > 0)
	}
	return verdictOf(containsFold(addressText(list), k.needle))
}

// addressText is an address list as people read it.
func addressText(list []message.Address) string {
	var b strings.Builder
	for i, a := range list {
		switch a.Group {
		case message.GroupStart:
			b.WriteString(message.DecodeHeader(a.Mailbox))
			b.WriteString(": ")
			continue
		case message.GroupEnd:
			b.WriteString("; ")
			continue
		}
		if a.Name != "" {
			b.WriteString(message.DecodeHeader(a.Name))
			b.WriteString(" ")
		}
		b.WriteString("<" + a.Mailbox + "@" + a.Host + ">")
		if i < len(list)-1 && list[i+1].Group != message.GroupEnd {
			b.WriteString(", ")
		}
	}
	return b.String()
}

func readHeader(body Body, part *message.Part) ([]byte, error) {
	header := make([]byte, min(part.HeaderSize, headerBytesMax))
	if _, err := body.ReadAt(header, part.HeaderStart); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return header, nil
}

// lowerName is the name of a field in lower case. Only letters of ASCII have a case there.
func lowerName(name string) string {
	b := []byte(name)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}

// fieldValues decodes and folds the values of a header's fields of that name, which is in lower case.
func fieldValues(header []byte, name string) (values []string) {
	for field := range fields(header) {
		own, value, ok := bytes.Cut(field, []byte(":"))
		if own = bytes.TrimRight(own, " \t"); ok && len(own) == len(name) && hasPrefixFold(own, name) {
			values = append(values, fold(message.DecodeHeader(unfold(value))))
		}
	}
	return values
}

// headerFieldsMax bounds the fields of a header that are looked at, as package message does.
const headerFieldsMax = 10_000

// fields yields a header's fields, as they stand there.
func fields(header []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for n := 0; len(header) > 0 && n < headerFieldsMax; n++ {
			end := 0
			for {
				n := bytes.IndexByte(header[end:], '\n') + 1
				if n == 0 {
					end = len(header)
					break
				}
				end += n
				if end == len(header) || header[end] != ' ' && header[end] != '\t' {
					break
				}
			}
			field := header[:end]
			header = header[end:]
			if !yield(field) {
				return
			}
		}
	}
}

// lineEnds takes the line ends out of a field. It is never altered.
var lineEnds = strings.NewReplacer("\r\n", "", "\n", "")

func unfold(field []byte) string {
	if line, ended := bytes.CutSuffix(field, []byte("\n")); ended {
		field = bytes.TrimSuffix(line, []byte("\r"))
	}
	if bytes.IndexByte(field, '\n') < 0 {
		return string(field)
	}
	return lineEnds.Replace(string(field))
}

// match looks into the text of the message: headers decoded, text parts decoded and made UTF-8.
func (k textMatcher) match(c *candidate) verdict {
	if c.opening == nil {
		return unknown
	}
	if k.needle == "" {
		return yes
	}
	if !c.mayGoOn() {
		return no
	}
	body, err := c.opening.opened()
	if err != nil {
		return c.fail(err)
	}
	root := &c.opening.summary.Root
	if !k.bodyOnly {
		found, err := k.inHeader(body, root)
		if err != nil {
			return c.fail(err)
		}
		if found {
			return yes
		}
	}
	found, err := k.inPart(body, root)
	if err != nil {
		return c.fail(err)
	}
	return verdictOf(found)
}

func (k textMatcher) inHeader(body Body, part *message.Part) (bool, error) {
	header, err := readHeader(body, part)
	if err != nil {
		return false, err
	}
	for field := range fields(header) {
		if strings.Contains(fold(message.DecodeHeader(unfold(field))), k.needle) {
			return true, nil
		}
	}
	return false, nil
}

// inPart looks into a part's text, and into the parts of it and their headers, where the names of attachments are.
// Attachments that are no text are not searched.
func (k textMatcher) inPart(body Body, part *message.Part) (bool, error) {
	switch {
	case part.IsMultipart():
		for i := range part.Children {
			if found, err := k.inHeader(body, &part.Children[i]); found || err != nil {
				return found, err
			}
			if found, err := k.inPart(body, &part.Children[i]); found || err != nil {
				return found, err
			}
		}
		return false, nil
	case part.Message != nil:
		if found, err := k.inHeader(body, &part.Message.Root); found || err != nil {
			return found, err
		}
		return k.inPart(body, &part.Message.Root)
	case !part.IsText():
		return false, nil
	}
	var text io.Reader = io.NewSectionReader(body, part.BodyStart, part.BodySize)
	if decoded, err := message.DecodeTransfer(part.Encoding, text); err == nil {
		text = decoded // what cannot be decoded is searched as it is
	}
	if charset, ok := part.Param("charset"); ok {
		if converted, err := message.CharsetReader(charset, text); err == nil {
			text = converted
		}
	}
	return contains(text, k.needle)
}

// finder is what looking through a text takes: bodies are many, and most are small.
type finder struct{ buf, window []byte }

var finders = sync.Pool{New: func() any { return &finder{buf: make([]byte, findBufferBytes)} }}

// appendFolded appends a text, folded.
func appendFolded(to, text []byte) []byte {
	if !ascii(text) {
		return append(to, bytes.ToLower(text)...)
	}
	begin := len(to)
	to = append(to, text...)
	for i, c := range to[begin:] {
		to[begin+i] = lower(c)
	}
	return to
}

// contains looks for a folded text in a stream, holding no more of it than a buffer and the text's length.
func contains(r io.Reader, needle string) (bool, error) {
	f := finders.Get().(*finder)
	defer finders.Put(f)
	buf, window := f.buf, f.window[:0]
	defer func() {
		if cap(window) <= 4*findBufferBytes { // a long text that is looked for makes it long
			f.window = window
		}
	}()
	kept := 0 // bytes at the start of buf that are not folded yet: a character cut in two
	for {
		n, err := r.Read(buf[kept:])
		chunk := buf[:kept+n]
		whole := len(chunk)
		if err == nil {
			whole = wholeRunes(chunk)
		}
		window = appendFolded(window, chunk[:whole])
		if bytes.Contains(window, []byte(needle)) {
			return true, nil
		}
		if keep := len(needle) - 1; len(window) > keep {
			window = append(window[:0], window[len(window)-keep:]...)
		}
		kept = copy(buf, chunk[whole:])
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// wholeRunes is the length of a text without the beginning of a character at its end.
func wholeRunes(b []byte) int {
	for i := 1; i <= min(utf8.UTFMax, len(b)); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return len(b) - i
			}
			break
		}
	}
	return len(b)
}
