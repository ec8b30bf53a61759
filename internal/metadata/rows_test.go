package metadata_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// awkwardNames differ in what collations, padding or text encodings would take for the same.
var awkwardNames = []string{
	"a", "A", "a ", "a\x00", "a/", "", "INBOX", "inbox", "é", "e\u0301", "\xff\xfe", "\x00", "%", "_", "a'; DROP TABLE folder; --",
	strings.Repeat("x", 1000), "ß", "ss", "ﬁ", "1", "01", "1.0",
}

func TestNames(t *testing.T) { onEach(t, testNames) }

func testNames(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	d := folderDelta()
	d.Subscriptions = map[string]bool{}
	for i, name := range awkwardNames {
		f := &mailbox.Folder{ID: mailbox.ItemID(i + 1), Name: name, UIDNext: 1, SpecialUse: name}
		d.Folders[f.ID] = f
		d.Subscriptions[name] = true
	}
	update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, d) })
	sorted := slices.Sorted(slices.Values(awkwardNames))
	view(t, s, func(v *metadata.View) error {
		rows := v.Rows(id)
		for i, name := range awkwardNames {
			f, found, err := rows.FolderByName(name)
			if err != nil || !found || f.ID != mailbox.ItemID(i+1) || f.Name != name || f.SpecialUse != name {
				t.Errorf("folder %q: got %+v, %t, %v", name, f, found, err)
			}
		}
		folders, err := rows.Folders()
		names := []string{}
		for _, f := range folders {
			names = append(names, f.Name)
		}
		if err != nil || !slices.Equal(names, sorted) {
			t.Errorf("got folders %q (%v), want %q", names, err, sorted)
		}
		if names, err := rows.Subscriptions(); err != nil || !slices.Equal(names, sorted) {
			t.Errorf("got subscriptions %q (%v), want %q", names, err, sorted)
		}
		return nil
	})
	for _, name := range awkwardNames {
		d.Subscriptions = map[string]bool{name: false}
		d.Folders = nil
		update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, d) })
		sorted = slices.DeleteFunc(sorted, func(one string) bool { return one == name })
		view(t, s, func(v *metadata.View) error {
			if names, err := v.Rows(id).Subscriptions(); err != nil || !slices.Equal(names, sorted) {
				t.Errorf("got subscriptions %q (%v) without %q, want %q", names, err, name, sorted)
			}
			return nil
		})
	}
}

func TestFolderNamesAreUnique(t *testing.T) { onEach(t, testFolderNamesAreUnique) }

func testFolderNamesAreUnique(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	update(t, s, func(tx *metadata.Tx) error {
		return tx.Write(id, folderDelta(mailbox.Folder{ID: 1, Name: "a"}, mailbox.Folder{ID: 2, Name: "b"}, mailbox.Folder{ID: 3, Name: "c"}))
	})
	err := s.Update(t.Context(), metadata.Lazy, func(tx *metadata.Tx) error {
		return tx.Write(id, folderDelta(mailbox.Folder{ID: 4, Name: "a"}))
	})
	wantKind(t, err, fault.Internal)
	// A change may pass names round.
	update(t, s, func(tx *metadata.Tx) error {
		d := folderDelta(mailbox.Folder{ID: 1, Name: "b"}, mailbox.Folder{ID: 2, Name: "a"}, mailbox.Folder{ID: 4, Name: "c", Messages: 7})
		d.Folders[3] = nil
		d.RemovedFolders = []mailbox.ItemID{3}
		return tx.Write(id, d)
	})
	other, _ := create(t, s)
	update(t, s, func(tx *metadata.Tx) error { return tx.Write(other, folderDelta(mailbox.Folder{ID: 1, Name: "a"})) })
	view(t, s, func(v *metadata.View) error {
		folders, err := v.Rows(id).Folders()
		got := map[string]mailbox.ItemID{}
		for _, f := range folders {
			got[f.Name] = f.ID
		}
		if want := map[string]mailbox.ItemID{"a": 2, "b": 1, "c": 4}; !reflect.DeepEqual(got, want) {
			t.Errorf("got folders %v, want %v", got, want)
		}
		return err
	})
}

// TestExtremes stores the largest and the smallest values there are, in every row.
func TestExtremes(t *testing.T) { onEach(t, testExtremes) }

func testExtremes(t *testing.T, p place) {
	s := p.open(t)
	id, c := create(t, s)
	const most = math.MaxUint64
	header := mailbox.Header{
		Sequence: math.MaxInt64, NextItemID: most, NextUIDValidity: math.MaxUint32, Messages: most, Bytes: most,
		Digest: mailbox.Digest{Hi: most, Lo: 1},
	}
	folder := mailbox.Folder{ID: most, Name: "f", UIDValidity: math.MaxUint32, UIDNext: math.MaxUint32, HighestSeq: math.MaxInt64,
		Messages: math.MaxUint32, Unseen: math.MaxUint32, Bytes: most, Tombstones: math.MaxUint32, PrunedUpTo: math.MaxInt64}
	content := mailbox.Content{ID: most, Volume: "", Blob: "", Summary: []byte{0}}
	keywords := []string{"", "$a", strings.Repeat("k", 300), "\xff\x00 x"}
	message := mailbox.Message{FolderID: most, UID: math.MaxUint32, ID: most, ContentID: most, ModSeq: math.MaxInt64,
		InternalDate: math.MinInt64, DateZone: -1439, Size: most, Flags: mailbox.Flags{System: 0xff, Keywords: keywords}}
	tombstone := mailbox.Tombstone{FolderID: most, UID: 1, Sequence: math.MaxInt64}
	delivery := mailbox.Delivery{Key: mailbox.DeliveryKey{31: 0xff}, Sequence: math.MaxInt64}
	discarded := mailbox.Discarded{ContentID: most, Volume: "\xff", Blob: "\x00", Sequence: math.MaxInt64, At: math.MinInt64}
	c.Condition, c.Mode, c.Epoch, c.Primary = protocol.Diverged, protocol.Paused, most, "\xffhost"
	c.Members = map[string]event.ID{"": {1}, "mbox1.example.com": {0xff}, strings.Repeat("m", 253): {}}
	c.Stream = protocol.Stream{ClusterID: "cluster", TopicID: [16]byte{15: 1}, Partition: math.MaxInt32, LeaderEpoch: -1}
	c.Sequence, c.HeadID, c.NextOffset = math.MaxInt64, event.ID{1}, math.MaxInt64
	c.Committed, c.CommittedID, c.Journal = math.MaxInt64, event.ID{2}, math.MaxInt32
	update(t, s, func(tx *metadata.Tx) error {
		if err := tx.SaveCopy(id, c); err != nil {
			return err
		}
		return tx.LoadRows(id, &event.Rows{
			Headers: []mailbox.Header{header}, Folders: []mailbox.Folder{folder}, Contents: []mailbox.Content{content},
			Messages: []mailbox.Message{message}, Tombstones: []mailbox.Tombstone{tombstone}, Subscriptions: []event.Subscription{{Name: "s"}},
			Deliveries: []mailbox.Delivery{delivery}, Discarded: []mailbox.Discarded{discarded},
		})
	})
	view(t, s, func(v *metadata.View) error {
		rows := v.Rows(id)
		m, _, err := v.MailboxByID(id)
		want(t, "mailbox", m, metadata.Mailbox{ID: id, Copy: *c, Header: header}, err)
		h, err := rows.Header()
		want(t, "header", h, header, err)
		f, _, err := rows.Folder(most)
		want(t, "folder", f, folder, err)
		one, _, err := rows.Content(most)
		want(t, "content", one, content, err)
		got, _, err := rows.Message(most, math.MaxUint32)
		want(t, "message", got, message, err)
		n, err := rows.References(most)
		want(t, "references", n, 1, err)
		var tombstones []mailbox.Tombstone
		err = rows.Tombstones(most, 0, func(t mailbox.Tombstone) bool { tombstones = append(tombstones, t); return true })
		want(t, "tombstones", tombstones, []mailbox.Tombstone{tombstone}, err)
		d, _, err := rows.Delivery(delivery.Key)
		want(t, "delivery", d, delivery, err)
		x, _, err := rows.Discarded(most)
		want(t, "discarded", x, discarded, err)
		names, err := rows.Subscriptions()
		want(t, "subscriptions", names, []string{"s"}, err)
		return nil
	})
}

func want[T any](t *testing.T, what string, got, want T, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v (%v), want %+v", what, got, err, want)
	}
}

func TestMailboxes(t *testing.T) { onEach(t, testMailboxes) }

func testMailboxes(t *testing.T, p place) {
	s := p.open(t)
	var ids []int64
	for range 3 {
		id, _ := create(t, s)
		ids = append(ids, id)
	}
	c := protocol.NewLocal(account.NewID(), "mbox1.example.com")
	update(t, s, func(tx *metadata.Tx) error {
		id, err := tx.CreateMailbox(c)
		if err != nil {
			return err
		}
		ids = append(ids, id)
		_, err = tx.CreateMailbox(c)
		wantKind(t, err, fault.Exists)
		return tx.SetValue("after", nil) // the refusal undoes nothing
	})
	view(t, s, func(v *metadata.View) error {
		all, err := v.Mailboxes()
		var got []int64
		for _, m := range all {
			got = append(got, m.ID)
			want(t, "header", m.Header, mailbox.EmptyHeader(), err)
		}
		want(t, "mailboxes", got, ids, err)
		_, found, err := v.Mailbox(account.NewID())
		want(t, "an unknown account", found, false, err)
		_, found, err = v.MailboxByID(1 << 40)
		want(t, "an unknown id", found, false, err)
		_, err = v.Rows(1 << 40).Folders()
		wantKind(t, err, fault.NotFound)
		return nil
	})
	for name, fn := range map[string]func(*metadata.Tx) error{
		"SaveCopy":      func(tx *metadata.Tx) error { return tx.SaveCopy(1<<40, c) },
		"Write":         func(tx *metadata.Tx) error { return tx.Write(1<<40, folderDelta()) },
		"LoadRows":      func(tx *metadata.Tx) error { return tx.LoadRows(1<<40, &event.Rows{}) },
		"RemoveMailbox": func(tx *metadata.Tx) error { return tx.RemoveMailbox(1 << 40) },
		"AppendJournal": func(tx *metadata.Tx) error { return tx.AppendJournal(1<<40, metadata.JournalEntry{}) },
		"ClaimRecent":   func(tx *metadata.Tx) error { return tx.ClaimRecent(1<<40, 1, 2) },
	} {
		if err := s.Update(t.Context(), metadata.Lazy, fn); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s of a mailbox that does not exist: got %v, want NotFound", name, err)
		}
	}
}

// TestLoadNothingTwice loads rows that are there already: what is loaded is what was given, or nothing.
func TestLoadNothingTwice(t *testing.T) { onEach(t, testLoadNothingTwice) }

func testLoadNothingTwice(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	load := func(r event.Rows) error {
		return s.Update(t.Context(), metadata.Lazy, func(tx *metadata.Tx) error { return tx.LoadRows(id, &r) })
	}
	digest := func() (d mailbox.Digest) {
		view(t, s, func(v *metadata.View) (err error) {
			d, err = mailbox.FullDigest(v.Rows(id))
			return err
		})
		return d
	}
	for name, r := range map[string]event.Rows{
		"a folder":       {Folders: []mailbox.Folder{{ID: inbox, Name: "INBOX"}}},
		"a name":         {Folders: []mailbox.Folder{{ID: 9, Name: "INBOX"}}},
		"a content":      {Contents: []mailbox.Content{{ID: 2}}},
		"a message":      {Messages: []mailbox.Message{{FolderID: inbox, UID: 1, ID: 3, ContentID: 2}}},
		"a tombstone":    {Tombstones: []mailbox.Tombstone{{FolderID: inbox, UID: 7}}},
		"a subscription": {Subscriptions: []event.Subscription{{Name: "INBOX"}}},
		"a delivery":     {Deliveries: []mailbox.Delivery{{Key: mailbox.DeliveryKey{1}}}},
		"a discarded":    {Discarded: []mailbox.Discarded{{ContentID: 8}}},
	} {
		if err := load(r); err != nil && name != "a name" && name != "a folder" { // whichever of those two comes first
			t.Errorf("%s: %v", name, err)
		}
		before := digest()
		r.Contents = append(r.Contents, mailbox.Content{ID: 1000})
		if err := load(r); err == nil {
			t.Errorf("%s was loaded twice", name)
		}
		if got := digest(); got != before {
			t.Errorf("%s: something of what failed was loaded", name)
		}
	}
	twice := event.Rows{Messages: make([]mailbox.Message, 100)}
	for i := range twice.Messages {
		twice.Messages[i] = mailbox.Message{FolderID: 50, UID: mailbox.UID(i%99 + 1)}
	}
	if err := load(twice); err == nil {
		t.Error("one message was loaded twice in one chunk")
	}
}

// TestIterators has iterators nested in iterators of the same kind, stopped early, and given up by a panic.
func TestIterators(t *testing.T) { onEach(t, testIterators) }

func testIterators(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	d := newDelivery()
	update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, d.delta(10)) })
	nested := func(r mailbox.Scanner) (pairs int) {
		err := r.Messages(inbox, 1, 10, func(a mailbox.Message) bool {
			err := r.Messages(inbox, 1, 10, func(b mailbox.Message) bool {
				if _, found, err := r.Content(b.ContentID); err != nil || !found {
					t.Errorf("content of message %d: %t, %v", b.UID, found, err)
				}
				pairs++
				return b.UID < a.UID
			})
			if err != nil {
				t.Error(err)
			}
			return a.UID < 9
		})
		if err != nil {
			t.Error(err)
		}
		return pairs
	}
	update(t, s, func(tx *metadata.Tx) error {
		if got := nested(tx.Rows(id)); got != 45 {
			t.Errorf("got %d pairs in a Tx, want 45", got)
		}
		return nil
	})
	view(t, s, func(v *metadata.View) error {
		for range 2 {
			if got := nested(v.Rows(id)); got != 45 {
				t.Errorf("got %d pairs in a View, want 45", got)
			}
		}
		func() {
			defer func() { _ = recover() }()
			_ = v.Rows(id).Messages(inbox, 1, 10, func(mailbox.Message) bool { panic("given up") })
		}()
		if got := nested(v.Rows(id)); got != 45 {
			t.Errorf("got %d pairs after a panic, want 45", got)
		}
		return nil
	})
}

// TestChangedSince reads what has changed since each sequence, in the order of UIDs.
func TestChangedSince(t *testing.T) { onEach(t, testChangedSince) }

func testChangedSince(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	d := newDelivery()
	for range 12 {
		update(t, s, func(tx *metadata.Tx) error {
			delta := d.delta(1000)
			tombstones := map[mailbox.MessageKey]*mailbox.Tombstone{}
			for _, row := range delta.Messages { // of the modseqs, the highest shall not belong to the highest UIDs
				row.Row.ModSeq = 13 - delta.Header.Sequence
				tombstones[row.Key] = &mailbox.Tombstone{FolderID: row.Key.FolderID, UID: row.Key.UID, Sequence: row.Row.ModSeq}
			}
			delta.Tombstones = ascending(tombstones)
			return tx.Write(id, delta)
		})
	}
	view(t, s, func(v *metadata.View) error {
		for since := range mailbox.Sequence(14) {
			next := mailbox.UID(1)
			err := v.Rows(id).ChangedSince(inbox, since, func(m mailbox.Message) bool {
				if m.UID != next || m.ModSeq <= since {
					t.Fatalf("since %d: got UID %d, modseq %d where UID %d is due", since, m.UID, m.ModSeq, next)
				}
				next++
				return true
			})
			count := 1000 * max(0, 12-int(since))
			want(t, "changed", int(next-1), count, err)
			next = 1
			err = v.Rows(id).Tombstones(inbox, since, func(m mailbox.Tombstone) bool {
				if m.UID != next || m.Sequence <= since {
					t.Fatalf("since %d: got tombstone %+v where UID %d is due", since, m, next)
				}
				next++
				return true
			})
			want(t, "tombstones", int(next-1), count, err)
		}
		return nil
	})
}

// TestMailboxesOf looks mailboxes up together, as many as a statement takes and more, with one account that has none here.
func TestMailboxesOf(t *testing.T) { onEach(t, testMailboxesOf) }

func testMailboxesOf(t *testing.T, p place) {
	s := p.open(t)
	accounts := make([]account.ID, 66)
	wanted := map[account.ID]int64{}
	update(t, s, func(tx *metadata.Tx) error {
		clear(wanted)
		for i := range accounts {
			accounts[i] = account.NewID()
			if i == 7 {
				continue
			}
			id, err := tx.CreateMailbox(protocol.NewLocal(accounts[i], "mbox1.example.com"))
			if err != nil {
				return err
			}
			wanted[accounts[i]] = id
		}
		return nil
	})
	for _, n := range []int{0, 1, 2, 8, 64, 65, 66} {
		view(t, s, func(v *metadata.View) error {
			found, err := v.MailboxesOf(accounts[:n])
			got := map[account.ID]int64{}
			for _, m := range found {
				got[m.Copy.Account] = m.ID
			}
			part := map[account.ID]int64{}
			for _, a := range accounts[:n] {
				if id, has := wanted[a]; has {
					part[a] = id
				}
			}
			want(t, fmt.Sprint("the mailboxes of ", n), got, part, err)
			want(t, fmt.Sprint("the number of mailboxes of ", n), len(found), len(part), nil)
			return nil
		})
	}
}
