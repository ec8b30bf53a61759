package node_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/admin"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/protocol"
	"mailreplica/internal/reclaim"
)

// checkBlobs runs a check as an administrator does, and gives what it found on the shared volume.
func checkBlobs(t *testing.T, c *nodetest.Cluster, i int, remove bool) (admin.Operation, reclaim.Report) {
	t.Helper()
	client := administrator(t, c, i)
	started, err := client.CheckBlobs(t.Context(), admin.CheckBlobs{Volume: "blobs", Remove: remove, OlderThanHours: 24})
	if err != nil {
		t.Fatal(err)
	}
	var op admin.Operation
	c.Eventually("the end of the check", func() bool {
		if op, err = client.GetOperation(t.Context(), started.OperationID); err != nil {
			t.Fatal(err)
		}
		return op.Finished()
	})
	reports, err := client.GetBlobReport(t.Context(), started.OperationID)
	if err != nil {
		failures, _ := client.GetFailures(t.Context(), admin.GetFailures{ID: started.OperationID})
		t.Fatalf("%v; the operation: %+v, %+v", err, op, failures)
	}
	return op, reports[0]
}

// ageBlobs makes every blob of the volume so old that a check may remove it.
func ageBlobs(t *testing.T, c *nodetest.Cluster) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Config(0).Volumes[0].Path, "blobs", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-25 * time.Hour)
	for _, file := range files {
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
}

// A blob that nobody has is found, and one that somebody misses; the one goes when that is asked for and everybody answers.
func TestCheckBlobs(t *testing.T) {
	c := nodetest.Start(t, 2)
	id, other := c.Account(0, "user@example.com"), c.Account(1, "other@example.com")
	c.Replicate(id, 1, 10)
	for _, text := range []string{"kept", "expunged", "missing"} {
		mustDeliver(t, c.Nodes[0], id, text)
	}
	mustDeliver(t, c.Nodes[1], other, "of another mailstore")
	blobs := blobsOf(t, c.Nodes[0], id)
	expunge(t, c.Nodes[0], id, 2)
	equal(t, c, id, 0, 1)
	planted, err := c.Nodes[0].Mailstore().StoreBody(t.Context(), strings.NewReader("Subject: nobody's\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Nodes[0].Mailstore().RemoveBlob(t.Context(), blobs[3].Volume, blobs[3].Blob); err != nil {
		t.Fatal(err)
	}
	if _, r := checkBlobs(t, c, 0, true); r.Young.Blobs != 1 || r.Removed.Blobs != 0 || r.Unreferenced.Blobs != 0 {
		t.Errorf("while it is young: got %+v", r)
	}
	ageBlobs(t, c)

	c.StopNode(1)
	op, r := checkBlobs(t, c, 0, true)
	if op.State != "failed" || r.IsComplete() || r.Removed.Blobs != 0 {
		t.Errorf("while a mailstore is away: got %+v, %+v", op, r)
	}
	c.StartNode(1)
	c.Available(id, 1)

	c.StopBroker()
	if op, r := checkBlobs(t, c, 1, true); op.State != "failed" || r.Removed.Blobs != 0 {
		t.Errorf("while the log is away: got %+v, %+v", op, r)
	}
	c.StartBroker()
	c.Eventually("the log to be read", func() bool {
		op, r = checkBlobs(t, c, 1, false)
		return r.IsComplete()
	})
	if op.State != "successful" || r.Unreferenced.Blobs != 1 || r.UnreferencedBlobs[0].Name != planted.Blob || r.Removed.Blobs != 0 {
		t.Errorf("got %+v, %+v", op, r)
	}
	want := []reclaim.MissingBlob{{AccountID: id, AccountName: "user@example.com", Folder: "INBOX", UID: 3, Blob: blobs[3].Blob}}
	if r.Missing != 1 || !slices.Equal(r.MissingBlobs, want) {
		t.Errorf("missing: got %+v, want %+v", r.MissingBlobs, want)
	}
	if _, r := checkBlobs(t, c, 1, true); r.Removed.Blobs != 1 {
		t.Errorf("told to remove: got %+v", r)
	}
	if there(t, c.Nodes[0], mailbox.Content{Volume: planted.Volume, Blob: planted.Blob}) {
		t.Error("the blob that nobody has is still there")
	}
	for _, uid := range []mailbox.UID{1, 2} {
		if !there(t, c.Nodes[0], blobs[uid]) {
			t.Errorf("the blob of message %d is gone", uid)
		}
	}
}

// A change in flight names a blob that no row does: for hours, while the log is away. When the log is back it may be read, and
// a check counts it from either.
func TestCheckBlobsSeesWhatIsInFlight(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	c.StopBroker()
	if _, err := deliver(t, c.Nodes[0], id, "in flight"); err == nil {
		t.Fatal("a delivery without a log succeeded")
	}
	all, err := c.Nodes[0].Mailstore().Pending()
	pending := all[id]
	if err != nil || len(pending) != 1 {
		t.Fatalf("pending: %+v, %v", all, err)
	}
	ageBlobs(t, c)
	if op, r := checkBlobs(t, c, 0, true); op.State != "failed" || r.Removed.Blobs != 0 || !there(t, c.Nodes[0], pending[0]) {
		t.Errorf("while the log is away: got %+v, %+v", op, r)
	}
	c.StartBroker()
	c.Eventually("a complete check", func() bool {
		_, r := checkBlobs(t, c, 0, true)
		return r.IsComplete()
	})
	c.Eventually("the message", func() bool { uids, _ := contents(t, c.Nodes[1], id); return len(uids) == 1 })
	if !there(t, c.Nodes[1], pending[0]) {
		t.Error("the blob of a message that was in flight is gone")
	}
}

// A mailstore that lost its database knows of no message. Nothing is removed on its word.
func TestCheckBlobsBelievesNoEmptyDatabase(t *testing.T) {
	c := nodetest.Start(t, 1)
	id := c.Account(0, "user@example.com")
	mustDeliver(t, c.Nodes[0], id, "message")
	blob := blobsOf(t, c.Nodes[0], id)[1]
	c.Eventually("the directory to know of the mailbox", func() bool {
		wish, err := c.Directory.Account(t.Context(), id)
		return err == nil && wish.Epoch > 0
	})
	ageBlobs(t, c)
	c.StopNode(0)
	files, err := filepath.Glob(filepath.Join(c.Config(0).Data, "metadata.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	c.ReturnNode(0)
	op, r := checkBlobs(t, c, 0, true)
	if op.State != "failed" || r.Removed.Blobs != 0 || !there(t, c.Nodes[0], blob) {
		t.Errorf("got %+v, %+v", op, r)
	}
}

// The rows of a paused account, its journal's included, are told.
func TestCheckBlobsOfPausedAccounts(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	if _, err := c.Directory.SetPaused(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 0, id, protocol.Paused)
	mustDeliver(t, c.Nodes[0], id, "in the journal")
	ageBlobs(t, c)
	op, r := checkBlobs(t, c, 1, true)
	if op.State != "successful" || r.Blobs.Blobs != 1 || r.Unreferenced.Blobs != 0 || r.Missing != 0 {
		t.Errorf("got %+v, %+v", op, r)
	}
}

// Messages that only an exported journal has keep their blobs until the export is removed.
func TestCheckBlobsOfExportedJournals(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	if _, err := c.Directory.SetPaused(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 1, id, protocol.Paused)
	mustDeliver(t, c.Nodes[0], id, "in the journal")
	blob := blobsOf(t, c.Nodes[0], id)[1]
	c.StopNode(0)
	if r := tryFence(t, c.Nodes[1], id, true); r.Error != "" {
		t.Fatalf("fence: %+v", r)
	}
	c.StartNode(0)
	c.Available(id, 0)
	equal(t, c, id, 0, 1)
	ageBlobs(t, c)
	if _, r := checkBlobs(t, c, 1, true); !r.IsComplete() || r.Unreferenced.Blobs != 0 || !there(t, c.Nodes[1], blob) {
		t.Errorf("while the export is kept: got %+v", r)
	}
	exports, err := filepath.Glob(filepath.Join(c.Config(0).Data, "exports", "*"))
	if err != nil || len(exports) != 1 {
		t.Fatalf("exports %q, %v", exports, err)
	}
	if err := os.Remove(exports[0]); err != nil {
		t.Fatal(err)
	}
	if _, r := checkBlobs(t, c, 1, true); !r.IsComplete() || r.Removed.Blobs != 1 || there(t, c.Nodes[1], blob) {
		t.Errorf("without the export: got %+v", r)
	}
}
