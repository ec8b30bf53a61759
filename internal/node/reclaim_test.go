package node_test

import (
	"fmt"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/node"
	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/protocol"
	"mailreplica/internal/reclaim"
)

// grace is that of the default configuration, and a little more.
const grace = 7*24*time.Hour + time.Hour

func expunge(t *testing.T, n *node.Node, id account.ID, uids ...mailbox.UID) {
	t.Helper()
	err := copyOf(t, n, id).Update(t.Context(), func(d *mailbox.Draft) error {
		inbox, _, err := d.FolderByName("INBOX")
		if err != nil {
			return err
		}
		_, err = d.Expunge(inbox.ID, uids)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// blobsOf are the blobs of INBOX by UID.
func blobsOf(t *testing.T, n *node.Node, id account.ID) map[mailbox.UID]mailbox.Content {
	t.Helper()
	blobs := map[mailbox.UID]mailbox.Content{}
	uids, _ := contents(t, n, id)
	err := n.Mailstore().Snapshot(t.Context(), id, func(_ metadata.Mailbox, rows mailbox.Scanner) error {
		for uid, content := range uids {
			c, _, err := rows.Content(content)
			if err != nil {
				return err
			}
			blobs[uid] = c
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return blobs
}

func listed(t *testing.T, n *node.Node, id account.ID) (count int) {
	t.Helper()
	err := n.Mailstore().Snapshot(t.Context(), id, func(_ metadata.Mailbox, rows mailbox.Scanner) error {
		return rows.ScanDiscarded(0, func(mailbox.Discarded) bool { count++; return true })
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// there reports whether a blob is in its volume.
func there(t *testing.T, n *node.Node, c mailbox.Content) bool {
	t.Helper()
	b, err := n.Mailstore().OpenBody(t.Context(), c)
	if err == nil {
		_ = b.Close()
	} else if !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func pass(t *testing.T, n *node.Node) reclaim.Result {
	t.Helper()
	r, err := n.Reclaimer().Pass(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantPass(t *testing.T, what string, n *node.Node, removed, waiting int) {
	t.Helper()
	if got := pass(t, n); got.Removed != removed || got.Waiting != waiting {
		t.Errorf("%s: a pass removed %d blobs and left %d, want %d and %d", what, got.Removed, got.Waiting, removed, waiting)
	}
}

func TestReclaim(t *testing.T) {
	for _, replicas := range []int{0, 1} {
		t.Run(fmt.Sprint(replicas, " replicas"), func(t *testing.T) {
			c := nodetest.Start(t, 2)
			id := c.Account(0, "user@example.com")
			if replicas > 0 {
				c.Replicate(id, 1, 10)
			}
			for i := range 3 {
				mustDeliver(t, c.Nodes[0], id, fmt.Sprint("message ", i))
			}
			blobs := blobsOf(t, c.Nodes[0], id)
			err := copyOf(t, c.Nodes[0], id).Update(t.Context(), func(d *mailbox.Draft) error {
				inbox, _, _ := d.FolderByName("INBOX")
				trash, _, err := d.FolderByName("Trash")
				if err != nil {
					return err
				}
				_, _, err = d.Copy(inbox.ID, []mailbox.UID{2}, trash.ID)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			expunge(t, c.Nodes[0], id, 1, 2)
			wantPass(t, "at once", c.Nodes[0], 0, 0)
			c.Clock.Advance(grace - 2*time.Hour)
			wantPass(t, "before the grace period is over", c.Nodes[0], 0, 0)
			c.Clock.Advance(2 * time.Hour)
			if replicas > 0 {
				equal(t, c, id, 0, 1)
				wantPass(t, "on the replica", c.Nodes[1], 0, 0)
			}
			wantPass(t, "after it", c.Nodes[0], 1, 0)
			for uid, want := range map[mailbox.UID]bool{1: false, 2: true, 3: true} {
				if got := there(t, c.Nodes[0], blobs[uid]); got != want {
					t.Errorf("the blob of message %d is there: %t, want %t", uid, got, want)
				}
			}
			if n := listed(t, c.Nodes[0], id); n != 0 {
				t.Errorf("%d contents are still listed", n)
			}
			if replicas > 0 {
				equal(t, c, id, 0, 1)
			}
			wantPass(t, "again", c.Nodes[0], 0, 0)
		})
	}
}

// A copy that is behind, or cannot be asked, holds the removal up.
func TestReclaimWaitsForReplicas(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "message")
	equal(t, c, id, 0, 1)
	blob := blobsOf(t, c.Nodes[0], id)[1]
	if err := c.Nodes[1].Service().SetService(t.Context(), "agent", false); err != nil {
		t.Fatal(err)
	}
	expunge(t, c.Nodes[0], id, 1)
	c.Clock.Advance(grace)
	wantPass(t, "behind", c.Nodes[0], 0, 1)
	c.StopNode(1)
	wantPass(t, "away", c.Nodes[0], 0, 1)
	if !there(t, c.Nodes[0], blob) {
		t.Fatal("the blob is gone, and a replica refers to it")
	}
	c.StartNode(1)
	equal(t, c, id, 0, 1)
	wantPass(t, "level", c.Nodes[0], 1, 0)
	if there(t, c.Nodes[0], blob) {
		t.Error("the blob is still there")
	}
	equal(t, c, id, 0, 1)
}

// The process dies between the removal of a blob and that of its row; the next pass does both again.
func TestReclaimAfterACrash(t *testing.T) {
	c := nodetest.Start(t, 1)
	id := c.Account(0, "user@example.com")
	mustDeliver(t, c.Nodes[0], id, "message")
	blob := blobsOf(t, c.Nodes[0], id)[1]
	expunge(t, c.Nodes[0], id, 1)
	if err := c.Nodes[0].Mailstore().RemoveBlob(t.Context(), blob.Volume, blob.Blob); err != nil {
		t.Fatal(err)
	}
	c.StopNode(0)
	c.StartNode(0)
	c.Clock.Advance(grace)
	wantPass(t, "after the crash", c.Nodes[0], 1, 0)
	if n := listed(t, c.Nodes[0], id); n != 0 {
		t.Errorf("%d contents are still listed", n)
	}
}

// After a promotion the new home removes what the old one listed, and the old one nothing.
func TestReclaimAfterPromotion(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	mustDeliver(t, c.Nodes[0], id, "two")
	blobs := blobsOf(t, c.Nodes[0], id)
	expunge(t, c.Nodes[0], id, 1)
	if r := tryFence(t, c.Nodes[1], id, false); r.Error != "" {
		t.Fatalf("fence: %+v", r)
	}
	c.Eventually("the old home to be a replica", func() bool { return !copyOf(t, c.Nodes[0], id).Copy().IsPrimary() })
	expunge(t, c.Nodes[1], id, 2)
	equal(t, c, id, 0, 1)
	c.Clock.Advance(grace)
	wantPass(t, "at the old home", c.Nodes[0], 0, 0)
	c.Eventually("the directory to know of the new home", func() bool { return pass(t, c.Nodes[1]).Removed > 0 || listed(t, c.Nodes[1], id) == 0 })
	for uid := range blobs {
		if there(t, c.Nodes[1], blobs[uid]) {
			t.Errorf("the blob of message %d is still there", uid)
		}
	}
	equal(t, c, id, 0, 1)
}

func TestReclaimNeverWhilePaused(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	mustDeliver(t, c.Nodes[0], id, "two")
	expunge(t, c.Nodes[0], id, 1)
	if _, err := c.Directory.SetPaused(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 0, id, protocol.Paused)
	expunge(t, c.Nodes[0], id, 2)
	c.Clock.Advance(grace)
	wantPass(t, "paused", c.Nodes[0], 0, 0)
	if _, err := c.Directory.SetPaused(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 0, id, protocol.Log)
	equal(t, c, id, 0, 1)
	wantPass(t, "resumed", c.Nodes[0], 2, 0)
	equal(t, c, id, 0, 1)
}

// A promotion that accepts loss brings messages back that the old home removed while it was paused. Their blobs are there.
func TestReclaimAfterALossThatWasAccepted(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "removed in the journal")
	blob := blobsOf(t, c.Nodes[0], id)[1]
	if _, err := c.Directory.SetPaused(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 1, id, protocol.Paused)
	expunge(t, c.Nodes[0], id, 1)
	c.Clock.Advance(grace)
	wantPass(t, "paused", c.Nodes[0], 0, 0)
	c.StopNode(0)
	if r := tryFence(t, c.Nodes[1], id, true); r.Error != "" {
		t.Fatalf("fence: %+v", r)
	}
	c.StartNode(0)
	c.Available(id, 0)
	equal(t, c, id, 0, 1)
	for i := range 2 {
		wantPass(t, nodetest.Name(i), c.Nodes[i], 0, 0)
	}
	if uids, _ := contents(t, c.Nodes[1], id); len(uids) != 1 || !there(t, c.Nodes[1], blob) {
		t.Errorf("got messages %v, the blob is there: %t", uids, there(t, c.Nodes[1], blob))
	}
}

// The blobs of a deleted account go after the grace period, when its last copy has gone.
func TestReclaimAfterDeletion(t *testing.T) {
	c := nodetest.Start(t, 2)
	id, other := c.Account(0, "user@example.com"), c.Account(0, "local@example.com")
	c.Replicate(id, 1, 10)
	var blobs []mailbox.Content
	for _, id := range []account.ID{id, other} {
		mustDeliver(t, c.Nodes[0], id, "one "+id.String())
		mustDeliver(t, c.Nodes[0], id, "two "+id.String())
		for _, b := range blobsOf(t, c.Nodes[0], id) {
			blobs = append(blobs, b)
		}
		expunge(t, c.Nodes[0], id, 1)
	}
	equal(t, c, id, 0, 1)
	if err := c.Nodes[1].Service().SetService(t.Context(), "agent", false); err != nil {
		t.Fatal(err)
	}
	for _, id := range []account.ID{id, other} {
		if err := copyOf(t, c.Nodes[0], id).Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantPass(t, "at once", c.Nodes[0], 0, 0)
	c.Clock.Advance(grace)
	wantPass(t, "while a copy is left", c.Nodes[0], 2, 1)
	c.StopNode(0)
	c.StartNode(0)
	if err := c.Nodes[1].Service().SetService(t.Context(), "agent", true); err != nil {
		t.Fatal(err)
	}
	c.Eventually("the copy to go", func() bool { _, held := c.Nodes[1].Mailstore().Account(id); return !held })
	wantPass(t, "when no copy is left", c.Nodes[0], 2, 0)
	for _, b := range blobs {
		if there(t, c.Nodes[0], b) {
			t.Errorf("blob %s is still there", b.Blob)
		}
	}
	wantPass(t, "again", c.Nodes[0], 0, 0)
}
