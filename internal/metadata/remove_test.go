package metadata_test

import (
	"runtime"
	"testing"
	"time"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

// TestRemoveMailbox removes a mailbox of many rows, at once for everybody who looks and bit by bit in the tables.
func TestRemoveMailbox(t *testing.T) { onEach(t, testRemoveMailbox) }

func testRemoveMailbox(t *testing.T, p place) {
	s := p.open(t)
	id, c := create(t, s)
	kept, _ := create(t, s)
	for _, one := range []int64{id, kept} {
		d := newDelivery()
		update(t, s, func(tx *metadata.Tx) error {
			delta := d.delta(2000)
			delta.Subscriptions = map[string]bool{"INBOX": true}
			delta.Tombstones = ascending(map[mailbox.MessageKey]*mailbox.Tombstone{{FolderID: inbox, UID: 9999}: {FolderID: inbox, UID: 9999}})
			if err := tx.Write(one, delta); err != nil {
				return err
			}
			if err := tx.ClaimRecent(one, inbox, 7); err != nil {
				return err
			}
			return tx.AppendJournal(one, metadata.JournalEntry{Sequence: 1, ID: event.NewID()})
		})
	}
	var again int64
	update(t, s, func(tx *metadata.Tx) error {
		if err := tx.RemoveMailbox(id); err != nil {
			return err
		}
		_, err := tx.Rows(id).Folders()
		wantKind(t, err, fault.NotFound)
		again, err = tx.CreateMailbox(c)
		return err
	})
	if again <= kept {
		t.Errorf("got id %d for the account's next mailbox, want one never used before", again)
	}
	view(t, s, func(v *metadata.View) error {
		m, _, err := v.Mailbox(c.Account)
		want(t, "the account's mailbox", m.ID, again, err)
		_, found, err := v.MailboxByID(id)
		want(t, "the removed mailbox", found, false, err)
		_, err = v.Rows(id).CountDeliveries()
		wantKind(t, err, fault.NotFound)
		_, _, err = v.JournalHead(id)
		wantKind(t, err, fault.NotFound)
		n, err := v.Rows(again).CountDeliveries()
		want(t, "deliveries of the new mailbox", n, 0, err)
		return nil
	})
	if err := s.Close(); err != nil { // in the middle of the sweep, as likely as not
		t.Fatal(err)
	}
	s = p.open(t)
	wantSwept(t, s)
	view(t, s, func(v *metadata.View) error {
		n := 0
		err := v.Rows(kept).Messages(inbox, 1, 2000, func(mailbox.Message) bool { n++; return true })
		want(t, "messages of the mailbox beside it", n, 2000, err)
		return nil
	})
}

// wantSwept waits until no row of a removed mailbox is left.
func wantSwept(t *testing.T, s *metadata.Store) {
	t.Helper()
	wantSweptBut(t, s, 0)
}

// wantSweptBut waits until so many rows of removed mailboxes are left.
func wantSweptBut(t *testing.T, s *metadata.Store, rows int64) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for left := rows + 1; left != rows; runtime.Gosched() {
		view(t, s, func(v *metadata.View) (err error) {
			left, err = metadata.Leftovers(v)
			return err
		})
		if time.Now().After(deadline) {
			t.Fatalf("%d rows of removed mailboxes are left", left)
		}
	}
}

// TestRemoveFolders removes folders with messages and tombstones, next to others with the same UIDs.
func TestRemoveFolders(t *testing.T) { onEach(t, testRemoveFolders) }

func testRemoveFolders(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	delta := folderDelta()
	messages, tombstones := map[mailbox.MessageKey]*mailbox.Message{}, map[mailbox.MessageKey]*mailbox.Tombstone{}
	for folder := range mailbox.ItemID(5) {
		delta.Folders[folder+1] = &mailbox.Folder{ID: folder + 1, Name: string(rune('a' + folder))}
		for uid := range mailbox.UID(100) {
			key := mailbox.MessageKey{FolderID: folder + 1, UID: uid + 1}
			messages[key] = &mailbox.Message{FolderID: key.FolderID, UID: key.UID, ContentID: 77, ModSeq: 1}
			tombstones[key] = &mailbox.Tombstone{FolderID: key.FolderID, UID: key.UID, Sequence: 1}
		}
	}
	delta.Messages, delta.Tombstones = ascending(messages), ascending(tombstones)
	update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, delta) })
	gone := folderDelta()
	gone.RemovedFolders = []mailbox.ItemID{2, 4}
	update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, gone) })
	view(t, s, func(v *metadata.View) error {
		rows := v.Rows(id)
		n, err := rows.References(77)
		want(t, "references", n, 300, err)
		var folders []mailbox.ItemID
		err = rows.ScanTombstones(mailbox.MessageKey{}, func(t mailbox.Tombstone) bool {
			if len(folders) == 0 || folders[len(folders)-1] != t.FolderID {
				folders = append(folders, t.FolderID)
			}
			return true
		})
		want(t, "folders with tombstones", folders, []mailbox.ItemID{1, 3, 5}, err)
		return nil
	})
}
