// Package config owns the configuration file of a mailstore: one struct, its defaults, and its validation. What all
// mailstores share (brokers, for instance) is not here but in the directory, set with carbonio config set global.
package config

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"mailreplica/internal/fault"
)

// fileBytesMax bounds a configuration file.
const fileBytesMax = 1 << 20

// Config is the configuration of one mailstore.
type Config struct {
	FQDN      string `yaml:"fqdn"`      // name of the mailstore
	Data      string `yaml:"data"`      // folder of its database and of what it exports
	Directory string `yaml:"directory"` // path of the directory's SQLite file, shared by the mailstores of this machine

	DirectoryMariaDB *MariaDB `yaml:"directoryMariaDB"` // instead of a file: the database that all mailstores share
	MetadataMariaDB  *MariaDB `yaml:"metadataMariaDB"`  // optional: this mailstore's own database; without it a file in data

	PIDFile   string `yaml:"pidFile"`   // optional: where the process writes its id
	Advertise string `yaml:"advertise"` // optional: host under which others reach this mailstore; see AdvertisedAddress

	Listen        Listen   `yaml:"listen"`
	Tokens        Tokens   `yaml:"tokens"`
	TLS           TLS      `yaml:"tls"`
	Volumes       []Volume `yaml:"volumes"`
	PrimaryVolume string   `yaml:"primaryVolume"`
	BlobCache     Cache    `yaml:"blobCache"`
	Reclaim       Reclaim  `yaml:"reclaim"`
	Log           Log      `yaml:"log"`
	IMAP          IMAP     `yaml:"imap"`
	Nginx         Nginx    `yaml:"nginx"`
	LMTP          LMTP     `yaml:"lmtp"`
	LogLevel      string   `yaml:"logLevel"` // debug, info, warn or error
}

// Listen holds the addresses that the mailstore listens on, host:port. An empty one is not listened on, but for the peer and
// admin addresses, without which a mailstore is of no use.
type Listen struct {
	LMTP  string `yaml:"lmtp"`
	IMAP  string `yaml:"imap"`
	IMAPS string `yaml:"imaps"` // implicit TLS
	Admin string `yaml:"admin"`
	Peer  string `yaml:"peer"`
}

// Tokens names the files that hold the tokens of the roles; nobody but the owner may read them.
type Tokens struct {
	Admin   string `yaml:"admin"`
	Peer    string `yaml:"peer"`
	Metrics string `yaml:"metrics"` // optional: reads the metrics and nothing else; the admin's token reads them, too
	Nginx   string `yaml:"nginx"`   // optional: asks about logins (/nginx/auth) and nothing else
}

// TLS names certificate and key in PEM. With them, IMAP and LMTP offer STARTTLS, and the admin and peer APIs speak HTTPS.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	CA          string `yaml:"ca"` // that other mailstores' certificates are checked against; empty: the system's
}

// Volume is a folder for blobs. Those in S3 are made with carbonio powerstore doCreateVolume. Centralised says that every mailstore reaches the same one at its own path.
type Volume struct {
	Name        string `yaml:"name"`
	Path        string `yaml:"path"`
	Centralised bool   `yaml:"centralised"`
}

// Log says how the event log is used. Its brokers are a global setting.
type Log struct {
	Topic          string `yaml:"topic"`
	Streams        int32  `yaml:"streams"`     // partitions of the topic, if it has to be made
	Replication    int16  `yaml:"replication"` // of the topic, if it has to be made
	RetentionHours int    `yaml:"retentionHours"`
	LingerMs       int    `yaml:"lingerMs"`

	TLS          bool   `yaml:"tls"`          // to the brokers
	CA           string `yaml:"ca"`           // optional: PEM that brokers' certificates are checked against; empty: the system's
	SASL         string `yaml:"sasl"`         // optional: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN
	User         string `yaml:"user"`         // with sasl
	PasswordFile string `yaml:"passwordFile"` // with sasl; nobody but the owner may read it
}

// IMAP limits IMAP sessions.
type IMAP struct {
	AllowPlaintext   bool     `yaml:"allowPlaintext"` // passwords without TLS, from loopback addresses only
	PlaintextFrom    []string `yaml:"plaintextFrom"`  // and from these networks: proxies that clients speak TLS to
	MessageBytesMax  int64    `yaml:"messageBytesMax"`
	SessionsMax      int      `yaml:"sessionsMax"`
	IdleTimeoutSec   int      `yaml:"idleTimeoutSec"`
	LoginAttemptsMax int      `yaml:"loginAttemptsMax"`
}

// PlaintextNetworks are those of PlaintextFrom: an address, or one with the length of its network.
func (i IMAP) PlaintextNetworks() (all []netip.Prefix, err error) {
	for _, text := range i.PlaintextFrom {
		network, err := netip.ParsePrefix(text)
		if alone, noLength := netip.ParseAddr(text); noLength == nil {
			network, err = alone.WithZone("").Prefix(alone.BitLen())
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "imap.plaintextFrom: %q is no address and no network (10.0.0.7, 10.0.0.0/24)", text)
		}
		all = append(all, network)
	}
	return all, nil
}

// Nginx says where nginx's mail proxy sends whom /nginx/auth lets in. IMAP clients go to the homes of their accounts.
type Nginx struct {
	SMTP string `yaml:"smtp"` // optional: host:port of the mail server for those who send; without it they are not let in
}

// LMTP limits deliveries.
type LMTP struct {
	MessageBytesMax int64 `yaml:"messageBytesMax"`
	RecipientsMax   int   `yaml:"recipientsMax"`
	SessionsMax     int   `yaml:"sessionsMax"`
}

// Defaults of IMAP.
const (
	sessionsDefault      = 20_000
	loginAttemptsDefault = 5
)

// Default is a configuration with every default, and without what has none.
func Default() Config {
	return Config{
		Log:       Log{Topic: "mailreplica-events", Streams: 16, Replication: 3, RetentionHours: 14 * 24, LingerMs: 0},
		IMAP:      IMAP{MessageBytesMax: 64 << 20, SessionsMax: sessionsDefault, IdleTimeoutSec: 30 * 60, LoginAttemptsMax: loginAttemptsDefault},
		LMTP:      LMTP{MessageBytesMax: 64 << 20, RecipientsMax: 1_000, SessionsMax: 1_000},
		BlobCache: Cache{BytesMax: 1 << 30},
		Reclaim:   Reclaim{GraceHours: 7 * 24},
		LogLevel:  "info",
	}
}

// Load reads a configuration file. Relative paths in it are relative to its folder. Every error is Invalid and names the
// file and what to do.
func Load(path string) (Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return Config{}, fault.Wrap(fault.Invalid, err, "the configuration %s cannot be read", path).
			WithHint("name a file that is there, and that this user may read")
	}
	defer file.Close()
	data, err := readAtMost(file, fileBytesMax)
	if err != nil {
		return Config{}, fault.New(fault.Invalid, "the configuration %s cannot be read: %s", path, err).
			WithHint("name a file that is there, and that this user may read")
	}
	c, err := Parse(data)
	if err != nil {
		return Config{}, fault.New(fault.Invalid, "%s: %s", path, fault.Message(err)).WithHint("correct that file; nothing was started")
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return Config{}, fault.Wrap(fault.Invalid, err, "the folder of the configuration %s cannot be known", path).
			WithHint("give the path from / on")
	}
	c.resolve(filepath.Dir(absolute))
	return c, nil
}

// readAtMost reads all of what must not be larger than this: what was cut off would be left out in silence.
func readAtMost(r io.Reader, bytesMax int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, bytesMax+1))
	if err == nil && int64(len(data)) > bytesMax {
		err = fmt.Errorf("it has more than %d bytes", bytesMax)
	}
	return data, err
}

// Parse reads a configuration.
func Parse(data []byte) (Config, error) {
	c := Default()
	if err := DecodeYAML(data, &c); err != nil {
		return Config{}, err
	}
	c.FQDN = strings.ToLower(c.FQDN)
	return c, c.validate()
}

// resolve makes paths absolute.
func (c *Config) resolve(dir string) {
	paths := []*string{&c.Data, &c.Directory, &c.PIDFile, &c.Tokens.Admin, &c.Tokens.Peer, &c.Tokens.Metrics, &c.Tokens.Nginx, &c.TLS.Certificate, &c.TLS.Key, &c.TLS.CA}
	for i := range c.Volumes {
		paths = append(paths, &c.Volumes[i].Path)
	}
	for _, m := range []*MariaDB{c.DirectoryMariaDB, c.MetadataMariaDB} {
		if m != nil {
			paths = append(paths, &m.PasswordFile, &m.CA)
		}
	}
	paths = append(paths, &c.BlobCache.Path, &c.Log.CA, &c.Log.PasswordFile)
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

func (c *Config) validate() error {
	required := []struct{ key, value string }{
		{"fqdn", c.FQDN}, {"data", c.Data}, {"listen.admin", c.Listen.Admin},
		{"listen.peer", c.Listen.Peer}, {"tokens.admin", c.Tokens.Admin}, {"tokens.peer", c.Tokens.Peer},
		{"log.topic", c.Log.Topic},
	}
	for _, r := range required {
		if r.value == "" {
			return fault.New(fault.Invalid, "%s is not set", r.key)
		}
	}
	listened := []struct{ key, addr string }{
		{"lmtp", c.Listen.LMTP}, {"imap", c.Listen.IMAP}, {"imaps", c.Listen.IMAPS}, {"admin", c.Listen.Admin}, {"peer", c.Listen.Peer},
	}
	for _, l := range listened {
		if _, _, err := net.SplitHostPort(l.addr); l.addr != "" && err != nil {
			return fault.New(fault.Invalid, "listen.%s: %q is not host:port", l.key, l.addr)
		}
	}
	if _, _, err := net.SplitHostPort(c.Nginx.SMTP); c.Nginx.SMTP != "" && err != nil {
		return fault.New(fault.Invalid, "nginx.smtp: %q is not host:port", c.Nginx.SMTP)
	}
	if _, err := c.IMAP.PlaintextNetworks(); err != nil {
		return err
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return fault.New(fault.Invalid, "tls.certificate and tls.key go together")
	}
	if c.Listen.IMAPS != "" && c.TLS.Certificate == "" {
		return fault.New(fault.Invalid, "listen.imaps needs tls.certificate and tls.key")
	}
	if err := c.validateNumbers(); err != nil {
		return err
	}
	if err := c.validateBrokers(); err != nil {
		return err
	}
	if err := c.validateDatabases(); err != nil {
		return err
	}
	return c.validateVolumes()
}

func (c *Config) validateVolumes() error {
	names := map[string]bool{}
	for _, v := range c.Volumes {
		if v.Name == "" || v.Path == "" {
			return fault.New(fault.Invalid, "every volume needs a name and a path")
		}
		if names[v.Name] {
			return fault.New(fault.Invalid, "two volumes are named %q", v.Name)
		}
		names[v.Name] = true
	}
	if c.PrimaryVolume != "" && !names[c.PrimaryVolume] {
		return fault.New(fault.Invalid, "primaryVolume is %q, but no volume has that name", c.PrimaryVolume)
	}
	return nil
}

// AdvertisedAddress is where others reach a listener: its own address, with the host that advertise names. Without that, the
// FQDN stands for the host where the listener takes any address, and where certificates are checked.
func (c *Config) AdvertisedAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen // empty: not listened on
	}
	ip := net.ParseIP(host)
	switch {
	case c.Advertise != "":
		host = c.Advertise
	case host == "", ip != nil && ip.IsUnspecified(), c.TLS.Certificate != "":
		host = c.FQDN
	}
	return net.JoinHostPort(host, port)
}
