package mailstore_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
)

// A blob may be removed after a refusal only where no copy of the account can ever come to name it.
func TestNotWritten(t *testing.T) {
	refuse := func(*mailbox.Draft) error { return fault.New(fault.NotFound, "there is no such folder") }
	t.Run("refused by the mailbox", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, a, _, one := two(t)
			local := a.account(a.create(-1))
			for _, x := range []*mailstore.Account{one, local} {
				if err := x.Update(t.Context(), refuse); !mailstore.NotWritten(err) || !fault.Is(err, fault.NotFound) {
					t.Errorf("got %v, not written: %t", err, mailstore.NotWritten(err))
				}
			}
		})
	})
	t.Run("in flight and waiting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log, a, b, one := two(t)
			log.setAway(true)
			if _, err := deliver(t, one, "in flight", 1); mailstore.NotWritten(err) {
				t.Errorf("in flight: got %v, which says that it was not written", err)
			}
			if got := pending(t, a)[one.ID()]; len(got) != 1 || got[0].Blob != "in flight" {
				t.Errorf("pending contents: got %+v", got)
			}
			if _, err := deliver(t, one, "waiting", 1); !mailstore.NotWritten(err) {
				t.Errorf("waiting: got %v, which leaves it open", err)
			}
			log.setAway(false)
			await(t, "what was in flight", func() bool { names, _, _ := inbox(b, one.ID()); return len(names) == 1 })
			await(t, "nothing in flight", func() bool { return len(pending(t, a)) == 0 })
		})
	})
	t.Run("decided by a fence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log, _, b, one := two(t)
			log.setAway(true)
			answer := make(chan error)
			go func() { _, err := deliver(t, one, "too late", 1); answer <- err }()
			time.Sleep(time.Second)
			log.setAway(false)
			other := b.account(one.ID())
			if err := other.Fence(t.Context(), "", other.Copy().Epoch+1, false); err != nil {
				t.Fatal(err)
			}
			err := <-answer
			names, _, _ := inbox(b, one.ID())
			if there := slices.Contains(slices.Collect(maps.Values(names)), "too late"); there == mailstore.NotWritten(err) && err != nil {
				t.Errorf("got %v; not written: %t, there: %t", err, mailstore.NotWritten(err), there)
			}
			if _, err := deliver(t, one, "later", 1); !mailstore.NotWritten(err) || !fault.Is(err, fault.NotHome) {
				t.Errorf("at the old home: got %v, not written: %t", err, mailstore.NotWritten(err))
			}
		})
	})
	t.Run("a copy that can tell nothing any more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log, _, b, one := two(t)
			log.setAway(true)
			answer := make(chan error)
			go func() { _, err := deliver(t, one, "lands late", 1); answer <- err }()
			time.Sleep(time.Second)
			if err := one.Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-answer; err == nil || mailstore.NotWritten(err) {
				t.Errorf("got %v, not written: %t; other copies may accept it", err, mailstore.NotWritten(err))
			}
			log.setAway(false)
			_ = b
		})
	})
}

func pending(t *testing.T, h *host) map[account.ID][]mailbox.Content {
	t.Helper()
	contents, err := h.m.Pending()
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

// The home of a deleted account keeps a list of its blobs; its replica does not.
func TestDeletedAccountLeavesItsBlobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, one := two(t)
		local := a.account(a.create(-1))
		for i := range 3 {
			mustDeliver(t, one, fmt.Sprint(i), 1)
			mustDeliver(t, local, fmt.Sprint("local ", i), 1)
		}
		expunge(t, one, 2)
		await(t, "the replica", func() bool { names, _, _ := inbox(b, one.ID()); return len(names) == 2 })
		for _, x := range []*mailstore.Account{one, local} {
			if err := x.Delete(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "the replica to go", func() bool { _, held := b.m.Account(one.ID()); return !held })
		ended, blobs := listOf(t, a)
		if len(ended) != 2 || len(blobs) != 6 {
			t.Errorf("the home lists %+v with blobs %v, want 2 accounts with 6", ended, blobs)
		}
		for _, e := range ended {
			want := 0
			if e.Account == one.ID() {
				want = 2
			}
			if len(e.Members) != want || e.At != time.Now().Unix() {
				t.Errorf("%+v: want %d members", e, want)
			}
		}
		if ended, blobs := listOf(t, b); len(ended)+len(blobs) > 0 {
			t.Errorf("the replica lists %+v, %v", ended, blobs)
		}
	})
}

func expunge(t *testing.T, a *mailstore.Account, uids ...mailbox.UID) {
	t.Helper()
	err := a.Update(t.Context(), func(d *mailbox.Draft) error {
		f, _, err := d.FolderByName("INBOX")
		if err != nil {
			return err
		}
		_, err = d.Expunge(f.ID, uids)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func listOf(t *testing.T, h *host) (ended []metadata.Ended, blobs []string) {
	t.Helper()
	err := h.store.View(context.WithoutCancel(t.Context()), func(v *metadata.View) (err error) {
		if ended, err = v.Ended(); err != nil {
			return err
		}
		for _, e := range ended {
			left, err := v.EndedBlobs(e.MailboxID, 0, 100)
			if err != nil {
				return err
			}
			for _, b := range left {
				blobs = append(blobs, b.Blob)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ended, blobs
}

// What is discarded is discarded on every copy, at the same sequence, and what is reclaimed goes everywhere.
func TestDiscardedIsReplicated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, one := two(t)
		for i := range 3 {
			mustDeliver(t, one, fmt.Sprint(i), 1)
		}
		expunge(t, one, 1, 3)
		var rows []mailbox.Discarded
		list := func(h *host) (found []mailbox.Discarded) {
			err := h.m.Snapshot(t.Context(), one.ID(), func(_ metadata.Mailbox, r mailbox.Scanner) error {
				return r.ScanDiscarded(0, func(d mailbox.Discarded) bool { found = append(found, d); return true })
			})
			if err != nil {
				t.Error(err)
			}
			return found
		}
		rows = list(a)
		if len(rows) != 2 || rows[0].Sequence != one.Copy().Committed || rows[0].At != time.Now().Unix() {
			t.Fatalf("got %+v", rows)
		}
		await(t, "the replica", func() bool { return slices.Equal(list(b), rows) })
		c := a.log.host(t, "c.example")
		c.copyFrom(a, one.ID())
		if got := list(c); !slices.Equal(got, rows) {
			t.Errorf("a copy made from a snapshot lists %+v, want %+v", got, rows)
		}
		err := one.Update(t.Context(), func(d *mailbox.Draft) error { return d.Reclaimed([]mailbox.ItemID{rows[0].ContentID}) })
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []*host{a, b, c} {
			await(t, h.name, func() bool { return slices.Equal(list(h), rows[1:]) })
		}
		equal(t, one.ID(), a, b, c)
	})
}
