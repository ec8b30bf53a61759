package metadata_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	_ "modernc.org/sqlite" // to write what no store does

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/sqlite/sqlitetest"
)

// FuzzRows puts anything into any column of a mailstore's database, as a bad disk or a careless hand does. Whoever reads gets what can
// have been written, or an error that says what is damaged.
func FuzzRows(f *testing.F) {
	d := newDamage(f)
	for i, c := range d.damaged.Columns {
		f.Add(uint16(i), uint8(i%5), int64(-1), []byte("\xff'\x00"))
		if c.Name == "uid" || c.Name == "date_zone" || strings.HasSuffix(c.Name, "_code") {
			f.Add(uint16(i), uint8(0), int64(1)<<32+1, []byte(nil))
		}
		if c.Name == "keywords" || c.Name == "members" || c.Name == "account_id" || c.Name == "delivery_key" {
			f.Add(uint16(i), uint8(2), int64(0), bytes.Repeat([]byte{0x11}, 40))
		}
	}
	f.Fuzz(func(t *testing.T, column uint16, kind uint8, number int64, text []byte) {
		at := d.damaged.Columns[int(column)%len(d.damaged.Columns)]
		value := [...]any{number, string(text), text, nil, float64(number) / 3}[int(kind)%5]
		if d.damaged.Put(t, at, value, "true") {
			d.read(t, fmt.Sprintf("%s.%s = %.80q", at.Table, at.Name, fmt.Sprint(value)))
		}
	})
}

// damage is a database whose rows are damaged, and mended again.
type damage struct {
	folder  string
	damaged *sqlitetest.Damage
	mailbox int64
	account account.ID
}

func newDamage(f *testing.F) *damage {
	memory := "/dev/shm" // as for the server
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	folder, err := os.MkdirTemp(memory, "damage")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = os.RemoveAll(folder) })
	d := &damage{folder: folder}
	d.fill(f)
	d.damaged = sqlitetest.NewDamage(f, filepath.Join(folder, "metadata.db"), []string{"STRICT, ", "STRICT"}, "schema_version")
	return d
}

// fill puts rows into every table.
func (d *damage) fill(f *testing.F) {
	s := open(f, d.folder)
	id, c := create(f, s)
	update(f, s, func(tx *metadata.Tx) error {
		return errors.Join(
			tx.LoadRows(id, &event.Rows{
				Headers:       []mailbox.Header{{Sequence: 5, NextItemID: 100, NextUIDValidity: 2, Messages: 2}},
				Folders:       []mailbox.Folder{{ID: 1, Name: "INBOX", UIDValidity: 1, UIDNext: 9, HighestSeq: 5, Messages: 2, Unseen: 1}},
				Contents:      []mailbox.Content{{ID: 3, Volume: "v", Blob: "b", Summary: []byte("s")}},
				Messages:      []mailbox.Message{{FolderID: 1, UID: 1, ID: 2, ContentID: 3, Size: 7, Flags: mailbox.Flags{Keywords: []string{"a"}}}, {FolderID: 1, UID: 2, ID: 4, ContentID: 3, Size: 7}},
				Tombstones:    []mailbox.Tombstone{{FolderID: 1, UID: 3, Sequence: 4}},
				Subscriptions: []event.Subscription{{Name: "INBOX"}},
				Deliveries:    []mailbox.Delivery{{Key: mailbox.DeliveryKey{1}, Sequence: 3}},
				Discarded:     []mailbox.Discarded{{ContentID: 9, Volume: "v", Blob: "c", Sequence: 4, At: 1000}},
			}),
			tx.AppendJournal(id, metadata.JournalEntry{Sequence: 6, ID: event.ID{1}, Record: []byte("record")}),
			tx.SetPosition(metadata.Position{ClusterID: "c", TopicID: [16]byte{1}, Stream: 1, Offset: 7, LeaderEpoch: 1}),
			tx.ClaimRecent(id, 1, 3),
			tx.SetValue("key", []byte("value")),
		)
	})
	gone, other := create(f, s)
	update(f, s, func(tx *metadata.Tx) error {
		return tx.EndMailbox(metadata.Ended{MailboxID: gone, Account: other.Account, Members: []string{"mbox1", "mbox2"}, At: 1000})
	})
	d.mailbox, d.account = id, c.Account
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
}

// read opens the database, and reads by every way there is.
func (d *damage) read(t *testing.T, what string) {
	s, err := metadata.Open(t.Context(), d.folder, slog.New(slog.DiscardHandler))
	if err != nil {
		explained(t, what, err)
		return
	}
	defer s.Close()
	for _, one := range []func(v *metadata.View) error{
		func(v *metadata.View) error { return d.mailboxes(t, what, v) },
		func(v *metadata.View) error { return d.rows(t, what, v.Rows(d.mailbox)) },
		func(v *metadata.View) error {
			positions, err := v.Positions()
			for _, p := range positions {
				if p.Offset < 0 || p.Stream < 0 {
					t.Errorf("%s: %+v", what, p)
				}
			}
			return err
		},
		func(v *metadata.View) error {
			return v.Journal(d.mailbox, func(metadata.JournalEntry) bool { return true })
		},
		func(v *metadata.View) error { _, err := v.Recent(d.mailbox, 1); return err },
		func(v *metadata.View) error { _, err := v.Ended(); return err },
		func(v *metadata.View) error { _, err := v.EndedBlobs(d.mailbox, 0, 10); return err },
		func(v *metadata.View) error { _, err := v.DueDiscarded(math.MaxInt64, metadata.Due{}, 10); return err },
		func(v *metadata.View) error { _, _, err := v.Value("key"); return err },
	} {
		if err := s.View(t.Context(), one); err != nil {
			explained(t, what, err)
		}
	}
}

// explained makes sure that an operator can do something with an error.
func explained(t *testing.T, what string, err error) {
	t.Helper()
	text := fault.Message(err)
	if kind := fault.KindOf(err); kind != fault.DatabaseUnavailable && kind != fault.NotFound {
		t.Errorf("%s: %v (kind %v)", what, err, kind)
	}
	if text == "" || len(text) > 500 || strings.ContainsFunc(text, unicode.IsControl) || fault.HintOf(err) == "" {
		t.Errorf("%s: the message is %q", what, text)
	}
}

func (d *damage) mailboxes(t *testing.T, what string, v *metadata.View) error {
	all, err := v.Mailboxes()
	for _, m := range all {
		if err == nil && (m.Copy.Condition.String() == "unknown" || m.Copy.Mode.String() == "unknown") {
			t.Errorf("%s: %+v", what, m)
		}
	}
	_, _, one := v.Mailbox(d.account)
	return errors.Join(err, one)
}

// rows reads a mailbox's rows. What is read of them is what can have been written.
func (d *damage) rows(t *testing.T, what string, r mailbox.Scanner) error {
	bad := func(row any) { t.Errorf("%s: read %+v", what, row) }
	_, header := r.Header()
	folders, named := r.Folders()
	for _, f := range folders {
		if named == nil && (f.HighestSeq > math.MaxInt64 || f.PrunedUpTo > math.MaxInt64) {
			bad(f)
		}
	}
	messages := func(m mailbox.Message) bool {
		if m.UID == 0 || m.ModSeq > math.MaxInt64 {
			bad(m)
		}
		return true
	}
	_, deliveries := r.OldestDeliveries(10)
	_, subscribed := r.Subscriptions()
	_, _, known := r.Delivery(mailbox.DeliveryKey{1})
	return errors.Join(header, named, deliveries, subscribed, known,
		r.Messages(1, 1, math.MaxUint32, messages),
		r.ChangedSince(1, 0, messages),
		r.ScanMessages(mailbox.MessageKey{}, messages),
		r.ScanContents(0, func(mailbox.Content) bool { return true }),
		r.ScanTombstones(mailbox.MessageKey{}, func(s mailbox.Tombstone) bool {
			if s.UID == 0 || s.Sequence > math.MaxInt64 {
				bad(s)
			}
			return true
		}),
		r.ScanDeliveries(mailbox.DeliveryKey{}, func(mailbox.Delivery) bool { return true }),
		r.ScanDiscarded(0, func(mailbox.Discarded) bool { return true }),
	)
}
