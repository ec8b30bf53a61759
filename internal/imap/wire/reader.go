package wire

import (
	"bufio"
	"bytes"
	"io"
	"sync"
)

// Limits bound what a client can make the reader hold or do.
type Limits struct {
	// CommandBytesMax bounds the text of one command outside its literals.
	CommandBytesMax int
	// LiteralBytesMax bounds the literals of one command together, the messages of APPEND aside.
	LiteralBytesMax int
	// AppendBytesMax bounds one message of APPEND.
	AppendBytesMax int64
}

// DefaultLimits suit a session; AppendBytesMax is the operator's to choose.
func DefaultLimits() Limits {
	return Limits{CommandBytesMax: commandBytesMaxDefault, LiteralBytesMax: literalBytesMaxDefault, AppendBytesMax: 64 << 20}
}

const (
	commandBytesMaxDefault = 64 << 10
	literalBytesMaxDefault = 64 << 10

	readBufferBytes = 16 << 10
	// lineBytesMax bounds a line that is being skipped: beyond it no line end is expected any more.
	lineBytesMax = 8 << 20
	// discardBytesMax bounds a refused non-synchronising literal that is worth reading to its end.
	discardBytesMax = 8 << 30
)

// Command is one client command. Args is nil for commands without arguments, else a pointer to the type named after
// the command. UID commands have a Name such as "UID FETCH" and set UID in their arguments.
type Command struct {
	Tag  string
	Name string // upper case
	Args any
}

// Reader reads commands from one connection. It is used by one goroutine at a time.
type Reader struct {
	conn     io.Reader
	src      *bufio.Reader // reads conn; nil while the reader is released
	limits   Limits
	proceed  func() error // tells the client to send a synchronising literal
	dead     error        // the connection is of no use any more
	between  bool         // nothing of the next command has been read
	pending  *Append      // the APPEND last returned, perhaps not read to its end
	text     []byte       // of the current command, line ends and literals taken out
	segment  int          // where the current line begins in text
	textSize int          // bytes of text read, headers of literals included
	literals []literal
	litSize  int
	tail     []byte       // the last bytes of the current line, kept even where the text is not
	failure  *SyntaxError // what is wrong with the current command, first thing first
}

type literal struct {
	at   int // offset in text
	data []byte
}

// NewReader reads from src. proceed is called when a synchronising literal is acceptable: it writes a continuation
// request and flushes.
func NewReader(src io.Reader, limits Limits, proceed func() error) *Reader {
	return &Reader{conn: src, limits: limits, proceed: proceed}
}

// SetLimits changes the limits from the next command on, as a session does after a login.
func (r *Reader) SetLimits(limits Limits) { r.limits = limits }

// Buffered is the number of bytes that the client has sent and the reader has not looked at. Before STARTTLS it must be
// zero, or plain text would be taken for protected (RFC 3501 section 6.2.1); otherwise it tells whether responses can
// wait for those of the commands that follow.
func (r *Reader) Buffered() int {
	if r.src == nil {
		return 0
	}
	return r.src.Buffered()
}

// buffers are read buffers that no reader holds: only sessions that are being spoken to need one.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBufferBytes) }}

// Release gives up what memory a reader holds between commands. It takes it again when something is read.
func (r *Reader) Release() {
	if r.src == nil || r.src.Buffered() > 0 || r.dead != nil {
		return
	}
	if r.pending != nil {
		if r.pending.Discard() != nil {
			return // the next call meets the error
		}
		r.pending = nil
	}
	r.src.Reset(nil)
	buffers.Put(r.src)
	r.src, r.text, r.tail, r.literals = nil, nil, nil, nil
}

// hold takes a buffer.
func (r *Reader) hold() {
	if r.src == nil {
		r.src = buffers.Get().(*bufio.Reader)
		r.src.Reset(r.conn)
	}
}

// Raw reads what follows the last command as it comes, for a session that is handed on to another server.
func (r *Reader) Raw() io.Reader {
	if r.src == nil {
		return r.conn
	}
	return r.src
}

// Command reads the next command. A *SyntaxError is answered and the session goes on; a *ProtocolError is answered with
// BYE; any other error is the connection's, io.EOF in its chain if the client left between commands.
func (r *Reader) Command() (*Command, error) {
	if r.pending != nil {
		if err := r.pending.Discard(); err != nil {
			return nil, err
		}
		r.pending = nil
	}
	r.reset()
	r.between = true
	for {
		h, err := r.readLine()
		if err != nil {
			return nil, err
		}
		if !h.present {
			break
		}
		if r.failure == nil && !h.misplaced && r.atAppendMessage() {
			return r.beginAppend(h)
		}
		more, err := r.readLiteral(h)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	if r.failure != nil {
		r.failure.Tag = tagOf(r.text)
		return nil, r.failure
	}
	return parseCommand(&parser{text: r.text, literals: r.literals})
}

// reset forgets the last command. A buffer that grew large is dropped: most sessions idle.
func (r *Reader) reset() {
	r.hold()
	if cap(r.text) > readBufferBytes {
		r.text = nil
	}
	r.text, r.segment, r.textSize = r.text[:0], 0, 0
	r.literals, r.litSize = nil, 0
	r.failure = nil
}

func (r *Reader) fail(text string, tooBig bool) {
	if r.failure == nil {
		r.failure = &SyntaxError{Text: text, TooBig: tooBig}
	}
}

// Err is why the connection is of no use any more, nil while it is.
func (r *Reader) Err() error { return r.dead }

// die remembers the first error after which the connection is of no use.
func (r *Reader) die(err error) error {
	if r.dead == nil {
		r.dead = err
	}
	return r.dead
}

// readLiteral takes a literal into the command and reports whether the command goes on. One that cannot be taken makes
// the command fail, and the rest of the command is read to its end.
func (r *Reader) readLiteral(h header) (more bool, err error) {
	switch {
	case h.misplaced:
		r.fail("Literal where none can be", false)
	case h.size > int64(r.limits.LiteralBytesMax-r.litSize):
		r.fail("Literal too big", true)
	}
	if r.failure != nil {
		return false, r.skip(h)
	}
	if h.sync {
		if err := r.proceed(); err != nil {
			return false, r.die(connectionError(err))
		}
	}
	data := make([]byte, h.size)
	if _, err := io.ReadFull(r.src, data); err != nil {
		return false, r.die(cutOff(err))
	}
	if bytes.IndexByte(data, 0) >= 0 {
		r.fail("NUL in a literal", false)
	}
	r.litSize += len(data)
	r.literals = append(r.literals, literal{at: len(r.text), data: data})
	return true, nil
}

// skip reads a failed command to its end. A non-synchronising literal is on its way whatever the server thinks of it, so
// it is read and thrown away; at a synchronising one the client waits for the answer, and the command ends there.
func (r *Reader) skip(h header) error {
	for h.present {
		if h.sync {
			return r.refuse()
		}
		if err := r.discard(h.size); err != nil {
			return err
		}
		var err error
		if h, err = r.readLine(); err != nil {
			return err
		}
	}
	return nil
}

// refuse leaves a synchronising literal without continuation. A client that has sent more already did not wait: its
// literal would be read as commands.
func (r *Reader) refuse() error {
	if r.src.Buffered() > 0 {
		return r.die(&ProtocolError{Text: "Literal sent without waiting for the continuation"})
	}
	return nil
}

func (r *Reader) discard(size int64) error {
	if size > discardBytesMax {
		return r.die(&ProtocolError{Text: "Literal too big"})
	}
	if _, err := io.CopyN(io.Discard, r.src, size); err != nil {
		return r.die(cutOff(err))
	}
	return nil
}

// ReadLine reads one line that is not a command, as the answer to an AUTHENTICATE challenge.
func (r *Reader) ReadLine() (string, error) {
	r.reset()
	if err := r.readText(); err != nil {
		return "", err
	}
	if r.failure != nil {
		return "", r.failure
	}
	return string(r.text), nil
}

// ReadDone reads the line that ends IDLE (RFC 2177). Anything but DONE is a *SyntaxError without a tag; the session
// answers it with the tag of IDLE.
func (r *Reader) ReadDone() error {
	r.reset()
	h, err := r.readLine()
	if err != nil {
		return err
	}
	if !h.present && r.failure == nil && equalFold(bytes.TrimRight(r.text, " "), "DONE") {
		return nil
	}
	r.fail("Expected DONE", false)
	if err := r.skip(h); err != nil {
		return err
	}
	return r.failure
}
