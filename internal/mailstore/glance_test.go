package mailstore_test

import (
	"context"
	"testing"
	"testing/synctest"

	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
)

// glance gives the sequence that a Glance shows.
func glance(t *testing.T, a *mailstore.Account, since mailbox.Sequence, before func(mailbox.Reader)) mailbox.Sequence {
	t.Helper()
	var at mailbox.Sequence
	err := a.Glance(t.Context(), since, func(r mailbox.Reader) error {
		if before != nil {
			before(r)
		}
		header, err := r.Header()
		if err != nil {
			return err
		}
		at = header.Sequence
		inbox, _, err := r.FolderByName(mailbox.Inbox)
		if err != nil {
			return err
		}
		none := func(mailbox.Tombstone) bool { return true }
		if err := r.Tombstones(inbox.ID, since, none); err != nil {
			return err
		}
		_, err = r.Folders() // which is not kept in memory
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// A Glance has what was acknowledged before it, whoever committed it, and is of one state, also if the rows move on meanwhile.
func TestGlance(t *testing.T) {
	for _, stream := range []int32{-1, 0} {
		synctest.Test(t, func(t *testing.T) {
			h := newLog(t, 1, 0).host(t, "a.example")
			a := h.account(h.create(stream))
			for n := range 5 {
				mustDeliver(t, a, "mail", n+1)
				if at, want := glance(t, a, 0, nil), a.Copy().Committed; at != want {
					t.Fatalf("stream %d: a Glance shows sequence %d, %d is acknowledged", stream, at, want)
				}
			}
			looks, before := 0, a.Copy().Committed
			at := glance(t, a, before, func(r mailbox.Reader) {
				if looks++; looks > 1 {
					return
				}
				if _, err := r.Header(); err != nil {
					t.Error(err)
				}
				mustDeliver(t, a, "while somebody looks", 6)
			})
			if at != before && at != a.Copy().Committed || looks > 2 {
				t.Errorf("stream %d: a Glance shows sequence %d after %d looks, want %d or %d", stream, at, looks, before, a.Copy().Committed)
			}
			// A commit that a View has shown, and that is not published yet.
			next := a.Copy().Committed + 1
			err := h.store.Update(context.Background(), metadata.Lazy, func(tx *metadata.Tx) error {
				header, err := tx.Rows(a.MailboxID()).Header()
				header.Sequence = next
				if err == nil {
					err = tx.LoadRows(a.MailboxID(), &event.Rows{Headers: []mailbox.Header{header}})
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if at := glance(t, a, next, nil); at != next {
				t.Errorf("stream %d: a Glance shows sequence %d after %d was seen", stream, at, next)
			}
		})
	}
}
