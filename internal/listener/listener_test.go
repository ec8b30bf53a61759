package listener_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/listener"
)

const patience = 20 * time.Second

// echo is a session that sends back what it reads, and ends when it is asked to unless it is stubborn.
type echo struct {
	ctx      context.Context
	conn     net.Conn
	stubborn bool
}

func (e *echo) Run() {
	defer e.conn.Close()
	if _, err := io.WriteString(e.conn, "hello\n"); err == nil {
		_, _ = io.Copy(e.conn, e.conn) // until the connection ends
	}
}

func (e *echo) End() {
	if !e.stubborn {
		_ = e.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (e *echo) Cut() { _ = e.conn.Close() }

func refuse(conn net.Conn, full bool) {
	text := "closing\n"
	if full {
		text = "full\n"
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.Close()
}

func newEchoes(sessionsMax int) *listener.Server {
	return listener.New(listener.Config{
		Name: "ECHO", SessionsMax: sessionsMax, Logger: slog.New(slog.DiscardHandler), Refuse: refuse,
		Start: func(ctx context.Context, conn net.Conn) listener.Session {
			return &echo{ctx: ctx, conn: conn}
		},
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// serve runs a server; the channel has what Serve returned.
func serve(t *testing.T, s *listener.Server, l net.Listener) <-chan error {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx) // most tests have done so
	})
	return served
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// hears wants a line from the server.
func hears(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got[:n], err, want)
	}
}

// ends wants the connection to be over.
func ends(t *testing.T, conn net.Conn) {
	t.Helper()
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d bytes, %v, want the end", n, err)
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestSessionsMax(t *testing.T) {
	s, l := newEchoes(2), listen(t)
	serve(t, s, l)
	first, second := dial(t, l), dial(t, l)
	hears(t, first, "hello\n")
	hears(t, second, "hello\n")
	third := dial(t, l)
	hears(t, third, "full\n")
	ends(t, third)
	if got := s.Sessions(); got != 2 {
		t.Errorf("%d sessions, want 2", got)
	}
	_ = first.Close()
	eventually(t, "one session", func() bool { return s.Sessions() == 1 })
	hears(t, dial(t, l), "hello\n")
}

// scarce is a listener that sometimes fails, as one does where there are too many open files.
type scarce struct {
	net.Listener
	failures int // still to come
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.failures--; s.failures >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return s.Listener.Accept()
}

func TestAcceptFailsForAWhile(t *testing.T) {
	s, l := newEchoes(1), listen(t)
	served := serve(t, s, &scarce{l, 3})
	hears(t, dial(t, l), "hello\n")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestListenerFails(t *testing.T) {
	s, l := newEchoes(1), listen(t)
	served := serve(t, s, l)
	hears(t, dial(t, l), "hello\n")
	_ = l.Close()
	if err := <-served; !fault.Is(err, fault.Internal) {
		t.Errorf("Serve: got %v, want an internal error", err)
	}
}

func TestShutdownAsks(t *testing.T) {
	s, l, other := newEchoes(10), listen(t), listen(t)
	served, servedOther := serve(t, s, l), serve(t, s, other)
	a, b := dial(t, l), dial(t, other)
	hears(t, a, "hello\n")
	hears(t, b, "hello\n")
	for range 2 { // each listener's owner may ask
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ends(t, a)
	ends(t, b)
	if err := errors.Join(<-served, <-servedOther); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if got := s.Sessions(); got != 0 {
		t.Errorf("%d sessions, want none", got)
	}
	if err := s.Serve(listen(t)); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

// A session that does not end by itself is cut when the time is over, after its context has ended.
func TestShutdownCuts(t *testing.T) {
	var cause error
	s := listener.New(listener.Config{
		Name: "ECHO", SessionsMax: 1, Logger: slog.New(slog.DiscardHandler), Refuse: refuse,
		Start: func(ctx context.Context, conn net.Conn) listener.Session {
			return cutSeen{&echo{ctx: ctx, conn: conn, stubborn: true}, &cause}
		},
	})
	l := listen(t)
	serve(t, s, l)
	conn := dial(t, l)
	hears(t, conn, "hello\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: got %v, want that its time was over", err)
	}
	ends(t, conn)
	if !fault.Is(cause, fault.Interrupted) {
		t.Errorf("when it was cut, the session's context had ended with %v, want why", cause)
	}
}

// cutSeen notes why a session's context has ended when it is cut.
type cutSeen struct {
	*echo
	cause *error
}

func (c cutSeen) Cut() {
	*c.cause = context.Cause(c.ctx)
	c.echo.Cut()
}

// A connection that was accepted as the server closed is told, and nobody waits for it.
func TestServeConnAfterShutdown(t *testing.T) {
	s := newEchoes(1)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer near.Close()
	var told bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&told, near) }) // until it is closed
	s.ServeConn(far)
	reading.Wait()
	if got := told.String(); got != "closing\n" {
		t.Errorf("got %q, want a refusal", got)
	}
}
