package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/fault"
)

func TestDeadEndpointsAreSkipped(t *testing.T) {
	c := start(t, 2)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing, as a stopped process does
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	live := strings.TrimPrefix(c.Mailstores[1].API.URL, "http://")
	write(t, c.config, fmt.Sprintf("token: %s\nendpoints:\n  dead.example.com: 127.0.0.1:1\n  silent.example.com: %s\n  live.example.com: %s\n",
		admintest.AdminToken, silent.Addr(), live), 0o600)
	began := time.Now()
	c.ok("prov getAllServers")
	if took := time.Since(began); took > 2*probeWaits()[0] {
		t.Errorf("it took %s", took)
	}
	c.ok("--host LIVE.example.com prov getAllServers")
	c.ok("--host " + live + " prov getAllServers")
	c.fails("--host dead.example.com prov getAllServers", "no mailstore answers: tried dead.example.com at 127.0.0.1:1")
}

func TestConfigurations(t *testing.T) {
	c := start(t, 1)
	good := "token: " + admintest.AdminToken + "\nendpoints:\n  m: 127.0.0.1:7071\n"
	for _, test := range []struct {
		name, text, want string
		mode             os.FileMode
	}{
		{"readable by others", good, "can be read by others", 0o644},
		{"readable by the group", good, "can be read by others", 0o640},
		{"no token", "endpoints:\n  m: 127.0.0.1:7071\n", "token is missing", 0o600},
		{"token with a blank", "token: a b\nendpoints:\n  m: 127.0.0.1:7071\n", "token holds a blank", 0o600},
		{"no endpoints", "token: x\n", "endpoints is missing", 0o600},
		{"empty endpoints", "token: x\nendpoints: {}\n", "endpoints is missing", 0o600},
		{"endpoints that are a list", "token: x\nendpoints: [a, b]\n", "endpoints is missing", 0o600},
		{"endpoint without a port", "token: x\nendpoints:\n  m: mbox1\n", `line 3: the endpoint m is "mbox1", which is not host:port (want token: TEXT`, 0o600},
		{"misspelt key", good + "tokens: y\n", "carbonio.yaml: line 4: there is no key tokens (", 0o600},
		{"two documents", good + "---\n" + good, "more than one document", 0o600},
		{"two endpoints of one name", good + "  M: 127.0.0.1:7072\n", "line 4: two endpoints are named M", 0o600},
		{"more than 1 MiB", good + strings.Repeat("#", configBytesMax), "has more than 1048576 bytes", 0o600},
		{"more than 1,000 endpoints", good + manyEndpoints(endpointsMax), "names more than 1000 mailstores", 0o600},
		{"no YAML", "token: [", "carbonio.yaml", 0o600},
		{"empty", "", "token is missing", 0o600},
		{"certificate that is none", good + "ca: nothing.pem\n", "nothing.pem", 0o600},
		{"wrong token", strings.Replace(good, "127.0.0.1:7071", strings.TrimPrefix(c.Mailstores[0].API.URL, "http://"), 1) + "", "", 0o600},
	} {
		t.Run(test.name, func(t *testing.T) {
			one := *c
			one.t = t
			text := test.text
			if test.want == "" {
				text, test.want = strings.Replace(text, admintest.AdminToken, "another", 1), "token is missing, or it is not the one"
			}
			write(t, c.config, text, test.mode)
			one.fails("prov getAllServers", test.want)
		})
	}
	c.config += ".none"
	c.fails("prov getAllServers", "is not there")
}

// TestWhyNobodyAnswers: a mailstore that is there is not said to be away because of a certificate, and one that is named by its IP
// address is known by the name of its endpoint.
func TestWhyNobodyAnswers(t *testing.T) {
	c := start(t, 1)
	plain := strings.TrimPrefix(c.Mailstores[0].API.URL, "http://")
	https := httptest.NewTLSServer(c.Mailstores[0].API.Config.Handler)
	https.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer https.Close()
	address := https.Listener.Addr().String()
	folder := t.TempDir()
	its, another := filepath.Join(folder, "its.pem"), filepath.Join(folder, "another.pem")
	write(t, its, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: https.Certificate().Raw})), 0o600)
	write(t, another, selfSigned(t), 0o600)
	for _, test := range []struct{ name, address, ca, want string }{
		{"example.com", address, its, ""}, // the certificate of httptest is for example.com, 127.0.0.1 and ::1
		{"mbox1.example.org", address, its, "its certificate is for another name"},
		{"example.com", address, another, "its certificate is not trusted: x509: certificate signed by unknown authority"},
		{"example.com", address, "", "it speaks TLS; name its certificate with ca"},
		{"example.com", plain, its, "it speaks no TLS; take ca out"},
		{"example.com", "127.0.0.1:1", "", "nothing listens there"},
	} {
		text := "token: " + admintest.AdminToken + "\nendpoints: {" + test.name + ": '" + test.address + "'}\n"
		if test.ca != "" {
			text += "ca: " + test.ca + "\n"
		}
		write(t, c.config, text, 0o600)
		if test.want == "" {
			c.ok("prov getAllServers")
			continue
		}
		c.fails("prov getAllServers", "no mailstore answers: tried "+test.name+" at "+test.address+" ("+test.want)
	}
}

// selfSigned is a certificate that nobody uses.
func selfSigned(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func manyEndpoints(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  m%d: 127.0.0.1:7071\n", i)
	}
	return b.String()
}

// FuzzParseConfig reads anything. What is taken has a token, and endpoints that can be dialled, no two of one name.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("token: abc\nca: x.pem\nendpoints:\n  m: 127.0.0.1:7071\n  n: \"[::1]:1\"\n"))
	f.Add([]byte("token: &t a\nendpoints: {a: *t, ? [b] : c, <<: {d: e}}\n"))
	f.Add([]byte("token: \"a\\n\"\nendpoints: [a]\n---\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConfig(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || strings.ContainsAny(fault.Message(err), "\r\n") {
				t.Errorf("%q: got %v", text, err)
			}
			return
		}
		names := map[string]bool{}
		for _, e := range c.endpoints {
			if names[e.name] || e.address == "" {
				t.Errorf("%q: got %+v", text, c)
			}
			names[e.name] = true
		}
		if c.token == "" || len(c.endpoints) == 0 {
			t.Errorf("%q: got %+v", text, c)
		}
	})
}
