package node

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"mailreplica/internal/admin"
	"mailreplica/internal/credential"
	"mailreplica/internal/fault"
	"mailreplica/internal/frontend"
	"mailreplica/internal/imap"
	"mailreplica/internal/lmtp"
)

// server is what IMAP and LMTP have in common here.
type server interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
}

// frontends are what clients talk to.
type frontends struct {
	imap    *imap.Server
	lmtp    *lmtp.Server
	deliver *frontend.LMTP
	nginx   *frontend.NginxAuth
}

// listenFrontends opens the listeners of mail clients and MTAs, as far as the configuration names them.
func (n *Node) listenFrontends(ctx context.Context) error {
	router := frontend.NewRouter(frontend.RouterConfig{
		Follower: n.follower, Mailstore: n.mailstore, Creator: n.manager, LogContact: n.agent.LastContact,
	})
	if err := n.listenLMTP(ctx, router); err != nil {
		return err
	}
	return n.listenIMAP(ctx, router)
}

func (n *Node) listenLMTP(ctx context.Context, router *frontend.Router) error {
	relay := lmtp.NewRelay(lmtp.RelayConfig{Hostname: n.config.FQDN, Token: n.tokens.peer, TLS: n.tls.client(), Dial: n.world.Dial})
	backend := frontend.NewLMTP(frontend.LMTPConfig{Router: router, Relay: relay, Logger: n.logger})
	n.atStop(func(context.Context) error {
		relay.Close()
		return nil
	})
	n.loops.Go(func() { backend.Run(n.ctx) })
	c := n.config.LMTP
	s := lmtp.New(lmtp.Config{
		Backend: backend, Hostname: n.config.FQDN, TLS: n.tls.server(), Token: n.tokens.peer, SpoolDir: n.config.Data,
		MessageBytesMax: c.MessageBytesMax, RecipientsMax: c.RecipientsMax, SessionsMax: c.SessionsMax, Logger: n.logger,
	})
	n.frontends.lmtp, n.frontends.deliver = s, backend
	return n.serve(ctx, "lmtp", n.config.Listen.LMTP, nil, s)
}

func (n *Node) listenIMAP(ctx context.Context, router *frontend.Router) error {
	backend := frontend.NewIMAP(frontend.IMAPConfig{
		Router: router, Token: n.tokens.peer, TLS: n.tls.client(), Dial: n.world.Dial,
		Verifier: credential.NewVerifier(credential.VerifierConfig{}), Throttle: credential.NewThrottle(credential.ThrottleConfig{}),
	})
	c := n.config.IMAP
	proxies, err := c.PlaintextNetworks()
	if err != nil {
		return err
	}
	s := imap.New(imap.Config{
		Backend: backend, TLS: n.tls.server(), AllowPlaintext: c.AllowPlaintext, PlaintextFrom: proxies, AppendBytesMax: c.MessageBytesMax,
		SessionsMax: c.SessionsMax, LoginAttemptsMax: c.LoginAttemptsMax,
		IdleTimeout: time.Duration(c.IdleTimeoutSec) * time.Second, Logger: n.logger,
		Greeting: n.config.FQDN, Version: n.version, ProxyAuth: backend.ProxyAuth,
	})
	n.frontends.imap = s
	n.frontends.nginx = frontend.NewNginxAuth(frontend.NginxConfig{
		Logins: backend, AttemptsMax: c.LoginAttemptsMax, SMTP: n.config.Nginx.SMTP, Logger: n.logger,
	})
	if err := n.serve(ctx, "imap", n.config.Listen.IMAP, nil, s); err != nil {
		return err
	}
	return n.serve(ctx, "imaps", n.config.Listen.IMAPS, n.tls.server(), s)
}

// nginxHandler answers nginx's mail proxy, which has to present the token of the role nginx: who holds it can try passwords in the name
// of any address. Without such a token it answers nobody.
func (n *Node) nginxHandler() http.Handler {
	return admin.Guard(n.frontends.nginx, "the token is missing, or it is not the one of the role nginx",
		"let nginx send the token in the file that tokens.nginx names: auth_http_header Authorization", n.tokens.nginx)
}

// serve opens one listener and serves it until the node stops. An empty address is not listened on.
func (n *Node) serve(ctx context.Context, what, addr string, implicit *tls.Config, s server) error {
	if addr == "" {
		return nil
	}
	l, err := n.open(ctx, what, addr)
	if err != nil {
		return err
	}
	if implicit != nil {
		l = tls.NewListener(l, implicit)
	}
	n.atStop(func(ctx context.Context) error {
		if err := s.Shutdown(ctx); err != nil { // a client that is slow, or has gone silent, within a command: it was not answered
			n.logger.Warn("sessions that did not end in time were cut", "protocol", what)
		}
		return nil
	})
	n.loops.Go(func() {
		if err := s.Serve(l); err != nil && n.ctx.Err() == nil {
			n.fail(fault.Wrap(fault.Internal, err, "the %s listener ended", what))
		}
	})
	n.loops.Go(func() {
		<-n.ctx.Done()
		_ = l.Close() // no new sessions; those that are open are told by Shutdown
	})
	return nil
}
