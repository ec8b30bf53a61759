package frontend_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/lmtp"
	"mailreplica/internal/mailbox"
)

const text = "Subject: a mail\r\n\r\ntext\r\n"

// mta speaks LMTP by hand.
type mta struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (p *platform) mta(i int) *mta {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.hosts[i].lmtpAddr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	m := &mta{t: p.t, conn: conn, in: bufio.NewReader(conn)}
	m.reply()
	m.ask("LHLO mta.example.net")
	return m
}

func (m *mta) reply() string {
	m.t.Helper()
	for {
		line, err := m.in.ReadString('\n')
		if err != nil {
			m.t.Fatal(err)
		}
		if line[3] == ' ' {
			return strings.TrimSpace(line)
		}
	}
}

func (m *mta) ask(line string) string {
	m.t.Helper()
	if _, err := io.WriteString(m.conn, line+"\r\n"); err != nil {
		m.t.Fatal(err)
	}
	return m.reply()
}

func (m *mta) want(got, prefix string) {
	m.t.Helper()
	if !strings.HasPrefix(got, prefix) {
		m.t.Errorf("the reply is %q, want %q…", got, prefix)
	}
}

// rcpt wants a reply to one recipient.
func (m *mta) rcpt(address, prefix string) {
	m.t.Helper()
	m.ask("RSET")
	m.want(m.ask("MAIL FROM:<sender@example.net>"), "250")
	m.want(m.ask("RCPT TO:<"+address+">"), prefix)
}

// send delivers a mail and gives the reply for each recipient.
func (m *mta) send(message string, recipients ...string) (replies []string) {
	m.t.Helper()
	m.want(m.ask("MAIL FROM:<sender@example.net>"), "250")
	for _, r := range recipients {
		m.want(m.ask("RCPT TO:<"+r+">"), "250")
	}
	m.want(m.ask("DATA"), "354")
	replies = append(replies, m.ask(message+"."))
	for range len(recipients) - 1 {
		replies = append(replies, m.reply())
	}
	return replies
}

func (m *mta) delivers(message string, recipients ...string) {
	m.t.Helper()
	for _, got := range m.send(message, recipients...) {
		m.want(got, "250 2.0.0")
	}
}

// dies resets the connection, as for an MTA that did not get to read the answer.
func (m *mta) dies() {
	m.t.Helper()
	if err := m.conn.(*net.TCPConn).SetLinger(0); err != nil {
		m.t.Fatal(err)
	}
	if err := m.conn.Close(); err != nil {
		m.t.Fatal(err)
	}
}

// quits ends the session; the server then knows that its answers were read.
func (m *mta) quits() {
	m.t.Helper()
	m.want(m.ask("QUIT"), "221")
}

func TestDeliversHere(t *testing.T) {
	p := newPlatform(t, 1)
	id := p.account(0, "user@example.com")
	p.mta(0).delivers(text, "USER@example.com", "user@example.com", "user+some+detail@example.com")
	p.hosts[0].hasMessages(t, id, text)
	got := p.hosts[0].inbox(t, id)[0]
	for _, part := range []string{"Return-Path: <sender@example.net>\r\nReceived: from mta.example.net ([127.0.0.1])\r\n\tby mbox1.example.com (Mailreplica) with LMTP id "} {
		if !strings.HasPrefix(got, part) {
			t.Errorf("the message begins with %.200q, want %q", got, part)
		}
	}
}

func TestRecipients(t *testing.T) {
	p := newPlatform(t, 2)
	id := p.account(0, "user@example.com")
	p.account(0, "user+full@example.com")
	p.account(1, "far@example.com")
	if _, err := p.directory.CreateList(t.Context(), "all@example.com"); err != nil {
		t.Fatal(err)
	}
	m := p.mta(0)
	m.rcpt("all@example.com", "550 5.1.1 <all@example.com> all@example.com is a distribution list")
	p.poll()
	for address, want := range map[string]string{
		"user@example.com": "250", "far@example.com": "250", "nobody@example.com": "550 5.1.1", "nobody+user@example.com": "550 5.1.1",
		"user+x@example.com": "250", "USER+X@EXAMPLE.COM": "250", "+user@example.com": "550 5.1.1", "all+x@example.com": "550 5.1.1",
		"all@example.com": "550 5.1.1", "user": "550 5.1.1", "us*r@example.com": "550 5.1.1", "user@[127.0.0.1]": "550 5.1.1",
		`"user"@example.com`: "250", `"us er"@example.com`: "550 5.1.1",
	} {
		m.rcpt(address, want)
	}
	for status, want := range map[directory.Status]string{
		directory.Locked: "250", directory.Maintenance: "450 4.2.1", directory.Closed: "550 5.2.1", directory.Active: "250",
	} {
		p.status(id, status)
		m.rcpt("user@example.com", want)
		m.rcpt("user+x@example.com", want)
		m.rcpt("user+full@example.com", "250")
	}
}

func TestWithoutTheDirectory(t *testing.T) {
	p := newPlatform(t, 1)
	id := p.account(0, "user@example.com")
	m := p.mta(0)
	m.delivers("one\r\n", "user@example.com")
	back := p.takeDirectoryAway()
	m.rcpt("new@example.com", "451 4.3.0")
	m.rcpt("new+x@example.com", "451 4.3.0")
	m.ask("RSET")
	m.delivers("two\r\n", "user+x@example.com")
	p.hosts[0].hasMessages(t, id, "one\r\n", "two\r\n")
	back()
	m.rcpt("new@example.com", "550 5.1.1")
}

func TestRelaysHome(t *testing.T) {
	p := newPlatform(t, 3)
	ids := []account.ID{p.account(0, "a@example.com"), p.account(1, "b@example.com"), p.account(2, "c@example.com")}
	p.mta(0).delivers(text, "a@example.com", "b@example.com", "b+x@example.com", "c@example.com", "a@example.com")
	for i, id := range ids {
		p.hosts[i].hasMessages(t, id, text)
	}
	if got := p.hosts[1].inbox(t, ids[1])[0]; !strings.Contains(got, "by mbox2.example.com (Mailreplica through mbox1.example.com) with LMTP id") ||
		!strings.Contains(got, "for <b@example.com>") {
		t.Errorf("the message begins with %.300q", got)
	}
}

func TestHomeUnreachable(t *testing.T) {
	p := newPlatform(t, 2)
	id := p.account(0, "a@example.com")
	p.account(1, "b@example.com")
	p.hosts[1].stop()
	m := p.mta(0)
	got := m.send(text, "b@example.com", "a@example.com")
	m.want(got[0], "451 4.4.1 <b@example.com> ")
	m.want(got[1], "250 2.0.0")
	p.hosts[0].hasMessages(t, id, text)
}

// TestHomeMoved: the directory knows of a new home, the copies of it do not yet.
func TestHomeMoved(t *testing.T) {
	p := newPlatform(t, 3)
	id := p.account(1, "user@example.com")
	p.mta(0).delivers("one\r\n", "user@example.com")
	p.poll()
	p.move(id, 1, 2)
	p.mta(0).delivers("two\r\n", "user@example.com") // relays to the old home, which refuses, then to the new one
	p.hosts[2].hasMessages(t, id, "two\r\n")
	p.move(id, 2, 0)
	p.mta(0).delivers("three\r\n", "user@example.com") // to this very mailstore
	p.hosts[0].hasMessages(t, id, "three\r\n")
	p.move(id, 0, 1)
}

// TestHomeDied: the home does not answer any more, and another has taken over.
func TestHomeDied(t *testing.T) {
	p := newPlatform(t, 3)
	id := p.account(1, "user@example.com")
	p.mta(0).delivers("one\r\n", "user@example.com")
	p.poll()
	p.hosts[1].stop()
	p.move(id, 1, 2)
	p.mta(0).delivers("two\r\n", "user@example.com")
	p.hosts[2].hasMessages(t, id, "two\r\n")
}

// TestClientLeft: the home does not answer and another has taken over, but the client is gone meanwhile, and has perhaps delivered the
// mail by another way: no other home is tried.
func TestClientLeft(t *testing.T) {
	p := newPlatform(t, 3)
	id := p.account(1, "user@example.com")
	p.poll()
	p.hosts[1].stop()
	p.move(id, 1, 2)
	m := &lmtp.Mail{
		ID: "0123", Sender: "sender@example.net", Body: lmtp.NewBody([]byte(text)), Received: time.Now(),
		Client:     lmtp.Client{HELO: "mta.example.net", Addr: "192.0.2.7:25"},
		Recipients: []lmtp.Recipient{{Address: "user@example.com", Account: id, Name: "user@example.com"}},
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if err := p.hosts[0].lmtp.Deliver(ctx, m)[0].Err; !fault.Is(err, fault.HomeUnreachable) {
		t.Errorf("of a client that is gone: got %v, want HomeUnreachable", err)
	}
	p.hosts[2].hasMessages(t, id)
	if err := p.hosts[0].lmtp.Deliver(t.Context(), m)[0].Err; err != nil {
		t.Errorf("of a client that is there: %v", err)
	}
	p.hosts[2].hasMessages(t, id, text)
}

// TestNoLoop: two mailstores hold each other for the home, and the directory cannot say otherwise.
func TestNoLoop(t *testing.T) {
	p := newPlatform(t, 2)
	id := p.account(1, "user@example.com")
	p.mta(1).delivers(text, "user@example.com")
	p.poll()
	// The second learns that the first is home; the first still believes that the second is.
	p.hosts[1].mailstore.All()[0].Supersede(p.hosts[0].name)
	a, err := p.directory.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.directory.SetHome(t.Context(), id, p.hosts[0].name, a.Epoch+1, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.hosts[1].follower.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.takeDirectoryAway()
	for i, first := range []string{"250", "250"} {
		m := p.mta(i)
		m.rcpt("user@example.com", first)
		m.want(m.ask("DATA"), "354")
		m.want(m.ask(text+"."), "451 4.3.0")
	}
}

// TestRepeatsAreOneMail: whatever the way that a repeat takes, and whichever mailstore the mail came in at.
func TestRepeatsAreOneMail(t *testing.T) {
	p := newPlatform(t, 3)
	id := p.account(0, "user@example.com")
	for _, i := range []int{0, 1, 2, 0, 1} {
		m := p.mta(i)
		m.delivers(text, "user@example.com")
		m.dies()
	}
	p.hosts[0].hasMessages(t, id, text)
	if n := p.hosts[0].lmtp.Measures().Repeats.Load(); n != 4 {
		t.Errorf("%d repeats counted, want 4", n)
	}
	m := p.mta(1)
	m.delivers(text, "user@example.com") // still a repeat, but its MTA reads the answer
	m.quits()
	m = p.mta(1)
	m.delivers(text, "user@example.com")
	m.delivers(text, "user@example.com")
	m.quits()
	p.hosts[0].hasMessages(t, id, text, text, text)
	m = p.mta(0)
	m.delivers("other\r\n", "user@example.com")
	m.dies()
	m = p.mta(0)
	m.delivers("other\r\n", "user@example.com")
	m.delivers("other\r\n", "user@example.com")
	p.hosts[0].hasMessages(t, id, text, text, text, "other\r\n", "other\r\n")
}

func (h *host) deliveries(t *testing.T, id account.ID) (n int, sequence mailbox.Sequence) {
	t.Helper()
	held, ok := h.mailstore.Account(id)
	if !ok {
		t.Fatalf("%s has no copy", h.name)
	}
	err := held.View(t.Context(), func(r mailbox.Reader) error {
		header, err := r.Header()
		if err != nil {
			return err
		}
		sequence = header.Sequence
		n, err = r.CountDeliveries()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, sequence
}

// TestAnswersTravelWithDeliveries: forgetting what was answered costs no change of its own.
func TestAnswersTravelWithDeliveries(t *testing.T) {
	p := newPlatform(t, 1)
	id := p.account(0, "user@example.com")
	m := p.mta(0)
	m.delivers("first\r\n", "user@example.com")
	_, before := p.hosts[0].deliveries(t, id)
	for i := range 20 {
		m.delivers(fmt.Sprintf("%d\r\n", i), "user@example.com")
	}
	if n, after := p.hosts[0].deliveries(t, id); n != 1 || after != before+20 {
		t.Errorf("%d keys after %d changes, want 1 after 20", n, after-before)
	}
}

// TestAnswersTravelWithFlags: a client's change carries what was answered, and one that changes nothing stays none.
func TestAnswersTravelWithFlags(t *testing.T) {
	p := newPlatform(t, 1)
	id := p.account(0, "user@example.com")
	m := p.mta(0)
	m.delivers(text, "user@example.com")
	m.quits()
	box, err := p.hosts[0].imap.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		subscribe string
		want      int
	}{{"INBOX", 1}, {"another", 0}} {
		if err := box.Update(t.Context(), func(d *mailbox.Draft) error { return d.Subscribe(c.subscribe) }); err != nil {
			t.Fatal(err)
		}
		if n, _ := p.hosts[0].deliveries(t, id); n != c.want {
			t.Errorf("after subscribing %s: %d keys, want %d", c.subscribe, n, c.want)
		}
	}
}

func TestAnswersAreFlushed(t *testing.T) {
	p := newPlatform(t, 2)
	id := p.account(0, "user@example.com")
	for _, h := range p.hosts {
		running(t, h.lmtp)
	}
	for i := range p.hosts {
		m := p.mta(i)
		m.delivers(fmt.Sprintf("%d\r\n", i), "user@example.com")
		m.quits()
	}
	eventually(t, "no keys", func() bool {
		n, _ := p.hosts[0].deliveries(t, id)
		return n == 0
	})
}

func TestVolumeUnavailable(t *testing.T) {
	p := newPlatform(t, 1)
	id := p.account(0, "user@example.com")
	m := p.mta(0)
	m.delivers("one\r\n", "user@example.com")
	p.full.Store(true)
	m.want(m.send("two\r\n", "user@example.com")[0], "452 4.3.1")
	p.full.Store(false)
	m.delivers("two\r\n", "user@example.com")
	p.hosts[0].hasMessages(t, id, "one\r\n", "two\r\n")
	if bodies := p.hosts[0].mailstore.Bodies(); bodies.NotStored.Load() != 1 || bodies.Stored.Read().Count != 2 {
		t.Errorf("counted: %d stored, %d not, want 2 and 1", bodies.Stored.Read().Count, bodies.NotStored.Load())
	}
}

// TestLostMailbox: a mailstore that lost its database makes no empty mailbox in place of the one that it had.
func TestLostMailbox(t *testing.T) {
	p := newPlatform(t, 1)
	id := p.account(0, "user@example.com")
	if _, err := p.directory.SetHome(t.Context(), id, p.hosts[0].name, 1, nil); err != nil {
		t.Fatal(err)
	}
	p.poll()
	m := p.mta(0)
	m.want(m.send(text, "user@example.com")[0], "451 4.3.0")
	if _, ok := p.hosts[0].mailstore.Account(id); ok {
		t.Error("an empty mailbox was made")
	}
}

// TestConcurrentDeliveries: many mails on many connections, for accounts here and elsewhere.
func TestConcurrentDeliveries(t *testing.T) {
	const connections, mails = 8, 10
	p := newPlatform(t, 2)
	ids := []account.ID{p.account(0, "a@example.com"), p.account(1, "b@example.com")}
	done := make(chan struct{})
	for c := range connections {
		m := p.mta(c % 2)
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range mails {
				m.delivers(fmt.Sprintf("%d %d\r\n", c, i), "a@example.com", "b@example.com")
			}
		}()
	}
	for range connections {
		<-done
	}
	for i, id := range ids {
		seen := map[string]bool{}
		for _, message := range p.hosts[i].inbox(t, id) {
			seen[message[strings.LastIndex(message[:len(message)-2], "\r\n"):]] = true
		}
		if all := len(p.hosts[i].inbox(t, id)); all != connections*mails || len(seen) != all {
			t.Errorf("%s: %d messages, %d different, want %d", p.hosts[i].name, all, len(seen), connections*mails)
		}
	}
}
