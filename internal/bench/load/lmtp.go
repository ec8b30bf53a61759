package load

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"time"
)

// answerWait is how long a server may take for an answer. It is long: what is measured includes how long servers stall.
const answerWait = 60 * time.Second

// LMTP is a connection that delivers.
type LMTP struct {
	conn     net.Conn
	r        *bufio.Reader
	pipeline bool
	out      []byte
}

// DialLMTP connects and says hello.
func DialLMTP(ctx context.Context, addr string) (*LMTP, error) {
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &LMTP{conn: conn, r: bufio.NewReader(conn)}
	if err := c.hello(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("LMTP at %s: %w", addr, err)
	}
	return c, nil
}

// bound is a connection that ends with a context: a server may take its time for an answer that nobody waits for any more.
type bound struct {
	net.Conn
	release func() bool
}

func (b bound) Close() error {
	b.release()
	return b.Conn.Close()
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return bound{conn, context.AfterFunc(ctx, func() { _ = conn.Close() })}, nil // whoever reads is told
}

func (c *LMTP) hello() error {
	if err := c.conn.SetDeadline(time.Now().Add(answerWait)); err != nil {
		return err
	}
	if err := c.reply('2', nil); err != nil {
		return err
	}
	if _, err := c.conn.Write([]byte("LHLO client.example.net\r\n")); err != nil {
		return err
	}
	return c.reply('2', func(line []byte) {
		if bytes.EqualFold(bytes.TrimSpace(line[4:]), []byte("PIPELINING")) {
			c.pipeline = true
		}
	})
}

// reply reads a reply, whose code must begin with a digit.
func (c *LMTP) reply(want byte, each func(line []byte)) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) < 4 {
			return fmt.Errorf("%q is no reply", line)
		}
		if each != nil {
			each(line)
		}
		if line[3] == '-' {
			continue
		}
		if line[0] != want {
			return fmt.Errorf("the server answers %s", bytes.TrimSpace(line))
		}
		return nil
	}
}

// Deliver delivers a message, whose lines end with CRLF and do not begin with a dot. It sends MAIL, RCPT and DATA at once if the
// server allows that (RFC 2920), as MTAs do. After an error the connection is of no use.
func (c *LMTP) Deliver(to string, message []byte) error {
	if err := c.conn.SetDeadline(time.Now().Add(answerWait)); err != nil {
		return err
	}
	commands := [...]struct {
		begin, argument, end string
		want                 byte
	}{{"MAIL FROM:<sender@example.org>\r\n", "", "", '2'}, {"RCPT TO:<", to, ">\r\n", '2'}, {"DATA\r\n", "", "", '3'}}
	c.out = c.out[:0]
	for _, command := range commands {
		c.out = append(append(append(c.out, command.begin...), command.argument...), command.end...)
		if c.pipeline {
			continue
		}
		if _, err := c.conn.Write(c.out); err != nil {
			return err
		}
		if err := c.reply(command.want, nil); err != nil {
			return err
		}
		c.out = c.out[:0]
	}
	if c.pipeline {
		if _, err := c.conn.Write(c.out); err != nil {
			return err
		}
		for _, command := range commands {
			if err := c.reply(command.want, nil); err != nil {
				return err
			}
		}
	}
	c.out = append(append(c.out[:0], message...), ".\r\n"...)
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	return c.reply('2', nil)
}

// Close ends the connection.
func (c *LMTP) Close() error { return c.conn.Close() }
