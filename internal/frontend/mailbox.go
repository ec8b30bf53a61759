package frontend

import (
	"context"
	"io"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
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
	return &imapMailbox{Account: held, mailstore: r.config.Mailstore}, nil
}

// imapMailbox is an account's copy as IMAP sessions see it.
type imapMailbox struct {
	*mailstore.Account
	mailstore *mailstore.Mailstore
}

// Watch implements imap.Mailbox.
func (m *imapMailbox) Watch() imap.Watch { return m.Account.Watch() }

// OpenBody implements imap.Mailbox.
func (m *imapMailbox) OpenBody(ctx context.Context, c mailbox.Content) (imap.Body, error) {
	return m.mailstore.OpenBody(ctx, c)
}

// StoreBody implements imap.Mailbox.
func (m *imapMailbox) StoreBody(ctx context.Context, r io.Reader) (mailbox.NewMessage, error) {
	return m.mailstore.StoreBody(ctx, r)
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
