package imap

import (
	"slices"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

// copied is what COPY or MOVE did.
type copied struct {
	folder              mailbox.ItemID // where to
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
		s.undo(done)
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
	if code := done.code(); code != "" {
		s.out.UntaggedStatus(wire.OK, code, "Moved")
	}
	if err != nil {
		return outcome{}, err
	}
	return s.afterExpunge("Moved"), nil
}

type transferOp func(d *mailbox.Draft, from mailbox.ItemID, uids []mailbox.UID, to mailbox.ItemID) (source, destination []mailbox.UID, err error)

// transfer copies or moves messages to one folder, and gives what was done before an error, too.
func (s *session) transfer(spans []span, name string, op transferOp) (done copied, err error) {
	for _, uids := range s.portions(s.view.uidsIn(spans)) {
		var portion copied
		err := s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error {
			to, found, err := d.FolderByName(name)
			if err != nil {
				return err
			}
			if !found || done.folder != 0 && to.ID != done.folder { // another one by that name has other UIDs
				return noSuchFolder(name)
			}
			portion.folder, portion.uidValidity = to.ID, to.UIDValidity
			portion.source, portion.destination, err = op(d, s.view.folder, uids, to.ID)
			return err
		})
		if err != nil {
			return done, err
		}
		portion.source = append(done.source, portion.source...)
		portion.destination = append(done.destination, portion.destination...)
		done = portion
	}
	return done, nil
}

// portions are the messages that one transaction after another changes: one portion at least, though it be of none.
func (s *session) portions(uids []mailbox.UID) [][]mailbox.UID {
	if len(uids) == 0 {
		return [][]mailbox.UID{nil}
	}
	return slices.Collect(slices.Chunk(uids, s.server.config.ChangeMessagesMax))
}

// undo takes back the copies of a COPY that failed later: it is of all messages or of none (RFC 3501 section 6.4.7).
func (s *session) undo(done copied) {
	for uids := range slices.Chunk(done.destination, s.server.config.ChangeMessagesMax) {
		err := s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error {
			_, err := d.Expunge(done.folder, uids)
			return err
		})
		if err != nil {
			s.log.Warn("a COPY failed, and copies that it had made are left", "folder", done.folder, "error", err)
			return
		}
	}
}
