package imap_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
	"mailreplica/internal/mailbox"
)

// observed is a backend whose mailboxes tell of every body that is opened.
type observed struct {
	*memory.Backend
	opening func()
	ending  chan struct{} // closed when a session asks why it must end
}

func (o *observed) Open(ctx context.Context, id account.ID) (imap.Mailbox, error) {
	m, err := o.Backend.Open(ctx, id)
	return observedMailbox{m, o}, err
}

type observedMailbox struct {
	imap.Mailbox
	backend *observed
}

func (m observedMailbox) OpenBody(ctx context.Context, c mailbox.Content) (imap.Body, error) {
	m.backend.opening()
	return m.Mailbox.OpenBody(ctx, c)
}

func (m observedMailbox) Watch() imap.Watch { return observedWatch{m.Mailbox.Watch(), m.backend} }

type observedWatch struct {
	imap.Watch
	backend *observed
}

func (w observedWatch) Reason() error {
	close(w.backend.ending)
	return w.Watch.Reason()
}

// searchOf is a client about to search a thousand bodies, of which the third calls a function when it is opened.
func searchOf(t *testing.T, every time.Duration, third func(*observed, *memory.Mailbox, *client)) (s *imap.Server, c *client, opened *atomic.Int64) {
	t.Helper()
	b, m := backendWithTest()
	opened = new(atomic.Int64)
	o := &observed{Backend: b, ending: make(chan struct{})}
	o.opening = func() {
		if opened.Add(1) == 3 {
			third(o, m, c)
		}
	}
	s, address := startServer(t, imap.Config{ProgressEvery: every, AllowPlaintext: true, Backend: o})
	c = login(t, address)
	c.ok("APPEND INBOX" + strings.Repeat(" {5+}\r\nhello", 1000))
	c.ok("SELECT INBOX")
	return s, c, opened
}

func TestLongSearchTellsThatItGoesOn(t *testing.T) {
	_, c, _ := searchOf(t, 1, func(*observed, *memory.Mailbox, *client) {})
	lines := c.ok("SEARCH BODY nothing")
	if n := len(lines); n != 1002 || lines[0] != "* OK Searching" || lines[n-2] != "* SEARCH" {
		t.Errorf("got %d lines: %q … %q", n, lines[0], lines[n-2:])
	}
	_, c, _ = searchOf(t, time.Hour, func(*observed, *memory.Mailbox, *client) {})
	if lines := c.ok("SEARCH BODY nothing"); len(lines) != 2 {
		t.Errorf("a short one: got %q", lines[:2])
	}
}

func TestSearchEndsWithItsClient(t *testing.T) {
	s, c, opened := searchOf(t, 1, func(_ *observed, _ *memory.Mailbox, c *client) {
		if err := c.conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Error(err)
		}
		_ = c.conn.Close()
	})
	c.send("a SEARCH BODY nothing")
	if err := s.Shutdown(t.Context()); err != nil { // waits for the session
		t.Fatal(err)
	}
	if n := opened.Load(); n > 900 {
		t.Errorf("%d bodies were opened for nobody", n)
	}
}

func TestSearchEndsWithItsSession(t *testing.T) {
	_, c, opened := searchOf(t, time.Hour, func(o *observed, m *memory.Mailbox, _ *client) {
		m.End(fault.New(fault.NotHome, "moved"))
		<-o.ending
	})
	c.send("a SEARCH BODY nothing")
	if got := c.line(); !strings.HasPrefix(got, "* BYE [UNAVAILABLE]") {
		t.Errorf("got %s after %d bodies", got, opened.Load())
	}
}
