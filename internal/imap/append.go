package imap

import (
	"errors"
	"io"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

const appendMessagesMax = 1000 // of one APPEND

// append answers APPEND (RFC 3501 section 6.3.11), with several messages all or none of them (RFC 3502). Bodies go to the
// volume as they arrive; a command that is refused is read to its end, so that no message is taken for commands.
func (s *session) append(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Append)
	s.link.until = time.Now().Add(s.server.config.AppendTimeMax)
	defer func() { s.link.until = time.Time{} }()
	messages, err := s.receive(args)
	if err != nil {
		s.mailbox.DropBodies(s.ctx, messages, nil)
		var syntax *wire.SyntaxError
		if errors.As(err, &syntax) {
			return outcome{}, err // read to its end already
		}
		if discardErr := args.Discard(); discardErr != nil {
			return outcome{}, discardErr
		}
		if fault.Is(err, fault.TooLarge) {
			return outcome{status: wire.NO, code: "TOOBIG", text: fault.Message(err)}, nil
		}
		return outcome{}, err
	}
	var uidValidity uint32
	var uids []mailbox.UID
	err = s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error {
		folder, found, err := d.FolderByName(args.Mailbox)
		if err != nil {
			return err
		}
		if !found {
			return noSuchFolder(args.Mailbox)
		}
		appended, err := d.Append(folder.ID, messages)
		uidValidity, uids = folder.UIDValidity, uids[:0]
		for _, m := range appended {
			uids = append(uids, m.UID)
		}
		return err
	})
	if err != nil {
		s.mailbox.DropBodies(s.ctx, messages, err)
		return outcome{}, err
	}
	return outcome{code: wire.CodeAppendUID(uidValidity, uidSet(uids)), text: "Appended"}, nil
}

// receive stores the messages of APPEND and checks what can be known before they are named. With an error it gives those that it
// has stored.
func (s *session) receive(args *wire.Append) ([]mailbox.NewMessage, error) {
	if err := s.checkFolder(args.Mailbox); err != nil {
		return nil, err
	}
	var messages []mailbox.NewMessage
	for {
		m, err := args.Next()
		if errors.Is(err, io.EOF) {
			return messages, nil
		}
		if err != nil {
			return messages, err
		}
		if len(messages) == appendMessagesMax {
			return messages, fault.New(fault.TooLarge, "At most %d messages can be appended at once", appendMessagesMax)
		}
		stored, err := s.receiveMessage(m)
		if err != nil {
			return messages, err
		}
		messages = append(messages, stored)
	}
}

func (s *session) receiveMessage(m *wire.AppendMessage) (mailbox.NewMessage, error) {
	flags, err := flagsOf(m.Flags).Canonical()
	if err != nil {
		return mailbox.NewMessage{}, err
	}
	if m.Size == 0 {
		return mailbox.NewMessage{}, fault.New(fault.Invalid, "A message cannot be empty")
	}
	body, err := m.Accept()
	if err != nil {
		return mailbox.NewMessage{}, err
	}
	stored, err := s.mailbox.StoreBody(s.ctx, body)
	if err != nil {
		return mailbox.NewMessage{}, err
	}
	if stored.Size != uint64(m.Size) {
		s.mailbox.DropBodies(s.ctx, []mailbox.NewMessage{stored}, nil)
		return mailbox.NewMessage{}, fault.New(fault.Internal, "a message of %d bytes was stored as %d", m.Size, stored.Size)
	}
	if m.Binary {
		if stored, err = s.withoutBinary(stored); err != nil {
			return mailbox.NewMessage{}, err
		}
	}
	stored.Flags = flags
	if stored.Received = m.Date; m.Date.IsZero() {
		stored.Received = time.Now()
	}
	return stored, nil
}

// checkFolder refuses early what Update would refuse later: before the client sends its message.
func (s *session) checkFolder(name string) error {
	return s.mailbox.View(s.ctx, func(r mailbox.Reader) error {
		_, found, err := r.FolderByName(name)
		if err == nil && !found {
			err = noSuchFolder(name)
		}
		return err
	})
}
