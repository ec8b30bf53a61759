package metadata_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

func TestPositions(t *testing.T) { onEach(t, testPositions) }

func testPositions(t *testing.T, p place) {
	s := p.open(t)
	all := []metadata.Position{
		{ClusterID: "A", Stream: 1, Offset: 5, LeaderEpoch: -1},
		{ClusterID: "a", TopicID: [16]byte{1}, Stream: 0, Offset: math.MaxInt64, LeaderEpoch: math.MaxInt32},
		{ClusterID: "a", TopicID: [16]byte{1}, Stream: 1, Offset: 0, LeaderEpoch: 3},
		{ClusterID: "a ", TopicID: [16]byte{0xff}, Stream: math.MaxInt32, Offset: 7},
	}
	update(t, s, func(tx *metadata.Tx) error {
		for _, p := range all {
			p.Offset--
			if err := errors.Join(tx.SetPosition(p), tx.SetPosition(metadata.Position{ClusterID: "gone"})); err != nil {
				return err
			}
		}
		for _, p := range all {
			if err := tx.SetPosition(p); err != nil {
				return err
			}
		}
		return tx.RemovePosition(metadata.Position{ClusterID: "gone", Offset: 99})
	})
	view(t, s, func(v *metadata.View) error {
		got, err := v.Positions()
		want(t, "positions", got, all, err)
		return nil
	})
}

func TestJournal(t *testing.T) { onEach(t, testJournal) }

func testJournal(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	other, _ := create(t, s)
	var entries []metadata.JournalEntry
	for n := range mailbox.Sequence(5) {
		entries = append(entries, metadata.JournalEntry{Sequence: n + 254, ID: event.NewID(), Record: bytes.Repeat([]byte{byte(n)}, int(n+1)*5000)})
	}
	entries = append(entries, metadata.JournalEntry{ // larger than a value may be
		Sequence: 300, ID: event.NewID(), Record: bytes.Repeat([]byte("0123456789abcde"), 700_000),
	})
	read := func() (all []metadata.JournalEntry) {
		view(t, s, func(v *metadata.View) error {
			head, found, err := v.JournalHead(id)
			if err != nil {
				return err
			}
			err = v.Journal(id, func(e metadata.JournalEntry) bool { all = append(all, e); return true })
			if found != (len(all) > 0) || found && head.ID != all[0].ID {
				t.Errorf("got head %+v, %t of %d entries", head.Sequence, found, len(all))
			}
			return err
		})
		return all
	}
	want(t, "an empty journal", read(), nil, nil)
	update(t, s, func(tx *metadata.Tx) error {
		for _, e := range entries {
			if err := errors.Join(tx.AppendJournal(id, e), tx.AppendJournal(other, e)); err != nil {
				return err
			}
		}
		return nil
	})
	want(t, "journal", read(), entries, nil)
	err := s.Update(t.Context(), metadata.Fsynced, func(tx *metadata.Tx) error { return tx.AppendJournal(id, entries[2]) })
	wantKind(t, err, fault.Internal)
	update(t, s, func(tx *metadata.Tx) error { return tx.RemoveJournal(id, entries[0].Sequence) })
	want(t, "journal", read(), entries[1:], nil)
	update(t, s, func(tx *metadata.Tx) error { return tx.ClearJournal(id) })
	want(t, "a cleared journal", read(), nil, nil)
	update(t, s, func(tx *metadata.Tx) error {
		head, _, err := tx.JournalHead(other)
		want(t, "the other journal's head", head, entries[0], err)
		return nil
	})
}

func TestRecent(t *testing.T) { onEach(t, testRecent) }

func testRecent(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	for _, step := range []struct{ claim, want mailbox.UID }{{0, 1}, {1, 1}, {8, 8}, {5, 8}, {math.MaxUint32, math.MaxUint32}} {
		update(t, s, func(tx *metadata.Tx) error {
			if err := tx.ClaimRecent(id, 3, step.claim); err != nil {
				return err
			}
			got, err := tx.Recent(id, 3)
			want(t, "recent", got, step.want, err)
			return nil
		})
	}
	update(t, s, func(tx *metadata.Tx) error {
		d := folderDelta()
		d.RemovedFolders = []mailbox.ItemID{3}
		return tx.Write(id, d)
	})
	view(t, s, func(v *metadata.View) error {
		got, err := v.Recent(id, 3)
		want(t, "recent of a folder that was removed", got, 1, err)
		return nil
	})
}

func TestValues(t *testing.T) { onEach(t, testValues) }

func testValues(t *testing.T, p place) {
	s := p.open(t)
	for _, text := range []string{"", "value", "\x00\xff"} {
		for _, key := range awkwardNames {
			update(t, s, set(key, key+text))
		}
		for _, key := range append(awkwardNames, "synced") {
			if got, found := value(t, s, key); (got != key+text || !found) && key != "synced" || key == "synced" && found {
				t.Errorf("setting %q: got %q, %t, want %q", key, got, found, key+text)
			}
		}
		if err := s.Sync(t.Context()); err != nil {
			t.Errorf("Sync: %v", err)
		}
	}
	update(t, s, func(tx *metadata.Tx) error { return tx.SetValue("nil", nil) })
	if got, found := value(t, s, "nil"); got != "" || !found {
		t.Errorf("got %q, %t of a setting without a value, want it there and empty", got, found)
	}
}
