package mailbox_test

import (
	"fmt"
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

func (b *box) create(names ...string) {
	b.t.Helper()
	b.do(func(d *mailbox.Draft) error {
		for _, name := range names {
			if _, err := d.CreateFolder(name, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestCreateFolder(t *testing.T) {
	b := newBox(t)
	b.create("a/b/c", "inbox/x/", "a /B")
	equalNames(t, b.names(), "Drafts", "INBOX", "INBOX/x", "Junk", "Sent", "Trash", "a", "a ", "a /B", "a/b", "a/b/c")
}

func TestCreateFolderSpecialUse(t *testing.T) {
	b := newBox(t)
	var f mailbox.Folder
	b.do(func(d *mailbox.Draft) (err error) {
		f, err = d.CreateFolder("old", "\\ARCHIVE")
		return err
	})
	if got := b.folder("old"); got != f || got.SpecialUse != "\\Archive" {
		t.Errorf("got %+v, CreateFolder gave %+v", got, f)
	}
	if f.UIDNext != 1 || f.HighestSeq != 2 || f.UIDValidity != 6 || f.ID != 6 {
		t.Errorf("counters of a new folder: %+v", f)
	}
}

func TestCreateFolderRefused(t *testing.T) {
	b := newBox(t)
	b.create("a")
	deep := strings.Repeat("d/", 64) + "d"
	for _, c := range []struct {
		name, use string
		kind      fault.Kind
	}{
		{"a", "", fault.Exists},
		{"a/", "", fault.Exists},
		{"inBox", "", fault.Exists},
		{"INBOX/", "", fault.Exists},
		{"", "", fault.Invalid},
		{"/", "", fault.Invalid},
		{"/x", "", fault.Invalid},
		{"x//y", "", fault.Invalid},
		{"x//", "", fault.Invalid},
		{"x\x00", "", fault.Invalid},
		{"x\r", "", fault.Invalid},
		{"x\n", "", fault.Invalid},
		{"x/y/z", "\\All", fault.Invalid},
		{"x/y/z", "Sent", fault.Invalid},
		{strings.Repeat("x", 1001), "", fault.TooLarge},
		{deep, "", fault.TooLarge},
	} {
		b.fails(c.kind, func(d *mailbox.Draft) error {
			_, err := d.CreateFolder(c.name, c.use)
			return err
		})
	}
}

func TestCreateFolderLimit(t *testing.T) {
	b := newBox(t)
	b.do(func(d *mailbox.Draft) error {
		for i := range 10_000 - 6 {
			if _, err := d.CreateFolder(fmt.Sprintf("f%d", i), ""); err != nil {
				return err
			}
		}
		return nil
	})
	b.fails(fault.TooLarge, func(d *mailbox.Draft) error { _, err := d.CreateFolder("new/below", ""); return err })
	b.create("last")
	b.fails(fault.TooLarge, func(d *mailbox.Draft) error { _, err := d.CreateFolder("over", ""); return err })
}

func TestDeleteFolder(t *testing.T) {
	b := newBox(t)
	b.create("a/b")
	b.append("a", 3)
	b.append("a/b", 2)
	b.do(func(d *mailbox.Draft) error {
		_, _, err := d.Copy(b.folder("a").ID, []mailbox.UID{2}, b.folder("Sent").ID)
		return err
	})
	first := b.folder("a")
	c := b.do(func(d *mailbox.Draft) error { return d.DeleteFolder("a/") })
	removed := 0
	for _, e := range c.Effects {
		if _, ok := e.(mailbox.DiscardContent); ok {
			removed++
		}
	}
	if removed != 2 { // the third is shared with the copy in Sent
		t.Errorf("got %d contents removed, want 2", removed)
	}
	equalUIDs(t, "a/b", b.uids("a/b"), 1, 2)
	b.create("a")
	if second := b.folder("a"); second.UIDValidity <= first.UIDValidity || second.ID <= first.ID {
		t.Errorf("the name was used again with %+v after %+v", second, first)
	}
	h, _ := b.source.Header()
	if h.Messages != 3 {
		t.Errorf("got usage of %d messages, want 3", h.Messages)
	}
	for name, kind := range map[string]fault.Kind{"INBOX": fault.Invalid, "inbox/": fault.Invalid, "x": fault.NotFound, "": fault.NotFound} {
		b.fails(kind, func(d *mailbox.Draft) error { return d.DeleteFolder(name) })
	}
}

func TestDeleteAndCreateInOneTransaction(t *testing.T) {
	b := newBox(t)
	b.create("a")
	b.append("a", 2)
	b.do(func(d *mailbox.Draft) error {
		if err := d.DeleteFolder("a"); err != nil {
			return err
		}
		f, err := d.CreateFolder("a", "")
		if err != nil {
			return err
		}
		_, err = d.Append(f.ID, newMessages(1))
		return err
	})
	equalUIDs(t, "a", b.uids("a"), 1)
	b.do(func(d *mailbox.Draft) error { // made and removed: nothing stays but the counters
		f, err := d.CreateFolder("b", "")
		if err != nil {
			return err
		}
		if _, err := d.Append(f.ID, newMessages(3)); err != nil {
			return err
		}
		return d.DeleteFolder("b")
	})
}

func TestRenameFolder(t *testing.T) {
	b := newBox(t)
	b.create("a/b/c", "ab", "a/x", "Z")
	b.append("a/b", 2)
	before := b.folder("a/b")
	b.do(func(d *mailbox.Draft) error { return d.RenameFolder("a", "new/place") })
	equalNames(t, b.names(), "Drafts", "INBOX", "Junk", "Sent", "Trash", "Z", "ab", "new", "new/place", "new/place/b",
		"new/place/b/c", "new/place/x")
	after := b.folder("new/place/b")
	before.Name = after.Name
	if after != before {
		t.Errorf("the renamed folder is %+v, was %+v", after, before)
	}
	b.do(func(d *mailbox.Draft) error { return d.RenameFolder("Sent", "sent") })
	if got := b.folder("sent").SpecialUse; got != "\\Sent" {
		t.Errorf("special use after the rename: got %q", got)
	}
	for _, c := range []struct {
		from, to string
		kind     fault.Kind
	}{
		{"nowhere", "x", fault.NotFound},
		{"new", "ab", fault.Exists},
		{"new", "inbox", fault.Exists},
		{"new", "new", fault.Exists},
		{"new", "new/below", fault.Invalid},
		{"new", "x//y", fault.Invalid},
		{"new", strings.Repeat("x", 995), fault.TooLarge}, // too long with what lies below
		{"new", strings.Repeat("x/", 62) + "x", fault.TooLarge},
		{"inbox", "ab", fault.Exists},
		{"inbox", "", fault.Invalid},
	} {
		b.fails(c.kind, func(d *mailbox.Draft) error { return d.RenameFolder(c.from, c.to) })
	}
}

func TestRenameFolderOfWhichOnlyChildrenExist(t *testing.T) {
	b := newBox(t)
	b.create("a/b/b/b", "a/b/x", "q/y")
	b.do(func(d *mailbox.Draft) error { return d.DeleteFolder("a") })
	b.do(func(d *mailbox.Draft) error { return d.RenameFolder("a/b", "a") }) // each takes the name of the one above
	equalNames(t, b.names(), "Drafts", "INBOX", "Junk", "Sent", "Trash", "a", "a/b", "a/b/b", "a/x", "q", "q/y")
	b.do(func(d *mailbox.Draft) error { return d.DeleteFolder("q") })
	b.do(func(d *mailbox.Draft) error { return d.RenameFolder("q", "Q") })
	equalNames(t, b.names(), "Drafts", "INBOX", "Junk", "Q/y", "Sent", "Trash", "a", "a/b", "a/b/b", "a/x")
	b.create("q/x")
	b.do(func(d *mailbox.Draft) error { return d.DeleteFolder("q") })
	b.fails(fault.Exists, func(d *mailbox.Draft) error { return d.RenameFolder("a", "q") }) // q/x is taken
}

func TestRenameInbox(t *testing.T) {
	b := newBox(t)
	b.create("INBOX/below")
	b.append("INBOX", 3)
	before := b.folder("INBOX")
	b.do(func(d *mailbox.Draft) error { return d.RenameFolder("Inbox", "INBOX/old/2024") })
	equalUIDs(t, "the new folder", b.uids("INBOX/old/2024"), 1, 2, 3)
	equalUIDs(t, "INBOX", b.uids("INBOX"))
	after := b.folder("INBOX")
	if after.ID != before.ID || after.UIDValidity != before.UIDValidity || after.UIDNext != 4 || after.Tombstones != 3 {
		t.Errorf("INBOX is %+v, was %+v", after, before)
	}
	b.folder("INBOX/below")
	b.do(func(d *mailbox.Draft) error { return d.RenameFolder("INBOX", "empty") })
	equalUIDs(t, "the second new folder", b.uids("empty"))
}

func TestSubscriptions(t *testing.T) {
	b := newBox(t)
	b.do(func(d *mailbox.Draft) error {
		for _, name := range []string{"not there", "inbox", "x/"} {
			if err := d.Subscribe(name); err != nil {
				return err
			}
		}
		return d.Unsubscribe("sent") // is not Sent
	})
	names, _ := b.source.Subscriptions()
	equalNames(t, names, "Drafts", "INBOX", "Junk", "Sent", "Trash", "not there", "x")
	b.do(func(d *mailbox.Draft) error { return d.Unsubscribe("Inbox") })
	b.do(func(d *mailbox.Draft) error {
		if err := d.Unsubscribe("x"); err != nil {
			return err
		}
		return d.Subscribe("x")
	})
	names, _ = b.source.Subscriptions()
	equalNames(t, names, "Drafts", "Junk", "Sent", "Trash", "not there", "x")
	b.fails(fault.Invalid, func(d *mailbox.Draft) error { return d.Subscribe("a//b") })
	b.do(func(d *mailbox.Draft) error {
		for i := range 10_000 - 6 {
			if err := d.Subscribe(fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
	d, err := mailbox.NewDraft(b.source, moment)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Subscribe("one too many"); !fault.Is(err, fault.TooLarge) || !d.Empty() {
		t.Errorf("over the limit: got %v", err)
	}
}
