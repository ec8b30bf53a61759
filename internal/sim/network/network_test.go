package network_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mailreplica/internal/sim/network"
)

const address = "10.0.0.2:1"

// pair makes a connection between two hosts.
func pair(t *testing.T, n *network.Network) (a, b *network.Host, near, far net.Conn) {
	t.Helper()
	a, b = n.Host("a", netip.MustParseAddr("10.0.0.1")), n.Host("b", netip.MustParseAddr("10.0.0.2"))
	l, err := b.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if near, err = a.DialContext(t.Context(), "tcp", address); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b, near, far
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got, err, want)
	}
}

// A link that is cut in one direction keeps bytes back until it is whole; the other direction goes on.
func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network.New(1)
		_, _, near, far := pair(t, n)
		say(t, near, "one")
		hear(t, far, "one")
		n.Cut("a", "b")
		say(t, near, "two")
		say(t, far, "back")
		hear(t, near, "back")
		_ = far.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read over a cut link: %v", err)
		}
		_ = far.SetReadDeadline(time.Time{})
		n.Heal("a", "b")
		hear(t, far, "two")
		_ = near.Close()
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read after the end: %v", err)
		}
	})
}

// Of a process that is killed the other end hears at once, of a machine without power when it is back.
func TestCrash(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := network.New(1)
			a, b, near, far := pair(t, n)
			b.Crash(silent)
			if _, err := far.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a dead host reads: %v", err)
			}
			_ = near.SetReadDeadline(time.Now().Add(time.Minute))
			want := error(syscall.ECONNRESET)
			if silent {
				want = os.ErrDeadlineExceeded
			}
			if _, err := near.Read(make([]byte, 1)); !errors.Is(err, want) {
				t.Errorf("silent %v: read %v, want %v", silent, err, want)
			}
			if _, err := a.DialContext(t.Context(), "tcp", address); err == nil {
				t.Error("a dead host takes a connection")
			}
			_ = near.SetReadDeadline(time.Time{})
			n.Host("b", netip.MustParseAddr("10.0.0.2"))
			if _, err := near.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read %v, want a reset", err)
			}
		})
	}
}

// What is held back is overtaken by another connection, outlives its host, and arrives when it is released, or never.
func TestHold(t *testing.T) {
	for _, drop := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := network.New(1)
			a, _, near, far := pair(t, n)
			h := n.Hold("a", "b", func(written []byte) bool { return string(written) == "two" })
			say(t, near, "one")
			say(t, near, "two")
			say(t, near, "three")
			hear(t, far, "one")
			select {
			case <-h.Caught():
			default:
				t.Error("nothing is held")
			}
			a.Crash(false)
			_ = far.SetReadDeadline(time.Now().Add(time.Minute))
			if got, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read %d bytes, %v, of what is held", got, err)
			}
			_ = far.SetReadDeadline(time.Time{})
			if drop {
				h.Drop()
			} else {
				h.Release()
				hear(t, far, "twothree")
			}
			if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read %v, want a reset", err)
			}
		})
	}
}
