package imap

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/message"
)

// A message appended as literal8 may have parts in the binary encoding, with NUL. BODY[] could not tell them, for no
// literal of IMAP holds NUL (RFC 3501 section 9), so such parts are stored as base64 (RFC 3516 section 4.4); BINARY[] gives
// them back as they came. Every other message is kept byte by byte.

// withoutBinary stores a message anew where it has parts in the binary encoding, and drops what was stored first.
func (s *session) withoutBinary(stored mailbox.NewMessage) (mailbox.NewMessage, error) {
	encoded, err := s.encodeBinary(stored)
	if err != nil || encoded.Blob != stored.Blob {
		s.mailbox.DropBodies(s.ctx, []mailbox.NewMessage{stored}, nil)
	}
	return encoded, err
}

func (s *session) encodeBinary(stored mailbox.NewMessage) (mailbox.NewMessage, error) {
	summary, err := message.Decode(stored.Summary)
	if err != nil {
		return stored, err
	}
	parts := binaryParts(nil, &summary.Root)
	if len(parts) == 0 {
		return stored, nil
	}
	body, err := s.mailbox.OpenBody(s.ctx, mailbox.Content{Volume: stored.Volume, Blob: stored.Blob, Summary: stored.Summary})
	if err != nil {
		return stored, err
	}
	defer func() { _ = body.Close() }() // it was only read
	var pieces []io.Reader
	at := int64(0)
	for _, part := range parts {
		header, err := readHeader(body, part)
		if err != nil {
			return stored, err
		}
		pieces = append(pieces,
			io.NewSectionReader(body, at, part.HeaderStart-at),
			bytes.NewReader(sayBase64(header)),
			io.NewSectionReader(body, part.HeaderStart+int64(len(header)), part.HeaderSize-int64(len(header))),
			&base64Lines{in: io.NewSectionReader(body, part.BodyStart, part.BodySize)})
		at = part.BodyStart + part.BodySize
	}
	pieces = append(pieces, io.NewSectionReader(body, at, summary.Size-at))
	return s.mailbox.StoreBody(s.ctx, io.MultiReader(pieces...))
}

// binaryParts adds the parts in the binary encoding, in the order of their bytes.
func binaryParts(parts []*message.Part, p *message.Part) []*message.Part {
	switch {
	case p.IsMultipart():
		for i := range p.Children {
			parts = binaryParts(parts, &p.Children[i])
		}
	case p.Message != nil:
		parts = binaryParts(parts, &p.Message.Root)
	case strings.EqualFold(p.Encoding, "binary"):
		parts = append(parts, p)
	}
	return parts
}

// sayBase64 replaces Content-Transfer-Encoding in a header.
func sayBase64(header []byte) []byte {
	kept := message.HeaderFields(header, []string{"Content-Transfer-Encoding"}, true)
	return append([]byte("Content-Transfer-Encoding: base64\r\n"), kept...)
}

const base64LineBytes = 57 // of content; 76 characters (RFC 2045 section 6.8)

// base64Lines encodes what it reads.
type base64Lines struct {
	in   io.Reader
	out  []byte // encoded and not yet read
	buf  [base64LineBytes * 64]byte
	done bool
}

func (e *base64Lines) Read(p []byte) (int, error) {
	for len(e.out) == 0 {
		if e.done {
			return 0, io.EOF
		}
		n, err := io.ReadFull(e.in, e.buf[:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			e.done = true
		} else if err != nil {
			return 0, err
		}
		for text := e.buf[:n]; len(text) > 0; {
			line := text[:min(len(text), base64LineBytes)]
			text = text[len(line):]
			e.out = append(base64.StdEncoding.AppendEncode(e.out, line), "\r\n"...)
		}
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	return n, nil
}
