package mailstore_test

import (
	"syscall"
	"testing"

	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// TestReadingOnAFullDisk: what no longer takes a change can be opened and read. Only \Recent says more than it should.
func TestReadingOnAFullDisk(t *testing.T) {
	if !blobtest.InFullProcess(t, 1<<30) { // not full yet
		return
	}
	h := newLog(t, 1, 0).host(t, "a.example")
	a := h.account(h.create(-1))
	mustDeliver(t, a, "a message", 100)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1, Max: 1}); err != nil { // now no file grows
		t.Fatal(err)
	}
	if _, err := deliver(t, a, "another", 100); !fault.Is(err, fault.DatabaseUnavailable) {
		t.Fatalf("a delivery on a full disk: %v", err)
	}
	var inbox mailbox.Folder
	err := a.View(t.Context(), func(r mailbox.Reader) (err error) {
		inbox, _, err = r.FolderByName("INBOX")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if first, err := a.Recent(t.Context(), inbox.ID, 2, true); err != nil || first != 1 {
			t.Errorf("opening the folder: messages from %d on are recent, %v; want those from 1 on", first, err)
		}
	}
}
