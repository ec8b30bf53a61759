package deploy_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/config"
	"mailreplica/internal/credential"
	"mailreplica/internal/directory"
	"mailreplica/internal/engine"
	"mailreplica/internal/engine/enginetest"
	"mailreplica/internal/node/nodetest"
)

const (
	nginxToken    = "0123456789abcdef-nginx"
	nginxPassword = `100% "right" +\ ключ` // has all that nginx has to write in another way
)

// certified writes a certificate for mail.example.com and an address, and its key.
func certified(t *testing.T, folder, address string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.com"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"mail.example.com"}, IPAddresses: []net.IP{net.ParseIP(address)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(folder, "certificate.pem"), filepath.Join(folder, "key.pem")
	write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	return certificate, key
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// behindNginx are two mailstores, a mail server, and nginx before them with the configuration of this folder.
type behindNginx struct {
	*nodetest.Cluster
	imaps, imap, submission string // where nginx listens
	roots                   *x509.CertPool
	said                    atomic.Pointer[string] // by nginx to the mail server
}

func startNginx(t *testing.T) *behindNginx {
	t.Helper()
	program, err := engine.Find("nginx/usr/sbin/nginx")
	if err != nil {
		t.Fatal(err)
	}
	b := &behindNginx{}
	folder := t.TempDir()
	certificate, key := b.startMailstores(t, folder)
	for _, at := range []*string{&b.imaps, &b.imap, &b.submission} {
		*at = enginetest.FreeAddress(t, enginetest.Loopback)
	}
	path, log := filepath.Join(folder, "nginx.conf"), filepath.Join(folder, "nginx.log")
	write(t, path, b.configuration(t, folder, certificate, key))
	process, err := engine.StartProcess(exec.Command(program, "-p", folder, "-c", path, "-e", "stderr"), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Kill()
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("nginx: %s", text)
		}
	})
	b.Eventually("nginx to listen", func() bool {
		conn, err := net.Dial("tcp", b.submission)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return b
}

// startMailstores starts what nginx stands before, and gives the files of the certificate that all of them have.
func (b *behindNginx) startMailstores(t *testing.T, folder string) (certificate, key string) {
	t.Helper()
	token := filepath.Join(folder, "nginx.token")
	write(t, token, nginxToken)
	mta := b.serveSMTP(t)
	b.Cluster = nodetest.StartWith(t, 2, func(_ int, cfg *config.Config) {
		address, _, _ := net.SplitHostPort(cfg.Listen.Admin)
		if certificate == "" {
			certificate, key = certified(t, folder, address)
		}
		cfg.TLS = config.TLS{Certificate: certificate, Key: key, CA: certificate}
		cfg.Advertise, cfg.Tokens.Nginx, cfg.Nginx.SMTP = address, token, mta
		cfg.IMAP.AllowPlaintext, cfg.IMAP.PlaintextFrom = false, []string{"127.0.0.0/8"}
	})
	text, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	b.roots = x509.NewCertPool()
	b.roots.AppendCertsFromPEM(text)
	return certificate, key
}

// configuration is that of this folder, with what concerns the machine altered.
func (b *behindNginx) configuration(t *testing.T, folder, certificate, key string) string {
	t.Helper()
	asks := enginetest.FreeAddress(t, enginetest.Loopback)
	header := filepath.Join(folder, "header.conf")
	write(t, header, `auth_http_header Authorization "Bearer `+nginxToken+`";`)
	modules, err := engine.Find("nginx/usr/lib/nginx/modules")
	if err != nil {
		t.Fatal(err)
	}
	conf := read(t, "nginx", "nginx.conf")
	for _, change := range [][2]string{
		{"modules/ngx_mail_module.so", modules + "/ngx_mail_module.so"},
		{"user www-data;", "daemon off; master_process off;"},
		{"/run/nginx.pid", folder + "/nginx.pid"},
		{"/var/log/nginx/error.log", "stderr info"},
		{"worker_connections 40000", "worker_connections 200"},
		{"access_log off;", "access_log off; " + temporaries(folder)},
		{"mbox1.example.com:7071", b.Config(0).Listen.Admin},
		{"mbox2.example.com:7071", b.Config(1).Listen.Admin},
		{"server mbox3.example.com:7071;", ""},
		{"listen 127.0.0.1:7073", "listen " + asks},
		{"http://127.0.0.1:7073", "http://" + asks},
		{"/etc/nginx/mailreplica-ca.pem", certificate},
		{"/etc/nginx/mailreplica-token.conf", header},
		{"/etc/nginx/mail.example.com.pem", certificate},
		{"/etc/nginx/mail.example.com.key", key},
		{"listen 993 ssl", "listen " + b.imaps + " ssl"},
		{"listen 143", "listen " + b.imap},
		{"listen 587", "listen " + b.submission},
	} {
		if strings.Count(conf, change[0]) != 1 {
			t.Fatalf("nginx.conf has %q %d times", change[0], strings.Count(conf, change[0]))
		}
		conf = strings.Replace(conf, change[0], change[1], 1)
	}
	return conf
}

// temporaries has nginx keep its temporary files where it may write.
func temporaries(folder string) (directives string) {
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		directives += what + "_temp_path " + folder + "/" + what + "; "
	}
	return directives
}

// serveSMTP is a mail server that agrees to everything.
func (b *behindNginx) serveSMTP(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				said := ""
				_, _ = io.WriteString(conn, "220 mail.example.com\r\n")
				for in := bufio.NewScanner(conn); in.Scan(); {
					said += in.Text() + "\n"
					b.said.Store(&said)
					_, _ = io.WriteString(conn, "250 yes\r\n")
				}
			}()
		}
	}()
	return l.Addr().String()
}

// account makes an account that lives on the i-th mailstore.
func (b *behindNginx) account(t *testing.T, i int, name string) directory.Account {
	t.Helper()
	hash, err := credential.Hash(nginxPassword)
	if err != nil {
		t.Fatal(err)
	}
	a, err := b.Directory.CreateAccount(t.Context(), directory.NewAccount{Name: name, MailHost: nodetest.Name(i), PasswordHash: hash})
	if err != nil {
		t.Fatal(err)
	}
	b.Eventually("the mailbox of "+name, func() bool {
		_, ok := b.Nodes[i].Mailstore().Account(a.ID)
		return ok
	})
	return a
}

// client is one who talks to nginx.
type client struct {
	t  *testing.T
	c  net.Conn
	in *bufio.Scanner
}

func (b *behindNginx) connect(t *testing.T) *client {
	t.Helper()
	conn, err := tls.Dial("tcp", b.imaps, &tls.Config{RootCAs: b.roots, ServerName: "mail.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t: t, c: conn, in: bufio.NewScanner(conn)}
	c.in.Scan() // the greeting
	return c
}

// say sends a line, and gives the one that begins so.
func (c *client) say(line, until string) string {
	c.t.Helper()
	_ = c.c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c.c, line+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	for c.in.Scan() {
		if strings.HasPrefix(c.in.Text(), until) {
			return c.in.Text()
		}
	}
	c.t.Fatalf("after %q nothing begins with %q: %v", line, until, c.in.Err())
	return ""
}

func (c *client) want(line, until, want string) {
	c.t.Helper()
	if got := c.say(line, until); !strings.Contains(got, want) {
		c.t.Errorf("%s: got %q, want %q", line, got, want)
	}
}

func plain(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

// TestNginx has the real nginx, with the configuration of this folder, ask mailstores where to pass clients on to.
func TestNginx(t *testing.T) {
	b := startNginx(t)
	near := b.account(t, 0, "near@example.com")
	b.account(t, 1, "far@example.com")
	t.Run("imap", func(t *testing.T) {
		for i, name := range []string{"near@example.com", "far@example.com"} {
			c := b.connect(t)
			c.want("a AUTHENTICATE PLAIN "+plain(name, nginxPassword), "a ", "OK")
			c.want("b CREATE "+nodetest.Name(i), "b ", "OK")
			c.want("c SELECT INBOX", "c ", "OK")
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		c := b.connect(t)
		c.want("a AUTHENTICATE PLAIN "+plain("near@example.com", "wrong"), "a ", "NO [AUTHENTICATIONFAILED]")
		c.want("b AUTHENTICATE PLAIN "+plain("near@example.com", nginxPassword), "b ", "OK") // on the same connection
	})
	t.Run("without TLS", func(t *testing.T) {
		conn, err := net.Dial("tcp", b.imap)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{t: t, c: conn, in: bufio.NewScanner(conn)}
		c.in.Scan()
		c.want("a LOGIN near@example.com x", "a ", "BAD")
	})
	t.Run("submission", func(t *testing.T) {
		conn, err := net.Dial("tcp", b.submission)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{t: t, c: conn, in: bufio.NewScanner(conn)}
		c.in.Scan()
		c.say("EHLO client.example.org", "250 ")
		c.say("STARTTLS", "220 ")
		secure := tls.Client(conn, &tls.Config{RootCAs: b.roots, ServerName: "mail.example.com"})
		c = &client{t: t, c: secure, in: bufio.NewScanner(secure)}
		c.say("EHLO client.example.org", "250 ")
		c.want("AUTH PLAIN "+plain("near@example.com", "wrong"), "535", "5.7.8 Wrong user name or password")
		c.say("AUTH PLAIN "+plain("near@example.com", nginxPassword), "235 ")
		if said := *b.said.Load(); !strings.Contains(said, "LOGIN=near@example.com") {
			t.Errorf("the mail server was told %q", said)
		}
	})
	t.Run("maintenance", func(t *testing.T) {
		status := directory.Maintenance
		a, err := b.Directory.Account(t.Context(), near.ID)
		if err == nil {
			_, err = b.Directory.UpdateAccount(t.Context(), near.ID, a.Version, directory.AccountUpdate{Status: &status})
		}
		if err != nil {
			t.Fatal(err)
		}
		b.Eventually("the change to be known", func() bool {
			return strings.Contains(b.connect(t).say("a AUTHENTICATE PLAIN "+plain("near@example.com", nginxPassword), "a "), "NO [ALERT]")
		})
	})
	t.Run("a mailstore is gone", func(t *testing.T) {
		b.account(t, 0, "lost@example.com")
		b.StopNode(0)
		for k := range 4 { // whichever nginx asks first
			c := b.connect(t)
			c.want(fmt.Sprintf("a%d AUTHENTICATE PLAIN %s", k, plain("far@example.com", nginxPassword)), "a", "OK")
		}
		c := b.connect(t)
		_ = c.c.SetDeadline(time.Now().Add(30 * time.Second))
		if got := c.say("a AUTHENTICATE PLAIN "+plain("lost@example.com", nginxPassword), ""); strings.Contains(got, "AUTHENTICATIONFAILED") {
			t.Errorf("the home is gone, and the client is told %q", got)
		} else {
			t.Log(got)
		}
	})
}
