package imap_test

import (
	"bytes"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/imap"
)

// pipeListener accepts the connections that it is handed.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	conn, open := <-l
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// FuzzSession sends anything to a session that has logged in. Whatever it is, the server answers lines that begin as
// responses do, and is still able to serve another session.
func FuzzSession(f *testing.F) {
	for _, group := range []string{"select", "fetch", "store", "append", "copy", "expunge", "folders", "list", "search", "qresync"} {
		f.Add([]byte(commandsOf(f, "testdata/"+group+".txt")))
	}
	f.Add([]byte("a SELECT INBOX\r\nb APPEND INBOX {3}\r\nabc\r\nc IDLE\r\nDONE\r\nd LOGOUT\r\n"))
	b, _ := backendWithTest()
	l := make(pipeListener)
	s := imap.New(imap.Config{Backend: b, AllowPlaintext: true, AppendBytesMax: 1000})
	go func() { _ = s.Serve(l) }()
	f.Fuzz(func(t *testing.T, input []byte) {
		b.AddAccount("test", "pass") // anew, so that nothing depends on what was before
		conn := &script{closed: make(chan struct{})}
		conn.in.WriteString("login LOGIN test pass\r\nsel SELECT INBOX\r\n")
		conn.in.Write(input)
		conn.in.WriteString("\r\nz NOOP\r\nz LOGOUT\r\n")
		l <- conn
		<-conn.closed
		checkResponses(t, conn.out.Bytes())
	})
}

// script is a connection whose client has said all that it will say.
type script struct {
	in, out bytes.Buffer
	closed  chan struct{}
	once    sync.Once
}

func (s *script) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s *script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
func (s *script) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "pipe"} }
func (s *script) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "pipe"} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// checkResponses looks at what the server said: every line outside of a literal is a response.
func checkResponses(t *testing.T, said []byte) {
	t.Helper()
	for rest := said; len(rest) > 0; {
		end := bytes.Index(rest, []byte("\r\n"))
		if end < 0 {
			return // cut off
		}
		line := rest[:end]
		if len(line) == 0 {
			t.Fatalf("an empty line in %.2000q", said)
		}
		rest = rest[end+2:]
		for {
			size, ok := literalAtEnd(line)
			if !ok {
				break
			}
			if size > len(rest) {
				return
			}
			rest = rest[size:]
			if end = bytes.Index(rest, []byte("\r\n")); end < 0 {
				return
			}
			line = rest[:end]
			rest = rest[end+2:]
		}
		if bytes.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("control characters in %q", line)
		}
	}
}

func literalAtEnd(line []byte) (int, bool) {
	text, ok := bytes.CutSuffix(line, []byte("}"))
	at := bytes.LastIndexByte(text, '{')
	if !ok || at < 0 || at == len(text)-1 || strings.Trim(string(text[at+1:]), "0123456789") != "" {
		return 0, false
	}
	return atoi(string(text[at+1:])), true
}

// commandsOf takes the commands out of a transcript.
func commandsOf(f *testing.F, file string) string {
	f.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	var commands strings.Builder
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "1> "); ok && !strings.Contains(command, "LOGIN") {
			commands.WriteString(strings.NewReplacer("<<", "{5+}\r\nhello ", ">>", "", `\r\n`, " ").Replace(command) + "\r\n")
		}
	}
	return commands.String()
}
