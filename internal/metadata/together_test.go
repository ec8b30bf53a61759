package metadata_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

// Rows that one function changes in several mailboxes are written together when it has returned. Each mailbox must have the rows
// that it would have if they had been written one by one.

// fromDatabase has nothing compared while rows are written: whoever asks in between has what is due written at once.
func fromDatabase(t *testing.T) {
	mailbox.CheckMemory(false)
	t.Cleanup(func() { mailbox.CheckMemory(true) })
}

// steps are changes of one mailbox, each with the next sequence: messages come and go, get flags, folders are renamed and removed.
func steps(random *rand.Rand, n int) (all []mailbox.Delta) {
	h := mailbox.EmptyHeader()
	next := mailbox.UID(1)
	for range n {
		h.Sequence++
		h.Digest.Lo = random.Uint64()
		d := mailbox.Delta{
			Header:   h,
			Folders:  map[mailbox.ItemID]*mailbox.Folder{inbox: {ID: inbox, Name: "INBOX", UIDValidity: 1, HighestSeq: h.Sequence}},
			Contents: map[mailbox.ItemID]*mailbox.Content{}, Subscriptions: map[string]bool{}, Deliveries: map[mailbox.DeliveryKey]*mailbox.Delivery{},
		}
		messages, discarded := map[mailbox.MessageKey]*mailbox.Message{}, map[mailbox.ItemID]*mailbox.Discarded{}
		for range random.IntN(4) {
			key := mailbox.MessageKey{FolderID: inbox, UID: next}
			content := mailbox.ItemID(next) * 2
			d.Contents[content] = &mailbox.Content{ID: content, Volume: "primary", Blob: fmt.Sprint("blob", next), Summary: []byte{byte(next)}}
			messages[key] = &mailbox.Message{
				FolderID: inbox, UID: next, ID: content + 1, ContentID: content, ModSeq: h.Sequence, Size: 5,
			}
			d.Deliveries[mailbox.DeliveryKey{byte(next)}] = &mailbox.Delivery{Key: mailbox.DeliveryKey{byte(next)}, Sequence: h.Sequence}
			next++
		}
		if uid := 1 + mailbox.UID(random.IntN(int(next))); uid < next {
			key := mailbox.MessageKey{FolderID: inbox, UID: uid}
			content := mailbox.ItemID(uid) * 2
			if random.IntN(2) == 0 {
				messages[key] = &mailbox.Message{FolderID: inbox, UID: uid, ID: content + 1, ContentID: content, ModSeq: h.Sequence,
					Size: 5, Flags: mailbox.Flags{System: mailbox.Seen, Keywords: []string{"a"}}}
			} else {
				messages[key], d.Contents[content], d.Deliveries[mailbox.DeliveryKey{byte(uid)}] = nil, nil, nil
				tombstone := &mailbox.Tombstone{FolderID: inbox, UID: uid, Sequence: h.Sequence}
				d.Tombstones = ascending(map[mailbox.MessageKey]*mailbox.Tombstone{key: tombstone})
				discarded[content] = &mailbox.Discarded{ContentID: content, Volume: "primary", Blob: "b", Sequence: h.Sequence, At: 9}
			}
		}
		other := mailbox.ItemID(90)
		switch random.IntN(4) {
		case 0:
			d.Folders[other] = &mailbox.Folder{ID: other, Name: fmt.Sprint("name", random.IntN(2)), UIDValidity: 2}
		case 1:
			d.Folders[other], d.RemovedFolders = nil, []mailbox.ItemID{other}
		case 2:
			d.Subscriptions["name"] = random.IntN(2) == 0
			discarded[mailbox.ItemID(2*random.IntN(int(next)))] = nil
		}
		d.Messages, d.Discarded = ascending(messages), ascendingBy(cmp.Compare, discarded)
		all = append(all, d)
	}
	return all
}

// contentsOf are all rows of a mailbox as text.
func contentsOf(t *testing.T, s *metadata.Store, id int64) (text string) {
	t.Helper()
	view(t, s, func(v *metadata.View) error {
		r := v.Rows(id)
		header, err := r.Header()
		folders, err2 := r.Folders()
		names, err3 := r.Subscriptions()
		text = fmt.Sprintln(header, folders, names)
		err4 := r.ScanContents(0, func(c mailbox.Content) bool { text += fmt.Sprintln(c); return true })
		err5 := r.ScanMessages(mailbox.MessageKey{}, func(m mailbox.Message) bool { text += fmt.Sprintln(m); return true })
		err6 := r.ScanTombstones(mailbox.MessageKey{}, func(m mailbox.Tombstone) bool { text += fmt.Sprintln(m); return true })
		err7 := r.ScanDeliveries(mailbox.DeliveryKey{}, func(d mailbox.Delivery) bool { text += fmt.Sprintln(d); return true })
		err8 := r.ScanDiscarded(0, func(d mailbox.Discarded) bool { text += fmt.Sprintln(d); return true })
		return errors.Join(err, err2, err3, err4, err5, err6, err7, err8)
	})
	return text
}

func TestRowsOfSeveralMailboxesTogether(t *testing.T) {
	fromDatabase(t)
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		const mailboxes, changes = 7, 12
		var together, alone [mailboxes]int64
		var deltas [mailboxes][]mailbox.Delta
		for i := range mailboxes {
			together[i], _ = create(t, s)
			alone[i], _ = create(t, s)
			deltas[i] = steps(rand.New(rand.NewPCG(uint64(i), 5)), changes)
			for _, d := range deltas[i] {
				update(t, s, func(tx *metadata.Tx) error { tx.AtOnce(); return tx.Write(alone[i], d) })
			}
		}
		random := rand.New(rand.NewPCG(1, 1))
		var all [mailboxes]int
		for i := range all {
			all[i] = changes
		}
		for done := [mailboxes]int{}; done != all; {
			before := done
			for range 2 { // an engine may have the function done again
				done = before
				err := s.Update(t.Context(), metadata.Lazy, func(tx *metadata.Tx) error {
					for range 1 + random.IntN(20) {
						if i := random.IntN(mailboxes); done[i] < changes {
							if err := tx.Write(together[i], deltas[i][done[i]]); err != nil {
								return err
							}
							done[i]++
						}
					}
					if before == done || random.IntN(2) == 0 {
						return nil
					}
					return errUndone
				})
				if err == nil {
					break
				}
				if !errors.Is(err, errUndone) {
					t.Fatal(err)
				}
				done = before
			}
		}
		for i := range mailboxes {
			if got, want := contentsOf(t, s, together[i]), contentsOf(t, s, alone[i]); got != want {
				t.Errorf("mailbox %d: got\n%s\nwant\n%s", i, got, want)
			}
		}
	})
}

var errUndone = errors.New("undone")

// What is due of a mailbox is written before the mailbox is removed: its contents say which blobs are to be removed.
func TestDueRowsOfAMailboxThatEnds(t *testing.T) {
	fromDatabase(t)
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		id, c := create(t, s)
		d := newDelivery()
		update(t, s, func(tx *metadata.Tx) error {
			return errors.Join(tx.Write(id, d.delta(3)), tx.EndMailbox(metadata.Ended{MailboxID: id, Account: c.Account}))
		})
		view(t, s, func(v *metadata.View) error {
			blobs, err := v.EndedBlobs(id, 0, 10)
			if len(blobs) != 3 {
				t.Errorf("%d blobs are left, want 3", len(blobs))
			}
			return err
		})
	})
}

// A statement of what is due that fails undoes the function, though it has returned already. AtOnce shows whose it was.
func TestDueRowsThatAreRefused(t *testing.T) {
	fromDatabase(t)
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		good, _ := create(t, s)
		bad, _ := create(t, s)
		twice := mailbox.Delta{Header: mailbox.EmptyHeader(), Folders: map[mailbox.ItemID]*mailbox.Folder{
			7: {ID: 7, Name: "same"}, 8: {ID: 8, Name: "same"},
		}}
		twice.Header.Sequence = 1
		for _, atOnce := range []bool{false, true} {
			var inside [2]error
			err := s.Update(t.Context(), metadata.Lazy, func(tx *metadata.Tx) error {
				if atOnce {
					tx.AtOnce()
				}
				inside = [2]error{tx.Write(good, arrive(1)), tx.Write(bad, twice)}
				return nil
			})
			if err == nil || inside[0] != nil || atOnce != (inside[1] != nil) {
				t.Errorf("at once %t: got %v of the Update, %v of the Writes", atOnce, err, inside)
			}
			view(t, s, func(v *metadata.View) error {
				for _, id := range []int64{good, bad} {
					if h, err := v.Rows(id).Header(); err != nil || h.Sequence != 0 {
						t.Errorf("mailbox %d is at %d, %v", id, h.Sequence, err)
					}
				}
				return nil
			})
		}
		update(t, s, func(tx *metadata.Tx) error { return tx.Write(good, arrive(1)) })
		view(t, s, func(v *metadata.View) error { wantArrived(t, v.Rows(good), 1); return nil })
	})
}

// A ViewAt of what is known begins no snapshot, until it is asked for more; then it is of the same rows, or fails.
func TestViewWithoutASnapshot(t *testing.T) {
	fromDatabase(t)
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		id, _ := create(t, s)
		write := func(n int) { update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, arrive(n)) }) }
		at := func(n int, fn func(*metadata.View) error) error {
			return s.ViewAt(t.Context(), id, mailbox.Sequence(n), fn)
		}
		write(1)
		// What is not counted yet is asked; what is known after that is not.
		if err := at(1, func(v *metadata.View) error { wantArrived(t, v.Rows(id), 1); return nil }); err != nil {
			t.Fatal(err)
		}
		write(2)
		err := at(2, func(v *metadata.View) error {
			wantArrived(t, v.Rows(id), 2)
			if metadata.HasSnapshot(v) {
				t.Error("a snapshot was begun for what is known")
			}
			folders, err := v.Rows(id).Folders()
			if !metadata.HasSnapshot(v) || len(folders) != 1 {
				t.Errorf("no snapshot was begun for what is not known; %d folders", len(folders))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		// The mailbox moves on, or is removed, before the snapshot begins.
		err = at(2, func(v *metadata.View) error {
			wantArrived(t, v.Rows(id), 2)
			write(3)
			wantArrived(t, v.Rows(id), 2)
			_, err := v.Rows(id).Folders()
			if !errors.Is(err, metadata.ErrMoved) {
				t.Errorf("got %v of rows that moved on", err)
			}
			return nil // which does not make it good
		})
		if !errors.Is(err, metadata.ErrMoved) {
			t.Errorf("got %v of a View whose rows moved on", err)
		}
		// Another sequence than the last is a View like any other.
		if err := at(2, func(v *metadata.View) error { wantArrived(t, v.Rows(id), 3); return nil }); err != nil {
			t.Error(err)
		}
		err = at(3, func(v *metadata.View) error {
			update(t, s, func(tx *metadata.Tx) error { return tx.RemoveMailbox(id) })
			_, _, err := v.Mailbox(account.NewID())
			return err
		})
		if !errors.Is(err, metadata.ErrMoved) {
			t.Errorf("got %v of a View whose mailbox was removed", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := at(3, func(*metadata.View) error { return nil }); err == nil {
			t.Error("a closed store gives a View")
		}
	})
}

// Flags of many are altered by one statement. Messages that are not there yet, and look as if they were, are put all the same.
func TestFlagsOfMany(t *testing.T) {
	fromDatabase(t)
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		id, _ := create(t, s)
		d := newDelivery()
		update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, d.delta(200)) })
		want := map[mailbox.UID]mailbox.Message{}
		view(t, s, func(v *metadata.View) error {
			return v.Rows(id).Messages(inbox, 1, 200, func(m mailbox.Message) bool { want[m.UID] = m; return true })
		})
		change := func(flags mailbox.Flags, uids ...mailbox.UID) {
			t.Helper()
			d.header.Sequence++
			delta, messages := mailbox.Delta{Header: d.header}, map[mailbox.MessageKey]*mailbox.Message{}
			for _, uid := range uids {
				if n := len(delta.Marked); n > 0 && delta.Marked[n-1].To+1 == uid {
					delta.Marked[n-1].To = uid
					continue
				}
				delta.Marked = append(delta.Marked, mailbox.Marking{ // as if all were there
					FolderID: inbox, From: uid, To: uid, Set: flags.System, Clear: mailbox.AllSystemFlags &^ flags.System,
					Reworded: true, Keywords: flags.Keywords,
				})
			}
			for _, uid := range uids {
				m, known := want[uid]
				if !known {
					m = mailbox.Message{FolderID: inbox, UID: uid, ID: 5_000 + mailbox.ItemID(uid), ContentID: 4, Size: 9}
				}
				m.Flags, m.ModSeq = flags, d.header.Sequence
				want[uid] = m
				messages[mailbox.MessageKey{FolderID: inbox, UID: uid}] = &m
			}
			delta.Messages = ascending(messages)
			update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, delta) })
			got := map[mailbox.UID]mailbox.Message{}
			view(t, s, func(v *metadata.View) error {
				return v.Rows(id).ChangedSince(inbox, 0, func(m mailbox.Message) bool { got[m.UID] = m; return true })
			})
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("flags of %v: got %v, want %v", uids, got, want)
			}
		}
		seen := mailbox.Flags{System: mailbox.Seen, Keywords: []string{"$a", "b"}}
		change(seen, uidsFrom(1, 200, 1)...)
		change(mailbox.Flags{}, uidsFrom(1, 200, 3)...)
		change(mailbox.Flags{System: mailbox.Flagged}, uidsFrom(20, 27, 1)...)
		change(mailbox.Flags{System: mailbox.Flagged}, append(uidsFrom(1, 9, 2), uidsFrom(100, 130, 1)...)...)
		change(seen, uidsFrom(190, 230, 1)...) // of which thirty have just been copied here
		change(seen, uidsFrom(300, 350, 7)...)
	})
}

func uidsFrom(first, last, by mailbox.UID) (uids []mailbox.UID) {
	for uid := first; uid <= last; uid += by {
		uids = append(uids, uid)
	}
	return uids
}
