package metadata_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mariadb"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

func goldenSchema(engine string) string { return "testdata/" + engine + "_schema.sql" }

func schemaOf(t *testing.T, s *metadata.Store) (text string) {
	t.Helper()
	view(t, s, func(v *metadata.View) (err error) {
		text, err = metadata.Schema(v)
		return err
	})
	return text
}

// TestSchema compares what the migrations make with the golden file: nothing changes it by accident.
func TestSchema(t *testing.T) {
	for _, e := range engines {
		got := schemaOf(t, e.place(t).open(t))
		if *updateGolden {
			if err := os.WriteFile(goldenSchema(e.name), []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(goldenSchema(e.name))
		if err != nil {
			t.Fatal(err)
		}
		if got != string(golden) {
			t.Errorf("got schema:\n%s\nwant that of %s; after a new migration write it with -update", got, goldenSchema(e.name))
		}
	}
}

// TestFrozen opens a database of every schema version that was ever released. The files are never altered: a version that
// comes gets another file.
func TestFrozen(t *testing.T) {
	for _, e := range engines {
		files, err := filepath.Glob("testdata/frozen/" + e.name + "_v*.sql")
		if err != nil || len(files) == 0 {
			t.Fatalf("there are no frozen databases (%v)", err)
		}
		golden, err := os.ReadFile(goldenSchema(e.name))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				p := e.place(t)
				p.execute(t, string(text))
				s := p.open(t)
				if got := schemaOf(t, s); got != string(golden) {
					t.Errorf("got schema after migrating:\n%s\nwant that of a new database", got)
				}
				view(t, s, func(v *metadata.View) error {
					checkFrozen(t, v)
					if filepath.Base(file) != "sqlite_v1.sql" {
						checkFrozenDiscarded(t, v)
					}
					return nil
				})
				wantSwept(t, s)
			})
		}
	}
}

// TestInterruptedMigration runs the migrations again over what they have made, as after a process that died in the middle of one.
func TestInterruptedMigration(t *testing.T) {
	p := inMariaDB(t)
	s := p.open(t)
	before := schemaOf(t, s)
	create(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p.execute(t, "UPDATE schema_version SET version = 0")
	s = p.open(t)
	if got := schemaOf(t, s); got != before {
		t.Errorf("got schema:\n%s\nwant it as it was", got)
	}
	view(t, s, func(v *metadata.View) error {
		all, err := v.Mailboxes()
		want(t, "mailboxes", len(all), 1, err)
		return nil
	})
}

// execute runs a file of statements on a database that no store has open. Statements end at the end of a line.
func (p place) execute(t *testing.T, text string) {
	t.Helper()
	if p.config == nil {
		execute(t, filepath.Join(p.dir, "metadata.db"), text)
		return
	}
	db, err := mariadb.Open(*p.config, mariadb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for statement := range strings.SplitSeq(text, ";\n") {
		if statement = strings.TrimSpace(statement); statement == "" {
			continue
		}
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// checkFrozenDiscarded compares the rows that frozen databases hold from version 2 on.
func checkFrozenDiscarded(t *testing.T, v *metadata.View) {
	t.Helper()
	d, _, err := v.Rows(7).Discarded(9)
	want(t, "discarded", d, mailbox.Discarded{ContentID: 9, Volume: "primary", Blob: "2026/11/0b", Sequence: 40, At: 1790000001}, err)
	ended, err := v.Ended()
	want(t, "ended", ended, []metadata.Ended{{
		MailboxID: 5, Account: account.ID{0xaa, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x81, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
		Members: []string{"mbox1.example.com"}, At: 1790000002,
	}}, err)
}

// checkFrozen compares the rows that every frozen database holds.
func checkFrozen(t *testing.T, v *metadata.View) {
	t.Helper()
	id := account.ID{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x81, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}
	m, _, err := v.Mailbox(id)
	want(t, "mailbox", m, metadata.Mailbox{
		ID: 7,
		Copy: protocol.Copy{
			Account: id, Self: "mbox1.example.com", Condition: protocol.Complete, Mode: protocol.Paused, Epoch: 3,
			Primary:  "mbox1.example.com",
			Members:  map[string]event.ID{"mbox1.example.com": {1}, "mbox2.example.com": {2}},
			Stream:   protocol.Stream{ClusterID: "cluster", TopicID: [16]byte{0xaa}, Partition: 4, LeaderEpoch: 5},
			Sequence: 40, HeadID: event.ID{0xb0}, NextOffset: 1234, Committed: 42, CommittedID: event.ID{0xc0}, Journal: 2,
		},
		Header: mailbox.Header{
			Sequence: 42, NextItemID: 20, NextUIDValidity: 9, Messages: 2, Bytes: 3000, Digest: mailbox.Digest{Hi: 0xd0 << 56, Lo: 1},
		},
	}, err)
	rows := v.Rows(m.ID)
	f, _, err := rows.FolderByName("Gr\xfc\xdfe")
	want(t, "folder", f, mailbox.Folder{ID: 2, Name: "Gr\xfc\xdfe", UIDValidity: 8, UIDNext: 6, HighestSeq: 42, SpecialUse: `\Junk`,
		Messages: 2, Unseen: 1, Bytes: 3000, Tombstones: 1, PrunedUpTo: 11}, err)
	var messages []mailbox.Message
	err = rows.ChangedSince(2, 0, func(m mailbox.Message) bool { messages = append(messages, m); return true })
	want(t, "messages", messages, []mailbox.Message{
		{FolderID: 2, UID: 3, ID: 11, ContentID: 10, ModSeq: 41, InternalDate: 1790000000, DateZone: -90, Size: 1000},
		{FolderID: 2, UID: 5, ID: 12, ContentID: 10, ModSeq: 42, InternalDate: -1, DateZone: 60, Size: 2000,
			Flags: mailbox.Flags{System: mailbox.Seen | mailbox.Deleted, Keywords: []string{"$Forwarded", "x"}}},
	}, err)
	c, _, err := rows.Content(10)
	want(t, "content", c, mailbox.Content{ID: 10, Volume: "primary", Blob: "2026/11/0a", Summary: []byte{0, 0xff}}, err)
	var tombstones []mailbox.Tombstone
	err = rows.Tombstones(2, 0, func(t mailbox.Tombstone) bool { tombstones = append(tombstones, t); return true })
	want(t, "tombstones", tombstones, []mailbox.Tombstone{{FolderID: 2, UID: 4, Sequence: 39}}, err)
	names, err := rows.Subscriptions()
	want(t, "subscriptions", names, []string{"INBOX"}, err)
	deliveries, err := rows.OldestDeliveries(9)
	want(t, "deliveries", deliveries, []mailbox.Delivery{{Key: mailbox.DeliveryKey{0xee}, Sequence: 41}}, err)
	uid, err := v.Recent(m.ID, 2)
	want(t, "recent", uid, 4, err)
	head, _, err := v.JournalHead(m.ID)
	want(t, "journal", head, metadata.JournalEntry{Sequence: 41, ID: event.ID{0xf1}, Record: []byte("record")}, err)
	positions, err := v.Positions()
	want(t, "positions", positions, []metadata.Position{{ClusterID: "cluster", TopicID: [16]byte{0xaa}, Stream: 4, Offset: 1300, LeaderEpoch: 6}}, err)
	setting, _, err := v.Value("incarnation")
	want(t, "setting", string(setting), "one", err)
}
