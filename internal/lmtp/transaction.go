package lmtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"mailreplica/internal/fault"
)

// transaction is what MAIL began.
type transaction struct {
	sender     string
	utf8       bool
	recipients []Recipient
	spool      *spool // of BDAT, once it has begun
}

// reset forgets the transaction.
func (s *session) reset() {
	if s.mail != nil && s.mail.spool != nil {
		s.mail.spool.discard()
	}
	s.mail = nil
}

// from is MAIL FROM (RFC 5321 section 4.1.1.2).
func (s *session) from(argument string) {
	switch {
	case s.helo == "":
		s.reject(503, "5.5.1", "Greet with LHLO first")
		return
	case s.mail != nil:
		s.reject(503, "5.5.1", "A transaction is open: RSET ends it")
		return
	}
	argument, ok := cutPrefixFold(argument, "FROM:")
	sender, rest, parsed := parsePath(argument)
	if !ok || !parsed {
		s.reject(501, "5.5.4", "Want MAIL FROM:<address>")
		return
	}
	mail := &transaction{sender: sender}
	for _, p := range parseParameters(rest) {
		code, enhanced, text := mail.take(p, s.server.config.MessageBytesMax)
		if code != 0 {
			s.reject(code, enhanced, text)
			return
		}
	}
	s.mail = mail
	s.reply(250, "2.1.0", "OK")
}

// take takes a parameter of MAIL, or gives the reply that refuses it.
func (t *transaction) take(p parameter, bytesMax int64) (code int, enhanced, text string) {
	switch p.name {
	case "SIZE": // RFC 1870
		size, err := strconv.ParseUint(p.value, 10, 63)
		if errors.Is(err, strconv.ErrRange) || err == nil && size > uint64(bytesMax) {
			return 552, "5.3.4", fmt.Sprintf("The message is larger than %d bytes", bytesMax)
		}
		if err != nil {
			return 501, "5.5.4", "SIZE is not a number"
		}
	case "BODY": // RFC 6152
		if v := strings.ToUpper(p.value); v != "7BIT" && v != "8BITMIME" {
			return 501, "5.5.4", "BODY is 7BIT or 8BITMIME"
		}
	case "SMTPUTF8": // RFC 6531
		t.utf8 = true
	default:
		return 555, "5.5.4", "A parameter of MAIL is not known"
	}
	return 0, "", ""
}

// rcpt is RCPT TO (RFC 5321 section 4.1.1.3).
func (s *session) rcpt(argument string) {
	if s.mail == nil || s.mail.spool != nil {
		s.reject(503, "5.5.1", "Want MAIL first")
		return
	}
	argument, ok := cutPrefixFold(argument, "TO:")
	address, rest, parsed := parsePath(argument)
	if !ok || !parsed || address == "" {
		s.reject(501, "5.5.4", "Want RCPT TO:<address>")
		return
	}
	if len(parseParameters(rest)) > 0 {
		s.reject(555, "5.5.4", "A parameter of RCPT is not known")
		return
	}
	if len(s.mail.recipients) >= s.server.config.RecipientsMax {
		s.reply(452, "4.5.3", "Too many recipients in one transaction")
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, deliveryWaitMax)
	defer cancel()
	r, err := s.server.config.Backend.Recipient(ctx, unquoteLocal(address), s.relayed)
	if err != nil {
		s.refuse(err, address)
		return
	}
	r.Address = address
	s.mail.recipients = append(s.mail.recipients, r)
	s.reply(250, "2.1.5", "OK")
}

// refuse tells an error to an MTA, or all of it to another mailstore; the cause goes to the log alone.
func (s *session) refuse(err error, address string) {
	s.measures().Recipients.Add(err)
	r := replyTo(err)
	if r.code < 500 {
		s.log.Warn("mail is refused for now", "recipient", address, "remote", s.raw.RemoteAddr(), "kind", fault.KindOf(err).String(),
			"error", err)
	}
	text := "<" + address + "> " + r.text
	if s.relayed {
		text = encodeKind(err)
	}
	s.reply(r.code, r.enhanced, text)
}

// data is DATA (RFC 2033 section 4.2): after the message comes a reply for each recipient that was accepted.
func (s *session) data(argument string) {
	switch {
	case argument != "":
		s.reject(501, "5.5.4", "DATA takes no argument")
		return
	case s.mail == nil || len(s.mail.recipients) == 0:
		s.reject(503, "5.5.1", "No recipient was accepted")
		return
	case s.mail.spool != nil:
		s.reject(503, "5.5.1", "BDAT has begun")
		return
	}
	s.reply(354, "", "Send the message, and a line with a dot alone")
	if s.out.Flush() != nil {
		s.ended = true
		return
	}
	waited := s.in.Buffered() == 0 && len(s.source.ahead) == 0
	spool := s.newSpool()
	s.mail.spool = spool
	s.source.phase(s.server.config.DataWait, s.server.config.DataTimeMax)
	if err := readData(s.in, spool, s.server.config.MessageBytesMax+drainBytesMax); err != nil {
		s.ended = true
		s.leave(err)
		return
	}
	s.contentRead(waited)
	s.finish()
}

func (s *session) newSpool() *spool {
	return newSpool(s.server.config.SpoolDir, s.server.config.MessageBytesMax)
}

// bdat is BDAT (RFC 3030 section 2). The chunk follows the command even where the command is refused, and is then read as
// what it is: never as commands.
func (s *session) bdat(argument string) {
	size, last, ok := parseChunk(argument)
	if !ok {
		// Nobody can tell how many bytes of a message follow.
		s.reply(501, "5.5.4", "Want BDAT, a size, and LAST or nothing")
		s.ended = true
		return
	}
	var to io.Writer = io.Discard
	accepted := s.mail != nil && len(s.mail.recipients) > 0
	if accepted {
		if s.mail.spool == nil {
			s.mail.spool = s.newSpool()
		}
		to = s.mail.spool
	}
	s.source.phase(s.server.config.DataWait, s.server.config.DataTimeMax)
	if err := s.readChunk(to, size); err != nil {
		s.ended = true
		s.leave(err)
		return
	}
	switch {
	case !accepted:
		s.reject(503, "5.5.1", "No recipient was accepted")
	case last:
		s.finish()
	case s.mail.spool.problem != nil:
		r := replyTo(s.mail.spool.problem)
		s.reply(r.code, r.enhanced, r.text)
		s.reset()
	default:
		s.reply(250, "2.0.0", fmt.Sprintf("%d bytes", size))
	}
}

func parseChunk(argument string) (size int64, last, ok bool) {
	fields := strings.Fields(argument)
	if len(fields) == 0 || len(fields) > 2 {
		return 0, false, false
	}
	n, err := strconv.ParseUint(fields[0], 10, 62)
	if err != nil {
		return 0, false, false
	}
	last = len(fields) == 2
	return int64(n), last, !last || strings.EqualFold(fields[1], "LAST")
}

func (s *session) readChunk(w io.Writer, size int64) error {
	if size > s.server.config.MessageBytesMax+drainBytesMax {
		return errEndless
	}
	_, err := io.CopyN(w, s.in, size)
	return unexpected(err)
}

// finish delivers the message and answers for each recipient.
func (s *session) finish() {
	defer s.reset()
	begun := time.Now()
	outcomes, early, ended := s.deliver()
	receipts := make([]Receipt, 0, len(outcomes))
	for i, o := range outcomes {
		address := s.mail.recipients[i].Address
		switch {
		case o.Err != nil:
			s.refuse(o.Err, address)
			continue
		case s.relayed:
			s.reply(250, "2.0.0", fmt.Sprintf("%d <%s> delivered", o.Receipt.Sequence, address))
		default:
			s.reply(250, "2.0.0", "<"+address+"> delivered")
		}
		s.measures().Recipients.Add(nil)
		receipts = append(receipts, o.Receipt)
	}
	err := s.out.Flush()
	s.measures().Deliveries.Since(begun)
	if err != nil {
		s.ended = true
		return
	}
	s.answersWritten(receipts, early, ended)
}

// deliver hands the mail to the backend, and watches the client meanwhile: whether it sent anything, or went away.
func (s *session) deliver() (outcomes []Outcome, early, ended bool) {
	body, err := s.mail.spool.body()
	if err != nil {
		outcomes = make([]Outcome, len(s.mail.recipients))
		for i := range outcomes {
			outcomes[i].Err = err
		}
		return outcomes, false, false
	}
	s.mail.spool = nil
	defer body.Close()
	mail := &Mail{
		ID: newID(), Sender: s.mail.sender, Recipients: s.mail.recipients, Body: body, Client: s.sender(),
		Relayed: s.relayed, Received: time.Now(),
	}
	ctx, cancel := context.WithTimeout(s.ctx, deliveryWaitMax)
	defer cancel()
	watching := s.source.watch(cancel)
	outcomes = s.server.config.Backend.Deliver(ctx, mail)
	s.trace(mail, outcomes)
	sent, ended := s.source.unwatch()
	return outcomes, sent || s.in.Buffered() > 0, ended || watching != nil
}

// trace tells a log of level debug where mail went. Its id is the one in the message's Received field.
func (s *session) trace(mail *Mail, outcomes []Outcome) {
	if !s.log.Enabled(s.ctx, slog.LevelDebug) {
		return
	}
	for i, o := range outcomes {
		if o.Err == nil {
			s.log.Debug("mail is delivered", "id", mail.ID, "sender", mail.Sender, "recipient", mail.Recipients[i].Address, "remote", s.raw.RemoteAddr())
		}
	}
}

// sender is the client for the Received field.
func (s *session) sender() Client {
	c := s.client
	if !s.relayed {
		c = Client{HELO: s.helo, Addr: s.raw.RemoteAddr().String(), TLS: s.secure}
	}
	c.UTF8 = s.mail.utf8
	return c
}
