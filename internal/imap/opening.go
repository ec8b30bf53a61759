package imap

import (
	"errors"
	"io"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/message"
)

// opening is a message that a command looks into. Its body is opened when something is asked for that is not at hand without it.
type opening struct {
	session *session
	content mailbox.Content
	summary *message.Summary // nil until decoded
	decoder *message.Decoder
	exact   bool // a body that is not of the size that the summary says cannot be told of

	body Body // nil until opened

	// The header that was read last: a command can ask for many pieces of a large one.
	start  int64
	header []byte
}

// decoded is the summary.
func (m *opening) decoded() (_ *message.Summary, err error) {
	if m.summary == nil {
		m.summary, err = m.decoder.Decode(m.content.Summary)
	}
	return m.summary, err
}

// opened is the body, which close closes.
func (m *opening) opened() (Body, error) {
	if m.body != nil {
		return m.body, nil
	}
	if _, err := m.decoded(); err != nil {
		return nil, err
	}
	body, err := m.session.mailbox.OpenBody(m.session.ctx, m.content)
	if err != nil {
		return nil, err
	}
	if have := body.Size(); m.exact && have != m.summary.Size {
		_ = body.Close()
		return nil, fault.New(fault.Internal, "a message of %d bytes has a blob of %d", m.summary.Size, have)
	}
	m.body = body
	return body, nil
}

func (m *opening) close() {
	if m.body != nil {
		_ = m.body.Close() // it was only read
	}
}

// headerAt reads a header of the message, or of one within it.
func (m *opening) headerAt(start, size int64) ([]byte, error) {
	if m.header != nil && m.start == start && int64(len(m.header)) == size {
		return m.header, nil
	}
	body, err := m.opened()
	if err != nil {
		return nil, err
	}
	header := make([]byte, size)
	if _, err := body.ReadAt(header, start); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	m.start, m.header = start, header
	return header, nil
}
