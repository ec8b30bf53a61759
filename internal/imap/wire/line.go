package wire

import (
	"bufio"
	"bytes"
	"errors"
	"math"
	"strconv"
)

// header announces a literal at the end of a line: {n}, {n+} (RFC 7888), ~{n} or ~{n+} (RFC 3516).
type header struct {
	present   bool
	binary    bool
	sync      bool
	misplaced bool // inside a quoted string or glued to other text: the command is wrong, but the literal may come
	size      int64
}

// tailBytes is enough of a line's end to read a literal's header.
const tailBytes = 64

// readText reads one line into the command's text, without its line end; LF alone ends a line as well. What goes beyond
// the limit is read but not kept, and fails the command.
func (r *Reader) readText() error {
	if r.dead != nil {
		return r.dead
	}
	r.segment = len(r.text)
	r.tail = r.tail[:0]
	for size := 0; ; {
		chunk, err := r.src.ReadSlice('\n')
		size += len(chunk)
		r.keep(chunk)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return r.lineCutOff(size, err)
		}
		if size > lineBytesMax {
			return r.die(&ProtocolError{Text: "Line without end"})
		}
	}
	r.between = false
	r.tail = trimLineEnd(r.tail)
	if r.failure == nil {
		r.text = trimLineEnd(r.text)
		if bytes.IndexByte(r.text[r.segment:], 0) >= 0 {
			r.fail("NUL in a command", false)
		}
	}
	return nil
}

// lineCutOff is the end of the stream before the end of a line: clean only before the first byte of a command.
func (r *Reader) lineCutOff(size int, err error) error {
	if size == 0 && r.between {
		return r.die(connectionError(err))
	}
	return r.die(cutOff(err))
}

func (r *Reader) keep(chunk []byte) {
	r.tail = append(r.tail, chunk[max(0, len(chunk)-tailBytes):]...)
	r.tail = r.tail[max(0, len(r.tail)-tailBytes):]
	r.textSize += len(chunk)
	if r.failure != nil {
		return
	}
	room := r.limits.CommandBytesMax - (r.textSize - len(chunk))
	if room < len(chunk) {
		r.fail("Command line too long", true)
		chunk = chunk[:max(0, room)]
	}
	r.text = append(r.text, chunk...)
}

func trimLineEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

// readLine reads one line and takes a literal's header off its end. No other text of a correct command can end a line
// like one, for "{" is no character of an atom and a quoted string ends on its line.
func (r *Reader) readLine() (header, error) {
	if err := r.readText(); err != nil {
		return header{}, err
	}
	line := r.tail
	if r.failure == nil {
		line = r.text[r.segment:]
	}
	h, at, err := parseHeader(line)
	if err != nil {
		return header{}, r.die(err)
	}
	if h.present && r.failure == nil {
		r.text = r.text[:r.segment+at]
	}
	return h, nil
}

// parseHeader reads the header at the end of a line, and where it begins. A header that seems to announce a
// non-synchronising literal but has no usable length is a *ProtocolError: content of unknown length follows.
func parseHeader(line []byte) (h header, at int, err error) {
	body, found := bytes.CutSuffix(line, []byte("}"))
	if !found {
		return header{}, 0, nil
	}
	body, plus := bytes.CutSuffix(body, []byte("+"))
	at = bytes.LastIndexByte(body, '{')
	digits := body[at+1:]
	size, numErr := strconv.ParseUint(string(digits), 10, 63)
	overflow := errors.Is(numErr, strconv.ErrRange)
	switch {
	case plus && lengthLike(digits) && (at < 0 || numErr != nil): // at < 0: the header is longer than what was kept
		return header{}, 0, &ProtocolError{Text: "Unreadable length of a literal"}
	case at < 0, numErr != nil && !overflow:
		return header{}, 0, nil
	case overflow:
		size = math.MaxInt64
	}
	h = header{present: true, sync: !plus, size: int64(size)}
	if at > 0 && line[at-1] == '~' {
		h.binary = true
		at--
	}
	h.misplaced = at == 0 || line[at-1] != ' ' && line[at-1] != '(' || quoteOpen(line[:at])
	return h, at, nil
}

// lengthLike reports whether a text was meant to be the length of a literal.
func lengthLike(s []byte) bool { return len(bytes.Trim(s, "0123456789+- ")) == 0 }

// quoteOpen reports whether a line breaks off inside a quoted string.
func quoteOpen(line []byte) bool {
	open := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '"':
			open = !open
		case line[i] == '\\' && open:
			i++
		}
	}
	return open
}
