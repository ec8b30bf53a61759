package frontend

import (
	"context"
	"io"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/lmtp"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
)

// Open implements imap.Backend.
func (b *IMAP) Open(ctx context.Context, id account.ID) (imap.Mailbox, error) {
	r := b.config.Router
	held, ok := r.config.Mailstore.Account(id)
	if !ok {
		a, err := r.config.Follower.LookupID(ctx, id)
		if err != nil {
			return nil, err
		}
		if held, err = r.open(ctx, a); err != nil {
			return nil, err
		}
	}
	if err := held.MayServe(); err != nil {
		return nil, err
	}
	if err := r.fresh(held); err != nil {
		return nil, err
	}
	return &imapMailbox{Account: held, router: r, mailstore: r.config.Mailstore, answers: r.answers}, nil
}

// imapMailbox is an account's copy as IMAP sessions see it.
type imapMailbox struct {
	*mailstore.Account
	router    *Router
	mailstore *mailstore.Mailstore
	answers   *answers
}

// Update implements imap.Mailbox. What is known to have been answered travels in the change, if there is one.
func (m *imapMailbox) Update(ctx context.Context, fn func(*mailbox.Draft) error) error {
	var carried []lmtp.Receipt
	err := m.Account.Update(ctx, func(d *mailbox.Draft) error {
		before := d.Changes()
		carried = nil
		if err := fn(d); err != nil || d.Changes() == before {
			return err
		}
		var err error
		carried, err = m.answers.into(d, m.ID())
		return err
	})
	if err == nil {
		m.answers.done(m.ID(), carried)
	}
	return err
}

// MaySelect implements imap.Mailbox.
func (m *imapMailbox) MaySelect() error { return m.router.fresh(m.Account) }

// Watch implements imap.Mailbox.
func (m *imapMailbox) Watch() imap.Watch { return m.Account.Watch() }

// OpenBody implements imap.Mailbox.
func (m *imapMailbox) OpenBody(ctx context.Context, c mailbox.Content) (imap.Body, error) {
	return m.mailstore.OpenBody(ctx, c)
}

// Fields implements imap.Mailbox.
func (m *imapMailbox) Fields(ctx context.Context, c mailbox.Content, names []string) ([]byte, bool, error) {
	return m.mailstore.Fields(ctx, c, names)
}

// StoreBody implements imap.Mailbox.
func (m *imapMailbox) StoreBody(ctx context.Context, r io.Reader) (mailbox.NewMessage, error) {
	return m.mailstore.StoreBody(ctx, r)
}

// DropBodies implements imap.Mailbox.
func (m *imapMailbox) DropBodies(ctx context.Context, bodies []mailbox.NewMessage, cause error) {
	m.mailstore.DropBodies(ctx, bodies, cause)
}

// Recent implements imap.Mailbox.
func (m *imapMailbox) Recent(ctx context.Context, folder mailbox.ItemID, claim bool) (mailbox.UID, error) {
	var next mailbox.UID
	err := m.View(ctx, func(r mailbox.Reader) error {
		f, found, err := r.Folder(folder)
		if err == nil && !found {
			err = fault.New(fault.NotFound, "there is no such folder")
		}
		next = f.UIDNext
		return err
	})
	if err != nil {
		return 0, err
	}
	return m.Account.Recent(ctx, folder, next, claim)
}
