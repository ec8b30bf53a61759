package imap

import (
	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

// copied is what COPY or MOVE did.
type copied struct {
	uidValidity         uint32
	source, destination []mailbox.UID
}

func (c copied) code() string {
	if len(c.source) == 0 {
		return ""
	}
	return wire.CodeCopyUID(c.uidValidity, uidSet(c.source), uidSet(c.destination))
}

// copyMessages answers COPY and UID COPY (RFC 3501 section 6.4.7, RFC 4315 section 3).
func (s *session) copyMessages(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Copy)
	spans, err := s.spans(c, args.Set, args.UID)
	if err != nil {
		return outcome{}, err
	}
	done, err := s.transfer(spans, args.Mailbox, (*mailbox.Draft).Copy)
	if err != nil {
		return outcome{}, err
	}
	return outcome{code: done.code(), text: "Copied"}, nil
}

// moveMessages answers MOVE and UID MOVE (RFC 6851). COPYUID comes before EXPUNGE, so that a client never sees a message
// gone before it knows where to.
func (s *session) moveMessages(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Move)
	if s.view.readOnly {
		return readOnlyMailbox, nil
	}
	spans, err := s.spans(c, args.Set, args.UID)
	if err != nil {
		return outcome{}, err
	}
	done, err := s.transfer(spans, args.Mailbox, (*mailbox.Draft).Move)
	if err != nil {
		return outcome{}, err
	}
	if code := done.code(); code != "" {
		s.out.UntaggedStatus(wire.OK, code, "Moved")
	}
	return s.afterExpunge("Moved"), nil
}

type transferOp func(d *mailbox.Draft, from mailbox.ItemID, uids []mailbox.UID, to mailbox.ItemID) (source, destination []mailbox.UID, err error)

func (s *session) transfer(spans []span, name string, op transferOp) (copied, error) {
	var done copied
	uids := s.view.uidsIn(spans)
	err := s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error {
		to, found, err := d.FolderByName(name)
		if err != nil {
			return err
		}
		if !found {
			return noSuchFolder(name)
		}
		done.uidValidity = to.UIDValidity
		done.source, done.destination, err = op(d, s.view.folder, uids, to.ID)
		return err
	})
	return done, err
}
