package imap

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
)

// proxyMechanism is how one mailstore logs in to another for an account that it has authenticated itself. Its response is
// token NUL account NUL address of the client. It is not announced, and a session that used it is never forwarded again.
const proxyMechanism = "X-MAILREPLICA-PROXY"

const proxyLoginTimeout = 20 * time.Second

// fromPeer begins a session that another mailstore forwarded.
func (s *session) fromPeer(c *wire.Command, token, account, remote string) (outcome, error) {
	if s.server.config.ProxyAuth == nil {
		return outcome{status: wire.NO, code: "CANNOT", text: "Unknown authentication mechanism"}, nil
	}
	login, err := s.server.config.ProxyAuth(token, account, remote)
	if err != nil {
		return s.loginFailed(c, account, err), nil
	}
	s.proxied = true
	s.remote = peerAddr(remote)
	return s.enter(c, login)
}

// HomeConn is a connection to an account's home, logged in.
type HomeConn struct {
	net.Conn
	reader       *bufio.Reader
	capabilities string
}

// Capability is what the home offers the account, as in a CAPABILITY response.
func (h *HomeConn) Capability() string { return h.capabilities }

// Read gives what the home sends after the login.
func (h *HomeConn) Read(p []byte) (int, error) {
	if h.reader != nil {
		if h.reader.Buffered() > 0 {
			return h.reader.Read(p)
		}
		h.reader = nil
	}
	return h.Conn.Read(p)
}

// CloseWrite ends what is said to the home, whose answers are still read.
func (h *HomeConn) CloseWrite() error {
	half, ok := h.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// ProxyLogin logs in to the IMAP server of another mailstore, the home of an account that this one has authenticated. The
// token is the one that mailstores share; remote is the client's address, for the home's logs and limits. On success the
// connection is ready to be piped. Errors are HomeUnreachable, but for what the home says of the account itself.
func ProxyLogin(ctx context.Context, conn net.Conn, token, account, remote string) (*HomeConn, error) {
	deadline := time.Now().Add(proxyLoginTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, fault.Wrap(fault.HomeUnreachable, err, "the home of %s does not answer", account)
	}
	home := &HomeConn{Conn: conn, reader: bufio.NewReaderSize(conn, 4<<10)}
	line, err := home.command(token, account, remote)
	if err != nil {
		return nil, fault.Wrap(fault.HomeUnreachable, err, "the home of %s does not answer", account)
	}
	if !strings.HasPrefix(line, "OK ") {
		return nil, refusedBy(line, account)
	}
	if _, rest, ok := strings.Cut(line, "[CAPABILITY "); ok {
		home.capabilities, _, _ = strings.Cut(rest, "]")
		if strings.ContainsFunc(home.capabilities, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, fault.New(fault.HomeUnreachable, "the home of %s says what no server says", account) // the client would be told it
		}
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, fault.Wrap(fault.HomeUnreachable, err, "the home of %s does not answer", account)
	}
	return home, nil
}

// command reads the greeting, logs in and gives the tagged response without its tag.
func (h *HomeConn) command(token, account, remote string) (string, error) {
	greeting, err := h.line()
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(greeting, "* OK") {
		return "", fmt.Errorf("the greeting was %q", greeting)
	}
	response := base64.StdEncoding.EncodeToString([]byte(token + "\x00" + account + "\x00" + remote))
	if _, err := io.WriteString(h.Conn, "P AUTHENTICATE "+proxyMechanism+" "+response+"\r\n"); err != nil {
		return "", err
	}
	for {
		line, err := h.line()
		if err != nil {
			return "", err
		}
		if tagged, ok := strings.CutPrefix(line, "P "); ok {
			return tagged, nil
		}
		if strings.HasPrefix(line, "* BYE") {
			return "", fmt.Errorf("the home said %q", line)
		}
	}
}

func (h *HomeConn) line() (string, error) {
	line, err := h.reader.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// refusedBy makes an error of what the home said. Never Credentials: this mailstore has checked them, and the client would
// ask its user for the password.
func refusedBy(line, account string) error {
	kind := fault.HomeUnreachable
	for code, k := range map[string]fault.Kind{"[ALERT]": fault.Maintenance, "[AUTHORIZATIONFAILED]": fault.Locked} {
		if strings.Contains(line, code) {
			kind = k
		}
	}
	return fault.Wrap(kind, fmt.Errorf("the home said %q", line), "the home of %s does not take the session", account)
}

// forward makes the session a byte pipe to the account's home.
func (s *session) forward(c *wire.Command, login Login) (outcome, error) {
	if s.proxied || login.Proxy == nil {
		return outcome{status: wire.NO, code: "UNAVAILABLE", text: "The mailbox has moved, connect again"}, nil
	}
	home, err := login.Proxy(s.ctx)
	s.countLogin(err)
	if err != nil {
		s.log.Warn("a session could not be handed to its home", "remote", s.remote, "user", login.Name, "error", err)
		return s.failed(c, err), nil
	}
	s.log.Debug("imap login", "remote", s.remote, "account", login.Name, "handed", true)
	capabilities := "IMAP4rev1"
	if h, ok := home.(interface{ Capability() string }); ok && h.Capability() != "" {
		capabilities = h.Capability()
	}
	s.out.Tagged(c.Tag, wire.OK, "CAPABILITY "+capabilities, "Logged in")
	if err := s.out.Flush(); err != nil {
		_ = home.Close()
		return outcome{answered: true, ends: true}, nil
	}
	s.pipe(home)
	return outcome{answered: true, ends: true}, nil
}
