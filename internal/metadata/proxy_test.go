package metadata_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"mailreplica/internal/metadata"
)

// cut is where a proxy ends a connection.
type cut int

const (
	nowhere     cut = iota
	beforeAsked     // the next request is not passed on
	beforeTold      // it is, and its answer is not
	heldBack        // its answer is passed on late
)

// proxy stands between a store and the server, and ends connections at the worst moments.
type proxy struct {
	t        testing.TB
	listener net.Listener
	server   string
	ended    sync.WaitGroup

	mu    sync.Mutex
	where cut
	shut  bool          // new connections are ended at once
	hit   chan struct{} // closed when a connection was ended at where, or an answer is held back
	hold  chan struct{} // closed when the answer that is held back may go
	conns map[net.Conn]bool
}

// throughProxy is a place whose server is behind a proxy.
func throughProxy(t testing.TB) (place, *proxy) {
	t.Helper()
	p := inMariaDB(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &proxy{t: t, listener: l, server: p.config.Address, conns: map[net.Conn]bool{}}
	p.config.Address = l.Addr().String()
	x.ended.Go(x.accept)
	t.Cleanup(x.close)
	return p, x
}

func (x *proxy) accept() {
	for {
		client, err := x.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", x.server)
		if err != nil || !x.keep(client, server) {
			_ = client.Close()
			continue
		}
		x.ended.Go(func() { x.requests(client, server) })
		x.ended.Go(func() { x.answers(client, server) })
	}
}

func (x *proxy) keep(conns ...net.Conn) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range conns {
		x.conns[c] = true
	}
	return !x.shut
}

func (x *proxy) end(conns ...net.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(x.conns, c)
	}
}

// requests passes on what the store sends: each request is one write, and waits for its answer.
func (x *proxy) requests(client, server net.Conn) {
	defer x.end(client, server)
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		where, hit := x.strike()
		switch where {
		case beforeAsked:
			close(hit)
			return
		case beforeTold:
			_ = client.Close() // the answer finds nobody
			if _, err := server.Write(buf[:n]); err == nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(server, 1)) // it comes all the same; the copier may get it
			}
			close(hit)
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (x *proxy) answers(client, server net.Conn) {
	defer x.end(client, server)
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if hit, hold := x.holding(); hit != nil {
			close(hit)
			<-hold
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (x *proxy) strike() (cut, chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	where := x.where
	if where == heldBack {
		return nowhere, nil
	}
	x.where = nowhere
	return where, x.hit
}

func (x *proxy) holding() (hit, hold chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.where != heldBack {
		return nil, nil
	}
	x.where = nowhere
	return x.hit, x.hold
}

// arm has the next request of any connection ended there; shut keeps new connections away until let.
func (x *proxy) arm(where cut, shut bool) (hit chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.where, x.shut, x.hit, x.hold = where, shut, make(chan struct{}), make(chan struct{})
	return x.hit
}

func (x *proxy) let() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.shut = false
}

func (x *proxy) close() {
	_ = x.listener.Close()
	x.mu.Lock()
	for c := range x.conns {
		_ = c.Close()
	}
	x.mu.Unlock()
	x.ended.Wait()
}

// cutAtCommit is a function whose transaction's COMMIT is the next request: it writes a value, and counts its runs.
func cutAtCommit(x *proxy, where cut, shut bool, runs *int, hit *chan struct{}) func(*metadata.Tx) error {
	return func(tx *metadata.Tx) error {
		*runs++
		if err := tx.SetValue("key", []byte{byte(*runs)}); err != nil {
			return err
		}
		if *runs == 1 {
			*hit = x.arm(where, shut)
		}
		return nil
	}
}
