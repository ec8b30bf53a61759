package imap

import (
	"context"
	"slices"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

// statusLine is what STATUS says of one folder.
type statusLine struct {
	folder          mailbox.Folder
	recent, deleted uint64
}

// status answers STATUS (RFC 3501 section 6.3.10).
func (s *session) status(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Status)
	if slices.Contains(args.Items, wire.StatusHighestModSeq) {
		if err := s.enableCondstore(); err != nil { // RFC 7162 section 3.1
			return outcome{}, err
		}
	}
	var folder mailbox.Folder
	err := s.mailbox.View(s.ctx, func(r mailbox.Reader) error {
		found := false
		var err error
		folder, found, err = r.FolderByName(args.Mailbox)
		if err == nil && !found {
			err = noSuchFolder(args.Mailbox)
		}
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	line, err := s.count(s.ctx, folder, args.Items)
	if err != nil {
		return outcome{}, err
	}
	s.writeStatus(line, args.Items)
	return outcome{text: "Status told"}, nil
}

// count finds what the folder's row does not say: messages that are recent or deleted.
func (s *session) count(ctx context.Context, folder mailbox.Folder, items []wire.StatusItem) (statusLine, error) {
	line := statusLine{folder: folder}
	for _, item := range items {
		var err error
		switch item {
		case wire.StatusRecent:
			line.recent, err = s.countUnclaimed(ctx, folder)
		case wire.StatusDeleted:
			line.deleted, err = s.countMessages(ctx, folder.ID, 1, func(m mailbox.Message) bool {
				return m.Flags.Has(mailbox.Deleted)
			})
		}
		if err != nil {
			return line, err
		}
	}
	return line, nil
}

// countUnclaimed counts messages that no session has been told of as \Recent.
func (s *session) countUnclaimed(ctx context.Context, folder mailbox.Folder) (uint64, error) {
	first, err := s.mailbox.Recent(ctx, folder.ID, false)
	if err != nil || first >= folder.UIDNext {
		return 0, err
	}
	return s.countMessages(ctx, folder.ID, first, func(mailbox.Message) bool { return true })
}

func (s *session) countMessages(ctx context.Context, folder mailbox.ItemID, from mailbox.UID, counts func(mailbox.Message) bool) (uint64, error) {
	var n uint64
	err := s.mailbox.View(ctx, func(r mailbox.Reader) error {
		n = 0
		return r.Messages(folder, from, uidMax, func(m mailbox.Message) bool {
			if counts(m) {
				n++
			}
			return true
		})
	})
	return n, err
}

func (s *session) writeStatus(line statusLine, items []wire.StatusItem) {
	f := line.folder
	s.out.Raw("* STATUS ")
	s.out.Mailbox(f.Name)
	s.out.Raw(" (")
	for i, item := range items {
		if i > 0 {
			s.out.Raw(" ")
		}
		s.out.Raw(string(item))
		s.out.Raw(" ")
		switch item {
		case wire.StatusMessages:
			s.out.Number(uint64(f.Messages))
		case wire.StatusRecent:
			s.out.Number(line.recent)
		case wire.StatusUIDNext:
			s.out.Number(uint64(f.UIDNext))
		case wire.StatusUIDValidity:
			s.out.Number(uint64(f.UIDValidity))
		case wire.StatusUnseen:
			s.out.Number(uint64(f.Unseen))
		case wire.StatusDeleted:
			s.out.Number(line.deleted)
		case wire.StatusSize:
			s.out.Number(f.Bytes)
		case wire.StatusHighestModSeq:
			s.out.Number(highestModSeq(f))
		case wire.StatusAppendLimit:
			s.out.Number(uint64(s.server.config.AppendBytesMax))
		}
	}
	s.out.Raw(")")
	s.out.CRLF()
}
