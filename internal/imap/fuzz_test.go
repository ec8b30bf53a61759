package imap_test

import (
	"bytes"
	"crypto/tls"
	"os"
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/listener/listenertest"
)

// FuzzSession sends anything to a session that has logged in. Whatever it is, the server answers lines that begin as
// responses do, and is still able to serve another session.
func FuzzSession(f *testing.F) {
	for _, group := range []string{"select", "fetch", "store", "append", "copy", "expunge", "folders", "list", "search", "qresync"} {
		f.Add([]byte(commandsOf(f, "testdata/"+group+".txt")))
	}
	f.Add([]byte("a SELECT INBOX\r\nb APPEND INBOX {3}\r\nabc\r\nc IDLE\r\nDONE\r\nd LOGOUT\r\n"))
	b, _ := backendWithTest()
	s := imap.New(imap.Config{Backend: b, AllowPlaintext: true, AppendBytesMax: 1000})
	f.Fuzz(func(t *testing.T, input []byte) {
		b.AddAccount("test", "pass") // anew, so that nothing depends on what was before
		serve(t, s, "login LOGIN test pass\r\nsel SELECT INBOX\r\n"+string(input)+"\r\nz NOOP\r\nz LOGOUT\r\n")
	})
}

// FuzzLogin sends anything to a session that has not logged in: passwords in every way, the handing over between
// mailstores, STARTTLS. Nobody gets in who does not know a password.
func FuzzLogin(f *testing.F) {
	f.Add([]byte(commandsOf(f, "testdata/login.txt")))
	for _, seed := range []string{
		"a AUTHENTICATE PLAIN AHRlc3QAcGFzcw==\r\nb SELECT INBOX\r\n", "a AUTHENTICATE PLAIN\r\nAHRlc3QAcGFzeA==\r\n",
		"a AUTHENTICATE LOGIN\r\ndGVzdA==\r\ncGFzeA==\r\n", "a AUTHENTICATE LOGIN =\r\n*\r\n", "a STARTTLS\r\nb NOOP\r\n",
		"a LOGIN {4+}\r\ntest {4+}\r\npasx\r\n", "a LOGIN \"te\\\"st\" \"\"\r\nb ID (\"name\" NIL)\r\nc CAPABILITY\r\n",
		"a AUTHENTICATE X-MAILREPLICA-PROXY dABhAHI=\r\nb SELECT INBOX\r\n", "a LOGIN {5000}\r\n", "a ENABLE QRESYNC\r\n",
	} {
		f.Add([]byte(seed))
	}
	b, _ := backendWithTest()
	s := imap.New(imap.Config{
		Backend: b, AllowPlaintext: true, TLS: &tls.Config{},
		ProxyAuth: func(token, account, _ string) (imap.Login, error) {
			return imap.Login{}, fault.New(fault.Denied, "%q is not the token, nor %q an account", token, account)
		},
	})
	f.Fuzz(func(t *testing.T, input []byte) {
		said := serve(t, s, string(input)+"\r\nz SELECT INBOX\r\nz LOGOUT\r\n")
		lower := bytes.ToLower(input)
		if !bytes.Contains(lower, []byte("pass")) && !bytes.Contains(input, []byte("AHRlc3QAcGFzcw==")) && !bytes.Contains(input, []byte("cGFzcw")) &&
			bytes.Contains(said, []byte("OK [READ-WRITE]")) {
			t.Fatalf("%q got in: %q", input, said)
		}
	})
}

// serve has a server answer a client that says this, and checks the answer.
func serve(t *testing.T, s *imap.Server, says string) []byte {
	t.Helper()
	conn := listenertest.NewScript([]byte(says))
	s.ServeConn(conn)
	said := conn.Said()
	if n := s.Panics(); n > 0 {
		t.Fatalf("the session panicked after %.2000q", said)
	}
	checkResponses(t, said)
	return said
}

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

// FuzzHome has the home of an account say anything to a mailstore that hands a session over. Either it is logged in, and what the client is
// told of it is one line, or the client hears that the mailbox cannot be reached; never that its password is wrong.
func FuzzHome(f *testing.F) {
	for _, says := range []string{
		"* OK hi\r\nP OK [CAPABILITY IMAP4rev1 IDLE] in\r\n* more", "* OK hi\r\nP OK in\r\n", "* OK hi\r\nP NO [ALERT] no\r\n", "* OK hi\r\nP NO [AUTHENTICATIONFAILED] no\r\n",
		"* OK hi\r\nP OK [CAPABILITY a\rb\x00] in\r\n", "* OK hi\r\n* BYE no\r\n", "* OK hi\n" + strings.Repeat("* x\n", 5000), "* PREAUTH\r\n", strings.Repeat("x", 5000),
	} {
		f.Add([]byte(says))
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		home, err := imap.ProxyLogin(t.Context(), listenertest.NewScript(says), "token", "a@x", "1.2.3.4:5")
		switch {
		case err != nil:
			if !fault.Is(err, fault.HomeUnreachable) && !fault.Is(err, fault.Maintenance) && !fault.Is(err, fault.Locked) {
				t.Errorf("%q: got %v", says, err)
			}
		case strings.ContainsFunc(home.Capability(), func(r rune) bool { return r < ' ' || r > '~' || r == ']' }):
			t.Errorf("%q: the client is told %q", says, home.Capability())
		case !bytes.Contains(says, []byte("P OK ")):
			t.Errorf("%q: logged in", says)
		}
	})
}
