package metadata_test

import (
	"cmp"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

// discard puts contents 1 to n with blobs, and discards those from the first on at times that ascend from at.
func discard(t *testing.T, s *metadata.Store, id int64, volume string, n, discarded int, at int64) {
	t.Helper()
	d := mailbox.Delta{Header: mailbox.EmptyHeader(), Contents: map[mailbox.ItemID]*mailbox.Content{}}
	rows := map[mailbox.ItemID]*mailbox.Discarded{}
	for i := range mailbox.ItemID(n) {
		content := i + 1
		blob := string(rune('a' + i))
		if int(i) < discarded {
			rows[content] = &mailbox.Discarded{ContentID: content, Volume: volume, Blob: blob, Sequence: 9, At: at + int64(i)}
			d.Contents[content] = nil
		} else {
			d.Contents[content] = &mailbox.Content{ID: content, Volume: volume, Blob: blob}
		}
	}
	d.Discarded = ascendingBy(cmp.Compare, rows)
	update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, d) })
}

func dueOf(t *testing.T, s *metadata.Store, upTo int64, page int) []metadata.Due {
	t.Helper()
	var all []metadata.Due
	var after metadata.Due
	for {
		var due []metadata.Due
		view(t, s, func(v *metadata.View) (err error) {
			due, err = v.DueDiscarded(upTo, after, page)
			return err
		})
		all = append(all, due...)
		if len(due) < page {
			return all
		}
		after = due[len(due)-1]
	}
}

func TestDueDiscarded(t *testing.T) { onEach(t, testDueDiscarded) }

func testDueDiscarded(t *testing.T, p place) {
	s := p.open(t)
	one, _ := create(t, s)
	two, _ := create(t, s)
	discard(t, s, one, "v", 6, 5, 100)
	discard(t, s, two, "w", 4, 4, 102)
	for _, page := range []int{1, 2, 3, 100} {
		due := dueOf(t, s, 103, page)
		var got [][3]int64
		for _, d := range due {
			got = append(got, [3]int64{d.MailboxID, int64(d.ContentID), d.At})
		}
		want(t, "due", got, [][3]int64{{one, 1, 100}, {one, 2, 101}, {one, 3, 102}, {two, 1, 102}, {one, 4, 103}, {two, 2, 103}}, nil)
		want(t, "the first", due[0].Discarded, mailbox.Discarded{ContentID: 1, Volume: "v", Blob: "a", Sequence: 9, At: 100}, nil)
	}
	want(t, "due before all", len(dueOf(t, s, 99, 10)), 0, nil)
}

// What the blobs of a deleted account are is kept, also by a process that starts anew, until they are gone.
func TestEndMailbox(t *testing.T) { onEach(t, testEndMailbox) }

func testEndMailbox(t *testing.T, p place) {
	s := p.open(t)
	gone, c := create(t, s)
	kept, _ := create(t, s)
	removed, _ := create(t, s)
	discard(t, s, gone, "v", 5, 2, 100)
	discard(t, s, kept, "v", 3, 1, 100)
	discard(t, s, removed, "v", 3, 1, 100)
	ended := metadata.Ended{MailboxID: gone, Account: c.Account, Members: []string{"mbox1.example.com", "mbox2.example.com"}, At: 500}
	update(t, s, func(tx *metadata.Tx) error {
		if err := tx.RemoveMailbox(removed); err != nil {
			return err
		}
		return tx.EndMailbox(ended)
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = p.open(t)
	wantSweptBut(t, s, 5)
	var blobs []mailbox.Discarded
	view(t, s, func(v *metadata.View) error {
		all, err := v.Ended()
		want(t, "ended", all, []metadata.Ended{ended}, err)
		blobs, err = v.EndedBlobs(gone, 0, 2)
		want(t, "blobs at once", len(blobs), 2, err)
		owners := map[int64]bool{}
		for id := int64(0); ; {
			next, _, isEnded, found, err := v.NextOwner(id)
			if err != nil || !found {
				want(t, "owners", owners, map[int64]bool{gone: true, kept: false}, err)
				break
			}
			owners[next], id = isEnded, next
		}
		refs, err := v.BlobReferences(gone, "v", false, 3, 10)
		want(t, "references", refs, []metadata.BlobReference{{Blob: "d", ContentID: 4}, {Blob: "e", ContentID: 5}}, err)
		refs, err = v.BlobReferences(gone, "v", true, 0, 1)
		want(t, "discarded references", refs, []metadata.BlobReference{{Blob: "a", ContentID: 1, Discarded: true}}, err)
		refs, err = v.BlobReferences(gone, "w", false, 0, 10)
		want(t, "references of another volume", len(refs), 0, err)
		return nil
	})
	for round := 0; len(blobs) > 0; round++ {
		var ids []mailbox.ItemID
		for _, b := range blobs {
			ids = append(ids, b.ContentID)
		}
		update(t, s, func(tx *metadata.Tx) error { return tx.RemoveEndedBlobs(gone, ids) })
		view(t, s, func(v *metadata.View) (err error) {
			blobs, err = v.EndedBlobs(gone, 0, 2)
			return err
		})
		if round > 5 {
			t.Fatal("the blobs do not end")
		}
	}
	wantSwept(t, s)
	view(t, s, func(v *metadata.View) error {
		all, err := v.Ended()
		want(t, "ended when all blobs are gone", len(all), 0, err)
		n := 0
		err = v.Rows(kept).ScanContents(0, func(mailbox.Content) bool { n++; return true })
		want(t, "contents of the mailbox beside it", n, 2, err)
		return nil
	})
}

func TestEndMailboxWithoutBlobs(t *testing.T) { onEach(t, testEndMailboxWithoutBlobs) }

func testEndMailboxWithoutBlobs(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	update(t, s, func(tx *metadata.Tx) error {
		return tx.EndMailbox(metadata.Ended{MailboxID: id, Account: account.NewID()})
	})
	update(t, s, func(tx *metadata.Tx) error { return tx.RemoveEndedBlobs(id, nil) })
	view(t, s, func(v *metadata.View) error {
		all, err := v.Ended()
		want(t, "ended", len(all), 0, err)
		return nil
	})
}

func TestMessagesOf(t *testing.T) { onEach(t, testMessagesOf) }

func testMessagesOf(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	delta := folderDelta(mailbox.Folder{ID: 1, Name: "INBOX"})
	delta.Messages = ascending(map[mailbox.MessageKey]*mailbox.Message{
		{FolderID: 1, UID: 7}: {FolderID: 1, UID: 7, ContentID: 3},
		{FolderID: 1, UID: 9}: {FolderID: 1, UID: 9, ContentID: 3},
		{FolderID: 1, UID: 8}: {FolderID: 1, UID: 8, ContentID: 4},
	})
	update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, delta) })
	view(t, s, func(v *metadata.View) error {
		keys, err := v.MessagesOf(id, 3, 10)
		want(t, "messages", keys, []mailbox.MessageKey{{FolderID: 1, UID: 7}, {FolderID: 1, UID: 9}}, err)
		return nil
	})
}
