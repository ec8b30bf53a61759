package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

const sender = "sender@example.net"

// dialLMTP connects as an MTA does.
func dialLMTP(addr string) (*smtp.Client, error) {
	conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return nil, err
	}
	c := smtp.NewClientLMTP(conn)
	c.CommandTimeout, c.SubmissionTimeout = 20*time.Second, 40*time.Second
	if err := c.Hello("mta.example.net"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// transfer delivers one message over an open connection. The error is the first answer that is not positive.
func transfer(c *smtp.Client, message []byte, to ...string) error {
	if err := c.Mail(sender, nil); err != nil {
		return err
	}
	for _, rcpt := range to {
		if err := c.Rcpt(rcpt, nil); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	return w.Close()
}

// deliver delivers one message over a connection of its own.
func deliver(addr string, message []byte, to ...string) error {
	c, err := dialLMTP(addr)
	if err != nil {
		return err
	}
	if err := transfer(c, message, to...); err != nil {
		return errors.Join(err, c.Close())
	}
	return c.Quit()
}

func (c *cluster) deliver(i int, message []byte, to ...string) {
	c.t.Helper()
	if err := deliver(c.store(i).lmtp, message, to...); err != nil {
		c.t.Fatalf("delivery to %v on mbox%d: %v", to, i, err)
	}
}

// replyOf gives the reply code and enhanced code of an SMTP error, as 451 4.3.0, or "" for any other error.
func replyOf(err error) string {
	var e *smtp.SMTPError
	if !errors.As(err, &e) {
		return ""
	}
	return fmt.Sprintf("%d %d.%d.%d", e.Code, e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2])
}

// rawLMTP is a connection on which any bytes are sent.
type rawLMTP struct {
	conn net.Conn
	r    *textproto.Reader
}

func (c *cluster) rawLMTP(i int) *rawLMTP {
	c.t.Helper()
	conn, err := net.DialTimeout("tcp", c.store(i).lmtp, 5*time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	l := &rawLMTP{conn, textproto.NewReader(bufio.NewReader(conn))}
	if reply, err := l.reply(); err != nil || !strings.HasPrefix(reply, "220") {
		c.t.Fatalf("greeting %q, %v", reply, err)
	}
	return l
}

// reply reads one reply and gives its last line.
func (l *rawLMTP) reply() (string, error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(40 * time.Second)); err != nil {
		return "", err
	}
	for {
		line, err := l.r.ReadLine()
		if err != nil || len(line) < 4 || line[3] != '-' {
			return line, err
		}
	}
}

// say sends bytes and reads one reply.
func (l *rawLMTP) say(text string) (string, error) {
	if _, err := l.conn.Write([]byte(text)); err != nil {
		return "", err
	}
	return l.reply()
}
