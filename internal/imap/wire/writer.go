package wire

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"

	"mailreplica/internal/fault"
)

const (
	// writeBufferBytes is how much is collected before it is written out without a Flush.
	writeBufferBytes = 64 << 10
	// idleBufferBytes is the largest buffer that a writer keeps when all is flushed: most sessions idle.
	idleBufferBytes = 4 << 10
	// quotedBytesMax bounds a quoted string; what is longer travels as a literal, for clients bound their lines.
	quotedBytesMax = 1024
	// emptyReadsMax is how often a reader may give neither bytes nor an error.
	emptyReadsMax = 100
)

// Writer writes responses to one connection. Nothing is sent before Flush or a full buffer. The first error sticks: what is
// written after it is dropped, so that half a response is never followed by anything. It is used by one goroutine at a time.
type Writer struct {
	dst io.Writer
	buf []byte
	err error
}

// NewWriter writes to dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// Flush sends what was written, and returns the first error since the start.
func (w *Writer) Flush() error {
	w.send()
	if cap(w.buf) > idleBufferBytes {
		w.buf = nil
	}
	return w.err
}

// writeBuffers are buffers that no writer holds: only sessions that are being spoken to need one.
var writeBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, idleBufferBytes)
	return &b
}}

// Hold takes a buffer, if none is there, so that what is written next need not grow one.
func (w *Writer) Hold() {
	if w.buf == nil {
		w.buf = *writeBuffers.Get().(*[]byte)
	}
}

// Release gives up the buffer of a writer that has been flushed. It takes another when something is written.
func (w *Writer) Release() {
	if w.buf != nil && len(w.buf) == 0 {
		if cap(w.buf) == idleBufferBytes {
			buf := w.buf
			writeBuffers.Put(&buf)
		}
		w.buf = nil
	}
}

// Err is the first error since the start. After one the session closes the connection.
func (w *Writer) Err() error { return w.err }

func (w *Writer) send() {
	if w.err == nil && len(w.buf) > 0 {
		if _, err := w.dst.Write(w.buf); err != nil {
			w.err = connectionError(err)
		}
	}
	w.buf = w.buf[:0]
}

// wrote is called after something was appended to the buffer.
func (w *Writer) wrote() {
	if len(w.buf) >= writeBufferBytes || w.err != nil {
		w.send()
	}
}

// Raw writes text that is correct as it is.
func (w *Writer) Raw(s string) {
	w.buf = append(w.buf, s...)
	w.wrote()
}

// CRLF ends a line.
func (w *Writer) CRLF() { w.Raw("\r\n") }

// Number writes a number.
func (w *Writer) Number(n uint64) {
	w.buf = strconv.AppendUint(w.buf, n, 10)
	w.wrote()
}

// Atom writes a string as an atom if it can be one, else as String does.
func (w *Writer) Atom(s string) {
	w.buf = appendAString(w.buf, s)
	w.wrote()
}

// String writes a string, quoted if it is short and printable ASCII, else as a literal.
func (w *Writer) String(s string) {
	w.buf = appendString(w.buf, s)
	w.wrote()
}

// Mailbox writes a mailbox name in modified UTF-7.
func (w *Writer) Mailbox(name string) { w.Atom(EncodeMailbox(name)) }

// InternalDate writes a date-time with its quotes: seconds since 1970 UTC, in a zone so many minutes east of it.
func (w *Writer) InternalDate(seconds int64, zone int16) {
	w.buf = append(w.buf, '"')
	w.buf = appendInternalDate(w.buf, seconds, zone)
	w.buf = append(w.buf, '"')
	w.wrote()
}

// Flags writes a parenthesised list of flags, which are correct as they are.
func (w *Writer) Flags(flags []string) {
	w.buf = appendFlags(w.buf, flags)
	w.wrote()
}

// NumSet writes a set. An empty one cannot be said on the wire: the caller leaves it out.
func (w *Writer) NumSet(set NumSet) {
	w.buf = set.AppendTo(w.buf)
	w.wrote()
}

func appendFlags(b []byte, flags []string) []byte {
	b = append(b, '(')
	for i, flag := range flags {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, flag...)
	}
	return append(b, ')')
}

// appendAString appends an atom where that is possible. NIL and the empty string must be quoted.
func appendAString(b []byte, s string) []byte {
	if is(s, atomChar) && !equalFold([]byte(s), "NIL") {
		return append(b, s...)
	}
	return appendString(b, s)
}

func appendString(b []byte, s string) []byte {
	if !quotable(s) {
		b = append(b, '{')
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(b, "}\r\n"...)
		return append(b, s...)
	}
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

func quotable(s string) bool {
	if len(s) > quotedBytesMax {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 && s[i] != '\t' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Bytes writes a literal of bytes in memory.
func (w *Writer) Bytes(b []byte) {
	w.literalHeader("{", int64(len(b)))
	if len(b) < writeBufferBytes {
		w.buf = append(w.buf, b...)
		w.wrote()
		return
	}
	w.send()
	rest := w.buf
	w.buf = b // sent as it is, without a copy
	w.send()
	w.buf = rest[:0]
}

// Literal streams a literal of size bytes. If the reader fails, or gives fewer or more, the error sticks and the connection
// is of no use any more: nothing is padded or cut, for the client would keep it as the message.
func (w *Writer) Literal(size int64, r io.Reader) error { return w.literal("{", size, r) }

// Literal8 streams a literal that may hold NUL (RFC 3516).
func (w *Writer) Literal8(size int64, r io.Reader) error { return w.literal("~{", size, r) }

func (w *Writer) literalHeader(open string, size int64) {
	w.buf = append(w.buf, open...)
	w.buf = strconv.AppendInt(w.buf, size, 10)
	w.buf = append(w.buf, "}\r\n"...)
}

func (w *Writer) literal(open string, size int64, r io.Reader) error {
	if w.err != nil {
		return w.err
	}
	w.literalHeader(open, size)
	empty := 0
	for remaining := size; ; {
		w.wrote()
		if w.err != nil {
			return w.err
		}
		n, err := w.fill(r, remaining)
		remaining -= int64(n)
		if empty++; n > 0 {
			empty = 0
		}
		switch {
		case remaining < 0:
			return w.abort(fault.New(fault.Internal, "a literal of %d bytes has more", size))
		case errors.Is(err, io.EOF) && remaining == 0:
			w.wrote()
			return w.err
		case errors.Is(err, io.EOF):
			return w.abort(fault.New(fault.Internal, "a literal of %d bytes ends %d bytes early", size, remaining))
		case err != nil:
			return w.abort(err)
		case empty == emptyReadsMax:
			return w.abort(io.ErrNoProgress)
		}
	}
}

// fill reads into the free part of the buffer, which is made as large as what remains of a literal and its end, but no
// larger than a full buffer.
func (w *Writer) fill(r io.Reader, remaining int64) (int, error) {
	if want := int(min(remaining+1, idleBufferBytes)); cap(w.buf)-len(w.buf) < want {
		w.buf = slices.Grow(w.buf, int(min(remaining+1, writeBufferBytes)))
	}
	n, err := r.Read(w.buf[len(w.buf):cap(w.buf)])
	w.buf = w.buf[:len(w.buf)+n]
	return n, err
}

// abort drops what is not sent and makes the error stick.
func (w *Writer) abort(err error) error {
	w.buf = w.buf[:0]
	w.err = fault.Wrap(fault.KindOf(err), err, "%s", fault.Message(err))
	return w.err
}
