package lmtp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/lmtp"
)

// testTLS makes a certificate for the mailstores of the tests, and both sides' configurations.
func testTLS(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{here, there}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: roots}
}

func TestStartTLS(t *testing.T) {
	serverTLS, clientTLS := testTLS(t)
	clientTLS.ServerName = here
	b := newMemory(t, bob)
	server, addr := start(t, lmtp.Config{Backend: b, TLS: serverTLS})
	c := dial(t, addr)
	if got := c.ask("LHLO x", "250"); !strings.Contains(got, "STARTTLS") {
		t.Errorf("STARTTLS is not offered: %q", got)
	}
	startTLS(t, c, clientTLS)
	c.ask("MAIL FROM:<a@x>", "503 5.5.1") // what was said in the clear is forgotten
	if got := c.ask("LHLO x", "250"); strings.Contains(got, "STARTTLS") {
		t.Errorf("STARTTLS is offered twice: %q", got)
	}
	c.deliver(mail, bob)
	c.begin(bob)
	c.ask("DATA", "354")
	c.say("another\r\n.\r\nQUIT\r\n")
	c.want("250 2.0.0", "221 2.0.0")
	_ = c.conn.Close() // it may be closed
	eventually(t, "the end of the session", func() bool { return server.Sessions() == 0 })
	b.hasOnly(mail, "another\r\n")
	if got := string(b.inbox(bob)[0]); !strings.Contains(got, "with LMTPS id") {
		t.Errorf("the trace is %q, want LMTPS", got)
	}
	if got := b.countAnswered(); got != 2 {
		t.Errorf("%d deliveries are known to have been answered, want 2", got)
	}
}

// TestStartTLSInjection sends commands in the clear that are meant to run under TLS.
func TestStartTLSInjection(t *testing.T) {
	serverTLS, _ := testTLS(t)
	_, addr := start(t, lmtp.Config{Backend: newMemory(t, bob), TLS: serverTLS})
	c := open(t, addr)
	c.say("STARTTLS\r\nLHLO evil\r\nMAIL FROM:<evil@x>\r\n")
	c.want("421 4.7.0")
}
