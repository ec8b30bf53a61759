package mailbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

func TestSetFlags(t *testing.T) {
	flags := func(system mailbox.SystemFlags, keywords ...string) mailbox.Flags {
		return mailbox.Flags{System: system, Keywords: keywords}
	}
	for _, c := range []struct {
		name        string
		have        mailbox.Flags
		op          mailbox.FlagOp
		given, want mailbox.Flags
		changed     bool
	}{
		{"add", flags(mailbox.Seen), mailbox.AddFlags, flags(mailbox.Flagged, "b", "A"), flags(mailbox.Seen|mailbox.Flagged, "A", "b"), true},
		{"add what is there", flags(mailbox.Seen, "A"), mailbox.AddFlags, flags(mailbox.Seen, "a"), flags(mailbox.Seen, "A"), false},
		{"add nothing", flags(mailbox.Seen), mailbox.AddFlags, flags(0), flags(mailbox.Seen), false},
		{"remove", flags(mailbox.Seen|mailbox.Deleted, "A", "b"), mailbox.RemoveFlags, flags(mailbox.Seen, "a"), flags(mailbox.Deleted, "b"), true},
		{"remove what is not there", flags(mailbox.Seen), mailbox.RemoveFlags, flags(mailbox.Flagged, "x"), flags(mailbox.Seen), false},
		{"remove the last", flags(0, "a"), mailbox.RemoveFlags, flags(0, "A"), flags(0), true},
		{"replace", flags(mailbox.Seen, "x"), mailbox.ReplaceFlags, flags(mailbox.Answered, "y"), flags(mailbox.Answered, "y"), true},
		{"replace by the same in another case", flags(mailbox.Seen, "Kw", "zz"), mailbox.ReplaceFlags, flags(mailbox.Seen, "ZZ", "kW"), flags(mailbox.Seen, "Kw", "zz"), false},
		{"replace by nothing", flags(mailbox.Seen, "x"), mailbox.ReplaceFlags, flags(0), flags(0), true},
		{"a spelling given twice", flags(0), mailbox.AddFlags, flags(0, "Kw", "kw"), flags(0, "Kw"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			inbox := b.folder("INBOX").ID
			m := newMessages(1)
			m[0].Flags = c.have
			b.do(func(d *mailbox.Draft) error { _, err := d.Append(inbox, m); return err })
			var changed []mailbox.Message
			b.do(func(d *mailbox.Draft) (err error) {
				changed, _, err = d.SetFlags(inbox, []mailbox.UID{1, 5}, c.op, c.given, nil)
				if d.Empty() == c.changed {
					t.Errorf("empty: %t", d.Empty())
				}
				return err
			})
			got, _, _ := b.source.Message(inbox, 1)
			if !got.Flags.Equal(c.want) || (len(changed) == 1 && changed[0].UID == 1) != c.changed || (got.ModSeq == 3) != c.changed {
				t.Errorf("got %+v, changed %v; want %+v, changed %t", got, changed, c.want, c.changed)
			}
			f := b.folder("INBOX")
			if wantUnseen := !c.want.Has(mailbox.Seen); (f.Unseen == 1) != wantUnseen {
				t.Errorf("got %d unseen of %+v", f.Unseen, c.want)
			}
		})
	}
}

func TestSetFlagsGroups(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 100)
	inbox := b.folder("INBOX").ID
	all := b.uids("INBOX")
	b.do(func(d *mailbox.Draft) error {
		_, _, err := d.SetFlags(inbox, all[:50], mailbox.AddFlags, mailbox.Flags{System: mailbox.Flagged}, nil)
		return err
	})
	c := b.do(func(d *mailbox.Draft) error {
		changed, _, err := d.SetFlags(inbox, all, mailbox.AddFlags, mailbox.Flags{System: mailbox.Seen}, nil)
		if len(changed) != 100 || !slices.IsSorted(uidsOf(changed)) {
			t.Errorf("changed: %v", changed)
		}
		return err
	})
	if len(c.Effects) != 3 { // two groups and the folder; usage stays
		t.Errorf("got %d effects: %v", len(c.Effects), c.Effects)
	}
}

// RFC 7162 section 3.1.3.
func TestSetFlagsUnchangedSince(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 4) // sequence 2
	inbox := b.folder("INBOX").ID
	seen := mailbox.Flags{System: mailbox.Seen}
	b.do(func(d *mailbox.Draft) error { // sequence 3
		_, _, err := d.SetFlags(inbox, []mailbox.UID{2}, mailbox.AddFlags, seen, nil)
		return err
	})
	b.do(func(d *mailbox.Draft) error {
		since := mailbox.Sequence(2)
		changed, refused, err := d.SetFlags(inbox, []mailbox.UID{1, 2, 3}, mailbox.AddFlags, seen, &since)
		equalUIDs(t, "changed", uidsOf(changed), 1, 3)
		equalUIDs(t, "refused", refused, 2) // though its flags would not change
		if err != nil {
			return err
		}
		changed, refused, err = d.SetFlags(inbox, []mailbox.UID{1, 4}, mailbox.AddFlags, seen, &since)
		equalUIDs(t, "changed, folded into the same transaction", uidsOf(changed), 4)
		equalUIDs(t, "refused, folded into the same transaction", refused, 1)
		return err
	})
	b.do(func(d *mailbox.Draft) error {
		since := mailbox.Sequence(0)
		changed, refused, err := d.SetFlags(inbox, []mailbox.UID{1, 2, 3, 4, 5}, mailbox.ReplaceFlags, seen, &since)
		equalUIDs(t, "changed since 0", uidsOf(changed))
		equalUIDs(t, "refused since 0", refused, 1, 2, 3, 4)
		return err
	})
}

func TestSetFlagsRefused(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 2)
	inbox := b.folder("INBOX").ID
	many := make([]string, 128)
	for i := range many {
		many[i] = fmt.Sprintf("k%03d", i)
	}
	set := func(uid mailbox.UID, f mailbox.Flags) func(*mailbox.Draft) error {
		return func(d *mailbox.Draft) error {
			_, _, err := d.SetFlags(inbox, []mailbox.UID{1, uid}, mailbox.AddFlags, f, nil)
			return err
		}
	}
	b.do(set(2, mailbox.Flags{Keywords: many[1:]}))
	b.fails(fault.TooLarge, set(2, mailbox.Flags{Keywords: []string{"x", "y"}}))
	b.fails(fault.TooLarge, set(2, mailbox.Flags{Keywords: append(many, "one more")[:128:128]}.With(mailbox.Flags{Keywords: []string{"x"}})))
	for _, bad := range []string{"", "a b", "a\\b", "(", ")", "{", "%", "*", `"`, "]", "\x7f", "é", "\n", strings.Repeat("k", 256)} {
		b.fails(fault.Invalid, set(2, mailbox.Flags{Keywords: []string{bad}}))
	}
	b.fails(fault.Invalid, set(2, mailbox.Flags{System: 1 << 5}))
	b.fails(fault.NotFound, func(d *mailbox.Draft) error {
		_, _, err := d.SetFlags(77, []mailbox.UID{1}, mailbox.AddFlags, mailbox.Flags{}, nil)
		return err
	})
}

func TestFlags(t *testing.T) {
	f := mailbox.Flags{System: mailbox.Seen | mailbox.Deleted, Keywords: []string{"$Junk"}}
	if !f.Has(mailbox.Seen) || f.Has(mailbox.Seen|mailbox.Flagged) || !f.HasKeyword("$jUNK") || f.HasKeyword("$Junky") {
		t.Errorf("Has or HasKeyword of %+v", f)
	}
	if f.Equal(mailbox.Flags{System: f.System}) || !f.Equal(f.With(mailbox.Flags{})) {
		t.Errorf("Equal of %+v", f)
	}
	g := f.With(mailbox.Flags{Keywords: []string{"A"}})
	if len(f.Keywords) != 1 || !slices.Equal(g.Keywords, []string{"$Junk", "A"}) {
		t.Errorf("With gave %+v and left %+v", g, f)
	}
	if h := g.Without(f); h.System != 0 || !slices.Equal(h.Keywords, []string{"A"}) || len(g.Keywords) != 2 {
		t.Errorf("Without gave %+v and left %+v", h, g)
	}
}

func TestUIDs(t *testing.T) {
	given := []mailbox.UID{5, 1, 5, 3}
	equalUIDs(t, "sorted", mailbox.SortedUIDs(given), 1, 3, 5)
	equalUIDs(t, "given", given, 5, 1, 5, 3)
	a, b := []mailbox.UID{1, 2, 4, 6, 9}, []mailbox.UID{2, 3, 4, 9, 10}
	equalUIDs(t, "difference", mailbox.SubtractUIDs(a, b), 1, 6)
	equalUIDs(t, "difference with none", mailbox.SubtractUIDs(a, nil), a...)
	if !mailbox.ContainsUID(a, 6) || mailbox.ContainsUID(a, 5) {
		t.Error("ContainsUID is wrong")
	}
}

func uidsOf(messages []mailbox.Message) (uids []mailbox.UID) {
	for _, m := range messages {
		uids = append(uids, m.UID)
	}
	return uids
}
