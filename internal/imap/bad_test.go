package imap_test

import (
	"strconv"
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
	"mailreplica/internal/listener/listenertest"
)

func TestBadSessionsLeaveNothing(t *testing.T) {
	serverTLS, _ := certificate(t)
	b, _ := backendWithTest()
	_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true, TLS: serverTLS, AppendBytesMax: 4 << 20})
	in := "a LOGIN test pass\r\nb SELECT INBOX\r\n"
	listenertest.BadSessions(t, address, []string{
		"", "\x00", "a", "a LOGIN {5}\r\n", "a LOGIN {5+}\r\nab", "a STARTTLS\r\n", "a STARTTLS\r\nb NOOP\r\n", "a AUTHENTICATE PLAIN\r\n",
		strings.Repeat("GET / HTTP/1.1\r\n", 20), strings.Repeat("x", 9<<20), in, in + "c IDLE\r\n", in + "c IDLE\r\nDONE", in + "c IDLE\r\nc NOOP\r\n",
		in + "c APPEND INBOX {3000000+}\r\n" + strings.Repeat("x", 1<<20), in + "c APPEND INBOX {3000000}\r\nx", in + "c APPEND INBOX {99999999+}\r\nx",
		in + "c APPEND INBOX {3+}\r\nabc {5+}\r\nx", in + "c SEARCH " + strings.Repeat("(", 60_000), in + "c FETCH 1:* (BODY[]", in + "c LOGOUT\r\nd NOOP\r\n",
	}, 10)
}

// TestBodyThatFailsInsideALiteral: whatever the client sends of it, before and after the volume fails, is a message and never a command,
// and nothing of it is kept. A body that cannot be read to its end when it is fetched ends the session: what was sent is no message.
func TestBodyThatFailsInsideALiteral(t *testing.T) {
	evil := strings.Repeat("x1 DELETE Sent\r\nx2 CREATE evil\r\n", 5000)
	b, m := backendWithTest()
	_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true, AppendBytesMax: 4 << 20})
	for name, text := range map[string]string{
		"one message":        "c APPEND INBOX {" + strconv.Itoa(len(evil)) + "+}\r\n" + evil,
		"the second of two":  "c APPEND INBOX {3+}\r\nabc {" + strconv.Itoa(len(evil)) + "+}\r\n" + evil,
		"more come after it": "c APPEND INBOX {" + strconv.Itoa(len(evil)) + "+}\r\n" + evil + " {" + strconv.Itoa(len(evil)) + "+}\r\n" + evil,
		"a binary one":       "c APPEND INBOX ~{" + strconv.Itoa(len(evil)) + "+}\r\n" + evil,
	} {
		t.Run(name, func(t *testing.T) {
			c := login(t, address)
			m.Fail(memory.Faults{StoreBody: fault.New(fault.VolumeUnavailable, "the volume is gone")})
			defer m.Fail(memory.Faults{})
			c.send(text + "\r\nd NOOP")
			if got := c.line(); !strings.HasPrefix(got, "c NO [UNAVAILABLE]") {
				t.Errorf("got %s", got)
			}
			if got := c.line(); !strings.HasPrefix(got, "d OK") {
				t.Errorf("got %s", got)
			}
			m.Fail(memory.Faults{})
			if got := c.ok("STATUS INBOX (MESSAGES)")[0]; got != `* STATUS INBOX (MESSAGES 0)` {
				t.Errorf("got %s", got)
			}
			if got := strings.Join(c.ok(`LIST "" *`), "\n"); strings.Contains(got, "evil") || !strings.Contains(got, "Sent") {
				t.Errorf("a command of the message was run: %s", got)
			}
		})
	}
}

// TestPipelinedBehindARefusal: commands that are sent at once behind a literal that is refused are the client's, and are run; the
// literal is not.
func TestPipelinedBehindARefusal(t *testing.T) {
	evil := "x1 CREATE evil\r\n"
	b, _ := backendWithTest()
	_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true, AppendBytesMax: 10})
	for name, text := range map[string]string{
		"a message that is too big":   "c APPEND INBOX {" + strconv.Itoa(len(evil)) + "+}\r\n" + evil,
		"a folder that is not there":  "c APPEND nowhere {5+}\r\nx1 NO",
		"an argument that is too big": "c CREATE {70000+}\r\n" + strings.Repeat(evil, 70000/len(evil)) + strings.Repeat("\n", 70000%len(evil)),
		"a line that is too long":     "c CREATE " + strings.Repeat("x", 70000) + " {" + strconv.Itoa(len(evil)) + "+}\r\n" + evil,
		"a command that is not there": "c FROB {" + strconv.Itoa(len(evil)) + "+}\r\n" + evil,
		"a NUL":                       "c CREATE a\x00b {" + strconv.Itoa(len(evil)) + "+}\r\n" + evil,
	} {
		t.Run(name, func(t *testing.T) {
			c := login(t, address)
			c.send(text + "\r\nd NOOP")
			if got := c.line(); !strings.HasPrefix(got, "c NO ") && !strings.HasPrefix(got, "c BAD ") {
				t.Errorf("got %s", got)
			}
			if got := c.line(); !strings.HasPrefix(got, "d OK") {
				t.Errorf("got %s", got)
			}
			if got := strings.Join(c.ok(`LIST "" *`), "\n"); strings.Contains(got, "evil") {
				t.Errorf("the literal was run: %s", got)
			}
		})
	}
}

// TestNamesAreOneLine makes folders whose names hold line ends and what looks like responses; no answer that names them has another line.
func TestNamesAreOneLine(t *testing.T) {
	b, _ := backendWithTest()
	s := imap.New(imap.Config{Backend: b, AllowPlaintext: true})
	for _, name := range []string{"a\r\n* 1 EXISTS", "a\n* BYE", "a\rb", "\r\n", "a\"b\\", "{5}", "a\tb", "\x01\x7f", "é\r\nz", "&AA0ACg-", "&AA0-"} {
		literal := "{" + strconv.Itoa(len(name)) + "+}\r\n" + name
		said := serve(t, s, "a LOGIN test pass\r\nb CREATE "+literal+"\r\nc SUBSCRIBE "+literal+"\r\nd LIST \"\" * RETURN (STATUS (MESSAGES))\r\ne LSUB \"\" *\r\n"+
			"f STATUS "+literal+" (MESSAGES)\r\ng SELECT "+literal+"\r\nh DELETE "+literal+"\r\ni LOGOUT\r\n")
		for rest := said; len(rest) > 0; {
			_, after, err := response(rest)
			if err != nil {
				t.Fatalf("%q: %v in %q", name, err, said)
			}
			rest = after
		}
		if strings.Contains(string(said), "\n* BYE\r\n") || strings.Contains(string(said), "\n* 1 EXISTS") {
			t.Errorf("%q: got %q", name, said)
		}
	}
}
