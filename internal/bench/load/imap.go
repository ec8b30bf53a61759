package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

const readerBytes = 64 << 10

// IMAP is a session: one command at a time.
type IMAP struct {
	conn net.Conn
	r    *bufio.Reader
	tags uint64
	out  []byte
}

// DialIMAP connects and logs in.
func DialIMAP(ctx context.Context, addr string, who Account) (*IMAP, error) {
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &IMAP{conn: conn, r: bufio.NewReaderSize(conn, readerBytes)}
	err = conn.SetDeadline(time.Now().Add(answerWait))
	if err == nil {
		_, err = c.line() // the greeting
	}
	if err == nil {
		err = c.Do(fmt.Sprintf("LOGIN %q %q", who.Login, who.Password), nil)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("IMAP at %s: %w", addr, err)
	}
	return c, nil
}

// Close ends the connection.
func (c *IMAP) Close() error { return c.conn.Close() }

// Do sends a command and reads until its tagged answer, which must be OK. Each line of it all, the tagged one as well, is given to
// each, without the contents of literals; it must not be kept.
func (c *IMAP) Do(command string, each func(line []byte)) error {
	if err := c.begin(command); err != nil {
		return err
	}
	return c.end(each)
}

func (c *IMAP) begin(command string) error {
	if err := c.conn.SetDeadline(time.Now().Add(answerWait)); err != nil {
		return err
	}
	c.tags++
	c.out = append(strconv.AppendUint(append(c.out[:0], 't'), c.tags, 10), ' ')
	c.out = append(append(c.out, command...), "\r\n"...)
	_, err := c.conn.Write(c.out)
	return err
}

func (c *IMAP) end(each func(line []byte)) error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if each != nil {
			each(line)
		}
		if line[0] != 't' {
			continue
		}
		_, status, _ := bytes.Cut(line, []byte(" "))
		if !bytes.HasPrefix(status, []byte("OK")) {
			return fmt.Errorf("the server answers %s", status)
		}
		return nil
	}
}

// line reads a line, and skips the literal that it ends with: the rest is the next line.
func (c *IMAP) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return c.longLine(line)
	}
	if err != nil {
		return nil, err
	}
	return c.skip(line)
}

// longLine reads a line that is longer than the buffer: the answer to SEARCH in a large folder is.
func (c *IMAP) longLine(begin []byte) ([]byte, error) {
	rest, err := c.r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	return c.skip(append(bytes.Clone(begin), rest...))
}

func (c *IMAP) skip(line []byte) ([]byte, error) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return nil, errors.New("an empty line is no response")
	}
	size, there := literal(line)
	if !there {
		return line, nil
	}
	line = bytes.Clone(line) // what is skipped takes its place in the buffer
	_, err := c.r.Discard(size)
	return line, err
}

// literal is the size of the literal that a line ends with.
func literal(line []byte) (size int, there bool) {
	open := bytes.LastIndexByte(line, '{')
	if open < 0 || line[len(line)-1] != '}' {
		return 0, false
	}
	size, err := strconv.Atoi(string(line[open+1 : len(line)-1]))
	return size, err == nil && size >= 0
}

// Append appends a message to a folder with a synchronising literal, and gives its UID (RFC 4315).
func (c *IMAP) Append(folder string, message []byte) (uid uint32, err error) {
	if err := c.begin(fmt.Sprintf("APPEND %s {%d}", folder, len(message))); err != nil {
		return 0, err
	}
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if line[0] != '+' {
		return 0, fmt.Errorf("the server answers %s", line)
	}
	c.out = append(append(c.out[:0], message...), "\r\n"...)
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, err
	}
	err = c.end(func(line []byte) {
		if _, code, found := bytes.Cut(line, []byte("[APPENDUID ")); found && line[0] == 't' {
			_, uid, _ = cutNumbers(code)
		}
	})
	if err == nil && uid == 0 {
		err = errors.New("the server does not tell the UID of an APPEND")
	}
	return uid, err
}

// cutNumbers reads two numbers with a space between.
func cutNumbers(text []byte) (first, second uint32, ok bool) {
	a, rest, _ := bytes.Cut(text, []byte(" "))
	end := bytes.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	x, err1 := strconv.ParseUint(string(a), 10, 32)
	y, err2 := strconv.ParseUint(string(rest[:end]), 10, 32)
	return uint32(x), uint32(y), err1 == nil && err2 == nil
}

// Exists is the number that an untagged EXISTS tells.
func Exists(line []byte) (n int, ok bool) {
	number, found := bytes.CutSuffix(line, []byte(" EXISTS"))
	number, star := bytes.CutPrefix(number, []byte("* "))
	n, err := strconv.Atoi(string(number))
	return n, found && star && err == nil
}

// UIDs are all UIDs of the selected folder.
func (c *IMAP) UIDs() (uids []uint32, err error) {
	var wrong error
	err = c.Do("UID SEARCH ALL", func(line []byte) {
		numbers, found := bytes.CutPrefix(line, []byte("* SEARCH"))
		if !found {
			return
		}
		for _, number := range bytes.Fields(numbers) {
			uid, err := strconv.ParseUint(string(number), 10, 32)
			if err != nil {
				wrong = err
			}
			uids = append(uids, uint32(uid))
		}
	})
	return uids, errors.Join(err, wrong)
}
