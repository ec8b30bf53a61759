package imap_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
	"mailreplica/internal/mailbox"
)

// fill puts messages into INBOX.
func fill(t testing.TB, m *memory.Mailbox, n int) {
	t.Helper()
	stored, err := m.StoreBody(context.Background(), strings.NewReader("Subject: hello\r\n\r\nhello\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	stored.Received = time.Unix(0, 0)
	err = m.Update(context.Background(), func(d *mailbox.Draft) error {
		inbox, _, err := d.FolderByName("INBOX")
		if err != nil {
			return err
		}
		messages := make([]mailbox.NewMessage, n)
		for i := range messages {
			messages[i] = stored
		}
		_, err = d.Append(inbox.ID, messages)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestIdleSessionMemory bounds what a session costs that waits: most do, most of the time.
func TestIdleSessionMemory(t *testing.T) {
	const sessions, bytesMax = 300, 16 << 10
	b, m := backendWithTest()
	fill(t, m, 100)
	_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true})
	before := memoryInUse()
	for i := range sessions {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, err = io.WriteString(conn, "a LOGIN test pass\r\nb SELECT INBOX\r\nc FETCH 1:* (FLAGS BODY.PEEK[])\r\nd IDLE\r\n")
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64<<10)
		for said := ""; !strings.HasSuffix(said, "+ idling\r\n"); {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("session %d: %v after %q", i, err, said)
			}
			said = said[max(0, len(said)-20):] + string(buf[:n])
		}
	}
	if got := (memoryInUse() - before) / sessions; got > bytesMax {
		t.Errorf("an idle session holds %d bytes, want at most %d", got, bytesMax)
	} else {
		t.Logf("an idle session holds %d bytes, both ends of its connection included", got)
	}
}

func memoryInUse() int64 {
	runtime.GC() // shrinks stacks
	runtime.GC() // empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func BenchmarkFetchFlags(b *testing.B) {
	backend, m := backendWithTest()
	fill(b, m, 200_000)
	conn := bench(b, backend)
	for b.Loop() {
		ask(b, conn, "f FETCH 1:* (UID FLAGS)\r\n", "f OK Fetched\r\n")
	}
}

func BenchmarkSelect(b *testing.B) {
	backend, m := backendWithTest()
	fill(b, m, 200_000)
	conn := bench(b, backend)
	for b.Loop() {
		ask(b, conn, "s SELECT INBOX\r\n", "Mailbox opened\r\n")
	}
}

func BenchmarkFetchMessage(b *testing.B) {
	backend, m := backendWithTest()
	fill(b, m, 1000)
	conn := bench(b, backend)
	for i := 0; b.Loop(); i++ {
		ask(b, conn, fmt.Sprintf("f UID FETCH %d (UID BODY.PEEK[])\r\n", 1+i%1000), "f OK Fetched\r\n")
	}
}

func bench(b *testing.B, backend *memory.Backend) net.Conn {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := imap.New(imap.Config{Backend: backend, AllowPlaintext: true})
	go func() { _ = s.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = conn.Close()
		_ = s.Shutdown(context.Background())
	})
	ask(b, conn, "a LOGIN test pass\r\na SELECT INBOX\r\n", "Mailbox opened\r\n")
	return conn
}

func ask(b *testing.B, conn net.Conn, text, end string) {
	b.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 256<<10)
	for said := ""; !strings.HasSuffix(said, end); {
		n, err := conn.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		said = string(buf[max(0, n-len(end)):n])
	}
}
