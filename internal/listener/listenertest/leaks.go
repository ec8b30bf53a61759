package listenertest

import (
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// patience is how long what a session holds may take to be given back.
const patience = 20 * time.Second

// BadSessions has many clients say each of these to a server and leave, in order or with a reset, and wants no goroutine and no
// file to stay behind.
func BadSessions(t *testing.T, address string, says []string, rounds int) {
	t.Helper()
	session(t, address, "", false) // what the first session makes for all
	goroutines, files := settle(t, 0, 0)
	for i := range rounds {
		for _, text := range says {
			session(t, address, text, i%2 == 1)
		}
	}
	settle(t, goroutines, files)
}

// session says something and leaves.
func session(t *testing.T, address, says string, reset bool) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tcp := conn.(*net.TCPConn)
	if err := tcp.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.WriteString(conn, says) // the server may have closed the connection
		if reset {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
			return
		}
		_ = tcp.CloseWrite()
	}()
	_, _ = io.Copy(io.Discard, conn) // until the server closes it
}

// settle waits until no more than this is open; 0: until it stays the same for a while.
func settle(t *testing.T, goroutines, files int) (int, int) {
	t.Helper()
	lastGoroutines, lastFiles, same := 0, 0, 0
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		g, f := runtime.NumGoroutine(), len(open)
		if goroutines > 0 && g <= goroutines && f <= files {
			return g, f
		}
		if same++; g != lastGoroutines || f != lastFiles {
			lastGoroutines, lastFiles, same = g, f, 0
		}
		if goroutines == 0 && same == 20 {
			return g, f
		}
	}
	t.Fatalf("%d goroutines and %d files are open, want %d and %d at most", lastGoroutines, lastFiles, goroutines, files)
	return 0, 0
}
