package lmtp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/listener/listenertest"
	"mailreplica/internal/lmtp"
	"mailreplica/internal/mailbox"
)

// shelf is a backend that keeps what the last session delivered, and nothing else.
type shelf struct {
	senders []string
	bodies  []string
}

func (s *shelf) Recipient(_ context.Context, address string, _ bool) (lmtp.Recipient, error) {
	if address != bob {
		return lmtp.Recipient{}, fault.New(fault.NotFound, "there is no account %s", address)
	}
	return lmtp.Recipient{Account: account.ID{1}, Name: bob}, nil
}

func (s *shelf) Deliver(_ context.Context, m *lmtp.Mail) []lmtp.Outcome {
	body, err := io.ReadAll(m.Body.Reader())
	s.senders, s.bodies = append(s.senders, m.Sender), append(s.bodies, string(body))
	outcomes := make([]lmtp.Outcome, len(m.Recipients))
	for i, r := range m.Recipients {
		outcomes[i] = lmtp.Outcome{Err: err, Receipt: lmtp.Receipt{Account: r.Account, Key: m.Key(r), Sequence: 1}}
		m.Trace(here, r)
	}
	return outcomes
}

func (s *shelf) Answered([]lmtp.Receipt, bool) {}

var replyLine = regexp.MustCompile(`^[2345][0-9][0-9][ -][^\x00-\x1f\x7f]*\r\n$`)

// serve has a server answer a client that says this and then ends its half, and gives the codes of the replies.
func serve(t *testing.T, server *lmtp.Server, says string) (codes []string) {
	t.Helper()
	conn := listenertest.NewScript([]byte(says))
	server.ServeConn(conn)
	said := conn.Said()
	if server.Panics() > 0 {
		t.Fatalf("the session panicked after %.2000q", said)
	}
	for line := range bytes.Lines(said) {
		if !replyLine.Match(line) || len(line) > 512 {
			t.Fatalf("the reply line %q is malformed", line)
		}
		if line[3] == ' ' {
			codes = append(codes, string(line[:3]))
		}
	}
	return codes
}

// FuzzSession sends anything. The session ends, and every line that it says is a reply.
func FuzzSession(f *testing.F) {
	begin := "LHLO x\r\nMAIL FROM:<a@x> SIZE=9 BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<" + bob + ">\r\n"
	for _, seed := range []string{
		begin + "DATA\r\nSubject: a\r\n\r\n..b\r\n.\r\nQUIT\r\n", begin + "BDAT 3\r\nabcBDAT 2 LAST\r\ndeNOOP\r\n",
		begin + "DATA\r\na\n.\nb\r.\r\nc\r\n.\nd\r\n.\r\n" + begin[8:], begin + "BDAT 2000 LAST\r\n" + strings.Repeat("x", 2000) + "RSET\r\n",
		"HELO x\r\nEHLO x\r\nVRFY a\r\nSTARTTLS\r\nNO\x00OP\r\n" + strings.Repeat("y", 5000) + "\r\n", begin + "BDAT\t4\r\nNOOPQUIT\r\n",
		"LHLO x\r\nXMAILREPLICA TOKEN=a+20token HELO=h ADDR=1.2.3.4:5 PROTO=LMTP BY=b\r\n" + begin[8:] + "DATA\r\n.\r\n",
		"LHLO x\r\nXANSWERED 00000000-0000-0000-0000-000000000000 " + strings.Repeat("00", 32) + " 1\r\n",
		"LHLO x\r\nMAIL FROM:<@a,@b:\"c>d\"@e> FOO=BAR\r\nRCPT TO:<\"bob\"@example.com>\r\n",
	} {
		f.Add([]byte(seed))
	}
	b := &shelf{}
	server := lmtp.New(lmtp.Config{Backend: b, Hostname: here, Token: "a token", SpoolDir: f.TempDir(), MessageBytesMax: 1000, RecipientsMax: 3})
	f.Fuzz(func(t *testing.T, input []byte) {
		*b = shelf{}
		serve(t, server, string(input))
		for _, body := range b.bodies {
			if len(body) > 1000 {
				t.Fatalf("a message of %d bytes was delivered", len(body))
			}
		}
	})
}

// framings are the ways to send content, and what a client is told; after all of them it says NOOP. Whatever the content, it is
// delivered, or dropped, or the session ends before the NOOP; nothing of it is ever a command.
var framings = []struct {
	name      string
	send      func(content string) string
	delivered bool
	codes     string // of the replies behind those of the prefix; those in brackets only if the content is no longer than the limit
}{
	{"DATA", func(c string) string { return "DATA\r\n" + stuff(c+"\r\n") + ".\r\n" }, true, "354 %s 250"},
	{"BDAT", func(c string) string { return fmt.Sprintf("BDAT %d LAST\r\n%s", len(c), c) }, true, "%s 250"},
	{"BDAT in two", func(c string) string { return fmt.Sprintf("BDAT 0\r\nBDAT %d LAST\r\n%s", len(c), c) }, true, "250 %s 250"},
	{"BDAT without MAIL", func(c string) string { return fmt.Sprintf("RSET\r\nBDAT %d LAST\r\n%s", len(c), c) }, false, "250 503 250"},
	{"BDAT whose size is unknown", func(c string) string { return "BDAT x LAST\r\n" + c }, false, "501"},
	{"BDAT with a tab", func(c string) string { return fmt.Sprintf("BDAT\t%d LAST\r\n%s", len(c), c) }, false, "500"},
	{"BDAT with a NUL", func(c string) string { return fmt.Sprintf("BDAT %d\x00LAST\r\n%s", len(c), c) }, false, "500"},
	{"BDAT behind a blank", func(c string) string { return fmt.Sprintf(" bdat %d LAST\r\n%s", len(c), c) }, false, "500"},
	{"BDAT in a long line", func(c string) string {
		return fmt.Sprintf("BDAT %d %s LAST\r\n%s", len(c), strings.Repeat(" ", 5000), c)
	}, false, "500"},
	{"BDAT in a very long line", func(c string) string {
		return fmt.Sprintf("BDAT %d %s LAST\r\n%s", len(c), strings.Repeat(" ", 50_000), c)
	}, false, "500"},
}

const framedBytesMax = 1000

func FuzzContent(f *testing.F) {
	for i := range framings {
		for _, seed := range []string{
			"", ".", "\r\n.\r\nMAIL FROM:<evil@x>\r\n", "\n.\nRSET\r\n", "NOOP\r\nQUIT\r\n", "a\r", "\x00\r\n..\r\n", strings.Repeat("NOOP\r\n", 200), "BDAT 4 LAST\r\n",
		} {
			f.Add(uint8(i), seed)
		}
	}
	b := &shelf{}
	server := lmtp.New(lmtp.Config{Backend: b, Hostname: here, SpoolDir: f.TempDir(), MessageBytesMax: framedBytesMax})
	f.Fuzz(func(t *testing.T, which uint8, content string) {
		framing := framings[int(which)%len(framings)]
		*b = shelf{}
		want := content
		if framing.name == "DATA" {
			want += "\r\n" // it can carry nothing else
		}
		outcome, delivered := "250", framing.delivered
		if len(want) > framedBytesMax {
			outcome, delivered = "552", false
		}
		codes := serve(t, server, "LHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<"+bob+">\r\n"+framing.send(content)+"NOOP\r\n")
		wantCodes := "220 250 250 250 " + framing.codes
		if strings.Contains(wantCodes, "%s") {
			wantCodes = fmt.Sprintf(wantCodes, outcome)
		}
		if got := strings.Join(codes, " "); got != wantCodes {
			t.Fatalf("%s of %q: got %s, want %s", framing.name, content, got, wantCodes)
		}
		if delivered && (len(b.bodies) != 1 || b.bodies[0] != want) || !delivered && len(b.bodies) > 0 {
			t.Fatalf("%s of %q: delivered %q", framing.name, content, b.bodies)
		}
	})
}

// FuzzPath wants a sender that was taken to mean the same when another mailstore says it: the delivery key is made of it.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"<>", "<a@x>", "a@x", ` <"a\"> b"@x> SIZE=1`, "<@a,@b:c@d>", "@a:b", `<@a:":b>`, `a"b`, `<a\>`, "<@a:@b:c>", `<"\>`, "<a b>", "<\xff@x> SMTPUTF8",
		"<" + strings.Repeat("a", 1024) + ">", "<" + strings.Repeat("a", 1025) + ">", "<a><b>", "@a", "<@a:>",
	} {
		f.Add(seed)
	}
	b := &shelf{}
	server := lmtp.New(lmtp.Config{Backend: b, Hostname: here, SpoolDir: f.TempDir()})
	home := lmtp.New(lmtp.Config{Backend: b, Hostname: there, Token: peerToken, SpoolDir: f.TempDir()})
	relay := lmtp.NewRelay(lmtp.RelayConfig{Hostname: here, Token: peerToken, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go home.ServeConn(theirs)
		return ours, nil
	}})
	f.Cleanup(relay.Close)
	f.Fuzz(func(t *testing.T, path string) {
		if strings.ContainsAny(path, "\r\n") {
			return
		}
		*b = shelf{}
		serve(t, server, "LHLO x\r\nMAIL FROM:"+path+"\r\nRCPT TO:<"+bob+">\r\nBDAT 1 LAST\r\na")
		if len(b.senders) != 1 {
			return
		}
		m := &lmtp.Mail{ID: "1", Sender: b.senders[0], Body: lmtp.NewBody([]byte("a")), Recipients: []lmtp.Recipient{{Address: bob, Account: account.ID{1}, Name: bob}}}
		outcomes := relay.Deliver(t.Context(), lmtp.Home{FQDN: there, Addr: "home"}, m, nil)
		if outcomes[0].Err != nil || len(b.senders) != 2 || b.senders[1] != b.senders[0] {
			t.Fatalf("%q was taken as %q, and its home told %q: %v", path, b.senders[0], b.senders[1:], outcomes[0].Err)
		}
	})
}

// FuzzHome has the home of a mail say anything. Each recipient has an outcome; only a home that names a kind refuses for good, and none is
// delivered that it gave no sequence of.
func FuzzHome(f *testing.F) {
	hello := "220 x\r\n250-x\r\n250 XMAILREPLICA\r\n250 2.0.0 OK\r\n250 2.1.0 OK\r\n250 2.1.5 OK\r\n550 5.1.1 [not found] no\r\n"
	for _, seed := range []string{
		hello + "250 2.0.0 7 <a> delivered\r\n", hello + "451 4.3.0 [not home] no\r\n", hello + "250 2.0.0 x\r\n", hello + "250\r\n", "220 x\r\n500 5.5.1 no\r\n", "",
		"220-x\r\n" + strings.Repeat("220-y\r\n", 200), strings.Repeat("x", 10_000), hello + "250-a\r\n250 2.0.0 9223372036854775808\r\n", hello[:40] + "552 5.3.4 no\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		relay := lmtp.NewRelay(lmtp.RelayConfig{Hostname: here, Token: peerToken, Dial: func(context.Context, string, string) (net.Conn, error) {
			return listenertest.NewScript(says), nil
		}})
		defer relay.Close()
		m := &lmtp.Mail{ID: "1", Body: lmtp.NewBody([]byte("a")), Recipients: []lmtp.Recipient{{Address: bob}, {Address: "c@x"}}}
		outcomes := relay.Deliver(t.Context(), lmtp.Home{FQDN: there, Addr: "home"}, m, nil)
		if len(outcomes) != 2 {
			t.Fatalf("%d outcomes", len(outcomes))
		}
		for _, o := range outcomes {
			if o.Err == nil && o.Receipt.Key == (mailbox.DeliveryKey{}) {
				t.Errorf("delivered without a receipt: %+v", outcomes)
			}
			if o.Err != nil && !fault.Is(o.Err, fault.HomeUnreachable) && !bytes.Contains(says, []byte("["+fault.KindOf(o.Err).String()+"]")) &&
				!bytes.Contains(says, []byte("[")) && !bytes.Contains(says, []byte("552")) {
				t.Errorf("%q is %v", says, o.Err)
			}
		}
	})
}
