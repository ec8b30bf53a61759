package mailbox_test

import (
	"testing"

	"mailreplica/internal/mailbox"
)

// TestMarked has runs described by one marking where that says what each message has, and by several where it does not.
func TestMarked(t *testing.T) {
	b := newBox(t)
	inbox := b.folder(mailbox.Inbox).ID
	b.do(func(d *mailbox.Draft) error { _, err := d.Append(inbox, newMessages(30)); return err })
	set := func(op mailbox.FlagOp, f mailbox.Flags, from, to mailbox.UID) func(*mailbox.Draft) error {
		return func(d *mailbox.Draft) error {
			var uids []mailbox.UID
			for uid := from; uid <= to; uid++ {
				uids = append(uids, uid)
			}
			_, _, err := d.SetFlags(inbox, uids, op, f, nil)
			return err
		}
	}
	system := func(f mailbox.SystemFlags) mailbox.Flags { return mailbox.Flags{System: f} }
	for _, step := range []struct {
		name string
		do   func(*mailbox.Draft) error
		want [][2]mailbox.UID
	}{
		{"some", set(mailbox.AddFlags, system(mailbox.Seen), 5, 10), [][2]mailbox.UID{{5, 10}}},
		{"with those before and behind, that had one of both", set(mailbox.AddFlags, system(mailbox.Seen|mailbox.Flagged), 1, 20), [][2]mailbox.UID{{1, 20}}},
		{"around those that have it", set(mailbox.AddFlags, system(mailbox.Seen), 1, 30), [][2]mailbox.UID{{21, 30}}},
		{"with words", set(mailbox.AddFlags, mailbox.Flags{Keywords: []string{"a"}}, 3, 8), [][2]mailbox.UID{{3, 8}}},
		{"with other words", set(mailbox.AddFlags, mailbox.Flags{Keywords: []string{"b"}}, 1, 10), [][2]mailbox.UID{{1, 2}, {3, 8}, {9, 10}}},
		{"of some words none", set(mailbox.ReplaceFlags, system(mailbox.Answered), 1, 12), [][2]mailbox.UID{{1, 10}, {11, 12}}},
		{"all alike", set(mailbox.ReplaceFlags, system(mailbox.Deleted), 1, 30), [][2]mailbox.UID{{1, 30}}},
	} {
		draft, err := mailbox.NewDraft(b.source, moment)
		if err == nil {
			err = step.do(draft)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := draft.Change(); err != nil {
			t.Fatal(err)
		}
		d := draft.Delta()
		b.do(step.do)
		var got [][2]mailbox.UID
		for _, m := range d.Marked {
			got = append(got, [2]mailbox.UID{m.From, m.To})
			for uid := m.From; uid <= m.To; uid++ {
				now := touched(d.Messages, mailbox.MessageKey{FolderID: inbox, UID: uid})
				if now == nil || !now.Flags.Has(m.Set) || now.Flags.System&m.Clear != 0 {
					t.Errorf("%s: UID %d is %+v, and its run %+v", step.name, uid, now, m)
				}
			}
		}
		if len(got) != len(step.want) {
			t.Errorf("%s: got runs %v, want %v", step.name, got, step.want)
			continue
		}
		for i := range got {
			if got[i] != step.want[i] {
				t.Errorf("%s: got runs %v, want %v", step.name, got, step.want)
			}
		}
	}
}

// touched is what a delta makes of a row; nil if it does not touch it.
func touched[K comparable, R any](rows []mailbox.Touched[K, R], key K) *R {
	for _, r := range rows {
		if r.Key == key {
			return r.Row
		}
	}
	return nil
}
