package failpoint_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"mailreplica/internal/robustness/failpoint"
)

// echo is a server that says what it is told.
func echo(t *testing.T) string {
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
				buffer := make([]byte, 100)
				for {
					n, err := conn.Read(buffer)
					if err != nil {
						return
					}
					_, _ = conn.Write(buffer[:n])
				}
			}()
		}
	}()
	return l.Addr().String()
}

func ask(conn net.Conn, wait time.Duration) error {
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	return answer(conn, wait)
}

func answer(conn net.Conn, wait time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	return err
}

const (
	long  = 20 * time.Second // for what has to come
	short = 50 * time.Millisecond
)

func TestSilenceIsOneWayAndEnds(t *testing.T) {
	who := failpoint.NewSockets()
	who.Know("asker", os.Getpid)
	n := failpoint.NewNetwork(who)
	defer n.Close()
	address, err := n.Proxy("server", "127.0.0.1:0", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := ask(conn, long); err != nil {
		t.Fatalf("a whole line: %v", err)
	}
	for _, l := range [][2]string{{"asker", "server"}, {"server", "asker"}} {
		n.Silence(l[0], l[1])
		if err := ask(conn, short); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("silence from %s: %v, want none", l[0], err)
		}
		n.Heal()
		if err := answer(conn, long); err != nil {
			t.Errorf("what was kept back from %s does not come: %v", l[0], err)
		}
	}
	n.Silence("other", "server")
	n.Silence("asker", "other")
	if err := ask(conn, long); err != nil {
		t.Errorf("another line is silent, and this one too: %v", err)
	}
	n.Heal()
	n.Slow("asker", "server", 10*short)
	if err := ask(conn, short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a slow line is as fast as any: %v", err)
	}
	if err := answer(conn, long); err != nil {
		t.Errorf("a slow line loses what it carries: %v", err)
	}
}

func TestProxyOfNobody(t *testing.T) {
	n := failpoint.NewNetwork(failpoint.NewSockets())
	defer n.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	address, err := n.Proxy("server", "127.0.0.1:0", gone.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address)
	if err == nil {
		defer conn.Close()
		err = answer(conn, long)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a server that is not there: %v, want a reset", err)
	}
}

func TestDisk(t *testing.T) {
	d, err := failpoint.Mount(filepath.Join(t.TempDir(), "disk"), 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Unmount(); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(d.Path, "file")
	write := func() error { return os.WriteFile(file, make([]byte, 100_000), 0o600) }
	if err := write(); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(file)
	if err := d.Fill(); err != nil {
		t.Fatal(err)
	}
	if err := write(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing to a full disk: %v", err)
	}
	if err := d.Empty(); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("writing after there is space again: %v", err)
	}
}
