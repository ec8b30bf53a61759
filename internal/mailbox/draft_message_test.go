package mailbox_test

import (
	"fmt"
	"testing"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

func TestAppend(t *testing.T) {
	b := newBox(t)
	rows := b.append("Drafts", 2)
	equalUIDs(t, "Drafts", b.uids("Drafts"), 1, 2)
	f := b.folder("Drafts")
	if f.Messages != 2 || f.Unseen != 2 || f.Bytes != 201 || f.UIDNext != 3 || f.HighestSeq != 2 {
		t.Errorf("counters of the folder: %+v", f)
	}
	h, _ := b.source.Header()
	if h.Messages != 2 || h.Bytes != 201 {
		t.Errorf("usage: %+v", h)
	}
	stored, _, _ := b.source.Message(f.ID, 2)
	want := time.Date(2024, 5, 17, 12, 30, 1, 0, time.FixedZone("", 2*3600))
	if got := stored.Received(); !got.Equal(want) || got.Format("-0700") != "+0200" {
		t.Errorf("received: got %v, want %v", got, want)
	}
	if rows[1].ID != stored.ID || rows[1].ModSeq != 2 || rows[1].ContentID != stored.ContentID || stored.ID == rows[0].ID {
		t.Errorf("Append gave %+v, the row is %+v", rows[1], stored)
	}
	c, found, _ := b.source.Content(stored.ContentID)
	if !found || c.Blob != "2024/05/blob-1" || string(c.Summary) != "summary" {
		t.Errorf("content: %+v, found %t", c, found)
	}
	b.fails(fault.NotFound, func(d *mailbox.Draft) error { _, err := d.Append(99, newMessages(1)); return err })
	b.fails(fault.Invalid, func(d *mailbox.Draft) error { // the second is bad: neither is added
		messages := newMessages(2)
		messages[1].Flags.Keywords = []string{"no good"}
		_, err := d.Append(f.ID, messages)
		return err
	})
	b.fails(fault.TooLarge, func(d *mailbox.Draft) error {
		messages := newMessages(2)
		messages[1].Summary = make([]byte, 200<<20)
		_, err := d.Append(f.ID, messages)
		return err
	})
}

func TestDeliver(t *testing.T) {
	b := newBox(t)
	deliver := func(key byte, folder string) (m mailbox.Message, repeated bool) {
		t.Helper()
		b.do(func(d *mailbox.Draft) (err error) {
			m, repeated, err = d.Deliver(newMessages(1)[0], mailbox.DeliveryKey{key}, folder)
			if repeated != d.Empty() {
				t.Errorf("repeated: %t, empty: %t", repeated, d.Empty())
			}
			return err
		})
		return m, repeated
	}
	for _, c := range []struct {
		key      byte
		folder   string
		repeated bool
		uid      mailbox.UID
		lies     string
	}{
		{1, "", false, 1, "INBOX"},
		{2, "Junk", false, 1, "Junk"},
		{3, "nowhere", false, 2, "INBOX"},
		{1, "", true, 0, ""},
		{0, "", false, 3, "INBOX"}, // no key
		{0, "", false, 4, "INBOX"},
	} {
		m, repeated := deliver(c.key, c.folder)
		if repeated != c.repeated || m.UID != c.uid || !repeated && m.FolderID != b.folder(c.lies).ID {
			t.Errorf("key %d to %q: got %+v, repeated %t", c.key, c.folder, m, repeated)
		}
	}
	b.do(func(d *mailbox.Draft) error {
		return d.Answered([]mailbox.DeliveryKey{{1}, {9}, {1}})
	})
	if m, repeated := deliver(1, ""); repeated || m.UID != 5 {
		t.Errorf("a delivery that was answered comes again: got %+v, repeated %t", m, repeated)
	}
	b.do(func(d *mailbox.Draft) error { // twice within one transaction
		if _, repeated, err := d.Deliver(newMessages(1)[0], mailbox.DeliveryKey{7}, ""); err != nil || repeated {
			t.Errorf("first: repeated %t, error %v", repeated, err)
		}
		_, repeated, err := d.Deliver(newMessages(1)[0], mailbox.DeliveryKey{7}, "")
		if !repeated {
			t.Error("the second is not taken for a repeat")
		}
		return err
	})
}

func TestDeliveriesAreBounded(t *testing.T) {
	b := newBox(t)
	key := func(i int) mailbox.DeliveryKey { return mailbox.DeliveryKey{1: byte(i), 2: 1} }
	const bound = 20
	deliver := func(from, to int) {
		b.do(func(d *mailbox.Draft) error {
			d.Lower(1, bound)
			for i := from; i < to; i++ {
				if _, _, err := d.Deliver(newMessages(1)[0], key(i), ""); err != nil {
					return err
				}
			}
			return nil
		})
	}
	deliver(0, bound/2)
	deliver(bound/2, bound)
	deliver(bound, bound+3)
	if n, _ := b.source.CountDeliveries(); n != bound {
		t.Errorf("got %d deliveries, want %d", n, bound)
	}
	for i, want := range map[int]bool{0: false, 2: false, 3: true, bound + 2: true} {
		if _, known, _ := b.source.Delivery(key(i)); known != want {
			t.Errorf("delivery %d: known %t, want %t", i, known, want)
		}
	}
}

func TestExpunge(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 5)
	inbox := b.folder("INBOX")
	var got []mailbox.UID
	c := b.do(func(d *mailbox.Draft) (err error) {
		got, err = d.Expunge(inbox.ID, []mailbox.UID{4, 2, 9, 2})
		return err
	})
	equalUIDs(t, "expunged", got, 2, 4)
	equalUIDs(t, "left", b.uids("INBOX"), 1, 3, 5)
	if len(c.Effects) != 5 { // one Expunge, two contents, one folder, the counters
		t.Errorf("got %d effects: %v", len(c.Effects), c.Effects)
	}
	var tombstones []mailbox.Tombstone
	_ = b.source.Tombstones(inbox.ID, 0, func(t mailbox.Tombstone) bool { tombstones = append(tombstones, t); return true })
	if len(tombstones) != 2 || tombstones[1] != (mailbox.Tombstone{FolderID: inbox.ID, UID: 4, Sequence: 3}) {
		t.Errorf("tombstones: %v", tombstones)
	}
	if f := b.folder("INBOX"); f.Messages != 3 || f.Unseen != 3 || f.Tombstones != 2 || f.HighestSeq != 3 || f.Bytes != 306 {
		t.Errorf("counters of the folder: %+v", f)
	}
	b.do(func(d *mailbox.Draft) error {
		none, err := d.Expunge(inbox.ID, []mailbox.UID{2, 4, 77})
		if len(none) > 0 || !d.Empty() {
			t.Errorf("expunged again: %v", none)
		}
		return err
	})
	b.fails(fault.NotFound, func(d *mailbox.Draft) error { _, err := d.Expunge(99, []mailbox.UID{1}); return err })
}

func TestAppendAndExpungeInOneTransaction(t *testing.T) {
	b := newBox(t)
	inbox := b.folder("INBOX")
	b.do(func(d *mailbox.Draft) error {
		if _, err := d.Append(inbox.ID, newMessages(2)); err != nil {
			return err
		}
		_, err := d.Expunge(inbox.ID, []mailbox.UID{1})
		return err
	})
	equalUIDs(t, "left", b.uids("INBOX"), 2)
	if f := b.folder("INBOX"); f.UIDNext != 3 || f.Tombstones != 1 {
		t.Errorf("counters of the folder: %+v", f)
	}
}

func TestTombstonesAreBounded(t *testing.T) {
	b := newBox(t)
	inbox := b.folder("INBOX")
	const half = 50
	expunge := func(n int) {
		b.append("INBOX", n)
		uids := b.uids("INBOX")
		b.do(func(d *mailbox.Draft) error {
			d.Lower(2*half, 1)
			_, err := d.Expunge(inbox.ID, uids)
			return err
		})
	}
	expunge(half)
	expunge(half)
	second := b.folder("INBOX").HighestSeq
	if f := b.folder("INBOX"); f.Tombstones != 2*half || f.PrunedUpTo != 0 {
		t.Fatalf("at the bound: %+v", f)
	}
	expunge(10) // the median lies in the second transaction, and transactions go whole
	if f := b.folder("INBOX"); f.Tombstones != 10 || f.PrunedUpTo != second {
		t.Errorf("after the bound: %+v", f)
	}
	expunge(2*half + 1)
	if f := b.folder("INBOX"); f.Tombstones != 2*half+1 {
		t.Errorf("those of the transaction itself must stay: %+v", f)
	}
}

func TestPruneTombstones(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 4)
	inbox := b.folder("INBOX")
	for uid := range mailbox.UID(4) {
		b.do(func(d *mailbox.Draft) error { _, err := d.Expunge(inbox.ID, []mailbox.UID{uid + 1}); return err })
	}
	b.do(func(d *mailbox.Draft) error { return d.PruneTombstones(inbox.ID, 4) })
	if f := b.folder("INBOX"); f.Tombstones != 2 || f.PrunedUpTo != 4 || f.HighestSeq != 6 {
		t.Errorf("after pruning: %+v", f)
	}
	b.do(func(d *mailbox.Draft) error { // again: nothing to do
		err := d.PruneTombstones(inbox.ID, 3)
		if !d.Empty() {
			t.Error("pruned twice")
		}
		return err
	})
	b.do(func(d *mailbox.Draft) error { return d.PruneTombstones(inbox.ID, 1000) })
	if f := b.folder("INBOX"); f.Tombstones != 0 {
		t.Errorf("after pruning all: %+v", f)
	}
}

func TestCopy(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 4)
	inbox, sent := b.folder("INBOX").ID, b.folder("Sent").ID
	b.append("Sent", 1)
	b.do(func(d *mailbox.Draft) error {
		_, _, err := d.SetFlags(inbox, []mailbox.UID{3}, mailbox.AddFlags, mailbox.Flags{System: mailbox.Flagged, Keywords: []string{"k"}}, nil)
		return err
	})
	var source, destination []mailbox.UID
	b.do(func(d *mailbox.Draft) (err error) {
		source, destination, err = d.Copy(inbox, []mailbox.UID{3, 1, 17}, sent)
		return err
	})
	equalUIDs(t, "source", source, 1, 3)
	equalUIDs(t, "destination", destination, 2, 3)
	from, _, _ := b.source.Message(inbox, 3)
	to, _, _ := b.source.Message(sent, 3)
	if to.ContentID != from.ContentID || to.InternalDate != from.InternalDate || !to.Flags.Equal(from.Flags) || to.ID == from.ID {
		t.Errorf("the copy is %+v of %+v", to, from)
	}
	if n, _ := b.source.References(from.ContentID); n != 2 {
		t.Errorf("got %d references, want 2", n)
	}
	b.do(func(d *mailbox.Draft) error { _, err := d.Expunge(inbox, []mailbox.UID{3}); return err })
	if _, found, _ := b.source.Content(from.ContentID); !found {
		t.Error("the content is gone while a copy refers to it")
	}
	b.do(func(d *mailbox.Draft) error { _, err := d.Expunge(sent, []mailbox.UID{3}); return err })
	if _, found, _ := b.source.Content(from.ContentID); found {
		t.Error("the content is there though nothing refers to it")
	}
	b.do(func(d *mailbox.Draft) (err error) {
		source, destination, err = d.Copy(inbox, []mailbox.UID{1, 2}, inbox)
		return err
	})
	equalUIDs(t, "copies beside the originals", destination, 5, 6)
	b.fails(fault.NotFound, func(d *mailbox.Draft) error { _, _, err := d.Copy(inbox, []mailbox.UID{1}, 99); return err })
	b.fails(fault.NotFound, func(d *mailbox.Draft) error { _, _, err := d.Move(99, []mailbox.UID{1}, inbox); return err })
}

func TestMove(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 4)
	inbox, trash := b.folder("INBOX").ID, b.folder("Trash").ID
	h, _ := b.source.Header()
	var source, destination []mailbox.UID
	b.do(func(d *mailbox.Draft) (err error) {
		source, destination, err = d.Move(inbox, []mailbox.UID{2, 3}, trash)
		return err
	})
	equalUIDs(t, "source", source, 2, 3)
	equalUIDs(t, "destination", destination, 1, 2)
	equalUIDs(t, "INBOX", b.uids("INBOX"), 1, 4)
	b.do(func(d *mailbox.Draft) (err error) {
		_, destination, err = d.Move(inbox, []mailbox.UID{1}, inbox)
		return err
	})
	equalUIDs(t, "moved to where it was", destination, 5)
	equalUIDs(t, "INBOX", b.uids("INBOX"), 4, 5)
	if after, _ := b.source.Header(); after.Messages != h.Messages || after.Bytes != h.Bytes {
		t.Errorf("usage is %+v, was %+v", after, h)
	}
}

func TestUIDsRunOut(t *testing.T) {
	b := newBox(t)
	junk := b.folder("Junk")
	junk.UIDNext = 1<<32 - 2
	for _, m := range []*mailbox.Memory{b.source, b.replica} {
		o, err := mailbox.NewOverlay(m, 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Apply(mailbox.PutFolder{Folder: junk}); err != nil {
			t.Fatal(err)
		}
		_ = m.Write(o.Delta())
	}
	b.fails(fault.TooLarge, func(d *mailbox.Draft) error { _, err := d.Append(junk.ID, newMessages(2)); return err })
	b.append("Junk", 1)
	b.fails(fault.TooLarge, func(d *mailbox.Draft) error { _, err := d.Append(junk.ID, newMessages(1)); return err })
	b.append("INBOX", 1)
	b.fails(fault.TooLarge, func(d *mailbox.Draft) error {
		_, _, err := d.Move(b.folder("INBOX").ID, []mailbox.UID{1}, junk.ID)
		return err
	})
	equalUIDs(t, "Junk", b.uids("Junk"), 1<<32-2)
}

func TestDeletedUIDs(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 3)
	inbox := b.folder("INBOX").ID
	b.do(func(d *mailbox.Draft) error {
		if _, _, err := d.SetFlags(inbox, []mailbox.UID{1, 3}, mailbox.AddFlags, mailbox.Flags{System: mailbox.Deleted}, nil); err != nil {
			return err
		}
		uids, err := mailbox.DeletedUIDs(d, inbox)
		equalUIDs(t, "within the transaction", uids, 1, 3)
		return err
	})
	uids, err := mailbox.DeletedUIDs(b.source, inbox)
	if err != nil {
		t.Fatal(err)
	}
	equalUIDs(t, "after it", uids, 1, 3)
}

func TestDeletedAmong(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 100)
	inbox := b.folder("INBOX").ID
	marked := []mailbox.UID{1, 2, 40, 77, 100}
	b.do(func(d *mailbox.Draft) error {
		_, _, err := d.SetFlags(inbox, marked, mailbox.AddFlags, mailbox.Flags{System: mailbox.Deleted}, nil)
		return err
	})
	for _, test := range []struct{ among, want []mailbox.UID }{
		{nil, nil},
		{[]mailbox.UID{40}, []mailbox.UID{40}},
		{[]mailbox.UID{41}, nil},
		{[]mailbox.UID{2, 3, 77, 99, 101, 4_000_000_000}, []mailbox.UID{2, 77}},
		{marked, marked},
	} {
		uids, err := mailbox.DeletedAmong(b.source, inbox, test.among)
		if err != nil {
			t.Fatal(err)
		}
		equalUIDs(t, fmt.Sprint("among ", test.among), uids, test.want...)
	}
}
