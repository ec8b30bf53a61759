package mailstore_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mailreplica/internal/mailbox"
)

// A change that takes this mailstore longer than a client waits for the log is no change that the log does not confirm: neither it nor what
// waits behind it is given up.
func TestLongChange(t *testing.T) {
	for _, stream := range []int32{-1, 0} {
		synctest.Test(t, func(t *testing.T) {
			h := newLog(t, 1, 0).host(t, "a.example")
			a := h.account(h.create(stream))
			behind := make(chan error, 1)
			started := false
			err := a.Update(t.Context(), func(d *mailbox.Draft) error {
				if !started {
					started = true
					go func() {
						_, err := deliver(t, a, "behind", 2)
						behind <- err
					}()
				}
				time.Sleep(time.Minute)
				_, err := d.CreateFolder("made slowly", "")
				return err
			})
			if err != nil {
				t.Errorf("stream %d: a change that is computed for a minute: %v", stream, err)
			}
			if err := <-behind; err != nil {
				t.Errorf("stream %d: a delivery behind it: %v", stream, err)
			}
		})
	}
}
