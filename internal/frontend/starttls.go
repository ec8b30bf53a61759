package frontend

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	homeLineBytesMax = 4 << 10
	homeLinesMax     = 20
	startTLSWait     = 10 * time.Second
)

// greeted is a connection under TLS that gives the greeting, which was read in the clear, once more.
type greeted struct {
	*tls.Conn
	greeting string
}

func (g *greeted) Read(p []byte) (int, error) {
	if g.greeting != "" {
		n := copy(p, g.greeting)
		g.greeting = g.greeting[n:]
		return n, nil
	}
	return g.Conn.Read(p)
}

// startTLS puts a connection to another mailstore's IMAP server under TLS (RFC 3501 section 6.2.1), before the token that
// mailstores share is sent over it. A server that does not offer TLS is none to trust.
func startTLS(ctx context.Context, conn net.Conn, config *tls.Config, fqdn string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, startTLSWait)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // fails where the connection is closed
	defer stop()
	greeting, err := readLine(conn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("T STARTTLS\r\n")); err != nil {
		return nil, err
	}
	for range homeLinesMax {
		line, err := readLine(conn)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(line, "T OK") {
			config = config.Clone()
			if config.ServerName == "" {
				config.ServerName = fqdn
			}
			secure := tls.Client(conn, config)
			return &greeted{secure, greeting}, secure.HandshakeContext(ctx)
		}
		if strings.HasPrefix(line, "T ") {
			return nil, fmt.Errorf("the home refuses STARTTLS: %q", line)
		}
	}
	return nil, fmt.Errorf("the home does not answer STARTTLS")
}

// readLine reads byte by byte, since what follows a line may be the other side's handshake.
func readLine(conn net.Conn) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < homeLineBytesMax; {
		if _, err := conn.Read(b); err != nil {
			return "", err
		}
		if line = append(line, b[0]); b[0] == '\n' {
			return string(line), nil
		}
	}
	return "", fmt.Errorf("a line of the home has more than %d bytes", homeLineBytesMax)
}
