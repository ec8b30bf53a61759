package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const commandWait = 20 * time.Second

// client is as little of an IMAP client as the demonstration needs: one command at a time, its untagged responses as text.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	tags int
}

// dialIMAP connects and logs in.
func dialIMAP(addr, user, password string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	if _, err := c.response(); err != nil {
		return nil, err
	}
	if _, _, err := c.do(`LOGIN "%s" "%s"`, user, password); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *client) close() { _ = c.conn.Close() }

var literal = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// response reads one response with its literals.
func (c *client) response() (string, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(commandWait)); err != nil {
		return "", err
	}
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		b.WriteString(line)
		m := literal.FindStringSubmatch(line)
		if m == nil {
			return strings.TrimRight(b.String(), "\r\n"), nil
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return "", err
		}
		if _, err := io.CopyN(&b, c.r, n); err != nil {
			return "", err
		}
	}
}

// do sends a command and returns its untagged responses and the tagged one. An answer other than OK is an error.
func (c *client) do(format string, args ...any) (untagged []string, tagged string, err error) {
	c.tags++
	tag := fmt.Sprintf("d%d", c.tags)
	if _, err := fmt.Fprintf(c.conn, tag+" "+format+"\r\n", args...); err != nil {
		return nil, "", err
	}
	for {
		line, err := c.response()
		if err != nil {
			return untagged, "", err
		}
		rest, done := strings.CutPrefix(line, tag+" ")
		if !done {
			untagged = append(untagged, line)
			continue
		}
		if !strings.HasPrefix(rest, "OK") {
			return untagged, rest, fmt.Errorf("%s", rest)
		}
		return untagged, rest, nil
	}
}

// folder is what a client knows of a folder.
type folder struct {
	validity, modseq uint64
	messages         map[uint64]message // by UID
}

type message struct {
	id    string // of the demonstration
	flags string
}

var (
	validityCode = regexp.MustCompile(`\[UIDVALIDITY (\d+)\]`)
	modseqCode   = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
	fetchLine    = regexp.MustCompile(`^\* \d+ FETCH \(`)
	uidItem      = regexp.MustCompile(`UID (\d+)`)
	flagsItem    = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	modseqItem   = regexp.MustCompile(`MODSEQ \((\d+)\)`)
	idHeader     = regexp.MustCompile(`(?i)X-Demo-Id: (\S+)`)
)

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

// read selects a folder and fetches UID, flags and demonstration id of every message.
func (c *client) read(name string) (folder, error) {
	f := folder{messages: map[uint64]message{}}
	lines, _, err := c.do(`SELECT "%s" (CONDSTORE)`, name)
	if err != nil {
		return f, err
	}
	all := strings.Join(lines, "\n")
	f.validity, f.modseq = number(validityCode, all), number(modseqCode, all)
	lines, _, err = c.do("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (X-Demo-Id)])")
	for _, line := range lines {
		if !fetchLine.MatchString(line) {
			continue
		}
		m := message{}
		if found := idHeader.FindStringSubmatch(line); found != nil {
			m.id = found[1]
		}
		if found := flagsItem.FindStringSubmatch(line); found != nil {
			m.flags = found[1]
		}
		f.messages[number(uidItem, line)] = m
	}
	return f, err
}
