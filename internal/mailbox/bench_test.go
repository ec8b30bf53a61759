package mailbox_test

import (
	"testing"

	"mailreplica/internal/mailbox"
)

// filled is a mailbox with so many messages in INBOX.
func filled(b *testing.B, n int) (*box, mailbox.ItemID, []mailbox.UID) {
	b.Helper()
	x := newBox(b)
	x.append("INBOX", n)
	return x, x.folder("INBOX").ID, x.uids("INBOX")
}

func benchmark(b *testing.B, x *box, operate func(*mailbox.Draft) error) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		d, err := mailbox.NewDraft(x.source, moment)
		if err != nil {
			b.Fatal(err)
		}
		if err := operate(d); err != nil {
			b.Fatal(err)
		}
		c, err := d.Change()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := mailbox.Apply(x.replica, d.Sequence(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend1000(b *testing.B) {
	x, inbox, _ := filled(b, 20_000)
	messages := newMessages(1000)
	benchmark(b, x, func(d *mailbox.Draft) error { _, err := d.Append(inbox, messages); return err })
}

func BenchmarkDeliver1(b *testing.B) {
	x, _, _ := filled(b, 20_000)
	m := newMessages(1)[0]
	benchmark(b, x, func(d *mailbox.Draft) error { _, _, err := d.Deliver(m, mailbox.DeliveryKey{1}, ""); return err })
}

func BenchmarkStore20000(b *testing.B) {
	x, inbox, uids := filled(b, 20_000)
	seen := mailbox.Flags{System: mailbox.Seen}
	benchmark(b, x, func(d *mailbox.Draft) error {
		_, _, err := d.SetFlags(inbox, uids, mailbox.AddFlags, seen, nil)
		return err
	})
}

// The same work as BenchmarkStore20000, folded from as many requests.
func BenchmarkStore20000OneByOne(b *testing.B) {
	x, inbox, uids := filled(b, 20_000)
	seen := mailbox.Flags{System: mailbox.Seen}
	benchmark(b, x, func(d *mailbox.Draft) error {
		for i := range uids {
			if _, _, err := d.SetFlags(inbox, uids[len(uids)-1-i:][:1], mailbox.AddFlags, seen, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func BenchmarkExpunge20000(b *testing.B) {
	x, inbox, uids := filled(b, 20_000)
	benchmark(b, x, func(d *mailbox.Draft) error { _, err := d.Expunge(inbox, uids); return err })
}
