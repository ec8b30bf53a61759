package imap_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
)

const peerToken = "secret of the mailstores"

// cluster is a home with an account "test", and a frontend where the account is not at home.
type cluster struct {
	home     *memory.Backend
	mailbox  *memory.Mailbox
	frontend *imap.Server
	address  string // of the frontend
	toHome   chan net.Conn
}

func newCluster(t *testing.T, token string, auth func(home *memory.Backend, name string) (imap.Login, error)) *cluster {
	t.Helper()
	c := &cluster{home: memory.New(), toHome: make(chan net.Conn, 1)}
	c.mailbox = c.home.AddAccount("test", "pass")
	_, homeAddress := startServer(t, imap.Config{
		Backend: c.home, Greeting: "mbox1.example.com",
		ProxyAuth: func(got, name, remote string) (imap.Login, error) {
			if got != peerToken {
				return imap.Login{}, fault.New(fault.Credentials, "wrong token")
			}
			if !strings.HasPrefix(remote, "127.0.0.1:") {
				return imap.Login{}, fault.New(fault.Invalid, "remote is %s", remote)
			}
			return auth(c.home, name)
		},
	})
	front := memory.New()
	front.AddLogin("pass", imap.Login{Account: account.NewID(), Name: "test", Proxy: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", homeAddress)
		if err != nil {
			return nil, fault.Wrap(fault.HomeUnreachable, err, "the home does not answer")
		}
		c.toHome <- conn
		home, err := imap.ProxyLogin(ctx, conn, token, "test", "127.0.0.1:4711")
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		return home, nil
	}})
	c.frontend, c.address = startServer(t, imap.Config{Backend: front, AllowPlaintext: true})
	return c
}

func atHome(home *memory.Backend, name string) (imap.Login, error) { return home.Account(name) }

func TestProxiedSession(t *testing.T) {
	c := newCluster(t, peerToken, atHome)
	client := dial(t, c.address)
	// What is sent ahead of the login's answer reaches the home.
	client.send("a1 LOGIN test pass\r\na2 APPEND INBOX {5+}\r\nhello\r\na3 SELECT INBOX")
	want := []string{"a1 OK [CAPABILITY IMAP4rev1 ", "a2 OK [APPENDUID 1 1]", "a3 OK [READ-WRITE]"}
	for _, w := range want {
		for {
			line := client.line()
			if strings.HasPrefix(line, "a") {
				if !strings.HasPrefix(line, w) {
					t.Fatalf("got %s, want %s…", line, w)
				}
				break
			}
		}
	}
	if got := client.ok("FETCH 1 BODY.PEEK[]")[0]; got != "* 1 FETCH (BODY[] <<hello>>)" {
		t.Errorf("got %s", got)
	}
	if got := client.ok("LOGOUT"); len(got) != 2 {
		t.Errorf("got %q", got)
	}
	if got := client.line(); got != endOfStream {
		t.Errorf("after LOGOUT: got %s", got)
	}
}

func TestProxyRefused(t *testing.T) {
	for _, test := range []struct {
		name, token string
		auth        func(*memory.Backend, string) (imap.Login, error)
		want        string
	}{
		{"wrong token", "another", atHome, "x NO [UNAVAILABLE]"},
		{"not at home either", peerToken, func(*memory.Backend, string) (imap.Login, error) {
			return imap.Login{Name: "test", Proxy: func(context.Context) (net.Conn, error) {
				t.Error("a forwarded session was forwarded again")
				return nil, io.EOF
			}}, nil
		}, "x NO [UNAVAILABLE]"},
		{"maintenance", peerToken, func(*memory.Backend, string) (imap.Login, error) {
			return imap.Login{}, fault.New(fault.Maintenance, "in maintenance")
		}, "x NO [ALERT]"},
		{"not ready", peerToken, func(*memory.Backend, string) (imap.Login, error) {
			return imap.Login{}, fault.New(fault.NotReady, "reading")
		}, "x NO [UNAVAILABLE]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, test.token, test.auth)
			client := dial(t, c.address)
			got := client.ask("x LOGIN test pass")
			if !strings.HasPrefix(got[0], test.want) {
				t.Errorf("got %s, want %s", got[0], test.want)
			}
			if got := client.ask("y NOOP"); got[0] != "y OK Done" {
				t.Errorf("afterwards: got %s", got)
			}
		})
	}
}

func TestHomeLostBetweenResponses(t *testing.T) {
	c := newCluster(t, peerToken, atHome)
	client := login(t, c.address)
	if err := (<-c.toHome).Close(); err != nil {
		t.Fatal(err)
	}
	if got := client.line(); got != "* BYE [UNAVAILABLE] The mailbox's server does not answer, connect again" {
		t.Errorf("got %s", got)
	}
	if got := client.line(); got != endOfStream {
		t.Errorf("got %s", got)
	}
}

// A BYE inside a literal would become part of a message.
func TestHomeLostInsideLiteral(t *testing.T) {
	home, frontend := net.Pipe()
	front := memory.New()
	front.AddLogin("pass", imap.Login{Account: account.NewID(), Name: "test", Proxy: func(context.Context) (net.Conn, error) {
		return frontend, nil
	}})
	_, address := startServer(t, imap.Config{Backend: front, AllowPlaintext: true})
	client := login(t, address)
	if _, err := io.WriteString(home, "* 1 FETCH (BODY[] {1000}\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	if err := home.Close(); err != nil {
		t.Fatal(err)
	}
	if got := client.line(); got != "* 1 FETCH (BODY[] <<4 of 1000 bytes" {
		t.Errorf("got %s", got)
	}
}

func TestShutdownEndsProxiedSessions(t *testing.T) {
	c := newCluster(t, peerToken, atHome)
	client := login(t, c.address)
	if err := c.frontend.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := client.line(); got != "* BYE [UNAVAILABLE] The server is shutting down" {
		t.Errorf("got %s", got)
	}
}

func TestProxyLoginAgainstStrangers(t *testing.T) {
	for _, says := range []string{
		"", "* BYE no\r\n", "220 mx ESMTP\r\n", "* OK hi\r\n* BYE no\r\n", "* OK hi\r\nP NO no\r\n", "* OK hi\r\nP BAD no\r\n",
		"* OK " + strings.Repeat("x", 10_000) + "\r\n", "* OK hi\r\nP NO [AUTHENTICATIONFAILED] no\r\n",
	} {
		ours, theirs := net.Pipe()
		go func() {
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			_, _ = io.WriteString(theirs, says)
			_ = theirs.Close()
		}()
		_, err := imap.ProxyLogin(t.Context(), ours, "t", "a", "r")
		if !fault.Is(err, fault.HomeUnreachable) {
			t.Errorf("%.20q: got %v", says, err)
		}
		_ = ours.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	ours, _ := net.Pipe()
	cancel()
	if _, err := imap.ProxyLogin(ctx, ours, "t", "a", "r"); !fault.Is(err, fault.HomeUnreachable) {
		t.Errorf("cancelled: got %v", err)
	}
}

func ExampleProxyLogin() {
	home, peer := net.Pipe()
	go func() {
		_, _ = io.WriteString(home, "* OK ready\r\n")
		buf := make([]byte, 100)
		n, _ := home.Read(buf)
		fmt.Println(strings.TrimSpace(string(buf[:n])))
		_, _ = io.WriteString(home, "P OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n")
	}()
	conn, err := imap.ProxyLogin(context.Background(), peer, "token", "test", "192.0.2.1:4711")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(conn.Capability())
	// Output:
	// P AUTHENTICATE X-MAILREPLICA-PROXY dG9rZW4AdGVzdAAxOTIuMC4yLjE6NDcxMQ==
	// IMAP4rev1 IDLE
}
