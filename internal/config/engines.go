package config

import (
	"net"
	"path/filepath"
	"strings"

	"mailreplica/internal/fault"
)

// MariaDB names a database of a MariaDB server.
type MariaDB struct {
	Address      string `yaml:"address"` // host:port, or the path of a socket
	Database     string `yaml:"database"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"passwordFile"` // that nobody but the owner may read
	TLS          bool   `yaml:"tls"`
	CA           string `yaml:"ca"` // optional: PEM that the server's certificate is checked against; empty: the system's
}

// Cache keeps blobs of S3 volumes near, so that they are read once and while the volume is away.
type Cache struct {
	Path     string `yaml:"path"` // optional: a folder of its own; blob-cache in data
	BytesMax int64  `yaml:"bytesMax"`
}

// Reclaim says when the blobs of removed messages are deleted.
type Reclaim struct {
	GraceHours int `yaml:"graceHours"` // after the message went
}

// CacheFolder is where blobs of S3 volumes are kept near.
func (c *Config) CacheFolder() string {
	if c.BlobCache.Path != "" {
		return c.BlobCache.Path
	}
	return filepath.Join(c.Data, "blob-cache")
}

// validateBrokers checks how the brokers are talked to.
func (c *Config) validateBrokers() error {
	l := c.Log
	switch strings.ToUpper(l.SASL) {
	case "":
		if l.User != "" || l.PasswordFile != "" {
			return fault.New(fault.Invalid, "log.user and log.passwordFile are of no use without log.sasl")
		}
	case "SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN":
		if l.User == "" || l.PasswordFile == "" {
			return fault.New(fault.Invalid, "log.sasl needs log.user and log.passwordFile")
		}
	default:
		return fault.New(fault.Invalid, "log.sasl is %q; want SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN", l.SASL)
	}
	if strings.EqualFold(l.SASL, "PLAIN") && !l.TLS {
		return fault.New(fault.Invalid, "log.sasl PLAIN would send the password in the clear; it needs log.tls")
	}
	if l.CA != "" && !l.TLS {
		return fault.New(fault.Invalid, "log.ca is of no use without log.tls: true")
	}
	return nil
}

func (c *Config) validateDatabases() error {
	if (c.Directory == "") == (c.DirectoryMariaDB == nil) {
		return fault.New(fault.Invalid, "want either directory, the path of a file, or directoryMariaDB")
	}
	for key, m := range map[string]*MariaDB{"directoryMariaDB": c.DirectoryMariaDB, "metadataMariaDB": c.MetadataMariaDB} {
		if m == nil {
			continue
		}
		for _, r := range []struct{ key, value string }{
			{"address", m.Address}, {"database", m.Database}, {"user", m.User}, {"passwordFile", m.PasswordFile},
		} {
			if r.value == "" {
				return fault.New(fault.Invalid, "%s.%s is not set", key, r.key)
			}
		}
		if _, _, err := net.SplitHostPort(m.Address); err != nil && !filepath.IsAbs(m.Address) {
			return fault.New(fault.Invalid, "%s.address: %q is neither host:port nor the path of a socket", key, m.Address)
		}
		if m.CA != "" && !m.TLS {
			return fault.New(fault.Invalid, "%s.ca is of no use without tls: true", key)
		}
	}
	if d, m := c.DirectoryMariaDB, c.MetadataMariaDB; d != nil && m != nil && d.Address == m.Address && d.Database == m.Database {
		return fault.New(fault.Invalid, "directoryMariaDB and metadataMariaDB are the same database; each needs its own")
	}
	return nil
}

// Upper limits of numbers. They are far from what anybody needs, and keep what is made of them (durations, sums) from overflowing.
const (
	hoursMax          = 10 * 365 * 24
	secondsMax        = 365 * 24 * 3600
	lingerMsMax       = 10_000
	streamsMax        = 10_000
	replicationMax    = 100
	messageBytesLimit = 1<<32 - 1 // what RFC822.SIZE can say
	cacheBytesLimit   = 1 << 50
	sessionsLimit     = 1_000_000
	recipientsLimit   = 100_000
	attemptsLimit     = 1_000
)

func (c *Config) validateNumbers() error {
	for _, n := range []struct {
		key             string
		value, min, max int64
	}{
		{"log.streams", int64(c.Log.Streams), 1, streamsMax},
		{"log.replication", int64(c.Log.Replication), 1, replicationMax},
		{"log.retentionHours", int64(c.Log.RetentionHours), 1, hoursMax},
		{"log.lingerMs", int64(c.Log.LingerMs), 0, lingerMsMax},
		{"imap.messageBytesMax", c.IMAP.MessageBytesMax, 1, messageBytesLimit},
		{"imap.sessionsMax", int64(c.IMAP.SessionsMax), 1, sessionsLimit},
		{"imap.idleTimeoutSec", int64(c.IMAP.IdleTimeoutSec), 1, secondsMax},
		{"imap.loginAttemptsMax", int64(c.IMAP.LoginAttemptsMax), 1, attemptsLimit},
		{"lmtp.messageBytesMax", c.LMTP.MessageBytesMax, 1, messageBytesLimit},
		{"lmtp.recipientsMax", int64(c.LMTP.RecipientsMax), 1, recipientsLimit},
		{"lmtp.sessionsMax", int64(c.LMTP.SessionsMax), 1, sessionsLimit},
		{"blobCache.bytesMax", c.BlobCache.BytesMax, 1, cacheBytesLimit},
		{"reclaim.graceHours", int64(c.Reclaim.GraceHours), 1, hoursMax},
	} {
		if n.value < n.min || n.value > n.max {
			return fault.New(fault.Invalid, "%s is %d; want %d to %d", n.key, n.value, n.min, n.max)
		}
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
		return nil
	}
	return fault.New(fault.Invalid, "logLevel is %q; want debug, info, warn or error", c.LogLevel)
}
