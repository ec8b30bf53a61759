package mailbox_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"mailreplica/internal/mailbox"
)

// One STORE over messages with many different flags makes many effects, which are carried out together: what they do is what they do one
// by one.
func TestFlagsTogether(t *testing.T) {
	const messages = 200
	b := newBox(t)
	inbox := b.folder("INBOX").ID
	all := newMessages(messages)
	var uids []mailbox.UID
	for i := range all {
		all[i].Flags = mailbox.Flags{System: mailbox.SystemFlags(i % 3), Keywords: []string{fmt.Sprintf("k%d", i%45)}}
		uids = append(uids, mailbox.UID(i+1))
	}
	b.do(func(d *mailbox.Draft) error { _, err := d.Append(inbox, all); return err })
	for name, do := range map[string]func(*mailbox.Draft) error{
		"one":       func(d *mailbox.Draft) error { return flag(d, inbox, uids, mailbox.Flagged) },
		"every 5th": func(d *mailbox.Draft) error { return flag(d, inbox, every(5, uids), mailbox.Flagged) },
		"two that meet": func(d *mailbox.Draft) error {
			return errors.Join(flag(d, inbox, uids[:120], mailbox.Flagged), flag(d, inbox, uids[80:], mailbox.Answered|mailbox.DraftFlag))
		},
		"with others between": func(d *mailbox.Draft) error {
			_, err := d.Expunge(inbox, every(7, uids))
			return errors.Join(flag(d, inbox, uids[:20], mailbox.Flagged), err, flag(d, inbox, uids, mailbox.Flagged))
		},
	} {
		draft, err := mailbox.NewDraft(b.source, moment)
		if err != nil {
			t.Fatal(err)
		}
		if err := do(draft); err != nil {
			t.Fatal(err)
		}
		change, err := draft.Change()
		if err != nil {
			t.Fatal(err)
		}
		together, err := mailbox.Apply(b.source, draft.Sequence(), change)
		if err != nil {
			t.Fatal(err)
		}
		overlay, err := mailbox.NewOverlay(b.source, draft.Sequence())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range change.Effects {
			if err := overlay.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if one := overlay.Delta(); !reflect.DeepEqual(together, one) || !reflect.DeepEqual(together, draft.Delta()) {
			t.Errorf("%s: together %+v\none by one %+v\ndrafted %+v", name, together, one, draft.Delta())
		}
	}
}

func TestFlagsTogetherContradict(t *testing.T) {
	b := newBox(t)
	inbox := b.folder("INBOX").ID
	b.do(func(d *mailbox.Draft) error { _, err := d.Append(inbox, newMessages(4)); return err })
	h, _ := b.source.Header()
	good := mailbox.SetFlags{FolderID: inbox, UIDs: []mailbox.UID{1, 3}, Flags: mailbox.Flags{System: mailbox.Seen}}
	for name, bad := range map[string]mailbox.SetFlags{
		"a message that is not there": {FolderID: inbox, UIDs: []mailbox.UID{2, 5}},
		"no message":                  {FolderID: inbox},
		"UIDs that do not ascend":     {FolderID: inbox, UIDs: []mailbox.UID{4, 2}},
		"flags that are none":         {FolderID: inbox, UIDs: []mailbox.UID{2}, Flags: mailbox.Flags{System: 1 << 7}},
		"a folder that is not there":  {FolderID: 77, UIDs: []mailbox.UID{2}},
	} {
		for _, effects := range [][]mailbox.Effect{{good, bad}, {bad, good}} {
			_, err := mailbox.Apply(b.source, h.Sequence+1, mailbox.Change{Effects: effects})
			if !errors.Is(err, mailbox.ErrContradiction) {
				t.Errorf("%s: got %v, want a contradiction", name, err)
			}
		}
	}
}

func flag(d *mailbox.Draft, folder mailbox.ItemID, uids []mailbox.UID, flags mailbox.SystemFlags) error {
	_, _, err := d.SetFlags(folder, uids, mailbox.AddFlags, mailbox.Flags{System: flags}, nil)
	return err
}

func every(n int, uids []mailbox.UID) (some []mailbox.UID) {
	for i := 0; i < len(uids); i += n {
		some = append(some, uids[i])
	}
	return some
}
