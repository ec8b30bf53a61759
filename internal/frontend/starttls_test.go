package frontend

import (
	"bytes"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"

	"mailreplica/internal/listener/listenertest"
)

// recorded is a connection whose writes are kept.
type recorded struct {
	net.Conn
	mu   sync.Mutex
	sent bytes.Buffer
}

func (r *recorded) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent.Write(p)
}

// FuzzStartTLS has a home, or who sits between, say anything in the clear: nothing but STARTTLS and a handshake is ever sent to it, and
// nothing that it says is taken for what a home says under TLS.
func FuzzStartTLS(f *testing.F) {
	for _, says := range []string{
		"* OK hi\r\nT OK begin\r\n", "* OK hi\r\nT OK begin\r\n* OK [CAPABILITY IMAP4rev1] again\r\nP OK in\r\n", "* OK hi\r\nT NO no\r\n", "* BYE\r\n", "",
		strings.Repeat("* x\r\n", homeLinesMax+1) + "T OK\r\n", strings.Repeat("x", homeLineBytesMax+1) + "\r\n", "T OK\r\nT OK\r\n\x16\x03\x03\x00\x02\x02\x28",
	} {
		f.Add([]byte(says))
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		conn := &recorded{Conn: listenertest.NewScript(says)}
		if _, err := startTLS(t.Context(), conn, &tls.Config{}, "mbox2.example.com"); err == nil {
			t.Fatalf("%q: a home without a certificate was believed", says)
		}
		rest, _ := bytes.CutPrefix(conn.sent.Bytes(), []byte("T STARTTLS\r\n"))
		if len(rest) > 0 && rest[0] != 0x16 && rest[0] != 0x15 { // a record of a handshake, or an alert
			t.Fatalf("%q: %q was sent in the clear", says, rest)
		}
	})
}
