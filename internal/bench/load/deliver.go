package load

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Delivery is a load of mail: messages to accounts in turn, over some connections. Each connection sends its next message when the
// last one is answered. The latency of a message is from its MAIL command to the answer to its content.
type Delivery struct {
	LMTP        string // address
	Accounts    []Account
	Connections int
	Messages    *Messages
	Length      time.Duration
	Count       int // 0: no bound but the time
	// Acknowledged counts what each account was given, if it is there: as many as Accounts.
	Acknowledged []atomic.Int64
}

// Run delivers. What fails is not sent again.
func (d Delivery) Run(ctx context.Context) (Result, error) {
	senders := make([]*sender, d.Connections)
	defer func() {
		for _, s := range senders {
			s.close()
		}
	}()
	for i := range senders {
		senders[i] = &sender{addr: d.LMTP}
		if err := senders[i].connect(ctx); err != nil {
			return Result{}, err
		}
	}
	var taken atomic.Int64
	return run(ctx, d.Connections, d.Length, func(worker int) (time.Duration, bool, error) {
		n := int(taken.Add(1)) - 1
		if d.Count > 0 && n >= d.Count {
			return 0, false, nil
		}
		to := n % len(d.Accounts)
		took, err := senders[worker].send(ctx, d.Accounts[to].Address, d.Messages)
		if err == nil && d.Acknowledged != nil {
			d.Acknowledged[to].Add(1)
		}
		return took, true, err
	})
}

// sender delivers over one connection after another: a new one after an error.
type sender struct {
	addr    string
	conn    *LMTP
	message []byte
}

func (s *sender) connect(ctx context.Context) (err error) {
	s.conn, err = DialLMTP(ctx, s.addr)
	return err
}

func (s *sender) send(ctx context.Context, to string, messages *Messages) (time.Duration, error) {
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return 0, err
		}
	}
	s.message = messages.Append(s.message[:0])
	begun := time.Now()
	if err := s.conn.Deliver(to, s.message); err != nil {
		err = errors.Join(err, s.conn.Close())
		s.conn = nil
		return 0, err
	}
	return time.Since(begun), nil
}

func (s *sender) close() {
	if s != nil && s.conn != nil {
		_ = s.conn.Close() // its messages are answered
	}
}
