package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/peer"
)

// Waits for askers of the HTTP APIs.
const (
	headerReadWait = 10 * time.Second
	idleWait       = 2 * time.Minute
)

// listen opens every listener, so that a taken address is an error of the start. The last one is that on which all others are told of.
func (n *Node) listen(ctx context.Context) error {
	err := n.serveHTTP(ctx, "peer", n.config.Listen.Peer, peer.Handler(peerService{n}, n.tokens.peer, n.logger))
	if err != nil {
		return err
	}
	if err := n.listenFrontends(ctx); err != nil {
		return err
	}
	return n.serveHTTP(ctx, "admin", n.config.Listen.Admin, n.withHealth(n.admin.Handler()))
}

func (n *Node) open(ctx context.Context, what, addr string) (net.Listener, error) {
	listen := n.world.Listen
	if listen == nil {
		listen = new(net.ListenConfig).Listen
	}
	l, err := listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "cannot listen on %s for %s", addr, what).
			WithHint("another process has the address, or the machine has not; see listen.%s", what)
	}
	return l, nil
}

func (n *Node) serveHTTP(ctx context.Context, what, addr string, handler http.Handler) error {
	l, err := n.open(ctx, what, addr)
	if err != nil {
		return err
	}
	if config := n.tls.server(); config != nil {
		l = tls.NewListener(l, config)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerReadWait, IdleTimeout: idleWait,
		ErrorLog: slog.NewLogLogger(n.logger.With("listener", what).Handler(), slog.LevelInfo), // of handshakes that fail, for instance
	}
	n.loops.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.fail(fault.Wrap(fault.Internal, err, "the %s listener ended", what))
		}
	})
	n.loops.Go(func() {
		<-n.ctx.Done()
		_ = server.Close() // connections in use are cut: the process ends
	})
	return nil
}
