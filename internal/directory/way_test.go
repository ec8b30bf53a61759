package directory_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// way is a way over TCP to a server, which a test can cut.
type way struct {
	address, server string

	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	ends     map[net.Conn]bool
	watch    watch
	group    sync.WaitGroup
}

func newWay(t testing.TB, server string) *way {
	t.Helper()
	w := &way{address: "127.0.0.1:0", server: server, ends: map[net.Conn]bool{}}
	must(t, w.mend())
	t.Cleanup(func() { w.cut(); w.group.Wait() })
	return w
}

// mend lets clients through.
func (w *way) mend() error {
	listener, err := net.Listen("tcp", w.address)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listener, w.address = listener, listener.Addr().String()
	w.group.Go(func() { w.accept(listener) })
	return nil
}

// cut breaks all connections and takes no new ones.
func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		w.listener.Close()
		w.listener = nil
	}
	for end := range w.ends {
		end.Close()
	}
	clear(w.ends)
}

// watch sees what a client says before the server does. With cut the connection breaks, and the server hears what was said
// only by tell, which may be called later.
type watch func(said []byte, tell func()) (cut bool)

// see has watch look at what clients say.
func (w *way) see(watch watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch = watch
}

func (w *way) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.server)
		if err != nil {
			client.Close()
			continue
		}
		w.mu.Lock()
		if w.listener != listener {
			client.Close()
			server.Close()
		}
		w.ends[client], w.ends[server] = true, true
		w.mu.Unlock()
		w.group.Go(func() { _, _ = io.Copy(client, server); client.Close(); server.Close() })
		w.group.Go(func() { w.carry(server, client); client.Close(); server.Close() })
	}
}

// carry brings the server what the client says.
func (w *way) carry(server, client net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		w.mu.Lock()
		watch := w.watch
		w.mu.Unlock()
		said := bytes.Clone(buffer[:n])
		told := make(chan struct{})
		tell := func() {
			_, _ = server.Write(said)
			close(told)
		}
		if watch != nil && watch(said, tell) {
			client.Close() // before the server can answer
			select {
			case <-told:
				_, _ = io.Copy(io.Discard, server) // it finishes what it was told
			case <-time.After(time.Second): // it was not told
			}
			return
		}
		if _, err := server.Write(said); err != nil {
			return
		}
	}
}
