package metadata_test

import (
	"log/slog"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

func open(t testing.TB, dir string) *metadata.Store {
	t.Helper()
	s, err := metadata.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func update(t testing.TB, s *metadata.Store, fn func(*metadata.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), metadata.Lazy, fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func create(t testing.TB, s *metadata.Store) (id int64, c *protocol.Copy) {
	t.Helper()
	c = protocol.NewLocal(account.NewID(), "mbox1.example.com")
	update(t, s, func(tx *metadata.Tx) (err error) {
		id, err = tx.CreateMailbox(c)
		return err
	})
	return id, c
}

func TestSmoke(t *testing.T) {
	s := open(t, t.TempDir())
	id, _ := create(t, s)
	update(t, s, func(tx *metadata.Tx) error {
		return tx.Write(id, mailbox.Delta{
			Header:  mailbox.Header{Sequence: 1, NextItemID: 3},
			Folders: map[mailbox.ItemID]*mailbox.Folder{1: {ID: 1, Name: "INBOX", UIDNext: 2}},
			Messages: map[mailbox.MessageKey]*mailbox.Message{{FolderID: 1, UID: 1}: {FolderID: 1, UID: 1, ID: 2,
				Flags: mailbox.Flags{Keywords: []string{"$a", "b"}}}},
		})
	})
	err := s.View(t.Context(), func(v *metadata.View) error {
		n := 0
		err := v.Rows(id).Messages(1, 1, 9, func(m mailbox.Message) bool { n++; t.Log(m); return true })
		if n != 1 {
			t.Errorf("got %d messages, want 1", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *metadata.Tx) error { return tx.RemoveMailbox(id) })
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}
