package imap_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
)

func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mbox1.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: roots, ServerName: "mbox1.example.com"}
}

func TestSTARTTLS(t *testing.T) {
	serverTLS, clientTLS := certificate(t)
	b := memory.New()
	b.AddAccount("test", "pass")
	_, address := startServer(t, imap.Config{Backend: b, TLS: serverTLS})
	c := dial(t, address)
	if got := c.ok("CAPABILITY")[0]; !strings.HasSuffix(got, " STARTTLS LOGINDISABLED") {
		t.Errorf("in the clear: got %s", got)
	}
	for _, text := range []string{"LOGIN test pass", "AUTHENTICATE PLAIN AHRlc3QAcGFzcw=="} {
		if got := c.ask("x " + text)[0]; !strings.HasPrefix(got, "x NO [PRIVACYREQUIRED]") {
			t.Errorf("%s in the clear: got %s", text, got)
		}
	}
	c.ok("STARTTLS")
	secure := tls.Client(c.conn, clientTLS)
	c.conn, c.r = secure, bufio.NewReader(secure)
	if got := c.ok("CAPABILITY")[0]; !strings.HasSuffix(got, " AUTH=PLAIN AUTH=LOGIN") {
		t.Errorf("with TLS: got %s", got)
	}
	if got := c.ask("x STARTTLS")[0]; !strings.HasPrefix(got, "x BAD") {
		t.Errorf("twice: got %s", got)
	}
	c.ok("LOGIN test pass")
	c.ok("SELECT INBOX")
	other := dial(t, address)
	_ = other
	idle := c.ask("y IDLE")
	if idle[0] != "+ idling" {
		t.Fatalf("got %q", idle)
	}
	c.ask("DONE")
}

// What was sent in the clear together with STARTTLS may be an attacker's (CVE-2011-0411) and is never run.
func TestNothingFollowsSTARTTLS(t *testing.T) {
	serverTLS, _ := certificate(t)
	_, address := startServer(t, imap.Config{Backend: memory.New(), TLS: serverTLS})
	c := dial(t, address)
	c.send("a STARTTLS\r\nb NOOP")
	if got := c.line(); !strings.HasPrefix(got, "a BAD") {
		t.Errorf("got %s", got)
	}
	if got := c.line(); got != endOfStream {
		t.Errorf("got %s", got)
	}
}

func TestImplicitTLS(t *testing.T) {
	serverTLS, clientTLS := certificate(t)
	b := memory.New()
	b.AddAccount("test", "pass")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := imap.New(imap.Config{Backend: b, TLS: serverTLS})
	done := make(chan error, 1)
	go func() { done <- s.Serve(tls.NewListener(l, serverTLS)) }()
	conn, err := tls.Dial("tcp", l.Addr().String(), clientTLS)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, conn: conn, r: bufio.NewReader(conn)}
	if got := c.line(); !strings.Contains(got, "AUTH=PLAIN") || strings.Contains(got, "STARTTLS") {
		t.Errorf("greeting: got %s", got)
	}
	c.ok("LOGIN test pass")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := c.line(); got != "* BYE [UNAVAILABLE] The server is shutting down" {
		t.Errorf("got %s", got)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// TestPlaintextFromAProxy: a password is taken in the clear from where it was said that it may be, and from nowhere else.
func TestPlaintextFromAProxy(t *testing.T) {
	b := memory.New()
	b.AddAccount("test", "pass")
	for _, test := range []struct {
		from string
		want string
	}{
		{"127.0.0.1/32", "x OK"}, {"127.0.0.0/8", "x OK"}, {"10.0.0.0/8", "x NO [PRIVACYREQUIRED]"}, {"::/0", "x NO [PRIVACYREQUIRED]"},
	} {
		_, address := startServer(t, imap.Config{Backend: b, PlaintextFrom: []netip.Prefix{netip.MustParsePrefix(test.from)}})
		c := dial(t, address)
		if got := c.ask("x LOGIN test pass")[0]; !strings.HasPrefix(got, test.want) {
			t.Errorf("from %s: got %s, want %s", test.from, got, test.want)
		}
	}
}
