package imap

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
)

// capabilitiesAfter is what is offered after login; APPENDLIMIT is added.
const capabilitiesAfter = "IDLE MOVE UIDPLUS UNSELECT CHILDREN NAMESPACE SPECIAL-USE CREATE-SPECIAL-USE ESEARCH SEARCHRES WITHIN " +
	"LIST-EXTENDED LIST-STATUS STATUS=SIZE MULTIAPPEND BINARY CONDSTORE QRESYNC"

func (s *session) capabilities() string {
	caps := []string{"IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE"}
	if s.mailbox != nil {
		limit := strconv.FormatInt(s.server.config.AppendBytesMax, 10)
		return strings.Join(append(caps, capabilitiesAfter, "APPENDLIMIT="+limit), " ")
	}
	caps = append(caps, "IDLE")
	if !s.secure && s.server.config.TLS != nil {
		caps = append(caps, "STARTTLS")
	}
	if s.passwordsAllowed() {
		caps = append(caps, "AUTH=PLAIN", "AUTH=LOGIN")
	} else {
		caps = append(caps, "LOGINDISABLED")
	}
	return strings.Join(caps, " ")
}

// passwordsAllowed reports whether a password may cross the connection: under TLS, or where that is configured between
// processes of this machine, or from a proxy.
func (s *session) passwordsAllowed() bool {
	if s.secure {
		return true
	}
	tcp, isTCP := s.remote.(*net.TCPAddr)
	if !isTCP {
		return s.server.config.AllowPlaintext
	}
	from := tcp.AddrPort().Addr().Unmap().WithZone("")
	return s.server.config.AllowPlaintext && from.IsLoopback() ||
		slices.ContainsFunc(s.server.config.PlaintextFrom, func(p netip.Prefix) bool { return p.Contains(from) })
}

// startTLS upgrades the connection (RFC 3501 section 6.2.1). Commands sent ahead in the clear could be another's, so they
// are not executed under the protection of TLS; a client that sends them is turned away.
func (s *session) startTLS(c *wire.Command) (outcome, error) {
	if s.server.config.TLS == nil || s.secure {
		return outcome{status: wire.BAD, text: "TLS is not available"}, nil
	}
	if s.in.Buffered() > 0 || s.link.pending() > 0 {
		return outcome{status: wire.BAD, text: "Nothing may follow STARTTLS before its response", ends: true}, nil
	}
	s.out.Tagged(c.Tag, wire.OK, "", "Begin TLS negotiation")
	if err := s.out.Flush(); err != nil {
		return outcome{}, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.server.config.LoginTimeout)
	defer cancel()
	conn := tls.Server(s.link.conn, s.server.config.TLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		s.log.Debug("imap tls handshake failed", "remote", s.remote, "error", err)
		return outcome{status: wire.NO, answered: true, ends: true}, nil
	}
	s.link.upgrade(conn)
	s.secure = true
	return outcome{answered: true}, nil
}

func (s *session) login(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Login)
	return s.withPassword(c, args.User, args.Password)
}

func (s *session) authenticate(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Authenticate)
	switch args.Mechanism {
	case "PLAIN", "LOGIN":
		if !s.passwordsAllowed() {
			return privacyRequired, nil
		}
	case proxyMechanism:
	default:
		return outcome{status: wire.NO, code: "CANNOT", text: "Unknown authentication mechanism"}, nil
	}
	if args.Mechanism == "LOGIN" {
		return s.saslLogin(c, args)
	}
	response, o := s.saslResponse(c, "", args)
	if o.answered || o.status != "" {
		return o, nil
	}
	fields := bytes.Split(response, []byte{0})
	if len(fields) != 3 {
		return outcome{status: wire.BAD, text: "Invalid response"}, nil
	}
	first, second, third := string(fields[0]), string(fields[1]), string(fields[2])
	if args.Mechanism == proxyMechanism {
		return s.fromPeer(c, first, second, third)
	}
	if first != "" && first != second { // RFC 4616: authorization as another
		return outcome{status: wire.NO, code: "AUTHORIZATIONFAILED", text: "Nobody may act for another"}, nil
	}
	return s.withPassword(c, second, third)
}

// saslLogin is the old LOGIN mechanism, which some clients prefer.
func (s *session) saslLogin(c *wire.Command, args *wire.Authenticate) (outcome, error) {
	user, o := s.saslResponse(c, "Username:", args)
	if o.answered || o.status != "" {
		return o, nil
	}
	password, o := s.saslResponse(c, "Password:", &wire.Authenticate{})
	if o.answered || o.status != "" {
		return o, nil
	}
	return s.withPassword(c, string(user), string(password))
}

// saslResponse gives the client's response to a challenge, which it may have sent ahead; else what to answer.
func (s *session) saslResponse(c *wire.Command, challenge string, args *wire.Authenticate) ([]byte, outcome) {
	if args.HasInitial {
		return args.Initial, outcome{}
	}
	s.out.Continue(base64.StdEncoding.EncodeToString([]byte(challenge)))
	if s.out.Flush() != nil {
		return nil, outcome{answered: true, ends: true}
	}
	line, err := s.in.ReadLine()
	if err != nil {
		return nil, s.failed(c, withTag(err, c.Tag))
	}
	if line == "*" {
		return nil, outcome{status: wire.BAD, text: "Authentication cancelled"}
	}
	response, ok := wire.DecodeSASL(line)
	if !ok {
		return nil, outcome{status: wire.BAD, text: "Invalid response"}
	}
	return response, outcome{}
}

var privacyRequired = outcome{status: wire.NO, code: "PRIVACYREQUIRED", text: "Use STARTTLS or the port for TLS first"}

func (s *session) withPassword(c *wire.Command, user, password string) (outcome, error) {
	if !s.passwordsAllowed() {
		return privacyRequired, nil
	}
	login, err := s.server.config.Backend.Login(s.ctx, user, password, s.remote)
	if err != nil {
		s.countLogin(err)
		return s.loginFailed(c, user, err), nil
	}
	return s.enter(c, login)
}

// userBytesShown is how much of a name that is nobody's goes to the log: as much as a name can have.
const userBytesShown = 254

func (s *session) loginFailed(c *wire.Command, user string, err error) outcome {
	s.log.Info("imap login failed", "remote", s.remote, "user", user[:min(len(user), userBytesShown)], "error", err)
	o := s.failed(c, err)
	if fault.Is(err, fault.Credentials) || fault.Is(err, fault.Denied) {
		if s.failures++; s.failures >= s.server.config.LoginAttemptsMax {
			s.out.Tagged(c.Tag, o.status, o.code, o.text)
			s.out.Bye("", "Too many failed logins")
			return outcome{status: o.status, answered: true, ends: true}
		}
	}
	return o
}

// countLogin counts what became of a client's login, at the mailstore that the client has connected to.
func (s *session) countLogin(err error) {
	if !s.proxied {
		s.server.measures.Logins.Add(err)
	}
}

// enter begins the session of an account: here, or as a byte pipe to its home.
func (s *session) enter(c *wire.Command, login Login) (outcome, error) {
	if !login.Local {
		return s.forward(c, login)
	}
	mailbox, err := s.server.config.Backend.Open(s.ctx, login.Account)
	s.countLogin(err)
	if err != nil {
		o := s.failed(c, err)
		return o, nil
	}
	s.mailbox = mailbox
	s.watch = mailbox.Watch()
	s.link.stall = stallDefault
	limits := wire.DefaultLimits()
	limits.AppendBytesMax = s.server.config.AppendBytesMax
	s.in.SetLimits(limits)
	s.log = s.log.With("account", login.Name)
	s.watch.OnWake(s.heard)
	s.log.Debug("imap login", "remote", s.remote)
	return outcome{code: "CAPABILITY " + s.capabilities(), text: "Logged in"}, nil
}

// heard is called when the mailbox has something to say.
func (s *session) heard() {
	select {
	case <-s.watch.Ended():
		s.end(s.watch.Reason())
	default:
		s.link.wake(true)
	}
}

// peerAddr is the address of a client that another mailstore forwarded.
type peerAddr string

func (peerAddr) Network() string  { return "tcp" }
func (a peerAddr) String() string { return string(a) }

var _ net.Addr = peerAddr("")
