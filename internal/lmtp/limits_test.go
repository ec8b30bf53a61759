package lmtp_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/listener/listenertest"
	"mailreplica/internal/lmtp"
)

// TestLimits goes to each limit of what a client says, and one beyond.
func TestLimits(t *testing.T) {
	of := strings.Repeat
	hello := "LHLO x\r\n"
	mail := hello + "MAIL FROM:<a@x>\r\n"
	rcpt := "RCPT TO:<" + bob + ">\r\n"
	for _, c := range []struct{ name, says, want string }{
		{"a name of 255 bytes", "LHLO " + of("x", 255) + "\r\n", "220 250"},
		{"a name of 256 bytes", "LHLO " + of("x", 256) + "\r\n", "220 501"},
		{"a path of 1,024 bytes", hello + "MAIL FROM:<" + of("x", 1024) + ">\r\n", "220 250 250"},
		{"a path of 1,025 bytes", hello + "MAIL FROM:<" + of("x", 1025) + ">\r\n", "220 250 501"},
		{"a recipient of 1,025 bytes", mail + "RCPT TO:<" + of("x", 1025) + ">\r\n", "220 250 250 501"},
		{"a line of 4,096 bytes", "NOOP " + of("x", 4096-7) + "\r\n", "220 250"},
		{"a line of 4,097 bytes", "NOOP " + of("x", 4097-7) + "\r\nNOOP\r\n", "220 500 250"},
		{"a line of 1 MiB", of("x", 1<<20-2) + "\r\nNOOP\r\n", "220 500 250"},
		{"a line without end", of("x", 1<<20+64<<10) + "\r\nNOOP\r\n", "220 421"},
		{"3 recipients", mail + of(rcpt, 3), "220 250 250 250 250 250"},
		{"4 recipients", mail + of(rcpt, 4), "220 250 250 250 250 250 452"},
		{"a message of 1,000 bytes", mail + rcpt + "DATA\r\n" + of("x", 998) + "\r\n.\r\nNOOP\r\n", "220 250 250 250 354 250 250"},
		{"a message of 1,001 bytes", mail + rcpt + "DATA\r\n" + of("x", 999) + "\r\n.\r\nNOOP\r\n", "220 250 250 250 354 552 250"},
		{"a chunk of 1,000 bytes", mail + rcpt + "BDAT 1000 LAST\r\n" + of("x", 1000) + "NOOP\r\n", "220 250 250 250 250 250"},
		{"a chunk of 1,001 bytes", mail + rcpt + "BDAT 1001 LAST\r\n" + of("x", 1001) + "NOOP\r\n", "220 250 250 250 552 250"},
		{"a chunk that nobody reads to its end", mail + rcpt + "BDAT 1073742825 LAST\r\nNOOP\r\n", "220 250 250 250 421"},
		{"a size of 1,000 bytes", hello + "MAIL FROM:<a@x> SIZE=1000\r\n", "220 250 250"},
		{"a size of 1,001 bytes", hello + "MAIL FROM:<a@x> SIZE=1001\r\n", "220 250 552"},
		{"19 errors", of("FOO\r\n", 19) + "NOOP\r\n", "220" + of(" 500", 19) + " 250"},
		{"20 errors", of("FOO\r\n", 20) + "NOOP\r\n", "220" + of(" 500", 20) + " 421"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := lmtp.New(lmtp.Config{Backend: &shelf{}, Hostname: here, SpoolDir: t.TempDir(), MessageBytesMax: 1000, RecipientsMax: 3})
			if got := strings.Join(serve(t, server, c.says), " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestMemoryOfARefusedMessage sends far more than is taken: none of it is kept, whichever way it comes.
func TestMemoryOfARefusedMessage(t *testing.T) {
	const size = 60 << 20
	begin := "LHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<" + bob + ">\r\n"
	content := strings.Repeat("x\r\n", size/3)
	for name, says := range map[string]string{
		"DATA":             begin + "DATA\r\n" + content + ".\r\n",
		"BDAT":             begin + fmt.Sprintf("BDAT %d LAST\r\n", len(content)) + content,
		"BDAT that is not": fmt.Sprintf("BDAT %d LAST\r\n", len(content)) + content,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			server := lmtp.New(lmtp.Config{Backend: &shelf{}, Hostname: here, SpoolDir: dir, MessageBytesMax: 3 << 20})
			conn := listenertest.NewScript([]byte(says))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			server.ServeConn(conn)
			runtime.ReadMemStats(&after)
			// The first MiB is in memory, in a buffer that grows by doubling; then the message is in a file.
			if got := after.TotalAlloc - before.TotalAlloc; got > 6<<20 {
				t.Errorf("%d bytes were allocated for a message of %d", got, size)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			if said := string(conn.Said()); !strings.Contains(said, "\r\n552 ") && !strings.Contains(said, "\r\n503 ") {
				t.Errorf("got %q", said)
			}
		})
	}
}

func TestBadSessionsLeaveNothing(t *testing.T) {
	serverTLS, _ := testTLS(t)
	_, addr := start(t, lmtp.Config{Backend: newMemory(t, bob), TLS: serverTLS, MessageBytesMax: 4 << 20})
	begin := "LHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<" + bob + ">\r\n"
	listenertest.BadSessions(t, addr, []string{
		"", "\x00", "NOOP", begin, begin + "DATA\r\nhalf of a message\r\n.", begin + "BDAT 100 LAST\r\nx", begin + "BDAT x LAST\r\n",
		begin + "DATA\r\n" + strings.Repeat("x", 2<<20), // in a file by then
		begin + "BDAT 3000000\r\n" + strings.Repeat("x", 3_000_000), begin + "DATA\r\n.\r\nQUIT\r\n", "STARTTLS\r\n", "LHLO x\r\nSTARTTLS\r\n",
		"LHLO x\r\nSTARTTLS\r\nQUIT\r\n", strings.Repeat("FOO\r\n", 30), strings.Repeat("x", 2<<20), "XMAILREPLICA TOKEN=x\r\n",
	}, 10)
}

// TestRelayTakesNothingSentBeforeTLS: what a home, or who sits between, says behind its answer to STARTTLS is no answer of the home's, and
// the token is not sent.
func TestRelayTakesNothingSentBeforeTLS(t *testing.T) {
	_, clientTLS := testTLS(t)
	says := "220 x\r\n250 x\r\n220 begin\r\n250-x\r\n250 XMAILREPLICA\r\n250 2.0.0 OK\r\n250 2.1.0 OK\r\n250 2.1.5 OK\r\n250 2.0.0 7 delivered\r\n"
	conn := listenertest.NewScript([]byte(says))
	r := lmtp.NewRelay(lmtp.RelayConfig{Hostname: here, Token: peerToken, TLS: clientTLS, Dial: func(context.Context, string, string) (net.Conn, error) {
		return conn, nil
	}})
	defer r.Close()
	m := &lmtp.Mail{ID: "1", Body: lmtp.NewBody([]byte("a")), Recipients: []lmtp.Recipient{{Address: bob}}}
	outcomes := r.Deliver(t.Context(), lmtp.Home{FQDN: there, Addr: "home"}, m, nil)
	if !fault.Is(outcomes[0].Err, fault.HomeUnreachable) {
		t.Errorf("got %+v", outcomes)
	}
	if said := string(conn.Said()); said != "LHLO "+here+"\r\nSTARTTLS\r\n" {
		t.Errorf("the home was sent %q", said)
	}
}
