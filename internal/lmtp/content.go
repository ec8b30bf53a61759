package lmtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Limits of what is read.
const (
	readBufferBytes     = 32 << 10
	commandBytesMax     = 4 << 10 // RFC 5321 section 4.5.3.1.4 asks for 512, extensions for more
	longCommandBytesMax = 1 << 20 // a longer line ends the session
	drainBytesMax       = 1 << 30 // of a message beyond its limit; then the session ends
)

var (
	errLongCommand = errors.New("the command line is too long")
	errEndless     = errors.New("the message does not end")
)

// readCommand reads a line without its end, which is CRLF or LF. A line over the limit is read to its end; its beginning is given
// with the error.
func readCommand(in *bufio.Reader) (string, error) {
	var line []byte
	read := 0
	for {
		piece, err := in.ReadSlice('\n')
		read += len(piece)
		line = append(line, piece[:min(len(piece), commandBytesMax-len(line))]...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if read > longCommandBytesMax {
				return "", errEndless
			}
		case err != nil:
			return "", err
		case read > commandBytesMax:
			return string(line), errLongCommand
		default:
			return string(bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))), nil
		}
	}
}

// readData reads a message as DATA carries it, up to and with the line that holds only a dot (RFC 5321 sections 4.1.1.4
// and 4.5.2). Lines end with CRLF and with nothing else: a dot after a bare LF or CR neither ends the message nor is it
// removed. Every other byte is handed on as it is, however long the line. At most max bytes are read.
func readData(in *bufio.Reader, w io.Writer, max int64) error {
	for atStart := true; ; {
		if atStart {
			first, err := in.Peek(1)
			if err != nil {
				return unexpected(err)
			}
			if first[0] == '.' {
				// Two more bytes must come: either those of the end, or the message has not ended.
				three, err := in.Peek(3)
				if err != nil {
					return unexpected(err)
				}
				end := string(three) == ".\r\n"
				n := 1
				if end {
					n = 3
				}
				_, _ = in.Discard(n) // they have been peeked at
				if end {
					return nil
				}
			}
			atStart = false
		}
		n, ended, err := readPiece(in, w)
		if err != nil {
			return err
		}
		atStart = ended
		if max -= int64(n); max < 0 {
			return errEndless
		}
	}
}

// readPiece hands on what is buffered, but no further than a line that begins with a dot, and says whether it ended with
// a line's end.
func readPiece(in *bufio.Reader, w io.Writer) (n int, lineEnded bool, err error) {
	if _, err := in.Peek(1); err != nil {
		return 0, false, unexpected(err)
	}
	piece, _ := in.Peek(in.Buffered())
	if i := bytes.Index(piece, []byte("\r\n.")); i >= 0 {
		piece = piece[:i+2]
	} else if piece[len(piece)-1] == '\r' {
		if len(piece) == 1 {
			// A lone CR: only the byte that follows tells whether a line ends.
			if piece, err = in.Peek(2); err != nil {
				return 0, false, unexpected(err)
			}
			if piece[1] != '\n' {
				piece = piece[:1]
			}
		} else {
			piece = piece[:len(piece)-1]
		}
	}
	lineEnded = bytes.HasSuffix(piece, []byte("\r\n"))
	n, err = w.Write(piece)
	_, _ = in.Discard(len(piece)) // they have been peeked at
	return n, lineEnded, err
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
