package mailstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/protocol"
)

// poison has a host's database refuse every message of one mailbox, as a defect or a damaged index would.
func poison(t *testing.T, h *host, a *mailstore.Account) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	trigger := fmt.Sprintf(`CREATE TRIGGER poison BEFORE INSERT ON message WHEN NEW.mailbox_id = %d
		BEGIN SELECT RAISE(ABORT, 'poison'); END`, a.MailboxID())
	if _, err := db.ExecContext(t.Context(), trigger); err != nil {
		t.Fatal(err)
	}
}

// TestPoisonQuarantinesOneAccount has a database refuse the rows of one account, on the replica or on the source. The others in its
// stream do not notice; the copy is diverged, and claims no more than its rows.
func TestPoisonQuarantinesOneAccount(t *testing.T) {
	for _, onSource := range []bool{false, true} {
		t.Run(fmt.Sprint("on the source ", onSource), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newLog(t, 1, 0)
				a, b := log.host(t, "a.example"), log.host(t, "b.example")
				bad, good := a.create(0), a.create(0)
				b.copyFrom(a, bad)
				b.copyFrom(a, good)
				sick, other := b, a
				if onSource {
					sick, other = a, b
				}
				poison(t, sick, sick.account(bad))
				held := sick.readers[0]
				held.lock() // so that both are in one batch
				answers := make(chan error, 2)
				for _, id := range []*mailstore.Account{a.account(bad), a.account(good)} {
					go func() {
						_, err := deliver(t, id, "a message", 1)
						answers <- err
					}()
				}
				synctest.Wait()
				held.unlock()
				for range 2 { // both are in the log
					if err := <-answers; err != nil {
						t.Errorf("delivery: %v", err)
					}
				}
				await(t, "quarantine", func() bool { return sick.account(bad).Copy().Condition == protocol.Diverged })
				mustDeliver(t, a.account(good), "another", 1)
				equal(t, good, a, b)
				_, header, c := inbox(sick, bad)
				if header.Sequence != c.Committed {
					t.Errorf("rows at sequence %d, the copy claims %d", header.Sequence, c.Committed)
				}
				if names, _, _ := inbox(other, bad); len(names) != 1 {
					t.Errorf("the other copy has %d messages, want 1", len(names))
				}
			})
		})
	}
}

// TestStepThatPanics has a step of the account's own life panic: it fails alone.
func TestStepThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, one := two(t)
		err := one.Enter(t.Context(), func(context.Context) error { panic("a defect") })
		if !fault.Is(err, fault.Internal) {
			t.Errorf("got %v, want kind %q", err, fault.Internal)
		}
		mustDeliver(t, one, "after it", 1)
		equal(t, one.ID(), a, b)
	})
}
