package listener_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"mailreplica/internal/listener"
)

// fragile is a session that panics when it reads anything, and then leaves its connection open.
type fragile struct{ *echo }

func (f fragile) Run() {
	_, _ = io.WriteString(f.conn, "hello\n") // else the read fails
	if n, _ := f.conn.Read(make([]byte, 1)); n > 0 {
		panic("a message that nobody can bear")
	}
	_ = f.conn.Close()
}

// A panic ends the session in which it happened, and no other; its place is free again.
func TestPanic(t *testing.T) {
	var log bytes.Buffer // read after Shutdown alone
	s := listener.New(listener.Config{
		Name: "ECHO", SessionsMax: 2, Logger: slog.New(slog.NewTextHandler(&log, nil)), Refuse: refuse,
		Start: func(ctx context.Context, conn net.Conn) listener.Session {
			return fragile{&echo{ctx: ctx, conn: conn}}
		},
	})
	l := listen(t)
	served := serve(t, s, l)
	other := dial(t, l)
	hears(t, other, "hello\n")
	for range 3 {
		conn := dial(t, l)
		hears(t, conn, "hello\n")
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		ends(t, conn)
		eventually(t, "one session", func() bool { return s.Sessions() == 1 })
	}
	if got := s.Panics(); got != 3 {
		t.Errorf("%d panics, want 3", got)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	ends(t, other)
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for _, part := range []string{"level=ERROR", "protocol=ECHO", "a message that nobody can bear", "fragile.Run", "total=3"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log does not have %q:\n%s", part, log.String())
		}
	}
}

// A panic while a session is made holds nobody up.
func TestPanicOfStart(t *testing.T) {
	s := listener.New(listener.Config{
		Name: "ECHO", SessionsMax: 1, Logger: slog.New(slog.DiscardHandler), Refuse: refuse,
		Start: func(context.Context, net.Conn) listener.Session { panic("no session") },
	})
	near, far := net.Pipe()
	defer near.Close()
	s.ServeConn(far)
	ends(t, near)
	if s.Sessions() != 0 || s.Panics() != 1 {
		t.Errorf("%d sessions, %d panics, want none and 1", s.Sessions(), s.Panics())
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}
