package frontend_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/credential"
	"mailreplica/internal/directory"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/peer"
)

func clusterMTA(t *testing.T, c *nodetest.Cluster, i int) *mta {
	t.Helper()
	conn, err := net.Dial("tcp", c.Config(i).Listen.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	m := &mta{t: t, conn: conn, in: bufio.NewReader(conn)}
	m.reply()
	m.ask("LHLO mta.example.net")
	return m
}

// uids are what a client sees in INBOX, asking any mailstore.
func uids(t *testing.T, c *nodetest.Cluster, i int, user, want string) {
	t.Helper()
	conn, err := net.Dial("tcp", c.Config(i).Listen.IMAP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &session{t, conn, bufio.NewReader(conn)}
	s.ask(fmt.Sprintf("LOGIN %q %q", user, password), "OK")
	s.ask("SELECT INBOX", "OK")
	if got := s.ask("UID SEARCH ALL", "OK"); got != want {
		t.Errorf("through %s, %s has %q, want %q", nodetest.Name(i), user, got, want)
	}
}

func promote(t *testing.T, c *nodetest.Cluster, i int, id account.ID) {
	t.Helper()
	var result peer.FenceResult
	request := peer.FenceRequest{Operation: "test", Accounts: []peer.FenceAccount{{Account: id}}}
	if err := c.Nodes[i].Service().Fence(t.Context(), request, func(r peer.FenceResult) { result = r }); err != nil || result.Error != "" {
		t.Fatalf("promoting: %v %s", err, result.Error)
	}
}

// TestPromotionKeepsRepeatsAndRoutes: an MTA that lost the answer repeats its mail at another mailstore, after the home has
// died and a replica was promoted. It is one mail still; and each mailstore finds the new home.
func TestPromotionKeepsRepeatsAndRoutes(t *testing.T) {
	const user = "user@example.com"
	c := nodetest.Start(t, 3)
	id := c.Account(0, user)
	setPassword(t, c, id)
	c.Replicate(id, 1, 10)
	clusterMTA(t, c, 0).delivers("one\r\n", user)
	m := clusterMTA(t, c, 2) // relays it home
	m.delivers("two\r\n", user)
	m.dies()
	for i := range c.Nodes {
		uids(t, c, i, user, "* SEARCH 1 2\r\n")
	}
	c.StopNode(0)
	promote(t, c, 1, id)
	for _, i := range []int{2, 1} {
		m := clusterMTA(t, c, i)
		m.delivers("two\r\n", user)
		m.dies()
		uids(t, c, i, user, "* SEARCH 1 2\r\n")
	}
	m = clusterMTA(t, c, 1)
	m.delivers("two\r\n", user)
	m.quits()
	m = clusterMTA(t, c, 2)
	m.delivers("two\r\n", user)
	uids(t, c, 2, user, "* SEARCH 1 2 3\r\n")
	c.StartNode(0)
	clusterMTA(t, c, 0).delivers("three\r\n", user)
	uids(t, c, 0, user, "* SEARCH 1 2 3 4\r\n")
}

// deaf passes on what is said to a mailstore's LMTP server, and what it says until the first message is sent: as a home that takes a mail and
// stands still before it answers. It gives its address.
func deaf(t *testing.T, home string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", home)
			if err != nil {
				_ = client.Close()
				continue
			}
			var quiet atomic.Bool
			go func() {
				defer server.Close()
				for piece := make([]byte, 4096); ; {
					n, err := client.Read(piece)
					if bytes.Contains(piece[:n], []byte("BDAT ")) {
						quiet.Store(true)
					}
					if _, failed := server.Write(piece[:n]); failed != nil || err != nil {
						return
					}
				}
			}()
			go func() {
				for piece := make([]byte, 4096); ; {
					n, err := server.Read(piece)
					if err != nil {
						return // the client is told nothing
					}
					if !quiet.Load() {
						_, _ = client.Write(piece[:n])
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestHomeIsSilent: a mail waits for a home that stands still when the account is promoted elsewhere. The mailstore that it came in at learns
// that from the directory, and goes to the new home; what the old one had committed is not delivered again.
func TestHomeIsSilent(t *testing.T) {
	const user = "user@example.com"
	c := nodetest.Start(t, 3)
	id := c.Account(0, user)
	setPassword(t, c, id)
	c.Replicate(id, 1, 10)
	home, err := c.Directory.Mailstore(t.Context(), nodetest.Name(0))
	if err != nil {
		t.Fatal(err)
	}
	home.LMTPAddr = deaf(t, home.LMTPAddr)
	if err := c.Directory.RegisterMailstore(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	c.Account(2, "later@example.com") // by now the third mailstore knows the address
	m := clusterMTA(t, c, 2)
	if err := m.conn.SetDeadline(time.Now().Add(90 * time.Second)); err != nil { // less than a relay waits at most
		t.Fatal(err)
	}
	m.want(m.ask("MAIL FROM:<sender@example.net>"), "250")
	m.want(m.ask("RCPT TO:<"+user+">"), "250")
	m.want(m.ask("DATA"), "354")
	if _, err := io.WriteString(m.conn, "one\r\n.\r\n"); err != nil {
		t.Fatal(err)
	}
	held, _ := c.Nodes[0].Mailstore().Account(id)
	c.Eventually("the home has the mail", func() bool {
		n := 0
		err := held.View(t.Context(), func(r mailbox.Reader) (err error) {
			n, err = r.CountDeliveries()
			return err
		})
		return err == nil && n == 1
	})
	promote(t, c, 1, id)
	m.want(m.reply(), "250 2.0.0")
	uids(t, c, 1, user, "* SEARCH 1\r\n")
}

// TestWithoutBrokers: an MTA keeps mail for replicated accounts; the others do not notice.
func TestWithoutBrokers(t *testing.T) {
	c := nodetest.Start(t, 2)
	replicated, single := c.Account(0, "replicated@example.com"), c.Account(0, "single@example.com")
	for _, id := range []account.ID{replicated, single} {
		setPassword(t, c, id)
	}
	c.Replicate(replicated, 1, 10)
	m := clusterMTA(t, c, 0)
	m.delivers("one\r\n", "replicated@example.com", "single@example.com")
	c.StopBroker()
	replies := m.send("two\r\n", "replicated@example.com", "single@example.com")
	m.want(replies[0], "451 4.3.0 <replicated@")
	m.want(replies[1], "250 2.0.0")
	c.StartBroker()
	c.Eventually("the repeat is taken", func() bool {
		return m.send("two\r\n", "replicated@example.com")[0][:3] == "250"
	})
	uids(t, c, 1, "replicated@example.com", "* SEARCH 1 2\r\n")
	uids(t, c, 0, "single@example.com", "* SEARCH 1 2\r\n")
}

func setPassword(t *testing.T, c *nodetest.Cluster, id account.ID) {
	t.Helper()
	hash, err := credential.Hash(password)
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Directory.Account(t.Context(), id)
	if err == nil {
		_, err = c.Directory.UpdateAccount(t.Context(), id, a.Version, directory.AccountUpdate{PasswordHash: &hash})
	}
	if err != nil {
		t.Fatal(err)
	}
}
