package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailreplica/internal/config"
	"mailreplica/internal/fault"
)

const least = `fqdn: MBOX1.example.com
data: mbox1
directory: /directory/directory.db
listen: {admin: "127.0.0.1:7071", peer: "[::1]:7072", lmtp: "0.0.0.0:7025"}
tokens: {admin: admin.token, peer: peer.token}
volumes: [{name: blobs, path: blobs, centralised: true}, {name: own, path: /own}]
primaryVolume: blobs
`

func load(t *testing.T, text string) (config.Config, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mbox1.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	return c, filepath.Dir(path), err
}

func TestLoad(t *testing.T) {
	c, folder, err := load(t, least)
	if err != nil {
		t.Fatal(err)
	}
	if c.FQDN != "mbox1.example.com" || !c.Volumes[0].Centralised || c.PrimaryVolume != "blobs" || c.LogLevel != "info" || c.Log.Replication != 3 {
		t.Errorf("got %+v", c)
	}
	for got, want := range map[string]string{c.Data: "mbox1", c.Tokens.Admin: "admin.token", c.Volumes[0].Path: "blobs"} {
		if got != filepath.Join(folder, want) {
			t.Errorf("got %s, want %s in the file's folder", got, want)
		}
	}
	if c.Directory != "/directory/directory.db" || c.TLS.CA != "" {
		t.Errorf("got %s and %q", c.Directory, c.TLS.CA)
	}
	proxy := strings.Replace(least, "fqdn", "imap: {plaintextFrom: [10.0.0.7, \"fd00::/8\"]}\nnginx: {smtp: \"mail.example.com:25\"}\nfqdn", 1)
	if c, _, err := load(t, proxy); err != nil || len(c.IMAP.PlaintextFrom) != 2 || c.Nginx.SMTP == "" {
		t.Errorf("got %+v, %v, want what nginx needs", c, err)
	}
	if c, _, err := load(t, strings.Replace(least, "primaryVolume: blobs", "primaryVolume: own", 1)); err != nil || c.PrimaryVolume != "own" {
		t.Errorf("got %+v, %v, want another primary volume", c, err)
	}
}

// TestLoadFromHere: the file is named as a shell in the folder above it would, and paths in it are absolute all the same.
func TestLoadFromHere(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	if err := os.Mkdir("etc", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("etc/mbox1.yaml", []byte(strings.Replace(least, "path: blobs", "path: ../blobs", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load("etc/mbox1.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Volumes[0].Path, filepath.Join(folder, "blobs"); got != want {
		t.Errorf("the volume lies at %s, want %s", got, want)
	}
	if got, want := c.Tokens.Admin, filepath.Join(folder, "etc", "admin.token"); got != want {
		t.Errorf("the token lies at %s, want %s", got, want)
	}
}

// database is how the configuration names one of a MariaDB server.
func database(address, name string) string {
	return "{address: '" + address + "', database: " + name + ", user: mailreplica, passwordFile: db.password}"
}

func TestLoadMariaDB(t *testing.T) {
	text := strings.Replace(least, "directory: /directory/directory.db", "directoryMariaDB: "+database("db.example.com:3306", "directory")+
		"\nmetadataMariaDB: "+database("/run/mysqld/mysqld.sock", "mbox1"), 1)
	c, folder, err := load(t, strings.Replace(text, "primaryVolume: blobs\n", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.DirectoryMariaDB.PasswordFile, filepath.Join(folder, "db.password"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c.MetadataMariaDB.Address != "/run/mysqld/mysqld.sock" || c.MetadataMariaDB.CA != "" || c.PrimaryVolume != "" {
		t.Errorf("got %+v", c)
	}
	if got, want := c.CacheFolder(), filepath.Join(folder, "mbox1", "blob-cache"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{"fqdn:", "fqnd:", ": line 1: there is no key fqnd"},
		{"fqdn", "colour: red\nfqdn", ": line 1: there is no key colour"},
		{"fqdn", "imap: {sessionsMax: many}\nfqdn", ": line 1: the value `many` is not of the kind that its key takes"},
		{"fqdn", "imap: 7\nlmtp: [1]\nfqdn", "takes; line 2: the value is not of the kind that its key takes"},
		{"fqdn: MBOX1.example.com\n", "", "fqdn is not set"},
		{"data: mbox1\n", "", "data is not set"},
		{`admin: "127.0.0.1:7071"`, `admin: ""`, "listen.admin is not set"},
		{`"0.0.0.0:7025"`, `"7025"`, `listen.lmtp: "7025" is not host:port`},
		{"primaryVolume: blobs", "primaryVolume: blob", `primaryVolume is "blob"`},
		{"name: own", "name: blobs", `two volumes are named "blobs"`},
		{"path: /own", "path: ''", "a name and a path"},
		{"fqdn", "logLevel: loud\nfqdn", `logLevel is "loud"`},
		{"fqdn", "imap: {sessionsMax: 0}\nfqdn", "imap.sessionsMax is 0; want 1 to 1000000"},
		{"fqdn", "log: {lingerMs: -1}\nfqdn", "log.lingerMs is -1"},
		{"fqdn", "log: {topic: ''}\nfqdn", "log.topic is not set"},
		{"fqdn", "tls: {key: k}\nfqdn", "go together"},
		{`admin: "`, `imaps: "127.0.0.1:993", admin: "`, "listen.imaps needs"},
		{"fqdn", "imap: {plaintextFrom: [10.0.0.300/8]}\nfqdn", `imap.plaintextFrom: "10.0.0.300/8" is no address`},
		{"fqdn", "nginx: {smtp: mail}\nfqdn", `nginx.smtp: "mail" is not host:port`},
		{"fqdn: ", "fqdn: [", "line"},
		{"directory: /directory/directory.db\n", "", "either directory"},
		{"fqdn", "directoryMariaDB: " + database("127.0.0.1:3306", "directory") + "\nfqdn", "either directory"},
		{"fqdn", "metadataMariaDB: " + database("here", "mbox1") + "\nfqdn", `metadataMariaDB.address: "here"`},
		{"fqdn", "metadataMariaDB: " + database("127.0.0.1:3306", "''") + "\nfqdn", "metadataMariaDB.database is not set"},
		{"fqdn", "metadataMariaDB: {address: /run/s, database: d, user: u, passwordFile: p, ca: c}\nfqdn", "without tls"},
		{"directory: /directory/directory.db", "directoryMariaDB: " + database("/run/s", "one") + "\nmetadataMariaDB: " + database("/run/s", "one"), "the same database"},
		{"fqdn", "log: {sasl: GSSAPI}\nfqdn", `log.sasl is "GSSAPI"`},
		{"fqdn", "log: {sasl: SCRAM-SHA-512, user: u}\nfqdn", "needs log.user and log.passwordFile"},
		{"fqdn", "log: {sasl: plain, user: u, passwordFile: p}\nfqdn", "in the clear"},
		{"fqdn", "log: {user: u}\nfqdn", "without log.sasl"},
		{"fqdn", "log: {ca: c}\nfqdn", "without log.tls"},
		{"fqdn", "blobCache: {bytesMax: 0}\nfqdn", "blobCache.bytesMax is 0"},
		{"fqdn", "reclaim: {graceHours: 0}\nfqdn", "reclaim.graceHours is 0"},
	} {
		_, folder, err := load(t, strings.Replace(least, test.old, test.new, 1))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), test.want) || !strings.HasPrefix(fault.Message(err), folder) ||
			!strings.Contains(fault.HintOf(err), "that file") {
			t.Errorf("%s: got %v (%s), want %q with the file's name", test.new, err, fault.HintOf(err), test.want)
		}
		if text := err.Error(); strings.Contains(text, ": yaml:") || strings.Contains(text, "config.") || strings.Contains(text, "\n") ||
			strings.Count(text, test.want) != 1 {
			t.Errorf("%s: %q is not one plain line", test.new, text)
		}
	}
	if _, err := config.Load(filepath.Join(t.TempDir(), "none.yaml")); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: got %v", err)
	}
}

func TestAdvertisedAddress(t *testing.T) {
	for _, test := range []struct{ advertise, certificate, listen, want string }{
		{"", "", "127.0.0.11:7025", "127.0.0.11:7025"},
		{"", "", "0.0.0.0:7025", "mbox1.example.com:7025"},
		{"", "", "[::]:7025", "mbox1.example.com:7025"},
		{"", "", ":7025", "mbox1.example.com:7025"},
		{"", "cert.pem", "10.0.0.1:7025", "mbox1.example.com:7025"},
		{"10.9.9.9", "cert.pem", "0.0.0.0:7025", "10.9.9.9:7025"},
		{"2001:db8::1", "", "0.0.0.0:7025", "[2001:db8::1]:7025"},
		{"10.9.9.9", "", "", ""},
	} {
		c := config.Config{FQDN: "mbox1.example.com", Advertise: test.advertise, TLS: config.TLS{Certificate: test.certificate}}
		if got := c.AdvertisedAddress(test.listen); got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
}

func TestReadToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.token")
	for _, test := range []struct {
		text string
		mode os.FileMode
		want string // empty: it is taken
	}{
		{"0123456789abcdef\n", 0o600, ""},
		{"0123456789abcdef", 0o400, ""},
		{"0123456789abcdef", 0o640, "can be read by others"},
		{"0123456789abcdef", 0o604, "can be read by others"},
		{"short", 0o600, "has 5 bytes"},
		{"", 0o600, "has 0 bytes"},
	} {
		_ = os.Remove(path) // the first time it is not there
		if err := os.WriteFile(path, []byte(test.text), test.mode); err != nil {
			t.Fatal(err)
		}
		token, err := config.ReadToken(path)
		if test.want == "" && (err != nil || token != "0123456789abcdef") || test.want != "" && !strings.Contains(fault.Message(err), test.want) {
			t.Errorf("%q of mode %o: got %q, %v, want %q", test.text, test.mode, token, err, test.want)
		}
		if strings.Contains(fault.Message(err), "0123456789abcdef") {
			t.Errorf("the token is told: %v", err)
		}
	}
}

// TestPlaintextNetworks: an address stands for itself.
func TestPlaintextNetworks(t *testing.T) {
	got, err := config.IMAP{PlaintextFrom: []string{"10.0.0.7", "10.1.0.0/16", "fd00::1"}}.PlaintextNetworks()
	if err != nil || len(got) != 3 || got[0].String() != "10.0.0.7/32" || got[1].Bits() != 16 || got[2].Bits() != 128 {
		t.Errorf("got %v, %v", got, err)
	}
}
