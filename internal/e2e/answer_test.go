package e2e_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// lossyProxy stands between an MTA and a mailstore, and loses the answer to DATA while it is told to.
type lossyProxy struct {
	addr   string
	losing atomic.Bool
}

func newLossyProxy(t testing.TB, to string) *lossyProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &lossyProxy{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the test has ended
			}
			go p.pass(conn, to)
		}
	}()
	return p
}

func (p *lossyProxy) pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client) // ends with either connection
	}()
	buffer, data := make([]byte, 4096), false
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		if data && p.losing.Load() {
			_ = server.(*net.TCPConn).SetLinger(0) // the answer was sent and is never read: the connection breaks
			return
		}
		data = strings.HasPrefix(string(buffer[:n]), "354")
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestLostAnswers has answers to DATA lost. The MTA repeats the same bytes: they are there once, across a promotion, too.
// The same bytes sent again after an answer that was heard are another message.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	names := c.accounts("answer", 3)
	proxy := newLossyProxy(t, c.store(1).lmtp)
	lose := func(message []byte, to ...string) {
		t.Helper()
		proxy.losing.Store(true)
		defer proxy.losing.Store(false)
		if err := deliver(proxy.addr, message, to...); err == nil {
			t.Errorf("the answer was to be lost, and is not")
		}
	}
	count := func(i int, name, id string, want int) {
		t.Helper()
		n := 0
		for _, r := range c.rows(i, name, "INBOX") {
			if r.id == id {
				n++
			}
		}
		if n != want {
			t.Errorf("%s holds %s %d times, want %d", name, id, n, want)
		}
	}
	arrived := func(i int, name, id string) { // the lost answer may have been on its way before the mail was there
		t.Helper()
		eventually(t, 20*time.Second, func() error {
			for _, r := range c.rows(i, name, "INBOX") {
				if r.id == id {
					return nil
				}
			}
			return fmt.Errorf("%s is not there", id)
		})
	}

	repeated := tagged("repeated", plain("repeated at the same mailstore"))
	lose(repeated, names[0])
	arrived(1, names[0], "repeated")
	lose(repeated, names[0])
	c.deliver(1, repeated, names[0])
	count(1, names[0], "repeated", 1)
	c.deliver(1, repeated, names[0]) // answered before: this is another one
	count(1, names[0], "repeated", 2)

	elsewhere := tagged("elsewhere", plain("repeated at another mailstore"))
	lose(elsewhere, names[0], names[1])
	arrived(1, names[1], "elsewhere")
	c.deliver(2, elsewhere, names[0], names[1])
	count(1, names[0], "elsewhere", 1)
	count(1, names[1], "elsewhere", 1)

	twice := tagged("twice", plain("sent twice over one connection"))
	mta, err := dialLMTP(c.store(1).lmtp)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := transfer(mta, twice, names[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := mta.Quit(); err != nil {
		t.Error(err)
	}
	count(1, names[1], "twice", 2)

	across := tagged("across", plain("repeated across a promotion"))
	heard := tagged("heard", plain("answered before the promotion"))
	c.deliver(1, heard, names[2])
	lose(across, names[2])
	arrived(1, names[2], "across")
	c.deliver(1, plain("carries that the first was answered"), names[2])
	shown := c.picture(1, names[2])
	c.store(1).kill()
	c.promote(2, names)
	same(t, names[2], c.picture(2, names[2]), shown)
	c.deliver(2, across, names[2])
	count(2, names[2], "across", 1)
	c.deliver(2, across, names[2])
	count(2, names[2], "across", 2)
	c.deliver(2, heard, names[2])
	count(2, names[2], "heard", 2)
}
