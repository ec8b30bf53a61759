package imap_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
	"mailreplica/internal/mailbox"
)

// fragile is a backend whose mailboxes panic where they are told to.
type fragile struct {
	*memory.Backend
	at string
}

func (f *fragile) Open(ctx context.Context, id account.ID) (imap.Mailbox, error) {
	f.reach("Open")
	m, err := f.Backend.Open(ctx, id)
	return fragileMailbox{m, f}, err
}

func (f *fragile) reach(place string) {
	if f.at == place {
		f.at = "" // the next command is no trouble
		panic("at " + place)
	}
}

type fragileMailbox struct {
	imap.Mailbox
	backend *fragile
}

func (m fragileMailbox) View(ctx context.Context, fn func(mailbox.Reader) error) error {
	return m.Mailbox.View(ctx, func(r mailbox.Reader) error {
		m.backend.reach("View")
		return fn(r)
	})
}

func (m fragileMailbox) Glance(ctx context.Context, _ mailbox.Sequence, fn func(mailbox.Reader) error) error {
	return m.View(ctx, fn)
}

func (m fragileMailbox) Update(ctx context.Context, fn func(*mailbox.Draft) error) error {
	return m.Mailbox.Update(ctx, func(d *mailbox.Draft) error {
		m.backend.reach("Update")
		return fn(d)
	})
}

func (m fragileMailbox) OpenBody(ctx context.Context, c mailbox.Content) (imap.Body, error) {
	m.backend.reach("OpenBody")
	return m.Mailbox.OpenBody(ctx, c)
}

// A session that panics ends, and keeps no other from the mailbox: neither one that is open nor a new one.
func TestPanicEndsOneSession(t *testing.T) {
	b, _ := backendWithTest()
	f := &fragile{Backend: b}
	s, address := startServer(t, imap.Config{Backend: f, AllowPlaintext: true, SessionsMax: 2})
	other := login(t, address)
	other.ok("APPEND INBOX {4+}\r\ntext")
	other.ok("SELECT INBOX")
	for i, c := range []struct{ at, command string }{
		{"Open", "LOGIN test pass"},
		{"View", "FETCH 1 FLAGS"},
		{"OpenBody", "FETCH 1 BODY.PEEK[]"},
		{"Update", `STORE 1 +FLAGS (\Seen)`},
	} {
		t.Run(c.at, func(t *testing.T) {
			victim := dial(t, address)
			if !strings.HasPrefix(c.command, "LOGIN") {
				victim.ok("LOGIN test pass")
				victim.ok("SELECT INBOX")
			}
			f.at = c.at
			victim.send("a " + c.command + "\r\n")
			if got := victim.line(); got != endOfStream {
				t.Errorf("got %s, want the end of the connection", got)
			}
			onlyOne(t, s)
			if got := s.Panics(); got != i+1 {
				t.Errorf("%d panics, want %d", got, i+1)
			}
			other.ok(`STORE 1 +FLAGS (\Flagged)`)
			other.ok("FETCH 1 BODY[]")
			login(t, address).ok("LOGOUT")
			onlyOne(t, s)
		})
	}
}

// onlyOne waits until there is one session: a place is given back after the connection is closed.
func onlyOne(t *testing.T, s *imap.Server) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); s.Sessions() > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are open, want 1", s.Sessions())
		}
	}
}
