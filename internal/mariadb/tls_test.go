package mariadb_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	engine "mailreplica/internal/engine/mariadb"
	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
)

// TestTLS speaks TLS to a server that has a certificate, and refuses one that has none, or another.
func TestTLS(t *testing.T) {
	folder := t.TempDir()
	trusted := certificate(t, folder)
	other := certificate(t, t.TempDir())
	secure, err := engine.Start(t.Context(), engine.Options{Folder: folder, Settings: map[string]string{
		"ssl-cert": filepath.Join(folder, "cert.pem"), "ssl-key": filepath.Join(folder, "key.pem"), "require-secure-transport": "OFF",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer secure.Close()
	if err := secure.CreateDatabase(t.Context(), "db"); err != nil {
		t.Fatal(err)
	}
	c := mariadb.Config{Address: secure.Address(), Database: "db", User: secure.User(), Password: secure.Password(), TLS: &tls.Config{RootCAs: trusted}}
	var cipher, name string
	if err := open(t, c, mariadb.Options{}).QueryRowContext(t.Context(), "SHOW STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher); err != nil || cipher == "" {
		t.Errorf("got cipher %q, %v, want an encrypted connection", cipher, err)
	}
	plain := config(t)
	plain.TLS = &tls.Config{RootCAs: trusted}
	untrusted := c
	untrusted.TLS = &tls.Config{RootCAs: other}
	for _, one := range []struct {
		name  string
		c     mariadb.Config
		class mariadb.Class
		hint  string
	}{
		{"another certificate", untrusted, mariadb.Untrusted, "check ca"},
		{"no certificate", plain, mariadb.Lost, "ssl_cert"},
	} {
		_, err := open(t, one.c, mariadb.Options{}).ExecContext(t.Context(), "SELECT 1")
		explained := mariadb.Explain(fault.DatabaseUnavailable, "the database", err)
		if class := mariadb.ClassOf(err); class != one.class || !strings.Contains(fault.HintOf(explained), one.hint) {
			t.Errorf("%s: got class %d, error %v, hint %q", one.name, class, explained, fault.HintOf(explained))
		}
	}
}

// certificate writes a certificate for loopback and its key into a folder, and gives a pool that trusts it.
func certificate(t *testing.T, folder string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "MariaDB for tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	return pool
}
