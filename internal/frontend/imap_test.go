package frontend_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/credential"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/frontend"
	"mailreplica/internal/imap"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// running runs an LMTP backend's loop until the test ends.
func running(t *testing.T, l *frontend.LMTP) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		l.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

var client = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 40_000}

func (h *host) login(t *testing.T, user, password string) (imap.Login, error) {
	t.Helper()
	return h.imap.Login(t.Context(), user, password, client)
}

func TestLogin(t *testing.T) {
	p := newPlatform(t, 2)
	id := p.account(0, "user@example.com")
	p.account(1, "far@example.com")
	if _, err := p.directory.CreateList(t.Context(), "all@example.com"); err != nil {
		t.Fatal(err)
	}
	p.poll()
	h := p.hosts[0]
	got, err := h.login(t, "USER@example.com", password)
	if err != nil || got.Account != id || got.Name != "user@example.com" || !got.Local || got.Proxy != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = h.login(t, "far@example.com", password); err != nil || got.Local || got.Proxy == nil {
		t.Errorf("an account elsewhere: got %+v, %v", got, err)
	}
	for _, user := range []string{"user@example.com", "nobody@example.com", "all@example.com", "user", ""} {
		wrong := "wrong"
		if user != "user@example.com" {
			wrong = password
		}
		if _, err := h.login(t, user, wrong); !fault.Is(err, fault.Credentials) {
			t.Errorf("%q: got %v, want Credentials", user, err)
		}
		if user == "nobody@example.com" {
			h = p.hosts[1] // this one has seen two failures, which cost nothing yet
		}
	}
}

func TestLoginStatus(t *testing.T) {
	p := newPlatform(t, 1)
	id := p.account(0, "user@example.com")
	for status, want := range map[directory.Status]fault.Kind{
		directory.Locked: fault.Locked, directory.Maintenance: fault.Maintenance, directory.Closed: fault.Closed,
	} {
		p.status(id, status)
		if _, err := p.hosts[0].login(t, "user@example.com", password); !fault.Is(err, want) {
			t.Errorf("%s: got %v, want %s", status, err, want)
		}
		if _, err := p.hosts[0].imap.ProxyAuth(token, "user@example.com", client.String()); !fault.Is(err, want) {
			t.Errorf("%s, from another mailstore: got %v, want %s", status, err, want)
		}
	}
	// Who does not know the password is told nothing of the status.
	if _, err := p.hosts[0].login(t, "user@example.com", "wrong"); !fault.Is(err, fault.Credentials) {
		t.Errorf("got %v, want Credentials", err)
	}
}

// TestLoginAfterChange: the new password is good, and the old one is not, before the copy of the directory has followed.
func TestLoginAfterChange(t *testing.T) {
	p := newPlatform(t, 1)
	id := p.account(0, "user@example.com")
	if _, err := p.hosts[0].login(t, "user@example.com", password); err != nil {
		t.Fatal(err)
	}
	hash, err := credential.Hash("new")
	if err != nil {
		t.Fatal(err)
	}
	p.update(id, directory.AccountUpdate{PasswordHash: &hash})
	if _, err := p.hosts[0].login(t, "user@example.com", "new"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if _, err := p.hosts[0].login(t, "user@example.com", password); !fault.Is(err, fault.Credentials) {
		t.Errorf("the old password: got %v, want Credentials", err)
	}
}

func TestLoginWithoutTheDirectory(t *testing.T) {
	p := newPlatform(t, 1)
	p.account(0, "user@example.com")
	p.takeDirectoryAway()
	if _, err := p.hosts[0].login(t, "user@example.com", password); err != nil {
		t.Errorf("a known account: %v", err)
	}
	if _, err := p.hosts[0].login(t, "new@example.com", password); !fault.Is(err, fault.DirectoryUnavailable) {
		t.Errorf("an unknown account: got %v, want DirectoryUnavailable", err)
	}
}

func TestLoginIsSlowedDown(t *testing.T) {
	p := newPlatform(t, 1)
	p.account(0, "user@example.com")
	p.account(0, "other@example.com")
	for range 4 {
		if _, err := p.hosts[0].login(t, "user@example.com", "wrong"); !fault.Is(err, fault.Credentials) {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.hosts[0].imap.Login(ctx, "user@example.com", password, client); !fault.Is(err, fault.Interrupted) {
		t.Errorf("got %v, want Interrupted: the attempt has to wait", err)
	}
	other := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 8)}
	if _, err := p.hosts[0].imap.Login(t.Context(), "other@example.com", password, other); err != nil {
		t.Errorf("another account, from elsewhere: %v", err)
	}
}

// session is one to the home, handed over by another mailstore.
type session struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// ask wants the tagged response to begin so, and gives the untagged ones before it.
func (s *session) ask(command, want string) (untagged string) {
	s.t.Helper()
	if err := s.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(s.conn, "x %s\r\n", command); err != nil {
		s.t.Fatal(err)
	}
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		if tagged, ok := strings.CutPrefix(line, "x "); ok {
			if !strings.HasPrefix(tagged, want) {
				s.t.Errorf("%s: %q, want %q…", command, tagged, want)
			}
			return untagged
		}
		untagged += line
	}
}

func (p *platform) proxied(i int, user string) (*session, error) {
	p.t.Helper()
	login, err := p.hosts[i].login(p.t, user, password)
	if err != nil {
		p.t.Fatal(err)
	}
	if login.Local {
		p.t.Fatalf("%s is home of %s", p.hosts[i].name, user)
	}
	conn, err := login.Proxy(p.t.Context())
	if err != nil {
		return nil, err
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return &session{p.t, conn, bufio.NewReader(conn)}, nil
}

func TestProxy(t *testing.T) {
	p := newPlatform(t, 2)
	p.account(1, "user@example.com")
	s, err := p.proxied(0, "user@example.com")
	if err != nil {
		t.Fatal(err)
	}
	s.ask("SELECT INBOX", "OK")
	s.ask("LOGOUT", "OK")
}

func TestProxyHomeMoved(t *testing.T) {
	p := newPlatform(t, 3)
	id := p.account(1, "user@example.com")
	p.mta(1).delivers(text, "user@example.com")
	p.poll()
	p.move(id, 1, 2)
	for _, h := range p.hosts[1:] { // the old home knows, the mailstore that the client talks to does not
		if err := h.follower.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s, err := p.proxied(0, "user@example.com")
	if err != nil {
		t.Fatal(err)
	}
	s.ask("SELECT INBOX", "OK")
	p.poll()
	p.hosts[2].stop()
	if _, err := p.proxied(0, "user@example.com"); !fault.Is(err, fault.HomeUnreachable) {
		t.Errorf("the home is dead: got %v, want HomeUnreachable", err)
	}
	p.move(id, 2, 0)
	if _, err := p.proxied(1, "user@example.com"); err != nil {
		t.Errorf("the home died and another took over: %v", err)
	}
}

// hushed is a connection on which nothing comes any more once it is quiet, as from a process that stands still.
type hushed struct {
	net.Conn
	quiet  *atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func (h *hushed) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if !h.quiet.Load() {
		return n, err
	}
	<-h.closed
	return 0, net.ErrClosed
}

func (h *hushed) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.Conn.Close()
}

// TestProxyHomeIsSilent: a home that stands still does not tell its sessions that the account has moved. Where they came in they are
// ended, so that clients do not wait for it for ever; those of other accounts go on.
func TestProxyHomeIsSilent(t *testing.T) {
	p := newPlatform(t, 3)
	id := p.account(1, "user@example.com")
	p.account(1, "other@example.com")
	p.poll()
	var quiet atomic.Bool
	backend := frontend.NewIMAP(frontend.IMAPConfig{Router: p.hosts[0].router, Token: token, Throttle: credential.NewThrottle(credential.ThrottleConfig{}),
		Verifier: credential.NewVerifier(credential.VerifierConfig{}),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &hushed{Conn: conn, quiet: &quiet, closed: make(chan struct{})}, err
		}})
	var conns []net.Conn
	for _, user := range []string{"user@example.com", "other@example.com"} {
		login, err := backend.Login(t.Context(), user, password, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := login.Proxy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	quiet.Store(true)
	p.move(id, 1, 2)
	if err := p.hosts[0].follower.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	for _, conn := range conns {
		go func() {
			_, err := conn.Read(make([]byte, 1))
			ended <- err
			_ = conn.Close()
		}()
	}
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("the session with the old home: got %v, want it closed", err)
		}
	case <-time.After(patience):
		t.Fatal("nobody ends the session with the old home")
	}
	if _, err := conns[1].Write([]byte("x NOOP\r\n")); err != nil {
		t.Errorf("the session of another account: %v", err)
	}
}

func TestProxyAuth(t *testing.T) {
	p := newPlatform(t, 2)
	id := p.account(0, "user@example.com")
	got, err := p.hosts[0].imap.ProxyAuth(token, "user@example.com", client.String())
	if err != nil || got.Account != id || !got.Local {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := p.hosts[1].imap.ProxyAuth(token, "user@example.com", client.String()); !fault.Is(err, fault.NotHome) {
		t.Errorf("not at its home: got %v, want NotHome", err)
	}
	for _, wrong := range []string{"", "wrong", token + "x"} {
		if _, err := p.hosts[0].imap.ProxyAuth(wrong, "user@example.com", client.String()); !fault.Is(err, fault.Denied) {
			t.Errorf("with token %q: got %v, want Denied", wrong, err)
		}
	}
	without := frontend.NewIMAP(frontend.IMAPConfig{Router: p.hosts[0].router})
	if _, err := without.ProxyAuth("", "user@example.com", ""); !fault.Is(err, fault.Denied) {
		t.Errorf("where there is no token: got %v, want Denied", err)
	}
}

func TestOpen(t *testing.T) {
	p := newPlatform(t, 2)
	id := p.account(0, "user@example.com") // its mailbox has not been made yet
	m, err := p.hosts[0].imap.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.hosts[1].imap.Open(t.Context(), id); !fault.Is(err, fault.NotHome) {
		t.Errorf("not at its home: got %v, want NotHome", err)
	}
	if _, err := p.hosts[0].imap.Open(t.Context(), account.NewID()); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown account: got %v, want NotFound", err)
	}
	w := m.Watch()
	defer w.Close()
	var folder mailbox.ItemID
	n, err := m.StoreBody(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	err = m.Update(t.Context(), func(d *mailbox.Draft) error {
		inbox, _, err := d.FolderByName(mailbox.Inbox)
		if err != nil {
			return err
		}
		folder = inbox.ID
		_, err = d.Append(folder, []mailbox.NewMessage{n})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	<-w.Changed()
	body, err := m.OpenBody(t.Context(), mailbox.Content{Volume: n.Volume, Blob: n.Blob})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size())); err != nil || !bytes.Equal(got, []byte(text)) {
		t.Errorf("the body is %q, %v", got, err)
	}
	for i, want := range []mailbox.UID{1, 1, 2} {
		if got, err := m.Recent(t.Context(), folder, i > 0); err != nil || got != want {
			t.Errorf("the first recent message, time %d: %d, %v, want %d", i, got, err, want)
		}
	}
	if _, err := m.Recent(t.Context(), 99, false); !fault.Is(err, fault.NotFound) {
		t.Errorf("the recent messages of no folder: got %v, want NotFound", err)
	}
}

// TestOpenNeedsTheLog: without a word from the log for a while, nobody knows whether the account still lives here.
func TestOpenNeedsTheLog(t *testing.T) {
	p := newPlatform(t, 1)
	h, id := p.hosts[0], p.account(0, "user@example.com")
	held, err := h.mailstore.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	h.contact = time.Now().Add(-time.Hour)
	if _, err := h.imap.Open(t.Context(), id); err != nil {
		t.Errorf("an account without replicas: %v", err)
	}
	inLog := *held.Copy()
	inLog.Mode, inLog.Stream.Partition = protocol.Log, 0
	err = h.store.Update(t.Context(), metadata.Fsynced, func(tx *metadata.Tx) error { return tx.SaveCopy(held.MailboxID(), &inLog) })
	if err != nil {
		t.Fatal(err)
	}
	reopened := p.reopen(h)
	if _, err := reopened.Open(t.Context(), id); !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("got %v, want LogUnavailable", err)
	}
	h.contact = time.Now()
	if _, err := reopened.Open(t.Context(), id); err != nil {
		t.Errorf("the log has answered: %v", err)
	}
	h.contact = time.Time{} // no log is in use just now, but it was heard of lately
	if _, err := reopened.Open(t.Context(), id); err != nil {
		t.Errorf("the log has answered lately: %v", err)
	}
}
