package mailstore_test

import (
	"testing"
	"testing/synctest"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// TestChangeThatPanics computes a change that panics halfway, in one transaction with others: it fails alone, and what it had
// drafted is not committed with them.
func TestChangeThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, _, one := two(t)
		panicked := make(chan error)
		go func() {
			panicked <- one.Update(t.Context(), func(d *mailbox.Draft) error {
				if _, err := d.CreateFolder("half", ""); err != nil {
					return err
				}
				panic("a defect")
			})
		}()
		mustDeliver(t, one, "beside it", 1)
		if err := <-panicked; !fault.Is(err, fault.Internal) {
			t.Errorf("the change that panicked: %v, want kind %q", err, fault.Internal)
		}
		mustDeliver(t, one, "after it", 1)
		err := one.View(t.Context(), func(r mailbox.Reader) error {
			if _, there, err := r.FolderByName("half"); err != nil || there {
				t.Errorf("what was drafted before the panic is there: %v, %v", there, err)
			}
			inbox, _, err := r.FolderByName(mailbox.Inbox)
			if inbox.Messages != 2 {
				t.Errorf("%d messages, want 2", inbox.Messages)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
