package imap_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
	"mailreplica/internal/mailbox"
)

// stirred is a backend in whose mailboxes something happens after every look for news.
type stirred struct {
	*memory.Backend
	afterGlance func()
}

func (b *stirred) Open(ctx context.Context, id account.ID) (imap.Mailbox, error) {
	m, err := b.Backend.Open(ctx, id)
	return stirredMailbox{m, b}, err
}

type stirredMailbox struct {
	imap.Mailbox
	backend *stirred
}

func (m stirredMailbox) Glance(ctx context.Context, since mailbox.Sequence, fn func(mailbox.Reader) error) error {
	err := m.Mailbox.Glance(ctx, since, fn)
	if m.backend.afterGlance != nil {
		m.backend.afterGlance()
	}
	return err
}

// Of more changes than one snapshot gives, none is lost that is made between two snapshots.
func TestChangeBetweenRoundsOfNews(t *testing.T) {
	const messages = 17_000
	b, m := backendWithTest()
	s := &stirred{Backend: b}
	_, address := startServer(t, imap.Config{Backend: s, AllowPlaintext: true})
	c := login(t, address)
	for range messages / 1000 {
		c.ok("APPEND INBOX" + strings.Repeat(" {1+}\r\nx", 1000))
	}
	c.ok("SELECT INBOX")
	flag := func(flag mailbox.SystemFlags, uids ...mailbox.UID) {
		if err := m.Update(t.Context(), func(d *mailbox.Draft) error {
			inbox, _, err := d.FolderByName(mailbox.Inbox)
			if err != nil {
				return err
			}
			_, _, err = d.SetFlags(inbox.ID, uids, mailbox.AddFlags, mailbox.Flags{System: flag}, nil)
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	all := make([]mailbox.UID, messages)
	for i := range all {
		all[i] = mailbox.UID(i + 1)
	}
	flag(mailbox.Seen, all...)
	s.afterGlance = func() {
		s.afterGlance = nil
		flag(mailbox.Flagged, 5)
	}
	told := append(c.ok("NOOP"), c.ok("NOOP")...)
	if want := `* 5 FETCH (FLAGS (\Flagged \Seen \Recent))`; !slices.Contains(told, want) {
		t.Errorf("of %d lines none is %s", len(told), want)
	}
}
