package imap

import (
	"slices"
	"strings"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

// specialUses are those that a folder can be made with (RFC 6154 section 2).
var specialUses = []string{`\Archive`, `\Drafts`, `\Junk`, `\Sent`, `\Trash`}

// create answers CREATE (RFC 3501 section 6.3.3), with a special use as RFC 6154 section 3 has it.
func (s *session) create(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Create)
	use := ""
	if len(args.SpecialUse) > 0 {
		use = args.SpecialUse[0]
		if len(args.SpecialUse) > 1 || !slices.Contains(specialUses, use) {
			return outcome{status: wire.NO, code: "USEATTR", text: "A mailbox cannot be made for this use"}, nil
		}
	}
	err := s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error {
		_, err := d.CreateFolder(args.Mailbox, use)
		return err
	})
	return outcome{text: "Created"}, err
}

// deleteFolder answers DELETE (RFC 3501 section 6.3.4).
func (s *session) deleteFolder(c *wire.Command) (outcome, error) {
	name := c.Args.(*wire.Delete).Mailbox
	var deleted mailbox.ItemID
	err := s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error {
		folder, found, err := d.FolderByName(strings.TrimSuffix(name, delimiter))
		if err != nil {
			return err
		}
		if !found {
			return noSuchFolder(name)
		}
		deleted = folder.ID
		return d.DeleteFolder(folder.Name)
	})
	if err != nil {
		return outcome{}, err
	}
	if s.view != nil && s.view.folder == deleted {
		s.view = nil
		s.out.UntaggedStatus(wire.OK, "CLOSED", "The selected mailbox was deleted")
	}
	return outcome{text: "Deleted"}, nil
}

// rename answers RENAME (RFC 3501 section 6.3.5). Sessions that have the folder selected keep it: they know it by its id.
func (s *session) rename(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Rename)
	err := s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error {
		return d.RenameFolder(args.From, args.To)
	})
	return outcome{text: "Renamed"}, err
}

// subscribe answers SUBSCRIBE. The folder need not exist: RFC 3501 section 6.3.6 leaves that open, and clients restore
// subscriptions before folders.
func (s *session) subscribe(c *wire.Command) (outcome, error) {
	name := c.Args.(*wire.Subscribe).Mailbox
	err := s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error { return d.Subscribe(name) })
	return outcome{text: "Subscribed"}, err
}

func (s *session) unsubscribe(c *wire.Command) (outcome, error) {
	name := c.Args.(*wire.Unsubscribe).Mailbox
	err := s.mailbox.Update(s.ctx, func(d *mailbox.Draft) error { return d.Unsubscribe(name) })
	return outcome{text: "Unsubscribed"}, err
}
