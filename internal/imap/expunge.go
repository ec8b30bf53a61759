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
	var among []mailbox.UID
	if args.UID {
		spans, err := s.spans(c, args.Set, true)
		if err != nil {
			return outcome{}, err
		}
		among = v.uidsIn(spans)
	}
	err := s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error {
		var uids []mailbox.UID
		var err error
		if args.UID {
			uids, err = mailbox.DeletedAmong(d, v.folder, among)
		} else {
			uids, err = mailbox.DeletedUIDs(d, v.folder)
		}
		if err != nil {
			return err
		}
		_, err = d.Expunge(v.folder, uids)
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	return s.afterExpunge("Expunged"), nil
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
