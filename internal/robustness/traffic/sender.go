package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/emersion/go-smtp"

	"mailreplica/internal/robustness/model"
	"mailreplica/internal/sim/check"
)

// sender is a mail server that delivers to one account: one mail after another, each until it is told OK, byte for byte the same.
type sender struct {
	traffic *Traffic
	account Account
	number  int
	random  *rand.Rand
	conn    net.Conn
	client  *smtp.Client
}

func (s *sender) run(ctx context.Context) {
	defer s.leave()
	for s.traffic.pause(ctx, s.random) {
		s.traffic.held.RLock()
		s.deliver(ctx, int(s.traffic.mails.Add(1)))
		s.traffic.held.RUnlock()
	}
}

func (s *sender) deliver(ctx context.Context, mail int) {
	for end := time.Now().Add(operationMax + finishMax); ctx.Err() == nil; time.Sleep(againEvery) {
		if s.attempt(mail) {
			return
		}
		if time.Now().After(end) && s.traffic.still.Load() == 0 {
			s.traffic.Record.Problem("mail %d to %s is not accepted within %s", mail, s.account.Name, operationMax+finishMax)
			return
		}
	}
}

// attempt tries once. Until the text is sent nothing can have happened.
func (s *sender) attempt(mail int) (done bool) {
	if s.client == nil && s.dial() != nil {
		return false
	}
	o := &check.Op{
		Account: s.account.ID, Client: s.number, Kind: fmt.Sprintf("delivers %d", mail), Begun: time.Now(), Timed: true, Delivery: mail,
	}
	excused := s.traffic.still.Load() > 0
	stop := s.traffic.hurry(s.conn)
	sent, err := s.transfer(mail)
	stop()
	o.Ended = time.Now()
	s.traffic.long(excused, o.Begun, o.Kind)
	if err == nil {
		o.Outcome = check.Done
	} else {
		o.Why = err.Error()
		s.leave()
	}
	var reply *smtp.SMTPError
	if errors.As(err, &reply) && reply.Code >= 500 {
		s.traffic.Record.Problem("LMTP answers %d: %v", reply.Code, err)
	}
	if sent {
		s.traffic.Record.Add(o)
	}
	return err == nil
}

func (s *sender) dial() (err error) {
	if s.conn, err = net.DialTimeout("tcp", one(s.random, s.traffic.options.LMTP), dialWait); err != nil {
		return err
	}
	defer s.traffic.hurry(s.conn)()
	s.client = smtp.NewClientLMTP(s.conn)
	if err := s.client.Hello("mta.example.net"); err != nil {
		s.leave()
		return err
	}
	return nil
}

func (s *sender) leave() {
	if s.client != nil {
		_ = s.client.Close()
		s.client = nil
	}
}

func (s *sender) transfer(mail int) (sent bool, err error) {
	if err := s.client.Mail("sender@example.net", nil); err != nil {
		return false, err
	}
	if err := s.client.Rcpt(s.account.Name, nil); err != nil {
		return false, err
	}
	w, err := s.client.Data()
	if err != nil {
		return false, err
	}
	if _, err := w.Write([]byte(Mail(mail))); err != nil {
		return true, err
	}
	return true, w.Close()
}

func made(mail int) []check.Made { return []check.Made{{Blob: model.Blob(mail)}} }
