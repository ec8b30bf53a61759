package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/emersion/go-smtp"

	"mailreplica/internal/account"
	"mailreplica/internal/sim/check"
	"mailreplica/internal/sim/network"
)

// stranger is a program of others that reaches mailstores over the network alone, by LMTP or IMAP, any of them for any account.
type stranger interface {
	run(context.Context)
	finish(context.Context)
}

// strangers are an MTA and a mail program for each account.
func (c *cluster) strangers() (all []stranger) {
	if c.options.Scenario != nil {
		return nil
	}
	for i, id := range c.accounts {
		mta := &mta{caller: c.caller("mta", i, 2_000+i, id)}
		reader := &program{caller: c.caller("reader", i, 3_000+i, id)}
		all = append(all, mta, reader)
	}
	return all
}

// caller is what strangers have in common: a host of their own, which nobody cuts off.
type caller struct {
	cluster *cluster
	name    string
	number  int
	id      account.ID
	random  *rand.Rand
	pace    time.Duration
	host    *network.Host
}

func (c *cluster) caller(what string, i, number int, id account.ID) caller {
	name := fmt.Sprintf("%s%d", what, i+1)
	random := c.options.of(name)
	ip := netip.AddrFrom4([4]byte{127, 0, byte(number >> 8), byte(number)}) // passwords are taken from loopback addresses without TLS
	return caller{
		cluster: c, name: name, number: number, id: id, random: random, pace: time.Duration(500+random.IntN(2_500)) * time.Millisecond,
		host: c.network.Host(name, ip),
	}
}

// pause waits for the next thing to do; there is none when clients are to stop.
func (c *caller) pause() bool {
	timer := time.NewTimer(time.Duration(c.random.ExpFloat64() * float64(c.pace)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.cluster.stopped:
		return false
	}
	_, gone := c.cluster.gone.Load(c.id)
	return !gone
}

func (c *caller) isGone() bool {
	_, gone := c.cluster.gone.Load(c.id)
	return gone
}

// dial connects to a port of some mailstore.
func (c *caller) dial(ctx context.Context, port uint16) (net.Conn, error) {
	m := c.cluster.stores[c.random.IntN(len(c.cluster.stores))]
	return c.host.DialContext(ctx, "tcp", netip.AddrPortFrom(m.ip, port).String())
}

func (c *caller) record(o *check.Op) {
	o.Account, o.Client, o.Ended = c.id, c.number, time.Now()
	c.cluster.history.Add(o)
	c.cluster.trace.add(c.name, "%s made %v takes %v", o, uidsOf(o.Made), o.Takes)
}

// againAfter is how long an MTA that had no answer waits before it sends a mail again. Real ones wait for minutes. Sent at once by another
// way, it could overtake the first attempt on a slow line: that is a limit of relaying (lmtp's DESIGN.md).
const againAfter = 10 * time.Second

// mta is a mail server that delivers to an account through any mailstore, each mail until it is told OK. At times it does not hear the answer.
type mta struct {
	caller
	client *smtp.Client
	conn   net.Conn
	unsent []*mail
}

func (m *mta) run(ctx context.Context) {
	for m.pause() {
		if len(m.unsent) == 0 || m.random.IntN(2) == 0 {
			m.unsent = append(m.unsent, &mail{number: m.cluster.nextMail()})
		}
		if one := m.unsent[m.random.IntN(len(m.unsent))]; !time.Now().Before(one.again) {
			m.deliver(ctx, one, m.random.IntN(12) == 0)
		}
		if m.random.IntN(6) == 0 {
			m.leave()
		}
	}
	m.leave()
}

// finish delivers what is left, now that everything works.
func (m *mta) finish(ctx context.Context) {
	for end := time.Now().Add(10 * time.Minute); len(m.unsent) > 0 && time.Now().Before(end) && !m.isGone(); time.Sleep(time.Second) {
		m.deliver(ctx, m.unsent[0], false)
	}
	m.leave()
	if len(m.unsent) > 0 && !m.isGone() {
		m.cluster.problem("%s could not deliver mail %d when all was mended", m.name, m.unsent[0].number)
	}
}

func (m *mta) leave() {
	if m.client != nil {
		_ = m.conn.Close()
		m.client = nil
	}
}

// breakOff ends a connection on which an answer may be under way: an end in order would prove that it was read (lmtp's DESIGN.md).
func (m *mta) breakOff() {
	if m.client != nil {
		_ = m.conn.(interface{ Abort() error }).Abort()
		m.client = nil
	}
}

// deliver tries once. deaf: it hangs up before the answer comes.
func (m *mta) deliver(ctx context.Context, one *mail, deaf bool) {
	o := &check.Op{Kind: fmt.Sprintf("delivers %d by LMTP", one.number), Begun: time.Now(), Timed: true, Delivery: one.number}
	sent, err := m.transfer(ctx, one, deaf)
	var reply *smtp.SMTPError
	if errors.As(err, &reply) && reply.Code >= 500 && !m.isGone() {
		m.cluster.problem("%s is answered %v", m.name, err)
	}
	if err != nil {
		o.Why = err.Error()
		if reply == nil {
			one.again = time.Now().Add(againAfter)
		}
		m.breakOff()
	} else {
		o.Outcome = check.Done
		m.unsent = slices.DeleteFunc(m.unsent, func(other *mail) bool { return other == one })
	}
	if sent {
		m.record(o)
	}
}

var errDeaf = errors.New("it did not wait for the answer")

// transfer hands a mail over. Unless its text was sent, nothing can have happened.
func (m *mta) transfer(ctx context.Context, one *mail, deaf bool) (sent bool, err error) {
	if m.client == nil {
		if m.conn, err = m.dial(ctx, lmtpPort); err != nil {
			return false, err
		}
		m.client = smtp.NewClientLMTP(m.conn)
		m.client.CommandTimeout, m.client.SubmissionTimeout = operationMax/6, operationMax/2
		if err := m.client.Hello("mta.example.net"); err != nil {
			return false, err
		}
	}
	if err := m.client.Mail("sender@example.net", nil); err != nil {
		return false, err
	}
	if err := m.client.Rcpt(m.cluster.names[m.id], nil); err != nil {
		return false, err
	}
	w, err := m.client.Data()
	if err != nil {
		return false, err
	}
	if _, err := w.Write([]byte(one.body())); err != nil {
		return true, err
	}
	if conn := m.conn.(interface{ Abort() error }); deaf {
		time.AfterFunc(time.Duration(m.random.IntN(10))*time.Millisecond, func() { _ = conn.Abort() })
	}
	if err := w.Close(); err != nil || !deaf {
		return true, err
	}
	return true, errDeaf // the answer came as it hung up
}
