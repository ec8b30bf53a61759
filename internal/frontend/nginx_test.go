package frontend_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/credential"
	"mailreplica/internal/directory"
	"mailreplica/internal/frontend"
)

const submission = "192.0.2.25:10025"

// asNginx serves an NginxAuth of a mailstore.
func asNginx(t *testing.T, c frontend.NginxConfig) (address string) {
	t.Helper()
	if c.AttemptsMax == 0 {
		c.AttemptsMax = 3
	}
	c.Logger = slog.New(slog.DiscardHandler)
	s := httptest.NewServer(frontend.NewNginxAuth(c))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// nginxEscape is what ngx_escape_uri does for NGX_ESCAPE_MAIL_AUTH.
func nginxEscape(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c == '%' || c >= 0x7f {
			fmt.Fprintf(&out, "%%%02X", c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// question is what nginx asks; empty fields are those of an IMAP client's first attempt.
type question struct {
	user, password, protocol, method, client, attempt string
}

// ask sends byte for byte what ngx_mail_auth_http_create_request does, and reads as much of the answer as nginx has room for.
func ask(t *testing.T, address string, q question) http.Header {
	t.Helper()
	or := func(s, standard string) string {
		if s == "" {
			return standard
		}
		return s
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET /nginx/auth HTTP/1.0\r\nHost: localhost\r\nAuth-Method: %s\r\nAuth-User: %s\r\nAuth-Pass: %s\r\n"+
		"Auth-Protocol: %s\r\nAuth-Login-Attempt: %s\r\nClient-IP: %s\r\nClient-Host: [UNAVAILABLE]\r\n\r\n", or(q.method, "plain"), nginxEscape(q.user),
		nginxEscape(q.password), or(q.protocol, "imap"), or(q.attempt, "1"), or(q.client, "198.51.100.9"))
	if err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	in := bufio.NewReader(io.TeeReader(conn, &head))
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusOK && head.Len() > 1024 {
		t.Errorf("the answer has %d bytes; nginx takes 1,024", head.Len())
	}
	return response.Header
}

// wantHome wants a client to be passed on.
func wantHome(t *testing.T, h http.Header, want string) {
	t.Helper()
	if got := net.JoinHostPort(h.Get("Auth-Server"), h.Get("Auth-Port")); h.Get("Auth-Status") != "OK" || got != want {
		t.Errorf("got %q %s, want OK %s", h.Get("Auth-Status"), got, want)
	}
}

// wantRefusal wants a client not to be passed on, and the words that it is told.
func wantRefusal(t *testing.T, h http.Header, status, code string) {
	t.Helper()
	if !strings.HasPrefix(h.Get("Auth-Status"), status) || h.Get("Auth-Error-Code") != code || h.Get("Auth-Server") != "" {
		t.Errorf("got %q, code %q, server %q; want %q, %q and none", h.Get("Auth-Status"), h.Get("Auth-Error-Code"), h.Get("Auth-Server"), status, code)
	}
}

func TestNginx(t *testing.T) {
	p := newPlatform(t, 2)
	id := p.account(0, "user@example.com")
	p.account(1, "far@example.com")
	at := asNginx(t, frontend.NginxConfig{Logins: p.hosts[0].imap, SMTP: submission})

	wantHome(t, ask(t, at, question{user: "USER@example.com", password: password}), p.hosts[0].imapAddr)
	wantHome(t, ask(t, at, question{user: "far@example.com", password: password}), p.hosts[1].imapAddr)
	wantHome(t, ask(t, at, question{user: "far@example.com", password: password, protocol: "smtp"}), submission)

	h := ask(t, at, question{user: "user@example.com", password: "wrong"})
	wantRefusal(t, h, "[AUTHENTICATIONFAILED] ", "")
	if h.Get("Auth-Wait") == "" {
		t.Error("nginx is to end the connection at the first attempt")
	}
	if h = ask(t, at, question{user: "user@example.com", password: "wrong", attempt: "3"}); h.Get("Auth-Wait") != "" {
		t.Error("nginx is not to end the connection at the last attempt")
	}
	wantRefusal(t, ask(t, at, question{user: "nobody@example.com", password: "wrong", protocol: "smtp"}), "Wrong user name", "535 5.7.8")
	wantRefusal(t, ask(t, at, question{user: "user@example.com", password: password, protocol: "pop3"}), "[NOPERM] ", "")
	wantRefusal(t, ask(t, at, question{user: "user@example.com", password: "x", method: "cram-md5"}), "[NOPERM] ", "")
	p.status(id, directory.Locked)
	wantRefusal(t, ask(t, at, question{user: "user@example.com", password: password}), "[AUTHORIZATIONFAILED] ", "")
	wantRefusal(t, ask(t, at, question{user: "user@example.com", password: password, protocol: "smtp"}), "The account is locked", "535 5.7.0")
	p.status(id, directory.Maintenance)
	wantRefusal(t, ask(t, at, question{user: "user@example.com", password: password}), "[ALERT] ", "")
	wantRefusal(t, ask(t, at, question{user: "user@example.com", password: password, protocol: "smtp"}), "The account is in", "454 4.7.0")

	without := asNginx(t, frontend.NginxConfig{Logins: p.hosts[0].imap})
	wantRefusal(t, ask(t, without, question{user: "far@example.com", password: password, protocol: "smtp"}), "There is no smtp", "535 5.7.0")
}

// TestNginxPasswords: every byte of a password comes over, however nginx has to write it.
func TestNginxPasswords(t *testing.T) {
	p := newPlatform(t, 1)
	id := p.account(0, "user@example.com")
	at := asNginx(t, frontend.NginxConfig{Logins: p.hosts[0].imap})
	for _, secret := range []string{"a b", "100%", "%41", "a+b", "ключ", " leading and trailing ", "\"'\\;:,", "tab\there"} {
		hash, err := credential.Hash(secret)
		if err != nil {
			t.Fatal(err)
		}
		p.update(id, directory.AccountUpdate{PasswordHash: &hash})
		p.poll()
		if h := ask(t, at, question{user: "user@example.com", password: secret, client: "203.0.113.1"}); h.Get("Auth-Status") != "OK" {
			t.Errorf("%q: %s", secret, h.Get("Auth-Status"))
		}
	}
}

// TestNginxInTrouble: what is wrong here is never the client's password.
func TestNginxInTrouble(t *testing.T) {
	p := newPlatform(t, 2)
	id := p.account(0, "user@example.com")
	at := asNginx(t, frontend.NginxConfig{Logins: p.hosts[0].imap, SMTP: "mail.example.com:25",
		Resolve: func(context.Context, string) (netip.Addr, error) { return netip.Addr{}, errors.New("no answer") }})
	wantRefusal(t, ask(t, at, question{user: "user@example.com", password: password, protocol: "smtp"}), "The mailbox's server", "454 4.7.0")

	back := p.takeDirectoryAway()
	wantHome(t, ask(t, at, question{user: "user@example.com", password: password}), p.hosts[0].imapAddr)
	wantRefusal(t, ask(t, at, question{user: "new@example.com", password: password}), "[UNAVAILABLE] ", "")
	wantRefusal(t, ask(t, at, question{user: "new@example.com", password: password, protocol: "smtp"}), "Accounts cannot be checked", "454 4.7.0")
	back()

	a, err := p.directory.Account(t.Context(), id)
	if err == nil {
		_, err = p.directory.SetHome(t.Context(), id, "gone.example.com", a.Epoch+1, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.poll()
	wantRefusal(t, ask(t, at, question{user: "user@example.com", password: password}), "[UNAVAILABLE] ", "")
}

// TestNginxNamesNoHost: a home that is known by its name is told as an address, which is all that nginx takes.
func TestNginxNamesNoHost(t *testing.T) {
	p := newPlatform(t, 1)
	p.account(0, "user@example.com")
	asked := ""
	at := asNginx(t, frontend.NginxConfig{Logins: p.hosts[0].imap, SMTP: "mail.example.com:25",
		Resolve: func(_ context.Context, host string) (netip.Addr, error) {
			asked = host
			return netip.MustParseAddr("2001:db8::25"), nil
		}})
	wantHome(t, ask(t, at, question{user: "user@example.com", password: password, protocol: "smtp"}), "[2001:db8::25]:25")
	if asked != "mail.example.com" {
		t.Errorf("asked for %q", asked)
	}
}

// TestNginxIsSlowedDown: guesses wait by the address of nginx's client, not by that of nginx.
func TestNginxIsSlowedDown(t *testing.T) {
	p := newPlatform(t, 1)
	p.account(0, "user@example.com")
	const step = 300 * time.Millisecond
	logins := frontend.NewIMAP(frontend.IMAPConfig{
		Router: p.hosts[0].router, Verifier: credential.NewVerifier(credential.VerifierConfig{}),
		Throttle: credential.NewThrottle(credential.ThrottleConfig{Free: 1, First: step}),
	})
	at := asNginx(t, frontend.NginxConfig{Logins: logins})
	for range 3 { // of names, for the account's own throttle to have nothing to do with it
		ask(t, at, question{user: account.NewID().String() + "@example.com", password: "guess", client: "203.0.113.7"})
	}
	begun := time.Now()
	wantRefusal(t, ask(t, at, question{user: "user@example.com", password: "guess", client: "203.0.113.7"}), "[AUTHENTICATIONFAILED] ", "")
	if took := time.Since(begun); took < step {
		t.Errorf("a guess was answered after %s", took)
	}
	wantHome(t, ask(t, at, question{user: "user@example.com", password: password, client: "203.0.113.8"}), p.hosts[0].imapAddr)
}

// TestNginxAsksTooMuch: beyond a bound a login is put off, and is no wrong password.
func TestNginxAsksTooMuch(t *testing.T) {
	p := newPlatform(t, 1)
	p.account(0, "user@example.com")
	looking, proceed := make(chan struct{}), make(chan struct{})
	at := asNginx(t, frontend.NginxConfig{Logins: p.hosts[0].imap, LoginsMax: 1, SMTP: "mail.example.com:25",
		Resolve: func(context.Context, string) (netip.Addr, error) {
			close(looking)
			<-proceed
			return netip.MustParseAddr("192.0.2.25"), nil
		}})
	first := make(chan http.Header)
	go func() { first <- ask(t, at, question{user: "user@example.com", password: password, protocol: "smtp"}) }()
	<-looking
	wantRefusal(t, ask(t, at, question{user: "user@example.com", password: password}), "[UNAVAILABLE] ", "")
	close(proceed)
	wantHome(t, <-first, "192.0.2.25:25")
	wantHome(t, ask(t, at, question{user: "user@example.com", password: password}), p.hosts[0].imapAddr)
}

// TestNginxOnly: what nginx would not ask is told nothing, and nginx is not told OK.
func TestNginxOnly(t *testing.T) {
	p := newPlatform(t, 1)
	at := asNginx(t, frontend.NginxConfig{Logins: p.hosts[0].imap})
	for _, fields := range []map[string]string{{}, {"Auth-Method": "plain"}, {"Auth-Method": "plain", "Auth-Protocol": "imap", "Auth-User": "%zz"}} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at+"/nginx/auth", nil)
		if err != nil {
			t.Fatal(err)
		}
		for field, value := range fields {
			request.Header.Set(field, value)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest || response.Header.Get("Auth-Status") != "" {
			t.Errorf("%v: %s, Auth-Status %q", fields, response.Status, response.Header.Get("Auth-Status"))
		}
	}
}
