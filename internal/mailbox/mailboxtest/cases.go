package mailboxtest

import (
	"math/rand/v2"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// runMany has more messages in one transaction than fit one statement of a database.
func runMany(t *testing.T, open func(t testing.TB) Store) {
	p := newPair(t, 1, open)
	inbox := p.folder(mailbox.Inbox)
	all := make([]mailbox.UID, 0, manyMessages)
	for uid := range mailbox.UID(manyMessages) {
		all = append(all, uid+1)
	}
	p.commit(func(d *mailbox.Draft) error {
		rng := rand.New(rand.NewPCG(1, 3))
		messages := make([]mailbox.NewMessage, manyMessages)
		for i := range messages {
			messages[i] = RandomMessage(rng)
		}
		_, err := d.Append(inbox.ID, messages)
		return err
	})
	p.compare()
	p.commit(func(d *mailbox.Draft) error {
		_, _, err := d.SetFlags(inbox.ID, all, mailbox.AddFlags, mailbox.Flags{System: mailbox.Seen, Keywords: []string{"$Many"}}, nil)
		return err
	})
	for _, mark := range []struct {
		op    mailbox.FlagOp
		flags mailbox.Flags
		from  int // of all
	}{
		{mailbox.AddFlags, mailbox.Flags{System: mailbox.Flagged | mailbox.Answered}, 7}, {mailbox.RemoveFlags, mailbox.Flags{System: mailbox.Answered | mailbox.DraftFlag}, 3},
		{mailbox.AddFlags, mailbox.Flags{Keywords: []string{"$More"}}, 0}, {mailbox.RemoveFlags, mailbox.Flags{System: mailbox.Flagged, Keywords: []string{"$More", "$Many"}}, 20},
		{mailbox.ReplaceFlags, mailbox.Flags{System: mailbox.Deleted, Keywords: []string{"$Last"}}, manyMessages / 2}, {mailbox.AddFlags, mailbox.Flags{System: mailbox.Seen}, 0},
	} {
		p.commit(func(d *mailbox.Draft) error {
			_, _, err := d.SetFlags(inbox.ID, all[mark.from:], mark.op, mark.flags, nil)
			return err
		})
		p.commit(func(d *mailbox.Draft) error { // some of them twice in one transaction
			_, _, err := d.SetFlags(inbox.ID, all[:50], mailbox.AddFlags, mailbox.Flags{System: mailbox.Answered}, nil)
			if err == nil {
				_, _, err = d.SetFlags(inbox.ID, all[20:90], mailbox.RemoveFlags, mailbox.Flags{System: mailbox.Answered}, nil)
			}
			return err
		})
	}
	p.compare()
	p.commit(func(d *mailbox.Draft) error {
		_, _, err := d.Copy(inbox.ID, all, p.folder("Sent").ID)
		return err
	})
	p.commit(func(d *mailbox.Draft) error {
		var odd []mailbox.UID
		for _, uid := range all {
			if uid%2 == 1 {
				odd = append(odd, uid)
			}
		}
		_, err := d.Expunge(inbox.ID, odd)
		return err
	})
	p.compare()
	p.reopen()
	p.commit(func(d *mailbox.Draft) error { return d.PruneTombstones(inbox.ID, p.sequence()) })
	p.commit(func(d *mailbox.Draft) error { return d.RenameFolder(mailbox.Inbox, "old/mail") })
	p.commit(func(d *mailbox.Draft) error { return d.DeleteFolder("Sent") })
	p.commit(func(d *mailbox.Draft) error { return d.DeleteFolder("old/mail") })
	p.compare()
	contents := 0
	p.check("ScanContents", p.source.ScanContents(0, func(mailbox.Content) bool { contents++; return true }))
	p.reclaimAll(manyMessages)
	if contents != 0 {
		t.Errorf("%d contents are left, no message is", contents)
	}
}

// reclaimAll has every content discarded once, and takes them all from the list.
func (p *pair) reclaimAll(want int) {
	p.t.Helper()
	var ids []mailbox.ItemID
	p.check("ScanDiscarded", p.source.ScanDiscarded(0, func(d mailbox.Discarded) bool {
		ids = append(ids, d.ContentID)
		return true
	}))
	if len(ids) != want {
		p.t.Errorf("%d contents are discarded, want %d", len(ids), want)
	}
	p.commit(func(d *mailbox.Draft) error { return d.Reclaimed(ids) })
	p.compare()
}

// runEdges has the largest numbers, names that differ little, and renames in which each folder takes another's name.
func runEdges(t *testing.T, open func(t testing.TB) Store) {
	p := newPair(t, 2, open)
	for _, name := range oddNames {
		p.commit(func(d *mailbox.Draft) error {
			_, err := d.CreateFolder(name, "")
			if fault.Is(err, fault.Exists) { // made as another's parent
				return d.Subscribe(name)
			}
			return err
		})
	}
	p.compare()
	for _, name := range []string{"r/r/r/r", "r/r/x"} {
		p.commit(func(d *mailbox.Draft) error { _, err := d.CreateFolder(name, ""); return err })
	}
	p.commit(func(d *mailbox.Draft) error { return d.DeleteFolder("r") })
	p.commit(func(d *mailbox.Draft) error { return d.RenameFolder("r/r", "r") })
	p.compare()
	p.commit(func(d *mailbox.Draft) error {
		if err := d.DeleteFolder("a"); err != nil {
			return err
		}
		_, err := d.CreateFolder("a", "\\Archive")
		return err
	})
	p.nearlyLastUIDs("Junk")
	p.compare()
}

// nearlyLastUIDs uses up the UIDs of a folder.
func (p *pair) nearlyLastUIDs(name string) {
	p.t.Helper()
	sequence := p.sequence() + 1
	p.whole(func(r mailbox.Reader) (mailbox.Delta, error) {
		f, _, err := r.FolderByName(name)
		if err != nil {
			return mailbox.Delta{}, err
		}
		f.UIDNext = nearlyLastUID
		o, err := mailbox.NewOverlay(r, sequence)
		if err != nil {
			return mailbox.Delta{}, err
		}
		err = o.Apply(mailbox.PutFolder{Folder: f})
		return o.Delta(), err
	})
	for range 1<<32 - 1 - nearlyLastUID {
		p.commit(func(d *mailbox.Draft) error {
			_, err := d.Append(p.folder(name).ID, []mailbox.NewMessage{RandomMessage(rand.New(rand.NewPCG(2, 3)))})
			return err
		})
	}
	d := p.draft(p.source, func(*mailbox.Draft) error { return nil })
	_, err := d.Append(p.folder(name).ID, []mailbox.NewMessage{RandomMessage(p.rng)})
	if !fault.Is(err, fault.TooLarge) {
		p.t.Errorf("append to a folder without UIDs left: got %v, want a limit", err)
	}
}

func (p *pair) folder(name string) mailbox.Folder {
	p.t.Helper()
	f, found, err := p.source.FolderByName(name)
	p.check("FolderByName", err)
	if !found {
		p.t.Fatalf("there is no folder %q", name)
	}
	return f
}
