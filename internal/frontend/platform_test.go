package frontend_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/blob"
	"mailreplica/internal/blob/dir"
	"mailreplica/internal/credential"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/frontend"
	"mailreplica/internal/imap"
	"mailreplica/internal/lmtp"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
)

const (
	token    = "the token of all mailstores"
	password = "correct horse"
	patience = 20 * time.Second
)

// platform is a directory, a volume and some mailstores, whose accounts have no replicas.
type platform struct {
	t         *testing.T
	directory *directory.Directory
	path      string      // of the directory
	volume    string      // its path
	full      atomic.Bool // the volume takes nothing
	hosts     []*host
	hash      string // of the password
}

// host is one mailstore with its frontends.
type host struct {
	name      string
	mailstore *mailstore.Mailstore
	store     *metadata.Store
	follower  *directory.Follower
	router    *frontend.Router
	imap      *frontend.IMAP
	lmtp      *frontend.LMTP
	imapAddr  string
	lmtpAddr  string
	contact   time.Time // what LogContact says
	stop      func()    // ends the listeners
}

func name(i int) string { return fmt.Sprintf("mbox%d.example.com", i+1) }

func newPlatform(t *testing.T, hosts int) *platform {
	t.Helper()
	folder := t.TempDir()
	p := &platform{t: t, path: filepath.Join(folder, "directory.db"), volume: filepath.Join(folder, "blobs")}
	var err error
	p.directory, err = directory.Create(t.Context(), directory.Options{Path: p.path, ReadTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.directory.Close() })
	if p.hash, err = credential.Hash(password); err != nil {
		t.Fatal(err)
	}
	for i := range hosts {
		p.hosts = append(p.hosts, p.host(i, filepath.Join(folder, name(i))))
	}
	p.poll()
	return p
}

func (p *platform) host(i int, folder string) *host {
	t := p.t
	t.Helper()
	h := &host{name: name(i), contact: time.Now()}
	volume, err := dir.Open(p.volume, "blobs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(volume.Close)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	if h.store, err = metadata.Open(t.Context(), folder, logger); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.store.Close() })
	h.mailstore, err = mailstore.Open(t.Context(), mailstore.Config{
		Self: h.name, Store: h.store, Volumes: blob.NewSet("blobs", &limited{volume, &p.full}), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.mailstore.Start(noStreams{}, nil)
	t.Cleanup(h.mailstore.Close)
	copied, err := directory.OpenCopy(t.Context(), filepath.Join(folder, "copy.db"), directory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = copied.Close() })
	h.follower = directory.NewFollower(directory.FollowerConfig{Directory: p.directory, Copy: copied})
	p.serve(h, folder)
	err = p.directory.RegisterMailstore(t.Context(), directory.Mailstore{
		FQDN: h.name, Incarnation: h.name, LMTPAddr: h.lmtpAddr, IMAPAddr: h.imapAddr,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// serve starts the frontends of a mailstore.
func (p *platform) serve(h *host, folder string) {
	t := p.t
	t.Helper()
	h.router = frontend.NewRouter(frontend.RouterConfig{
		Follower: h.follower, Mailstore: h.mailstore, Creator: creator{p.directory, h.mailstore}, LogContact: func() time.Time { return h.contact },
	})
	relay := lmtp.NewRelay(lmtp.RelayConfig{Hostname: h.name, Token: token})
	t.Cleanup(relay.Close)
	h.lmtp = frontend.NewLMTP(frontend.LMTPConfig{Router: h.router, Relay: relay, FlushAnswered: 10 * time.Millisecond})
	h.imap = frontend.NewIMAP(frontend.IMAPConfig{
		Router: h.router, Token: token,
		Verifier: credential.NewVerifier(credential.VerifierConfig{}), Throttle: credential.NewThrottle(credential.ThrottleConfig{}),
	})
	in := lmtp.New(lmtp.Config{Backend: h.lmtp, Hostname: h.name, Token: token, SpoolDir: folder})
	out := imap.New(imap.Config{Backend: h.imap, AllowPlaintext: true, Greeting: h.name, ProxyAuth: h.imap.ProxyAuth})
	var ends []func()
	h.lmtpAddr, ends = listen(t, in, ends)
	h.imapAddr, ends = listen(t, out, ends)
	stopped := false
	h.stop = func() {
		if stopped {
			return
		}
		stopped = true
		for _, end := range ends {
			end()
		}
	}
	t.Cleanup(h.stop)
}

type server interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
}

func listen(t *testing.T, s server, ends []func()) (string, []func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	return l.Addr().String(), append(ends, func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Errorf("stopping a server: %v", err)
		}
	})
}

// limited is a volume that can be full.
type limited struct {
	blob.Volume
	full *atomic.Bool
}

func (l *limited) Create(ctx context.Context) (blob.Writer, error) {
	if l.full.Load() {
		return nil, fault.New(fault.VolumeUnavailable, "the volume is full")
	}
	w, err := l.Volume.Create(ctx)
	return fragile{w}, err
}

// noStreams are of no log: it has been read to its end, and takes nothing.
type noStreams struct{}

func (noStreams) Append(_ int32, _, _ []byte, done func(error)) { done(errors.New("there is no log")) }
func (noStreams) Follow(context.Context, int32) error           { return nil }
func (noStreams) CaughtUp(int32) bool                           { return true }

// creator does what package replica's manager does.
type creator struct {
	directory *directory.Directory
	mailstore *mailstore.Mailstore
}

func (c creator) CreateMailbox(ctx context.Context, wish directory.Account) (*mailstore.Account, error) {
	if wish.Epoch != 0 || wish.MailHost != c.mailstore.Self() {
		return nil, fault.New(fault.Unusable, "no mailbox")
	}
	a, err := c.mailstore.Create(ctx, wish.ID)
	if err != nil {
		return nil, err
	}
	_, err = c.directory.SetHome(ctx, wish.ID, c.mailstore.Self(), a.Copy().Epoch, nil)
	return a, err
}

// poll brings every mailstore's copy of the directory up to date.
func (p *platform) poll() {
	p.t.Helper()
	for _, h := range p.hosts {
		if err := h.follower.Poll(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
}

// account makes an account whose home is the i-th mailstore. Its mailbox is made when it is needed first.
func (p *platform) account(i int, name string) account.ID {
	p.t.Helper()
	a, err := p.directory.CreateAccount(p.t.Context(), directory.NewAccount{Name: name, MailHost: p.hosts[i].name, PasswordHash: p.hash})
	if err != nil {
		p.t.Fatal(err)
	}
	p.poll()
	return a.ID
}

func (p *platform) update(id account.ID, u directory.AccountUpdate) {
	p.t.Helper()
	a, err := p.directory.Account(p.t.Context(), id)
	if err == nil {
		_, err = p.directory.UpdateAccount(p.t.Context(), id, a.Version, u)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *platform) status(id account.ID, s directory.Status) {
	p.t.Helper()
	p.update(id, directory.AccountUpdate{Status: &s})
	p.poll()
}

// move makes another mailstore the home, as a promotion would, with an empty mailbox. The others' copies of the
// directory do not know of it yet.
func (p *platform) move(id account.ID, from, to int) {
	p.t.Helper()
	if a, ok := p.hosts[from].mailstore.Account(id); ok {
		a.Supersede(p.hosts[to].name)
	}
	if _, err := p.hosts[to].mailstore.Create(p.t.Context(), id); err != nil {
		p.t.Fatal(err)
	}
	a, err := p.directory.Account(p.t.Context(), id)
	if err == nil {
		_, err = p.directory.SetHome(p.t.Context(), id, p.hosts[to].name, a.Epoch+1, nil)
	}
	if err == nil {
		err = p.hosts[to].follower.Poll(p.t.Context())
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// takeDirectoryAway makes the directory unreachable until the function returned is called.
func (p *platform) takeDirectoryAway() (back func()) {
	p.t.Helper()
	if err := os.Rename(p.path, p.path+".away"); err != nil {
		p.t.Fatal(err)
	}
	return func() {
		p.t.Helper()
		if err := os.Rename(p.path+".away", p.path); err != nil {
			p.t.Fatal(err)
		}
	}
}

// inbox are the messages of an account on a mailstore.
func (h *host) inbox(t *testing.T, id account.ID) []string {
	t.Helper()
	held, ok := h.mailstore.Account(id)
	if !ok {
		return nil
	}
	var contents []mailbox.Content
	err := held.View(t.Context(), func(r mailbox.Reader) error {
		inbox, _, err := r.FolderByName(mailbox.Inbox)
		if err != nil {
			return err
		}
		return r.Messages(inbox.ID, 1, inbox.UIDNext, func(m mailbox.Message) bool {
			content, _, err := r.Content(m.ContentID)
			if err != nil {
				t.Error(err)
			}
			contents = append(contents, content)
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range contents {
		body, err := h.mailstore.OpenBody(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// hasMessages wants messages that end so.
func (h *host) hasMessages(t *testing.T, id account.ID, want ...string) {
	t.Helper()
	got := h.inbox(t, id)
	if len(got) != len(want) {
		t.Fatalf("%s has %d messages %q, want %d", h.name, len(got), got, len(want))
	}
	for i := range want {
		if !strings.HasSuffix(got[i], want[i]) {
			t.Errorf("message %d is %q, want …%q", i, got[i], want[i])
		}
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("%s: not after %s", what, patience)
}

// reopen reads the mailstore's database again, as after a restart, and gives an IMAP backend over it.
func (p *platform) reopen(h *host) *frontend.IMAP {
	p.t.Helper()
	again, err := mailstore.Open(p.t.Context(), mailstore.Config{Self: h.name, Store: h.store, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.t.Fatal(err)
	}
	again.Start(noStreams{}, nil)
	p.t.Cleanup(again.Close)
	router := frontend.NewRouter(frontend.RouterConfig{
		Follower: h.follower, Mailstore: again, Creator: creator{p.directory, again}, LogContact: func() time.Time { return h.contact },
	})
	return frontend.NewIMAP(frontend.IMAPConfig{Router: router, Token: token})
}
