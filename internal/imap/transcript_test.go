package imap_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
)

var update = flag.Bool("update", false, "write what the server said into the transcripts")

// TestTranscripts plays testdata/*.txt against a server and compares every byte of its answers. In a transcript
//
//	1> text      is sent on connection 1, which is opened at its first use; <<text>> in it is a literal ({n+})
//	1>> text     is sent without waiting for an answer
//	1< text      is a line of the answer; the answer ends with the tagged response or a continuation request
//	1? n         waits for n lines that nobody asked for
//	! fault kind makes the mailbox fail (view, update, openbody, storebody, readbody, mayselect, none) or its sessions end (end)
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { play(t, file) })
	}
}

func play(t *testing.T, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlayer(t)
	var got strings.Builder
	for line := range strings.Lines(string(want)) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > 1 && line[0] >= '0' && line[0] <= '9' && line[1] == '<' {
			continue
		}
		got.WriteString(line + "\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '!':
			p.fault(strings.Fields(line[1:]))
		default:
			p.step(line, &got)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	compareLines(t, got.String(), string(want))
}

func compareLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("line %d:\n got %s\nwant %s", i+1, a, b)
		}
	}
}

type player struct {
	t       *testing.T
	backend *memory.Backend
	mailbox *memory.Mailbox
	address string
	conns   map[byte]*client
}

func newPlayer(t *testing.T) *player {
	b := memory.New()
	p := &player{t: t, backend: b, mailbox: b.AddAccount("test", "pass"), conns: map[byte]*client{}}
	_, p.address = startServer(t, imap.Config{Backend: b, AllowPlaintext: true, Greeting: "mbox1.example.com", Version: "1", AppendBytesMax: 100_000})
	return p
}

// startServer runs a server for the length of a test.
func startServer(t *testing.T, config imap.Config) (*imap.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := imap.New(config)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l.Addr().String()
}

var literalText = regexp.MustCompile(`<<(.*?)>>`)

func (p *player) step(line string, got *strings.Builder) {
	p.t.Helper()
	id := line[0]
	c := p.conns[id]
	if c == nil {
		c = dial(p.t, p.address)
		p.conns[id] = c
	}
	text, found := strings.CutPrefix(line[1:], ">> ")
	if found {
		c.send(expandLiterals(p.t, text))
		return
	}
	if text, found = strings.CutPrefix(line[1:], "> "); found {
		for _, l := range c.ask(expandLiterals(p.t, text)) {
			fmt.Fprintf(got, "%c< %s\n", id, l)
		}
		return
	}
	n, err := strconv.Atoi(strings.TrimPrefix(line[1:], "? "))
	if err != nil {
		p.t.Fatalf("cannot read %q", line)
	}
	for range n {
		fmt.Fprintf(got, "%c< %s\n", id, c.line())
	}
}

func expandLiterals(t *testing.T, text string) string {
	return literalText.ReplaceAllStringFunc(text, func(m string) string {
		s, err := strconv.Unquote(`"` + strings.ReplaceAll(m[2:len(m)-2], `"`, `\"`) + `"`)
		if err != nil {
			t.Fatalf("cannot read %s: %v", m, err)
		}
		return fmt.Sprintf("{%d+}\r\n%s", len(s), s)
	})
}

func (p *player) fault(words []string) {
	p.t.Helper()
	err := error(fault.New(fault.ParseKind(strings.Join(words[1:], " ")), "made to fail"))
	var f memory.Faults
	switch words[0] {
	case "none":
	case "twice":
		f.Twice = true
	case "view":
		f.View = err
	case "update":
		f.Update = err
	case "openbody":
		f.OpenBody = err
	case "storebody":
		f.StoreBody = err
	case "readbody":
		f.ReadBody = err
	case "mayselect":
		f.MaySelect = err
	case "end":
		p.mailbox.End(err)
	case "prune":
		prune(p.t, p.mailbox)
		return
	case "login":
		p.backend.RefuseLogins(err)
		return
	case "nologin":
		p.backend.RefuseLogins(nil)
		return
	default:
		p.t.Fatalf("no such fault: %v", words)
	}
	p.mailbox.Fail(f)
}

// client is a client that shows all it is sent.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	tag  string
	more bool // a command is not complete
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t: t, conn: conn, r: bufio.NewReader(conn)}
	if greeting := c.line(); !strings.HasPrefix(greeting, "* OK [CAPABILITY ") {
		t.Fatalf("greeting: got %q", greeting)
	}
	return c
}

// login is dial with a login as test.
func login(t *testing.T, address string) *client {
	t.Helper()
	c := dial(t, address)
	c.ok("login test pass")
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// ask sends text and gives the answer's lines.
func (c *client) ask(text string) []string {
	c.t.Helper()
	if !c.more {
		c.tag, _, _ = strings.Cut(text, " ")
	}
	c.more = false
	c.send(text)
	var lines []string
	for {
		line := c.line()
		lines = append(lines, line)
		c.more = strings.HasPrefix(line, "+ ")
		if c.more || strings.HasPrefix(line, c.tag+" ") || line == endOfStream {
			return lines
		}
	}
}

// ok asks with a tag of its own and fails unless the answer is OK. The tagged response is the last line.
func (c *client) ok(text string) []string {
	c.t.Helper()
	lines := c.ask("x " + text)
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "x OK") {
		c.t.Fatalf("%s: got %s", text, last)
	}
	return lines
}

const endOfStream = "(closed)"

// line reads a line of a response, its literals shown as <<text>>.
func (c *client) line() string {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	var shown bytes.Buffer
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			if shown.Len() == 0 && line == "" {
				return endOfStream
			}
			c.t.Fatalf("after %q: %v", shown.String()+line, err)
		}
		line = strings.TrimRight(line, "\r\n")
		at := strings.LastIndexByte(line, '{')
		size, sizeErr := strconv.Atoi(strings.Trim(line[at+1:], "}"))
		if at < 0 || !strings.HasSuffix(line, "}") || sizeErr != nil {
			shown.WriteString(line)
			return shown.String()
		}
		literal := make([]byte, size)
		if n, err := io.ReadFull(c.r, literal); err != nil {
			fmt.Fprintf(&shown, "%s<<%d of %d bytes", line[:at], n, size)
			return shown.String()
		}
		quoted := strconv.Quote(string(literal))
		shown.WriteString(line[:at] + "<<" + strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) + ">>")
	}
}
