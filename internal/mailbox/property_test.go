package mailbox_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailbox/mailboxtest"
)

// Nothing that a client may have remembered is ever given out again.
func TestNumbersAreNeverReused(t *testing.T) {
	const transactions = 400
	b := newBox(t)
	owner := map[uint32]mailbox.ItemID{}     // UIDVALIDITY: the folder that has or had it
	last := map[mailbox.ItemID]mailbox.UID{} // of a folder: its highest UID so far
	items := map[mailbox.ItemID]bool{}
	var next mailbox.Header
	for i := range transactions {
		d, operations, err := mailboxtest.RandomDraft(rand.New(rand.NewPCG(uint64(i), 7)), b.source)
		if err != nil {
			t.Fatalf("transaction %d: %v after %q", i, err, operations)
		}
		c, err := d.Change()
		if err != nil {
			t.Fatalf("transaction %d: %v after %q", i, err, operations)
		}
		for _, e := range c.Effects {
			switch e := e.(type) {
			case mailbox.PutMessage:
				if e.Message.UID <= last[e.Message.FolderID] || items[e.Message.ID] {
					t.Fatalf("transaction %d: %+v after UID %d; item id used: %t", i, e.Message, last[e.Message.FolderID], items[e.Message.ID])
				}
				last[e.Message.FolderID] = e.Message.UID
				items[e.Message.ID] = true
			case mailbox.PutContent:
				if items[e.Content.ID] {
					t.Fatalf("transaction %d: item id %d was used", i, e.Content.ID)
				}
				items[e.Content.ID] = true
			case mailbox.PutFolder:
				if id, used := owner[e.Folder.UIDValidity]; used && id != e.Folder.ID {
					t.Fatalf("transaction %d: %+v has the UIDVALIDITY of folder %d", i, e.Folder, id)
				}
				owner[e.Folder.UIDValidity] = e.Folder.ID
				if e.Folder.UIDNext <= last[e.Folder.ID] {
					t.Fatalf("transaction %d: UIDNEXT of %+v, the last UID is %d", i, e.Folder, last[e.Folder.ID])
				}
			}
		}
		delta, err := mailbox.Apply(b.replica, d.Sequence(), c)
		if err != nil {
			t.Fatalf("transaction %d: %v after %q", i, err, operations)
		}
		b.write(d.Delta(), delta)
		h, _ := b.source.Header()
		if h.NextItemID < next.NextItemID || h.NextUIDValidity < next.NextUIDValidity || h.Sequence != d.Sequence() {
			t.Fatalf("transaction %d: header %+v after %+v", i, h, next)
		}
		next = h
	}
	if len(last) < 10 || len(items) < transactions {
		t.Errorf("the walk is too tame: %d folders, %d items", len(last), len(items))
	}
}

var errBroken = errors.New("the disk is gone")

// failing is a Reader whose n-th question from now is answered with an error.
type failing struct {
	mailbox.Scanner
	left int
}

func (f *failing) ask() error {
	f.left--
	if f.left < 0 {
		return fault.Wrap(fault.DatabaseUnavailable, errBroken, "the database does not answer")
	}
	return nil
}

func (f *failing) Folder(id mailbox.ItemID) (mailbox.Folder, bool, error) {
	if err := f.ask(); err != nil {
		return mailbox.Folder{}, false, err
	}
	return f.Scanner.Folder(id)
}

func (f *failing) FolderByName(name string) (mailbox.Folder, bool, error) {
	if err := f.ask(); err != nil {
		return mailbox.Folder{}, false, err
	}
	return f.Scanner.FolderByName(name)
}

func (f *failing) Folders() ([]mailbox.Folder, error) {
	if err := f.ask(); err != nil {
		return nil, err
	}
	return f.Scanner.Folders()
}

func (f *failing) Message(folder mailbox.ItemID, uid mailbox.UID) (mailbox.Message, bool, error) {
	if err := f.ask(); err != nil {
		return mailbox.Message{}, false, err
	}
	return f.Scanner.Message(folder, uid)
}

func (f *failing) Messages(folder mailbox.ItemID, from, to mailbox.UID, yield func(mailbox.Message) bool) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Scanner.Messages(folder, from, to, yield)
}

func (f *failing) Content(id mailbox.ItemID) (mailbox.Content, bool, error) {
	if err := f.ask(); err != nil {
		return mailbox.Content{}, false, err
	}
	return f.Scanner.Content(id)
}

func (f *failing) References(id mailbox.ItemID) (int, error) {
	if err := f.ask(); err != nil {
		return 0, err
	}
	return f.Scanner.References(id)
}

func (f *failing) ReferencesIn(from, to mailbox.ItemID, yield func(mailbox.ItemID, int) bool) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Scanner.ReferencesIn(from, to, yield)
}

func (f *failing) Contents(from, to mailbox.ItemID, yield func(mailbox.Content) bool) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Scanner.Contents(from, to, yield)
}

func (f *failing) CountFolders() (int, error) {
	if err := f.ask(); err != nil {
		return 0, err
	}
	return f.Scanner.CountFolders()
}

func (f *failing) Tombstones(folder mailbox.ItemID, since mailbox.Sequence, yield func(mailbox.Tombstone) bool) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Scanner.Tombstones(folder, since, yield)
}

func (f *failing) Subscriptions() ([]string, error) {
	if err := f.ask(); err != nil {
		return nil, err
	}
	return f.Scanner.Subscriptions()
}

func (f *failing) Delivery(key mailbox.DeliveryKey) (mailbox.Delivery, bool, error) {
	if err := f.ask(); err != nil {
		return mailbox.Delivery{}, false, err
	}
	return f.Scanner.Delivery(key)
}

func (f *failing) OldestDeliveries(limit int) ([]mailbox.Delivery, error) {
	if err := f.ask(); err != nil {
		return nil, err
	}
	return f.Scanner.OldestDeliveries(limit)
}

func (f *failing) Discarded(id mailbox.ItemID) (mailbox.Discarded, bool, error) {
	if err := f.ask(); err != nil {
		return mailbox.Discarded{}, false, err
	}
	return f.Scanner.Discarded(id)
}

func (f *failing) CountDeliveries() (int, error) {
	if err := f.ask(); err != nil {
		return 0, err
	}
	return f.Scanner.CountDeliveries()
}

// A database that fails in the midst of an operation either leaves the draft as it was, or unusable: never half changed.
func TestDatabaseFails(t *testing.T) {
	b := sample(t)
	a, sent := b.folder("a").ID, b.folder("Sent").ID
	for name, operate := range map[string]func(*mailbox.Draft) error{
		"create":    func(d *mailbox.Draft) error { _, err := d.CreateFolder("x/y/z", ""); return err },
		"delete":    func(d *mailbox.Draft) error { return d.DeleteFolder("a") },
		"rename":    func(d *mailbox.Draft) error { return d.RenameFolder("a", "x/y") },
		"inbox":     func(d *mailbox.Draft) error { return d.RenameFolder("INBOX", "x/y") },
		"subscribe": func(d *mailbox.Draft) error { return d.Subscribe("x") },
		"append":    func(d *mailbox.Draft) error { _, err := d.Append(a, newMessages(2)); return err },
		"deliver": func(d *mailbox.Draft) error {
			d.Lower(1, 1)
			_, _, err := d.Deliver(newMessages(1)[0], mailbox.DeliveryKey{5}, "")
			return err
		},
		"answered": func(d *mailbox.Draft) error { return d.Answered([]mailbox.DeliveryKey{{9}, {1}}) },
		"flags": func(d *mailbox.Draft) error {
			_, _, err := d.SetFlags(a, []mailbox.UID{2, 3, 90}, mailbox.AddFlags, mailbox.Flags{System: mailbox.Seen}, nil)
			return err
		},
		"expunge": func(d *mailbox.Draft) error {
			d.Lower(1, 1)
			_, err := d.Expunge(a, []mailbox.UID{2, 3})
			return err
		},
		"copy": func(d *mailbox.Draft) error { _, _, err := d.Copy(a, []mailbox.UID{2, 3}, sent); return err },
		"move": func(d *mailbox.Draft) error { _, _, err := d.Move(a, []mailbox.UID{2, 3}, sent); return err },
		"reclaimed": func(d *mailbox.Draft) error {
			var ids []mailbox.ItemID
			_ = b.source.ScanDiscarded(0, func(row mailbox.Discarded) bool { ids = append(ids, row.ContentID); return true })
			return d.Reclaimed(ids)
		},
		"prune": func(d *mailbox.Draft) error { return d.PruneTombstones(a, 100) },
	} {
		failures := 0
		for left := 0; ; left++ {
			f := &failing{Scanner: b.source, left: left}
			d, err := mailbox.NewDraft(f, moment)
			if err != nil {
				t.Fatal(err)
			}
			err = operate(d)
			if err == nil {
				break
			}
			failures++
			if !errors.Is(err, errBroken) || errors.Is(err, mailbox.ErrContradiction) {
				t.Errorf("%s: got %v, want the database's error", name, err)
			}
			f.left = 1 << 30
			if _, err := d.Change(); err == nil && d.Changes() > 0 {
				t.Errorf("%s: failed at question %d, and yet there are %d effects to commit", name, left, d.Changes())
			} else if err != nil && d.Subscribe("x") == nil {
				t.Errorf("%s: failed at question %d in its midst, and the draft goes on", name, left)
			}
		}
		if failures == 0 {
			t.Errorf("%s: asks the database nothing", name)
		}
	}
}

// Apply tells a database that fails from rows that contradict.
func TestDatabaseFailsDuringApply(t *testing.T) {
	b := sample(t)
	d, _ := mailbox.NewDraft(b.source, moment)
	for _, err := range []error{d.DeleteFolder("a"), d.RenameFolder("INBOX", "x/y"), d.Subscribe("q"), d.Answered([]mailbox.DeliveryKey{{1}})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := d.Change()
	if err != nil {
		t.Fatal(err)
	}
	for left := 0; ; left++ {
		_, err := mailbox.Apply(&failing{Scanner: b.replica, left: left}, d.Sequence(), c)
		if err == nil {
			break
		}
		if !fault.Is(err, fault.DatabaseUnavailable) || errors.Is(err, mailbox.ErrContradiction) || errors.Is(err, mailbox.ErrDigest) {
			t.Fatalf("question %d fails: got %v, want the database's error", left, err)
		}
	}
}
