package frontend

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/credential"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/pause"
)

const (
	homeDialWait  = 5 * time.Second
	peerLoginWait = 5 * time.Second // for the directory, when another mailstore hands a session over
)

// IMAPConfig is what an IMAP backend is made of.
type IMAPConfig struct {
	Router   *Router
	Verifier *credential.Verifier
	Throttle *credential.Throttle
	Token    string      // that mailstores share
	TLS      *tls.Config // required of other mailstores' IMAP servers (STARTTLS) where it is set; ServerName is filled in
	// Dial makes a connection to another mailstore's IMAP server; nil is TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// IMAP is the backend of the IMAP server.
type IMAP struct {
	config IMAPConfig
}

var _ imap.Backend = (*IMAP)(nil)

// NewIMAP makes the backend of an IMAP server.
func NewIMAP(c IMAPConfig) *IMAP {
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: homeDialWait}).DialContext
	}
	return &IMAP{config: c}
}

// Login implements imap.Backend.
func (b *IMAP) Login(ctx context.Context, user, password string, remote net.Addr) (imap.Login, error) {
	route, err := b.admit(ctx, user, password, addressOf(remote))
	if err != nil {
		return imap.Login{}, err
	}
	return b.login(route, remote), nil
}

// admit gives the account that a client may log in to, and its home. Clients whose logins fail wait.
func (b *IMAP) admit(ctx context.Context, user, password string, address netip.Addr) (Route, error) {
	name, err := account.ParseName(user)
	if err != nil {
		name = "" // all of them count as one
	}
	if wait := b.config.Throttle.Wait(address, name); wait > 0 {
		if err := pause.For(ctx, wait); err != nil {
			return Route{}, fault.Wrap(fault.Interrupted, err, "the login was given up")
		}
	}
	a, err := b.authenticate(ctx, name, password)
	if fault.Is(err, fault.Credentials) {
		b.config.Throttle.Failed(address, name)
	}
	if err != nil {
		return Route{}, err
	}
	b.config.Throttle.Succeeded(address, name)
	if err := mayLogIn(a); err != nil {
		return Route{}, err
	}
	route, err := b.config.Router.route(a)
	if err != nil {
		return Route{}, err
	}
	return b.config.Router.confirm(ctx, route)
}

func (b *IMAP) login(route Route, remote net.Addr) imap.Login {
	login := imap.Login{Account: route.Account.ID, Name: route.Account.Name, Local: route.Local}
	if !route.Local {
		login.Proxy = func(ctx context.Context) (net.Conn, error) { return b.proxy(ctx, route, remote) }
	}
	return login
}

// authenticate gives the account whose password this is. All that a client could learn names from is Credentials, and
// takes as long.
func (b *IMAP) authenticate(ctx context.Context, name, password string) (directory.Account, error) {
	if name == "" {
		return directory.Account{}, b.config.Verifier.VerifyUnknown(ctx, password)
	}
	follower := b.config.Router.config.Follower
	a, err := follower.LookupForPassword(ctx, name)
	if fault.Is(err, fault.NotFound) || err == nil && (a.Kind != directory.User || a.Deleting) {
		return directory.Account{}, b.config.Verifier.VerifyUnknown(ctx, password)
	}
	if err != nil {
		return directory.Account{}, err
	}
	err = b.config.Verifier.Verify(ctx, a.ID, a.PasswordHash, password)
	if !fault.Is(err, fault.Credentials) {
		return a, err
	}
	// The copy of the directory may be a moment behind a change of the password.
	b.config.Router.refresh(ctx)
	fresh, known := follower.Copy().Account(a.ID)
	if !known || fresh.PasswordHash == a.PasswordHash {
		return a, err
	}
	return fresh, b.config.Verifier.Verify(ctx, fresh.ID, fresh.PasswordHash, password)
}

// addressOf is a client's address without its port; the zero address where there is none.
func addressOf(remote net.Addr) netip.Addr {
	if remote == nil {
		return netip.Addr{}
	}
	if both, err := netip.ParseAddrPort(remote.String()); err == nil {
		return both.Addr()
	}
	address, err := netip.ParseAddr(remote.String())
	if err != nil {
		return netip.Addr{}
	}
	return address
}

// proxy connects to the home and logs in there. Where the home says that it is not, or does not answer, the account may
// have been promoted a moment ago: the directory is asked, and another home tried once.
func (b *IMAP) proxy(ctx context.Context, route Route, remote net.Addr) (net.Conn, error) {
	conn, err := b.connect(ctx, route, remote)
	if err == nil || !fault.Is(err, fault.HomeUnreachable) && !fault.Is(err, fault.NotHome) {
		return conn, err
	}
	b.config.Router.refresh(ctx)
	again, lookupErr := b.config.Router.ByID(ctx, route.Account.ID)
	switch {
	case lookupErr != nil || again.Home == route.Home:
		return nil, err
	case again.Local:
		return nil, fault.Wrap(fault.NotHome, err, "%s has moved here a moment ago", route.Account.Name)
	}
	return b.connect(ctx, again, remote)
}

func (b *IMAP) connect(ctx context.Context, route Route, remote net.Addr) (net.Conn, error) {
	home, err := b.config.Router.home(route)
	if err != nil {
		return nil, err
	}
	conn, err := b.config.Dial(ctx, "tcp", home.IMAPAddr)
	if err != nil {
		return nil, fault.Wrap(fault.HomeUnreachable, err, "%s, the home of %s, does not answer", home.FQDN, route.Account.Name)
	}
	logged, err := b.handOver(ctx, conn, home.FQDN, route.Account.Name, remote)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return b.config.Router.moves.session(logged, route), nil
}

// text is an address in words; remote may be nil.
func text(remote net.Addr) string {
	if remote == nil {
		return ""
	}
	return remote.String()
}

// handOver logs in to the home for the account.
func (b *IMAP) handOver(ctx context.Context, conn net.Conn, home, name string, remote net.Addr) (*imap.HomeConn, error) {
	if b.config.TLS != nil {
		secure, err := startTLS(ctx, conn, b.config.TLS, home)
		if err != nil {
			return nil, fault.Wrap(fault.HomeUnreachable, err, "%s, the home of %s, cannot be reached over TLS", home, name)
		}
		conn = secure
	}
	return imap.ProxyLogin(ctx, conn, b.config.Token, name, text(remote))
}

// ProxyAuth is imap.Config's ProxyAuth: it takes a session that another mailstore has authenticated. An account whose home
// is not here is NotHome, and the session is never forwarded again.
func (b *IMAP) ProxyAuth(token, name, _ string) (imap.Login, error) {
	if b.config.Token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(b.config.Token)) != 1 {
		return imap.Login{}, fault.New(fault.Denied, "the token is wrong")
	}
	ctx, cancel := context.WithTimeout(context.Background(), peerLoginWait)
	defer cancel()
	route, err := b.config.Router.ByName(ctx, name)
	if err != nil {
		return imap.Login{}, err
	}
	if err := mayLogIn(route.Account); err != nil {
		return imap.Login{}, err
	}
	if !route.Local {
		return imap.Login{}, fault.New(fault.NotHome, "the home of %s is %s", name, route.Home)
	}
	return imap.Login{Account: route.Account.ID, Name: route.Account.Name, Local: true}, nil
}
