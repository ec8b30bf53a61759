package lmtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

const (
	relayLineBytesMax = 4 << 10
	relayLinesMax     = 100 // of one reply
)

// relayConn is a connection to another mailstore's LMTP server. An error of its methods means that the connection can no
// longer be used; what the other side refuses is an outcome.
type relayConn struct {
	config RelayConfig
	raw    net.Conn // the TCP connection, also under TLS
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	used   time.Time

	deadline time.Time // of within
}

func newRelayConn(conn net.Conn, config RelayConfig) *relayConn {
	return &relayConn{
		config: config, raw: conn, conn: conn, in: bufio.NewReaderSize(conn, relayLineBytesMax), out: bufio.NewWriterSize(conn, readBufferBytes),
	}
}

func (c *relayConn) close() { _ = c.conn.Close() }

// abandon ends a connection on which a mail may be under way. What has not reached the other side by then never does: in an orderly
// end it would be sent on for minutes, and the mail delivered when its client may long have sent it by another way and been answered.
func abandon(raw net.Conn) {
	if tcp, ok := raw.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // fails where it has ended already
	}
	_ = raw.Close()
}

// within bounds fn by the context and by transferWait. A connection whose context ended cannot be used any more.
func (c *relayConn) within(ctx context.Context, fn func() error) error {
	c.deadline = time.Now().Add(transferWait)
	if d, ok := ctx.Deadline(); ok && d.Before(c.deadline) {
		c.deadline = d
	}
	if err := c.conn.SetDeadline(c.deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { abandon(c.raw) })
	defer stop()
	return fn()
}

// promptly bounds a part of within by AnswerWait, so that a mailstore that has stopped is soon noticed.
func (c *relayConn) promptly(fn func() error) error {
	deadline := time.Now().Add(c.config.AnswerWait)
	if c.deadline.Before(deadline) {
		deadline = c.deadline
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return c.conn.SetDeadline(c.deadline)
}

// answer is one reply.
type answer struct {
	code  int
	lines []string // without the code
}

func (a answer) ok() bool { return a.code/100 == 2 }

// text is the last line without the enhanced code.
func (a answer) text() string {
	_, text, _ := strings.Cut(a.lines[len(a.lines)-1], " ")
	return text
}

func (a answer) err() error {
	return fmt.Errorf("the mailstore said %d %s", a.code, strings.Join(a.lines, " / "))
}

func (c *relayConn) read() (a answer, err error) {
	for len(a.lines) < relayLinesMax {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return a, unexpected(err)
		}
		text := strings.TrimRight(string(line), "\r\n")
		if len(text) < 4 {
			return a, fmt.Errorf("%q is not a reply", text)
		}
		if a.code, err = strconv.Atoi(text[:3]); err != nil {
			return a, fmt.Errorf("%q is not a reply", text)
		}
		a.lines = append(a.lines, text[4:])
		if text[3] == ' ' {
			return a, nil
		}
	}
	return a, errors.New("a reply has too many lines")
}

func (c *relayConn) write(line string) error {
	_, err := c.out.WriteString(line + "\r\n")
	return err
}

// ask sends a command and reads its reply.
func (c *relayConn) ask(line string) (answer, error) {
	if err := c.write(line); err != nil {
		return answer{}, err
	}
	if err := c.out.Flush(); err != nil {
		return answer{}, err
	}
	return c.read()
}

// demand is ask where anything but success makes the connection useless.
func (c *relayConn) demand(line string) (answer, error) {
	a, err := c.ask(line)
	if err == nil && !a.ok() {
		err = a.err()
	}
	return a, err
}

// open greets the other side, over TLS where that is asked for.
func (c *relayConn) open(ctx context.Context, home Home) error {
	a, err := c.read()
	if err == nil && !a.ok() {
		err = a.err()
	}
	if err != nil {
		return err
	}
	if c.config.TLS != nil {
		if err := c.startTLS(ctx, home); err != nil {
			return err
		}
	}
	a, err = c.demand("LHLO " + c.config.Hostname)
	if err != nil {
		return err
	}
	for _, line := range a.lines {
		if line == verbMark {
			return nil
		}
	}
	return errors.New("the other side is not a mailstore that takes relayed mail")
}

func (c *relayConn) startTLS(ctx context.Context, home Home) error {
	if _, err := c.demand("LHLO " + c.config.Hostname); err != nil {
		return err
	}
	if _, err := c.demand("STARTTLS"); err != nil {
		return err
	}
	if c.in.Buffered() > 0 {
		return errors.New("the other side sent something before TLS")
	}
	config := c.config.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName = home.FQDN
	}
	conn := tls.Client(c.conn, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	c.conn = conn
	c.in.Reset(conn)
	c.out.Reset(conn)
	return nil
}

// mark says that what follows was received from a client of this mailstore. Its reply is waited for: a side that does not
// know the mark must not get unmarked mail.
func (c *relayConn) mark(client Client) error {
	return c.promptly(func() error {
		_, err := c.demand(markCommand(c.config.Token, client, c.config.Hostname))
		return err
	})
}

// answered tells of answered deliveries.
func (c *relayConn) answered(receipts []Receipt) error {
	for len(receipts) > 0 {
		n := min(len(receipts), rcptsInFlightMax)
		for _, r := range receipts[:n] {
			if err := c.write(answeredCommand(r)); err != nil {
				return err
			}
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
		for range n {
			if a, err := c.read(); err != nil {
				return err
			} else if !a.ok() {
				return a.err()
			}
		}
		receipts = receipts[n:]
	}
	return nil
}

func (c *relayConn) deliver(m *Mail, receipts []Receipt) ([]Outcome, error) {
	if err := c.mark(m.Client); err != nil {
		return nil, err
	}
	if err := c.answered(receipts); err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(m.Recipients))
	mail := "MAIL FROM:<" + m.Sender + "> SIZE=" + strconv.FormatInt(m.Body.Size(), 10)
	if m.Client.UTF8 {
		mail += " SMTPUTF8"
	}
	a, err := c.ask(mail)
	if err != nil {
		return nil, err
	}
	if !a.ok() {
		for i := range outcomes {
			outcomes[i].Err = refusal(a)
		}
		return outcomes, nil
	}
	accepted, err := c.recipients(m, outcomes)
	if err != nil {
		return nil, err
	}
	if len(accepted) == 0 {
		_, err := c.demand("RSET")
		return outcomes, err
	}
	return outcomes, c.send(m, accepted, outcomes)
}

// recipients names the recipients and gives the indices of those accepted.
func (c *relayConn) recipients(m *Mail, outcomes []Outcome) (accepted []int, err error) {
	for next := 0; next < len(m.Recipients); {
		last := min(next+rcptsInFlightMax, len(m.Recipients))
		for _, r := range m.Recipients[next:last] {
			if err := c.write("RCPT TO:<" + r.Address + ">"); err != nil {
				return nil, err
			}
		}
		if err := c.out.Flush(); err != nil {
			return nil, err
		}
		for ; next < last; next++ {
			a, err := c.read()
			if err != nil {
				return nil, err
			}
			if a.ok() {
				accepted = append(accepted, next)
			} else {
				outcomes[next].Err = refusal(a)
			}
		}
	}
	return accepted, nil
}

// send sends the message, byte for byte (RFC 3030), and reads a reply for each accepted recipient.
func (c *relayConn) send(m *Mail, accepted []int, outcomes []Outcome) error {
	if err := c.write(fmt.Sprintf("BDAT %d LAST", m.Body.Size())); err != nil {
		return err
	}
	if n, err := io.Copy(c.out, m.Body.Reader()); err != nil {
		return err
	} else if n != m.Body.Size() {
		return errors.New("the message was cut short on this side")
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	for _, i := range accepted {
		a, err := c.read()
		if err != nil {
			return err
		}
		if !a.ok() {
			outcomes[i].Err = refusal(a)
			continue
		}
		number, _, _ := strings.Cut(a.text(), " ")
		sequence, err := strconv.ParseUint(number, 10, 63)
		if err != nil {
			return a.err()
		}
		r := m.Recipients[i]
		outcomes[i].Receipt = Receipt{Account: r.Account, Key: m.Key(r), Sequence: mailbox.Sequence(sequence)}
	}
	return nil
}

// refusal makes an error of what another mailstore said. Only a mailstore that names the kind can refuse for good.
func refusal(a answer) error {
	if err, ok := decodeKind(a.text()); ok {
		return err
	}
	if a.code == 552 { // of MAIL, for its size
		return fault.New(fault.TooLarge, "the message is larger than its mailstore takes")
	}
	return fault.Wrap(fault.HomeUnreachable, a.err(), "the mailbox's server does not take the mail")
}
