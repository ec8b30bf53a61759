package mailbox_test

import (
	"slices"
	"testing"

	"mailreplica/internal/mailbox"
)

func (b *box) discarded() []mailbox.Discarded {
	b.t.Helper()
	var rows []mailbox.Discarded
	err := b.replica.ScanDiscarded(0, func(d mailbox.Discarded) bool {
		rows = append(rows, d)
		return true
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

// contentsOf are the contents of the messages of a folder, by UID.
func (b *box) contentsOf(name string) []mailbox.Content {
	b.t.Helper()
	var contents []mailbox.Content
	err := b.source.Messages(b.folder(name).ID, 1, 1<<32-1, func(m mailbox.Message) bool {
		c, found, err := b.source.Content(m.ContentID)
		if err != nil || !found {
			b.t.Errorf("content %d: found %t, %v", m.ContentID, found, err)
		}
		contents = append(contents, c)
		return true
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return contents
}

// Whatever takes the last message of a content away lists its blob, at the sequence and the time of the transaction.
func TestDiscarded(t *testing.T) {
	for name, x := range map[string]struct {
		operate func(b *box, d *mailbox.Draft) error
		want    []int // contents of a, by the order of UIDs
	}{
		"expunge": {func(b *box, d *mailbox.Draft) error {
			_, err := d.Expunge(b.folder("a").ID, []mailbox.UID{1, 2})
			return err
		}, []int{0}}, // the second has a copy
		"expunge both": {func(b *box, d *mailbox.Draft) error {
			if _, err := d.Expunge(b.folder("a").ID, []mailbox.UID{2}); err != nil {
				return err
			}
			_, err := d.Expunge(b.folder("Sent").ID, []mailbox.UID{1})
			return err
		}, []int{1}},
		"move": {func(b *box, d *mailbox.Draft) error {
			_, _, err := d.Move(b.folder("a").ID, []mailbox.UID{1, 2, 3}, b.folder("Sent").ID)
			return err
		}, nil},
		"copy and expunge": {func(b *box, d *mailbox.Draft) error {
			if _, _, err := d.Copy(b.folder("a").ID, []mailbox.UID{1}, b.folder("Junk").ID); err != nil {
				return err
			}
			_, err := d.Expunge(b.folder("a").ID, []mailbox.UID{1, 3})
			return err
		}, []int{2}},
		"delete":       {func(_ *box, d *mailbox.Draft) error { return d.DeleteFolder("a") }, []int{0, 2}},
		"rename":       {func(_ *box, d *mailbox.Draft) error { return d.RenameFolder("a", "b/c") }, nil},
		"rename INBOX": {func(_ *box, d *mailbox.Draft) error { return d.RenameFolder("INBOX", "old") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			b.create("a")
			b.append("a", 3)
			b.append("INBOX", 1)
			b.do(func(d *mailbox.Draft) error {
				_, _, err := d.Copy(b.folder("a").ID, []mailbox.UID{2}, b.folder("Sent").ID)
				return err
			})
			contents := b.contentsOf("a")
			h, _ := b.source.Header()
			b.do(func(d *mailbox.Draft) error { return x.operate(b, d) })
			var want []mailbox.Discarded
			for _, i := range x.want {
				c := contents[i]
				want = append(want, mailbox.Discarded{
					ContentID: c.ID, Volume: c.Volume, Blob: c.Blob, Sequence: h.Sequence + 1, At: moment.Unix(),
				})
			}
			if got := b.discarded(); !slices.Equal(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// A message that is made and removed in one transaction leaves its blob behind like any other.
func TestDiscardedInOneTransaction(t *testing.T) {
	b := newBox(t)
	b.do(func(d *mailbox.Draft) error {
		inbox := b.folder("INBOX").ID
		appended, err := d.Append(inbox, newMessages(1))
		if err != nil {
			return err
		}
		_, err = d.Expunge(inbox, []mailbox.UID{appended[0].UID})
		return err
	})
	if got := b.discarded(); len(got) != 1 || got[0].Blob != newMessages(1)[0].Blob {
		t.Errorf("got %+v, want one", got)
	}
}

func TestReclaimed(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 4)
	b.do(func(d *mailbox.Draft) error {
		_, err := d.Expunge(b.folder("INBOX").ID, []mailbox.UID{1, 2, 3})
		return err
	})
	rows := b.discarded()
	c := b.do(func(d *mailbox.Draft) error {
		return d.Reclaimed([]mailbox.ItemID{rows[2].ContentID, 4711, rows[0].ContentID, rows[2].ContentID})
	})
	if len(c.Effects) != 1 {
		t.Errorf("got effects %+v, want one", c.Effects)
	}
	if got := b.discarded(); len(got) != 1 || got[0] != rows[1] {
		t.Errorf("got %+v, want the second of %+v", got, rows)
	}
	for _, ids := range [][]mailbox.ItemID{nil, {rows[0].ContentID}, {0}} {
		d, err := mailbox.NewDraft(b.source, moment)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Reclaimed(ids); err != nil || !d.Empty() {
			t.Errorf("reclaimed %v: got %v, empty: %t", ids, err, d.Empty())
		}
	}
}

// Changes made before discarded contents were listed have another effect; a log may still hold them.
func TestRemoveContentListsNothing(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 1)
	o, err := mailbox.NewOverlay(b.source, 100)
	if err != nil {
		t.Fatal(err)
	}
	id := b.contentsOf("INBOX")[0].ID
	for _, e := range []mailbox.Effect{mailbox.Expunge{FolderID: b.folder("INBOX").ID, UIDs: []mailbox.UID{1}}, mailbox.RemoveContent{ID: id}} {
		if err := o.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if _, found, err := o.Discarded(id); found || err != nil {
		t.Errorf("got found %t, %v, want nothing", found, err)
	}
}
