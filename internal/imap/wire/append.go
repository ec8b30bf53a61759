package wire

import (
	"bytes"
	"io"
	"time"

	"mailreplica/internal/fault"
)

// Append holds the arguments of APPEND (RFC 3501 section 6.3.11, RFC 3502): the mailbox, and the messages one after the
// other, streamed. The session calls Next until io.EOF, and Accept on every message; to refuse, it calls Discard and
// answers NO. After any error no message of the command may be kept, for MULTIAPPEND is atomic.
type Append struct {
	Mailbox string
	r       *Reader
	tag     string
	next    *AppendMessage // read ahead: Command has read the first one's head
	current *AppendMessage
	err     error // io.EOF when the command has been read to its end
}

// AppendMessage is one message of an APPEND. Its literal has not been read yet.
type AppendMessage struct {
	Flags  []string
	Date   time.Time // zero if none was given
	Size   int64
	Binary bool // literal8 (RFC 3516): NUL is allowed

	r         *Reader
	head      header
	accepted  bool
	remaining int64
}

// atAppendMessage reports whether the literal just announced is a message of APPEND: the command is APPEND, and its
// mailbox is complete.
func (r *Reader) atAppendMessage() bool {
	p := &parser{text: r.text, literals: r.literals}
	p.tag()
	p.space()
	if p.keyword() != "APPEND" || p.err != nil {
		return false
	}
	p.skipSpaces()
	return !p.atEnd()
}

func (r *Reader) beginAppend(h header) (*Command, error) {
	p := &parser{text: r.text, literals: r.literals}
	a := &Append{r: r, tag: p.tag()}
	p.space()
	p.keyword()
	p.space()
	a.Mailbox = p.mailbox()
	message := a.parseHead(p, h)
	if message == nil {
		return nil, a.err
	}
	a.next = message
	r.pending = a
	return &Command{Tag: a.tag, Name: "APPEND", Args: a}, nil
}

// parseHead reads what stands before a message's literal: SP [flag-list SP] [date-time SP]. If the message cannot be
// taken, the command is read to its end and a.err says why.
func (a *Append) parseHead(p *parser, h header) *AppendMessage {
	m := &AppendMessage{r: a.r, head: h, Size: h.size, Binary: h.binary, remaining: h.size}
	p.space()
	if p.err == nil && p.peek() == '(' {
		m.Flags = p.flagList()
		p.space()
	}
	if p.err == nil && p.peek() == '"' {
		m.Date = p.dateTime()
		p.space()
	}
	p.end()
	switch {
	case h.misplaced:
		a.r.fail("Literal where none can be", false)
	case p.err != nil:
		a.r.fail("Error in APPEND: "+p.err.Text, false)
	case h.size > a.r.limits.AppendBytesMax:
		a.r.fail("Message too big", true)
	}
	if a.r.failure == nil {
		return m
	}
	a.failWith(h)
	return nil
}

// failWith reads a failed command to its end, h being the last header read, and leaves the reason in a.err.
func (a *Append) failWith(h header) {
	if a.err = a.r.skip(h); a.err == nil {
		a.r.failure.Tag = a.tag
		a.err = a.r.failure
	}
}

// Next is the next message, io.EOF after the last. A *SyntaxError has been read to the command's end, like those of
// Reader.Command.
func (a *Append) Next() (*AppendMessage, error) {
	if a.err != nil {
		return nil, a.err
	}
	if a.next == nil && !a.readNext() {
		return nil, a.err
	}
	a.current, a.next = a.next, nil
	return a.current, nil
}

func (a *Append) readNext() bool {
	if !a.current.accepted {
		if a.err = a.skipRest(); a.err == nil {
			a.err = fault.New(fault.Internal, "a message of APPEND was neither accepted nor refused")
		}
		return false
	}
	if a.err = a.r.discard(a.current.remaining); a.err != nil {
		return false
	}
	a.current.remaining = 0
	a.r.reset()
	h, err := a.r.readLine()
	if err != nil {
		a.err = err
		return false
	}
	if h.present && a.r.failure == nil {
		a.next = a.parseHead(&parser{text: a.r.text}, h)
		return a.next != nil
	}
	if !h.present && a.r.failure == nil {
		if len(bytes.TrimLeft(a.r.text, " ")) == 0 {
			a.err = io.EOF
			return false
		}
		a.r.fail("Unexpected text after a message", false)
	}
	a.failWith(h)
	return false
}

// Discard reads the rest of the command and throws it away, up to a synchronising literal that the client waits to send.
// Afterwards the session answers the command.
func (a *Append) Discard() error {
	if a.err != nil { // the command has been read to its end, or the connection is of no use
		return a.r.dead
	}
	if a.err = a.skipRest(); a.err != nil {
		return a.err
	}
	a.err = io.EOF
	return nil
}

func (a *Append) skipRest() error {
	a.r.fail("Refused", false)
	switch m := a.current; {
	case a.next != nil:
		return a.r.skip(a.next.head)
	case !m.accepted:
		return a.r.skip(m.head)
	default: // the rest of a literal is a literal that nobody waits for
		return a.r.skip(header{present: true, size: m.remaining})
	}
}

// Accept asks the client for the message, if it waits for that, and gives its bytes. What is not read by the time Next is
// called is thrown away. NUL, which RFC 3501 forbids in a literal that is no literal8, is passed on as sent, for mail has it. An
// error of the reader before io.EOF is the connection's: the message is not complete.
func (m *AppendMessage) Accept() (io.Reader, error) {
	if !m.accepted && m.head.sync {
		if err := m.r.proceed(); err != nil {
			return nil, m.r.die(connectionError(err))
		}
	}
	m.accepted = true
	return literalReader{m}, nil
}

type literalReader struct{ m *AppendMessage }

func (l literalReader) Read(b []byte) (int, error) {
	m := l.m
	if m.remaining == 0 {
		return 0, io.EOF
	}
	if m.r.dead != nil {
		return 0, m.r.dead
	}
	if int64(len(b)) > m.remaining {
		b = b[:m.remaining]
	}
	n, err := m.r.src.Read(b)
	m.remaining -= int64(n)
	if err != nil && m.remaining > 0 {
		return n, m.r.die(cutOff(err))
	}
	return n, nil
}
