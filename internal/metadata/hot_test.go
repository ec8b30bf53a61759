package metadata_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

// What a store keeps in memory of a mailbox must be what the database would say: in a snapshot, after a change that was undone, and
// after changes that others of the same transaction made.

// arrive is a delta by which the n-th message arrives.
func arrive(n int) mailbox.Delta {
	h := mailbox.EmptyHeader()
	h.Sequence, h.Messages, h.Digest = mailbox.Sequence(n), uint64(n), mailbox.Digest{Lo: uint64(n)}
	return mailbox.Delta{
		Header: h,
		Folders: map[mailbox.ItemID]*mailbox.Folder{
			inbox: {ID: inbox, Name: "INBOX", UIDValidity: 1, UIDNext: mailbox.UID(n + 1), Messages: uint32(n)},
		},
		Deliveries: map[mailbox.DeliveryKey]*mailbox.Delivery{
			{byte(n)}:     {Key: mailbox.DeliveryKey{byte(n)}, Sequence: h.Sequence},
			{byte(n - 1)}: nil,
		},
	}
}

// wantArrived checks that n messages are there, by every question that may be answered from memory.
func wantArrived(t *testing.T, r mailbox.Reader, n int) {
	t.Helper()
	h, err := r.Header()
	byID, found, err2 := r.Folder(inbox)
	byName, found2, err3 := r.FolderByName("INBOX")
	_, known, err4 := r.Delivery(mailbox.DeliveryKey{byte(n)})
	_, next, err5 := r.Delivery(mailbox.DeliveryKey{byte(n + 1)})
	_, before, err6 := r.Delivery(mailbox.DeliveryKey{byte(n - 1)})
	count, err7 := r.CountDeliveries()
	if err := errors.Join(err, err2, err3, err4, err5, err6, err7); err != nil {
		t.Fatal(err)
	}
	if int(h.Messages) != n || !found || int(byID.Messages) != n || !found2 || byName != byID || !known || next || before || count != 1 {
		t.Errorf("got header %v, folders %v %t, %v %t, deliveries %t %t %t of %d; want those of %d", h, byID, found, byName, found2,
			before, known, next, count, n)
	}
}

func TestKnownRowsAreThoseOfTheSnapshot(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		id, _ := create(t, s)
		write := func(n int) {
			update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, arrive(n)) })
		}
		write(1)
		for n := 2; n < 6; n++ {
			view(t, s, func(v *metadata.View) error {
				if n%2 == 0 { // before the other change, or behind it
					wantArrived(t, v.Rows(id), n-1)
				} else if _, err := v.Mailboxes(); err != nil {
					return err
				}
				done := make(chan struct{})
				go func() { defer close(done); write(n) }()
				<-done
				wantArrived(t, v.Rows(id), n-1)
				return nil
			})
			view(t, s, func(v *metadata.View) error { wantArrived(t, v.Rows(id), n); return nil })
		}
	})
}

func TestKnownRowsOfAChangeThatWasUndone(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		id, c := create(t, s)
		update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, arrive(1)) })
		view(t, s, func(v *metadata.View) error { wantArrived(t, v.Rows(id), 1); return nil })
		undone := errors.New("undone")
		for range 2 {
			err := s.Update(t.Context(), metadata.Lazy, func(tx *metadata.Tx) error {
				if err := tx.Write(id, arrive(2)); err != nil {
					return err
				}
				wantArrived(t, tx.Rows(id), 2)
				if err := tx.Write(id, arrive(3)); err != nil {
					return err
				}
				wantArrived(t, tx.Rows(id), 3)
				return undone
			})
			if !errors.Is(err, undone) {
				t.Fatalf("got %v", err)
			}
			view(t, s, func(v *metadata.View) error { wantArrived(t, v.Rows(id), 1); return nil })
			update(t, s, func(tx *metadata.Tx) error { wantArrived(t, tx.Rows(id), 1); return nil })
		}
		// The mailbox's own row is written once, with what both said last.
		c.Epoch = 7
		update(t, s, func(tx *metadata.Tx) error {
			err := errors.Join(tx.Write(id, arrive(2)), tx.SaveCopy(id, c), tx.Write(id, arrive(3)))
			row, _, err2 := tx.MailboxByID(id)
			if row.Copy.Epoch != 7 || row.Header.Sequence != 3 {
				t.Errorf("inside: %+v", row)
			}
			c.Epoch = 8
			return errors.Join(err, err2, tx.SaveCopy(id, c))
		})
		view(t, s, func(v *metadata.View) error {
			row, _, err := v.MailboxByID(id)
			if row.Copy.Epoch != 8 || row.Header.Sequence != 3 {
				t.Errorf("%+v", row)
			}
			wantArrived(t, v.Rows(id), 3)
			return err
		})
	})
}

// Rows that are loaded, not changed, keep the header's sequence: nothing is known of them.
func TestKnownRowsOfAMailboxThatIsLoaded(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		id, _ := create(t, s)
		for n := 1; n < 4; n++ {
			f := mailbox.Folder{ID: mailbox.ItemID(n), Name: fmt.Sprint(n), UIDValidity: 1, UIDNext: 9}
			h := mailbox.EmptyHeader()
			h.Sequence = 5
			update(t, s, func(tx *metadata.Tx) error {
				return tx.LoadRows(id, &event.Rows{Folders: []mailbox.Folder{f}, Headers: []mailbox.Header{h}})
			})
			got := func(v *metadata.View) error {
				have, _, err := v.Rows(id).Folder(f.ID)
				if have != f {
					t.Errorf("got %v, want %v", have, f)
				}
				count, err2 := v.Rows(id).CountFolders()
				if count != n {
					t.Errorf("%d folders, want %d", count, n)
				}
				return errors.Join(err, err2)
			}
			update(t, s, func(tx *metadata.Tx) error { return got(&tx.View) })
		}
	})
}

// Snapshots that last tell what they found out long after it was true, and after the store forgot what it knew itself.
func TestKnownRowsOfSnapshotsThatEndLate(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		id, _ := create(t, s)
		random, now := rand.New(rand.NewPCG(1, 2)), 1
		update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, arrive(now)) })
		undone := errors.New("undone")
		type snapshot struct {
			of         int
			end, ended chan struct{}
		}
		var open []snapshot
		end := func(i int) {
			close(open[i].end)
			<-open[i].ended
			open = append(open[:i], open[i+1:]...)
		}
		defer func() {
			for len(open) > 0 {
				end(0)
			}
		}()
		for range 300 {
			switch n := random.IntN(6); {
			case n == 0 && len(open) < 4: // it asks before and after what others do meanwhile
				v := snapshot{now, make(chan struct{}), make(chan struct{})}
				begun := make(chan struct{})
				go func() {
					defer close(v.ended)
					err := s.View(t.Context(), func(view *metadata.View) error {
						_, err := view.Rows(id).Header()
						close(begun)
						<-v.end
						_, err2 := view.Rows(id).CountFolders()
						wantArrived(t, view.Rows(id), v.of)
						return errors.Join(err, err2)
					})
					if err != nil {
						t.Error(err)
					}
				}()
				<-begun
				open = append(open, v)
			case n == 1 && len(open) > 0:
				end(random.IntN(len(open)))
			case n == 2: // what is known is forgotten
				update(t, s, func(tx *metadata.Tx) error { return tx.LoadRows(id, &event.Rows{}) })
			case n == 3:
				err := s.Update(t.Context(), metadata.Lazy, func(tx *metadata.Tx) error {
					return errors.Join(tx.Write(id, arrive(now+1)), undone)
				})
				if !errors.Is(err, undone) {
					t.Fatal(err)
				}
			default:
				now++
				update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, arrive(now)) })
			}
			if random.IntN(3) == 0 { // not each time: to ask is to know again
				update(t, s, func(tx *metadata.Tx) error { wantArrived(t, tx.Rows(id), now); return nil })
			}
			if t.Failed() {
				return
			}
		}
	})
}

// What is due to a mailbox's row is what was saved, whatever becomes of the caller's copy, and every question sees it.
func TestSavedCopyIsWrittenAsItWas(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		id, c := create(t, s)
		other, _ := create(t, s)
		want := c.HeadID
		want[0] = 1
		c.HeadID, c.Epoch = want, 9
		update(t, s, func(tx *metadata.Tx) error {
			if err := tx.SaveCopy(id, c); err != nil {
				return err
			}
			c.HeadID[0] = 2
			otherRow, _, err := tx.View.MailboxByID(other)
			return errors.Join(err, tx.SaveCopy(other, &otherRow.Copy))
		})
		update(t, s, func(tx *metadata.Tx) error {
			row, _, err := tx.MailboxByID(id)
			if row.Copy.HeadID != want {
				t.Errorf("got head %v, want %v", row.Copy.HeadID, want)
			}
			otherRow, _, err2 := tx.MailboxByID(other)
			row.Copy.Epoch = 10
			err3 := tx.SaveCopy(id, &row.Copy)
			rows, err4 := tx.MailboxesOf([]account.ID{row.Copy.Account, otherRow.Copy.Account})
			for _, m := range rows {
				if m.ID == id && m.Copy.Epoch != 10 {
					t.Errorf("asked with others, the copy has epoch %d", m.Copy.Epoch)
				}
			}
			if len(rows) != 2 {
				t.Errorf("got %d rows", len(rows))
			}
			return errors.Join(err, err2, err3, err4)
		})
	})
}

// The tests of this package compare what memory says with the database; so they would see a difference.
func TestCheckedMemory(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		id, _ := create(t, s)
		update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, arrive(1)) })
		update(t, s, func(tx *metadata.Tx) error { return metadata.Forge(tx, id) })
		defer func() {
			if recover() == nil {
				t.Error("memory was believed")
			}
		}()
		view(t, s, func(v *metadata.View) error { wantArrived(t, v.Rows(id), 1); return nil })
	})
}
