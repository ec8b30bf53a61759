package mailbox_test

import (
	"testing"

	"mailreplica/internal/mailbox"
)

// asked counts how references are asked for.
type asked struct {
	mailbox.Reader
	single, ranges int
}

func (a *asked) References(content mailbox.ItemID) (int, error) {
	a.single++
	return a.Reader.References(content)
}

func (a *asked) ReferencesIn(from, to mailbox.ItemID, yield func(mailbox.ItemID, int) bool) error {
	a.ranges++
	return a.Reader.ReferencesIn(from, to, yield)
}

// TestCopiesAskTogether copies and moves many messages: what refers to their contents is one question, to who draws the change up and to who
// applies it.
func TestCopiesAskTogether(t *testing.T) {
	b := newBox(t)
	b.append("INBOX", 50)
	from, to := b.folder("INBOX").ID, b.folder("Drafts").ID
	for name, op := range map[string]func(*mailbox.Draft) error{
		"copy": func(d *mailbox.Draft) error { _, _, err := d.Copy(from, b.uids("INBOX"), to); return err },
		"move": func(d *mailbox.Draft) error { _, _, err := d.Move(from, b.uids("INBOX"), to); return err },
	} {
		source, replica := &asked{Reader: b.source}, &asked{Reader: b.replica}
		d, err := mailbox.NewDraft(source, moment)
		if err == nil {
			err = op(d)
		}
		if err != nil {
			t.Fatal(name, err)
		}
		c, err := d.Change()
		if err == nil {
			_, err = mailbox.Apply(replica, d.Sequence(), c)
		}
		if err != nil {
			t.Fatal(name, err)
		}
		for who, r := range map[string]*asked{"source": source, "replica": replica} {
			if r.single > 0 || r.ranges != 1 {
				t.Errorf("%s, %s: %d single questions and %d of ranges, want 0 and 1", name, who, r.single, r.ranges)
			}
		}
	}
}
