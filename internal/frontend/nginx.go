package frontend

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/measure"
)

const (
	resolveWait = 2 * time.Second // for the address of a home that is known by its name
	retryWait   = 2               // seconds that nginx lets a client wait for its refusal, after which it may try again
	textBytes   = 300             // of a refusal: nginx takes no more than 1,024 bytes of an answer's head
	loginsMax   = 10_000          // that are asked about at once: most of them wait, since they guess
)

// NginxConfig is what an NginxAuth is made of.
type NginxConfig struct {
	Logins      *IMAP
	AttemptsMax int    // failed logins on one connection, then nginx is to end it
	SMTP        string // optional: host:port of the mail server that those are passed on to who send mail
	Logger      *slog.Logger
	LoginsMax   int // asked about at once; 10,000
	// Resolve finds an address of a host; nil asks the system.
	Resolve func(ctx context.Context, host string) (netip.Addr, error)
}

// NginxAuth answers nginx's mail proxy (its auth_http): whether a client may log in, and where its home is. All is told in fields of
// heads, of the request as of the answer; nginx looks at no status and at no body.
type NginxAuth struct {
	config NginxConfig
	logins measure.Outcomes
	under  atomic.Int64 // questions
}

// NewNginxAuth makes an NginxAuth.
func NewNginxAuth(c NginxConfig) *NginxAuth {
	if c.Resolve == nil {
		c.Resolve = resolve
	}
	if c.LoginsMax <= 0 {
		c.LoginsMax = loginsMax
	}
	return &NginxAuth{config: c}
}

// Logins are counted on while it is used.
func (n *NginxAuth) Logins() *measure.Outcomes { return &n.logins }

// nginxLogin is what nginx asks.
type nginxLogin struct {
	protocol, method string
	user, password   string
	client           netip.Addr // the zero address if nginx does not know it: all such clients count as one
	attempt          int        // on its connection, from 1
}

// ServeHTTP implements http.Handler.
func (n *NginxAuth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	login, err := readNginxLogin(r.Header)
	if err != nil {
		http.Error(w, fault.Message(err), http.StatusBadRequest) // to nginx: that the server does not work, and not that the login is wrong
		return
	}
	server, err := n.decide(r.Context(), login)
	n.logins.Add(err)
	if err != nil {
		n.config.Logger.Info("nginx login failed", "remote", login.client, "user", login.user[:min(len(login.user), userBytesShown)],
			"protocol", login.protocol, "error", err)
		n.refuse(w.Header(), login, err)
		return
	}
	w.Header().Set("Auth-Status", "OK")
	w.Header().Set("Auth-Server", server.Addr().String())
	w.Header().Set("Auth-Port", strconv.Itoa(int(server.Port())))
}

// userBytesShown is how much of a name that is nobody's goes to the log: as much as a name can have.
const userBytesShown = 254

// readNginxLogin reads the fields of ngx_mail_auth_http_module. In a name and a password spaces, percent signs and what is not
// printable ASCII come percent-encoded.
func readNginxLogin(h http.Header) (login nginxLogin, err error) {
	login = nginxLogin{protocol: h.Get("Auth-Protocol"), method: h.Get("Auth-Method")}
	if login.protocol == "" || login.method == "" {
		return login, fault.New(fault.Invalid, "this is for nginx's mail proxy, which says Auth-Method and Auth-Protocol")
	}
	if login.user, err = url.PathUnescape(h.Get("Auth-User")); err == nil {
		login.password, err = url.PathUnescape(h.Get("Auth-Pass"))
	}
	if err != nil {
		return login, fault.Wrap(fault.Invalid, err, "Auth-User or Auth-Pass is not percent-encoded")
	}
	login.client, _ = netip.ParseAddr(h.Get("Client-IP"))        // of a Unix socket's there is none
	login.attempt, _ = strconv.Atoi(h.Get("Auth-Login-Attempt")) // without: as if it were the first
	return login, nil
}

// decide gives the server that a client is to be passed on to. Failed logins are slowed down here, as those are that come without
// nginx: it waits for the answer.
func (n *NginxAuth) decide(ctx context.Context, login nginxLogin) (netip.AddrPort, error) {
	defer n.under.Add(-1)
	switch {
	case n.under.Add(1) > int64(n.config.LoginsMax):
		return netip.AddrPort{}, fault.New(fault.Busy, "too many logins at once")
	case login.protocol != "imap" && (login.protocol != "smtp" || n.config.SMTP == ""):
		return netip.AddrPort{}, fault.New(fault.Denied, "There is no %.20s here", login.protocol)
	case login.method != "plain":
		return netip.AddrPort{}, fault.New(fault.Denied, "Log in with the password itself (PLAIN or LOGIN)")
	}
	route, err := n.config.Logins.admit(ctx, login.user, login.password, login.client)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if login.protocol == "smtp" {
		return n.server(ctx, n.config.SMTP)
	}
	home, err := n.config.Logins.config.Router.home(route)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return n.server(ctx, home.IMAPAddr)
}

// server is an address as nginx takes it: never a name.
func (n *NginxAuth) server(ctx context.Context, addr string) (netip.AddrPort, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, fault.Wrap(fault.HomeUnreachable, err, "the home does not listen for this protocol")
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fault.Wrap(fault.HomeUnreachable, err, "%q is no port", text)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		if ip, err = n.config.Resolve(ctx, host); err != nil {
			return netip.AddrPort{}, fault.Wrap(fault.HomeUnreachable, err, "the address of %s cannot be found", host)
		}
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), nil
}

func resolve(ctx context.Context, host string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveWait)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	return all[0], nil // there is one, or an error
}

// refuse says why a client is not let in. nginx puts what Auth-Status says behind the tag and NO of IMAP, and behind Auth-Error-Code
// in SMTP. It ends the connection, unless it is told to wait.
func (n *NginxAuth) refuse(h http.Header, login nginxLogin, err error) {
	code, text := imap.Refusal(err)
	text = text[:min(len(text), textBytes)]
	if login.protocol == "smtp" {
		h.Set("Auth-Error-Code", smtpCode(err))
	} else {
		text = "[" + code + "] " + text
	}
	h.Set("Auth-Status", text)
	if login.attempt < n.config.AttemptsMax {
		h.Set("Auth-Wait", strconv.Itoa(retryWait))
	}
}

// smtpCode is RFC 4954 section 6: what a client must not take for a wrong password is temporary.
func smtpCode(err error) string {
	switch fault.KindOf(err) {
	case fault.Credentials:
		return "535 5.7.8"
	case fault.Denied, fault.Locked, fault.Closed:
		return "535 5.7.0"
	}
	return "454 4.7.0"
}
