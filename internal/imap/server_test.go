package imap_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
)

func backendWithTest() (*memory.Backend, *memory.Mailbox) {
	b := memory.New()
	return b, b.AddAccount("test", "pass")
}

func TestSessionsMax(t *testing.T) {
	b, _ := backendWithTest()
	s, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true, SessionsMax: 2})
	first := login(t, address)
	login(t, address)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	third := &client{t: t, conn: conn, r: bufio.NewReader(conn)}
	if got := third.line(); got != "* BYE [LIMIT] Too many connections" {
		t.Errorf("got %s", got)
	}
	if got := s.Sessions(); got != 2 {
		t.Errorf("Sessions: got %d, want 2", got)
	}
	first.ok("LOGOUT")
	if got := first.line(); got != endOfStream {
		t.Errorf("after LOGOUT: got %s", got)
	}
}

func TestTimeouts(t *testing.T) {
	b, _ := backendWithTest()
	_, address := startServer(t, imap.Config{
		Backend: b, AllowPlaintext: true, LoginTimeout: 300 * time.Millisecond, IdleTimeout: 600 * time.Millisecond,
	})
	stranger := dial(t, address)
	known := login(t, address)
	if got := stranger.line(); got != "* BYE Nobody logged in" {
		t.Errorf("before login: got %s", got)
	}
	if got := known.ask("a IDLE"); got[0] != "+ idling" {
		t.Errorf("IDLE: got %s", got)
	}
	if got := known.line(); got != "* BYE Disconnected for inactivity" {
		t.Errorf("idle: got %s", got)
	}
}

func TestShutdownDuringIdleAndBetweenCommands(t *testing.T) {
	b, _ := backendWithTest()
	s, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true})
	idle, waiting, stranger := login(t, address), login(t, address), dial(t, address)
	idle.ok("SELECT INBOX")
	idle.ask("a IDLE")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*client{"idle": idle, "waiting": waiting, "before login": stranger} {
		if got := c.line(); got != "* BYE [UNAVAILABLE] The server is shutting down" {
			t.Errorf("%s: got %s", name, got)
		}
		if got := c.line(); got != endOfStream {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// A client that has said all it has to say, and ended its half of the connection, is answered.
func TestHalfClosedClient(t *testing.T) {
	for name, address := range map[string]string{"at home": func() string {
		b, _ := backendWithTest()
		_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true})
		return address
	}(), "through another mailstore": newCluster(t, peerToken, atHome).address} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, address)
			if _, err := io.WriteString(c.conn, "a LOGIN test pass\r\nb APPEND INBOX {5+}\r\nhello\r\nc SELECT INBOX\r\n"+
				"d FETCH 1 BODY[]\r\ne NO"); err != nil {
				t.Fatal(err)
			}
			if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			var tagged []string
			for line := c.line(); line != endOfStream; line = c.line() {
				if tag, _, _ := strings.Cut(line, " "); tag != "*" {
					tagged = append(tagged, tag)
				} else if strings.HasPrefix(line, "* BYE") {
					t.Errorf("got %s", line)
				}
			}
			if want := []string{"a", "b", "c", "d"}; !slices.Equal(tagged, want) {
				t.Errorf("answered: got %q, want %q", tagged, want)
			}
		})
	}
}

func TestReasonsOfBye(t *testing.T) {
	for kind, want := range map[fault.Kind]string{
		fault.NotHome:     "* BYE [UNAVAILABLE] The mailbox has moved, connect again",
		fault.Unusable:    "* BYE [UNAVAILABLE] The mailbox is being repaired, try again later",
		fault.Locked:      "* BYE [AUTHORIZATIONFAILED] The account is locked",
		fault.Credentials: "* BYE [UNAVAILABLE] The password has changed, log in again",
		fault.Maintenance: "* BYE [ALERT] The account is in maintenance",
		fault.Interrupted: "* BYE [UNAVAILABLE] The server is shutting down",
		fault.NotFound:    "* BYE [UNAVAILABLE] The account is gone",
		fault.Internal:    "* BYE [SERVERBUG] Internal error",
	} {
		b, m := backendWithTest()
		_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true})
		c := login(t, address)
		m.End(fault.Wrap(kind, fmt.Errorf("secret"), "not for clients"))
		if got := c.line(); got != want {
			t.Errorf("%v: got %s, want %s", kind, got, want)
		}
	}
}

func TestTooManyInvalidCommands(t *testing.T) {
	b, _ := backendWithTest()
	_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true})
	c := dial(t, address)
	for range 9 {
		if got := c.ask("GET / HTTP/1.1")[0]; !strings.HasPrefix(got, "GET BAD") {
			t.Fatalf("got %s", got)
		}
	}
	c.send("GET / HTTP/1.1")
	for got := c.line(); got != endOfStream; got = c.line() {
		if !strings.HasPrefix(got, "GET BAD") && got != "* BYE Too many invalid commands" {
			t.Errorf("got %s", got)
		}
	}
}

// A client that sends its message a byte at a time, each in time, does not hold a blob open for ever.
func TestEndlessAppend(t *testing.T) {
	b, _ := backendWithTest()
	_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true, AppendTimeMax: 50 * time.Millisecond})
	c := login(t, address)
	c.send("a APPEND INBOX {1000000+}")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if got := c.line(); got != "* BYE Disconnected for inactivity" {
			t.Errorf("got %s", got)
		}
	}()
	for range time.Tick(5 * time.Millisecond) {
		select {
		case <-ended:
			return
		default:
			_, _ = io.WriteString(c.conn, "x") // fails when the server has ended the connection
		}
	}
}

func TestLongAuthentication(t *testing.T) {
	b, _ := backendWithTest()
	_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true})
	c := dial(t, address)
	c.ask("a AUTHENTICATE PLAIN")
	if got := c.ask(strings.Repeat("A", 100_000)); len(got) != 1 || !strings.HasPrefix(got[0], "a NO [TOOBIG]") {
		t.Errorf("got %q", got)
	}
	c.ok("LOGIN test pass")
}

// Nothing a client sends before login makes the server hold much of it.
func TestLimitsBeforeLogin(t *testing.T) {
	b, _ := backendWithTest()
	_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true})
	c := dial(t, address)
	for _, text := range []string{
		"x LOGIN test {5000+}\r\n" + strings.Repeat("p", 5000),
		"x LOGIN " + strings.Repeat("p", 50_000) + " pass",
		"x APPEND INBOX {10+}\r\nx LOGOUT\r\n",
	} {
		if got := c.ask(text)[0]; !strings.HasPrefix(got, "x NO [TOOBIG]") {
			t.Errorf("%.30q: got %s", text, got)
		}
	}
	c.ok("LOGIN test pass")
}
