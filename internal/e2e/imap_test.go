package e2e_test

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const commandWait = 30 * time.Second

// client is a small IMAP client that sends what it is told, so that it can be wrong on purpose.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	tags int
}

// response is one response; a literal stands in the text as {length}hash, and is kept beside it.
type response struct {
	text     string
	literals [][]byte
}

// refusal is a tagged answer other than OK.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

func connect(addr string) (*client, string, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, "", err
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	greeting, err := c.response()
	if err != nil {
		c.close()
		return nil, "", err
	}
	return c, greeting.text, nil
}

// login connects and logs in.
func login(addr, user string) (*client, error) {
	c, _, err := connect(addr)
	if err != nil {
		return nil, err
	}
	if _, _, err := c.do(`LOGIN "%s" "%s"`, user, password); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cluster) login(i int, user string) *client {
	c.t.Helper()
	session, err := login(c.store(i).imap, user)
	if err != nil {
		c.t.Fatalf("login of %s on mbox%d: %v", user, i, err)
	}
	c.t.Cleanup(session.close)
	return session
}

func (c *client) close() { _ = c.conn.Close() }

var literalEnd = regexp.MustCompile(`~?\{(\d+)\}\r\n$`)

func (c *client) response() (response, error) { return c.responseWithin(commandWait) }

func (c *client) responseWithin(wait time.Duration) (response, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return response{}, err
	}
	var r response
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return response{}, err
		}
		m := literalEnd.FindStringSubmatch(line)
		if m == nil {
			b.WriteString(strings.TrimSuffix(line, "\r\n"))
			r.text = b.String()
			return r, nil
		}
		n, err := strconv.ParseInt(m[1], 10, 32)
		if err != nil {
			return response{}, err
		}
		literal := make([]byte, n)
		if _, err := io.ReadFull(c.r, literal); err != nil {
			return response{}, err
		}
		r.literals = append(r.literals, literal)
		b.WriteString(strings.TrimSuffix(line, "\r\n") + hash(literal))
	}
}

func hash(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b))[:16] }

// send writes bytes as they are.
func (c *client) send(format string, args ...any) error {
	_, err := fmt.Fprintf(c.conn, format, args...)
	return err
}

func (c *client) begin(format string, args ...any) (tag string, err error) {
	c.tags++
	tag = fmt.Sprintf("t%d", c.tags)
	return tag, c.send("%s %s\r\n", tag, fmt.Sprintf(format, args...))
}

// do sends a command and gives its untagged responses and the tagged one. An answer other than OK is a refusal.
func (c *client) do(format string, args ...any) ([]response, string, error) {
	tag, err := c.begin(format, args...)
	if err != nil {
		return nil, "", err
	}
	return c.finish(tag)
}

// finish reads up to the tagged answer.
func (c *client) finish(tag string) (untagged []response, tagged string, err error) {
	for {
		r, err := c.response()
		if err != nil {
			return untagged, "", err
		}
		rest, done := strings.CutPrefix(r.text, tag+" ")
		switch {
		case !done:
			untagged = append(untagged, r)
		case !strings.HasPrefix(rest, "OK"):
			return untagged, rest, refusal{rest}
		default:
			return untagged, rest, nil
		}
	}
}

// appendMessage appends with a synchronising literal and gives the tagged answer.
func (c *client) appendMessage(folder, options string, message []byte) (string, error) {
	tag, err := c.begin("APPEND %s %s{%d}", folder, options, len(message))
	if err != nil {
		return "", err
	}
	r, err := c.response()
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(r.text, "+") {
		rest, _ := strings.CutPrefix(r.text, tag+" ")
		return rest, refusal{r.text}
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(commandWait)); err != nil {
		return "", err
	}
	if _, err := c.conn.Write(append(message[:len(message):len(message)], "\r\n"...)); err != nil {
		return "", err
	}
	_, tagged, err := c.finish(tag)
	return tagged, err
}

// isRefusal reports whether an error is an answer of the server, as opposed to a broken connection.
func isRefusal(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

var (
	validityCode = regexp.MustCompile(`\[UIDVALIDITY (\d+)\]`)
	nextCode     = regexp.MustCompile(`\[UIDNEXT (\d+)\]`)
	modseqCode   = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
	appendedCode = regexp.MustCompile(`\[APPENDUID \d+ (\d+)\]`)
	copiedCode   = regexp.MustCompile(`\[COPYUID \d+ \d+ (\d+)\]`)
	fetchLine    = regexp.MustCompile(`^\* \d+ FETCH \((.*)\)$`)
	uidItem      = regexp.MustCompile(`\bUID (\d+)`)
	flagsItem    = regexp.MustCompile(`FLAGS \(([^)]*)\) ?`)
	modseqItem   = regexp.MustCompile(`MODSEQ \((\d+)\) ?`)
	idHeader     = regexp.MustCompile(`(?im)^X-E2E-Id: (\S+)\r$`)
)

func texts(all []response) string {
	lines := make([]string, len(all))
	for i, r := range all {
		lines[i] = r.text
	}
	return strings.Join(lines, "\n")
}

func number(re *regexp.Regexp, s string) uint64 {
	m := re.FindStringSubmatch(s)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
