package imap

import (
	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

// expunge answers EXPUNGE (RFC 3501 section 6.4.3) and UID EXPUNGE (RFC 4315 section 2.1).
func (s *session) expunge(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Expunge)
	v := s.view
	if v.readOnly {
		return readOnlyMailbox, nil
	}
	deleted := s.deletedUIDs
	if args.UID {
		spans, err := s.spans(c, args.Set, true)
		if err != nil {
			return outcome{}, err
		}
		among := v.uidsIn(spans)
		deleted = func(r mailbox.Reader) ([]mailbox.UID, error) { return mailbox.DeletedAmong(r, v.folder, among) }
	}
	if err := s.expungeAll(deleted); err != nil {
		return outcome{}, err
	}
	return s.afterExpunge("Expunged"), nil
}

// deletedUIDs are the messages of the selected folder that have the flag \Deleted.
func (s *session) deletedUIDs(r mailbox.Reader) ([]mailbox.UID, error) {
	return mailbox.DeletedUIDs(r, s.view.folder)
}

// expungeAll removes messages of the selected folder: those that have the flag \Deleted when their transaction is computed.
func (s *session) expungeAll(deleted func(mailbox.Reader) ([]mailbox.UID, error)) error {
	for more := true; more; {
		err := s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error {
			uids, err := deleted(d)
			if err != nil {
				return err
			}
			more = len(uids) > s.server.config.ChangeMessagesMax
			_, err = d.Expunge(s.view.folder, uids[:min(len(uids), s.server.config.ChangeMessagesMax)])
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// afterExpunge tells what is gone; a client that knows mod-sequences is told how far it now is (RFC 7162 section 3.2.5).
func (s *session) afterExpunge(text string) outcome {
	if err := s.sync(s.ctx, true, nil); err != nil {
		s.syncFailed(err)
		return outcome{text: text}
	}
	if !s.condstore {
		return outcome{text: text}
	}
	code, err := s.highestModSeqCode()
	if err != nil {
		s.syncFailed(err)
		return outcome{text: text}
	}
	return outcome{code: code, text: text}
}
