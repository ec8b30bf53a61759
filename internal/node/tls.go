package node

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"sync"
	"time"

	"mailreplica/internal/config"
	"mailreplica/internal/fault"
)

// certificateLookEvery is how often the certificate's file is looked at, so that a new one is taken without a restart.
const certificateLookEvery = 10 * time.Second

// certificates holds the mailstore's certificate, and loads it again when its file changes. A nil value stands for no TLS.
type certificates struct {
	files  config.TLS
	pool   *x509.CertPool // nil: the system's
	logger *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time // of the file that current came from
	looked  time.Time
}

// loadCertificates reads certificate, key and CA. Without a certificate there is no TLS.
func loadCertificates(files config.TLS, logger *slog.Logger) (*certificates, error) {
	if files.Certificate == "" {
		return nil, nil
	}
	c := &certificates{files: files, logger: logger}
	var err error
	if c.pool, err = loadPool("tls.ca", files.CA); err != nil {
		return nil, err
	}
	return c, c.load()
}

// loadPool reads certificates to check others against, nil (the system's) if there is no file. key names the setting.
func loadPool(key, path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		return nil, fault.Wrap(fault.Invalid, err, "%s: %s holds no certificate that can be read", key, path).
			WithHint("name a PEM file that the mailstore's user may read")
	}
	return pool, nil
}

func (c *certificates) load() error {
	info, err := os.Stat(c.files.Certificate)
	if err == nil && info.ModTime().Equal(c.changed) {
		return nil
	}
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.files.Certificate, c.files.Key); err == nil {
			c.current, c.changed = &pair, info.ModTime()
			return nil
		}
	}
	return fault.Wrap(fault.Invalid, err, "the certificate %s with the key %s cannot be used", c.files.Certificate, c.files.Key).
		WithHint("tls.certificate and tls.key name PEM files that belong together and that the mailstore's user may read")
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > certificateLookEvery {
		c.looked = time.Now()
		if err := c.load(); err != nil {
			c.logger.Error("the new certificate cannot be used; the old one stays", "error", err)
		}
	}
	return c.current, nil
}

// notAfter is when the certificate is good no longer; zero without one.
func (c *certificates) notAfter() time.Time {
	if c == nil {
		return time.Time{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.Leaf.NotAfter
}

// server is the configuration of a listener, nil without TLS.
func (c *certificates) server() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}
}

// client is the configuration for connections to other mailstores, nil without TLS.
func (c *certificates) client() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{RootCAs: c.pool, MinVersion: tls.VersionTLS12}
}
