package lmtp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"mailreplica/internal/fault"
)

const (
	dialWait         = 5 * time.Second
	answerWait       = 10 * time.Second
	transferWait     = 100 * time.Second // below deliveryWaitMax, so that the client hears of it
	idleConnsMax     = 8                 // kept for each mailstore
	idleConnTimeMax  = time.Minute       // well below the server's own commandWait
	rcptsInFlightMax = 50                // so that commands and replies never fill both directions at once
)

// RelayConfig says how a Relay reaches other mailstores.
type RelayConfig struct {
	Hostname string      // FQDN of this mailstore
	Token    string      // that mailstores share
	TLS      *tls.Config // required of the other side where it is set; ServerName is filled in
	// Dial makes a connection; nil is TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// AnswerWait is for what takes no time, a greeting or the mark; 10 s.
	AnswerWait time.Duration
}

// Relay hands mail to the mailstores that are its accounts' homes, over connections that it keeps for a while.
type Relay struct {
	config RelayConfig

	mu     sync.Mutex
	idle   map[string][]*relayConn // by address; the last used at the end
	closed bool
}

// NewRelay makes a Relay.
func NewRelay(c RelayConfig) *Relay {
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: dialWait}).DialContext
	}
	if c.AnswerWait <= 0 {
		c.AnswerWait = answerWait
	}
	return &Relay{config: c, idle: map[string][]*relayConn{}}
}

// Home is a mailstore as a Relay sees it.
type Home struct {
	FQDN string
	Addr string // of its LMTP server, host:port
}

// Deliver hands the mail to its recipients' home and gives their outcomes, in their order. receipts are told on the way,
// before the mail: one of the same bytes may be waiting for that. Errors are HomeUnreachable, or of the kind that the home
// gave; NotHome means that the home is another by now. A connection that fails midway leaves it open whether the mail was
// delivered; to deliver it again is harmless, for the home knows its delivery key.
func (r *Relay) Deliver(ctx context.Context, home Home, m *Mail, receipts []Receipt) []Outcome {
	var outcomes []Outcome
	err := r.with(ctx, home, func(c *relayConn) (err error) {
		outcomes, err = c.deliver(m, receipts)
		return err
	})
	if err == nil {
		return outcomes
	}
	outcomes = make([]Outcome, len(m.Recipients))
	for i := range outcomes {
		outcomes[i].Err = err
	}
	return outcomes
}

// Answered tells a home of deliveries whose clients have been answered.
func (r *Relay) Answered(ctx context.Context, home Home, receipts []Receipt) error {
	return r.with(ctx, home, func(c *relayConn) error {
		if err := c.mark(Client{}); err != nil {
			return err
		}
		return c.answered(receipts)
	})
}

// Close gives up the connections that are not in use.
func (r *Relay) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, conns := range r.idle {
		for _, c := range conns {
			c.close()
		}
	}
	clear(r.idle)
}

// with runs fn on a connection to a home, and once more on a new one if a kept connection turned out to be dead. One that
// only does not answer is given up: a new one would fare no better.
func (r *Relay) with(ctx context.Context, home Home, fn func(*relayConn) error) error {
	for {
		c, kept, err := r.take(ctx, home)
		if err != nil {
			return fault.Wrap(fault.HomeUnreachable, err, "the mailstore %s does not answer", home.FQDN)
		}
		err = c.within(ctx, func() error { return fn(c) })
		if err == nil {
			r.keep(home, c)
			return nil
		}
		abandon(c.raw)
		if !kept || ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return fault.Wrap(fault.HomeUnreachable, err, "the mailstore %s does not answer", home.FQDN)
		}
	}
}

// take gives a kept connection, else a new one.
func (r *Relay) take(ctx context.Context, home Home) (c *relayConn, kept bool, err error) {
	if c := r.pop(home.Addr); c != nil {
		return c, true, nil
	}
	conn, err := r.config.Dial(ctx, "tcp", home.Addr)
	if err != nil {
		return nil, false, err
	}
	c = newRelayConn(conn, r.config)
	if err := c.within(ctx, func() error { return c.promptly(func() error { return c.open(ctx, home) }) }); err != nil {
		c.close()
		return nil, false, err
	}
	return c, false, nil
}

func (r *Relay) pop(addr string) *relayConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	conns := r.idle[addr]
	if len(conns) == 0 {
		return nil
	}
	c := conns[len(conns)-1]
	if time.Since(c.used) < idleConnTimeMax {
		r.idle[addr] = conns[:len(conns)-1]
		return c
	}
	for _, old := range conns { // the last used is the youngest
		old.close()
	}
	delete(r.idle, addr)
	return nil
}

func (r *Relay) keep(home Home, c *relayConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.idle[home.Addr]) >= idleConnsMax {
		c.close()
		return
	}
	c.used = time.Now()
	r.idle[home.Addr] = append(r.idle[home.Addr], c)
}
