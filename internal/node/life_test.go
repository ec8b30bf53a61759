package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/node"
	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/peer"
	"mailreplica/internal/protocol"
)

func mustDeliver(t *testing.T, n *node.Node, id account.ID, text string) mailbox.UID {
	t.Helper()
	uid, err := deliver(t, n, id, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return uid
}

func mode(t *testing.T, c *nodetest.Cluster, i int, id account.ID, want protocol.Mode) {
	t.Helper()
	c.Eventually(fmt.Sprintf("mode %s", want), func() bool { return copyOf(t, c.Nodes[i], id).Copy().Mode == want })
}

func equal(t *testing.T, c *nodetest.Cluster, id account.ID, nodes ...int) {
	t.Helper()
	c.Eventually("equal copies", func() bool {
		_, first := contents(t, c.Nodes[nodes[0]], id)
		for _, i := range nodes[1:] {
			if _, h := contents(t, c.Nodes[i], id); h != first {
				return false
			}
		}
		return true
	})
}

func tryFence(t *testing.T, n *node.Node, id account.ID, acceptLoss bool) (result peer.FenceResult) {
	t.Helper()
	request := peer.FenceRequest{Operation: "test", AcceptLoss: acceptLoss, Accounts: []peer.FenceAccount{{Account: id}}}
	if err := n.Service().Fence(t.Context(), request, func(r peer.FenceResult) { result = r }); err != nil {
		result.Error = err.Error()
	}
	return result
}

func TestPauseAndResume(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "before the pause")
	if _, err := c.Directory.SetPaused(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 1, id, protocol.Paused)
	for i := range 100 {
		mustDeliver(t, c.Nodes[0], id, fmt.Sprint("paused ", i))
	}
	if got, _ := contents(t, c.Nodes[1], id); len(got) != 1 {
		t.Errorf("the replica has %d messages during the pause, want 1", len(got))
	}
	if r := tryFence(t, c.Nodes[1], id, false); r.Kind != fault.Paused.String() {
		t.Errorf("fence during the pause: %+v, want kind %q", r, fault.Paused)
	}
	c.StopNode(0)
	c.StartNode(0)
	if _, err := c.Directory.SetPaused(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 0, id, protocol.Log)
	mustDeliver(t, c.Nodes[0], id, "after the pause")
	equal(t, c, id, 0, 1)
	if got, _ := contents(t, c.Nodes[1], id); len(got) != 102 {
		t.Errorf("the replica has %d messages, want 102", len(got))
	}
}

func uidValidity(t *testing.T, n *node.Node, id account.ID) (v uint32) {
	t.Helper()
	err := copyOf(t, n, id).View(t.Context(), func(r mailbox.Reader) error {
		inbox, _, err := r.FolderByName("INBOX")
		v = inbox.UIDValidity
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPromotionThatAcceptsLoss(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "before the pause")
	before := uidValidity(t, c.Nodes[0], id)
	if _, err := c.Directory.SetPaused(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 1, id, protocol.Paused)
	mustDeliver(t, c.Nodes[0], id, "in the journal")
	c.StopNode(0)
	if r := tryFence(t, c.Nodes[1], id, true); r.Error != "" {
		t.Fatalf("fence: %+v", r)
	}
	if after := uidValidity(t, c.Nodes[1], id); after == before {
		t.Errorf("UIDVALIDITY is still %d: UIDs may have been used twice", after)
	}
	mustDeliver(t, c.Nodes[1], id, "after the promotion")
	if a, err := c.Directory.Account(t.Context(), id); err != nil || a.Paused || a.MailHost != nodetest.Name(1) {
		t.Errorf("the directory has %+v, %v; want the new home, and no pause", a, err)
	}
	c.StartNode(0)
	c.Available(id, 0)
	equal(t, c, id, 0, 1)
	exports, err := filepath.Glob(filepath.Join(c.Config(0).Data, "exports", "*.jsonl"))
	if err != nil || len(exports) != 1 {
		t.Fatalf("exports: %v, %v; want the deposed journal", exports, err)
	}
	if text, err := os.ReadFile(exports[0]); err != nil || len(text) == 0 {
		t.Errorf("export: %d bytes, %v", len(text), err)
	}
}

// TestPauseWishedInTheMomentOfAPromotion has a pause wished for that the old home did not live to carry out. The new one does.
func TestPauseWishedInTheMomentOfAPromotion(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	c.StopNode(0)
	if _, err := c.Directory.SetPaused(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	if r := tryFence(t, c.Nodes[1], id, true); r.Error != "" { // nothing is lost, whatever was accepted: it was not paused
		t.Fatalf("fence: %+v", r)
	}
	mode(t, c, 1, id, protocol.Paused)
	mustDeliver(t, c.Nodes[1], id, "in the journal")
	if a, err := c.Directory.Account(t.Context(), id); err != nil || !a.Paused || a.MailHost != nodetest.Name(1) {
		t.Errorf("the directory has %+v, %v; want the new home, and the pause", a, err)
	}
}

func TestFencesThatRace(t *testing.T) {
	c := nodetest.Start(t, 3)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	c.Replicate(id, 2, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	epoch := copyOf(t, c.Nodes[0], id).Copy().Epoch + 1
	var results [3]peer.FenceResult
	var race sync.WaitGroup
	for _, i := range []int{1, 2} {
		race.Go(func() {
			request := peer.FenceRequest{Operation: "race", Accounts: []peer.FenceAccount{{Account: id, Epoch: epoch}}}
			if err := c.Nodes[i].Service().Fence(t.Context(), request, func(r peer.FenceResult) { results[i] = r }); err != nil {
				t.Error(err)
			}
		})
	}
	race.Wait()
	won := 0
	for _, i := range []int{1, 2} {
		if results[i].Error == "" {
			won++
			mustDeliver(t, c.Nodes[i], id, "two")
		}
	}
	if won != 1 {
		t.Errorf("%d fences won, want 1: %+v", won, results[1:])
	}
	equal(t, c, id, 0, 1, 2)
}

func TestBrokerAway(t *testing.T) {
	c := nodetest.Start(t, 2)
	id, local := c.Account(0, "user@example.com"), c.Account(0, "local@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	c.StopBroker()
	mustDeliver(t, c.Nodes[0], local, "an account without replicas does not notice")
	if _, err := deliver(t, c.Nodes[0], id, "two"); !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("delivery without brokers: %v, want kind %q", err, fault.LogUnavailable)
	}
	if uidValidity(t, c.Nodes[0], id) == 0 {
		t.Error("reads do not go on without brokers")
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := copyOf(t, c.Nodes[0], id).Update(short, func(d *mailbox.Draft) error { return d.Subscribe("Elsewhere") })
	if !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("a caller that waits less long is told %v, want kind %q", err, fault.LogUnavailable)
	}
	c.StartBroker()
	// What was in doubt lands once; the repeat of it, as an MTA makes it, is recognised.
	mustDeliver(t, c.Nodes[0], id, "two")
	mustDeliver(t, c.Nodes[0], id, "three")
	equal(t, c, id, 0, 1)
	if got, _ := contents(t, c.Nodes[1], id); len(got) != 3 {
		t.Errorf("the replica has %d messages, want 3", len(got))
	}
}

// TestOpeningWithoutBrokers asks for a replica of a second account while the brokers are away, or are others, and the agent has not
// noticed: their stream is followed already. The account must not notice either.
func TestOpeningWithoutBrokers(t *testing.T) {
	for name, away := range map[string]func(*nodetest.Cluster){
		"stopped": (*nodetest.Cluster).StopBroker, "replaced": (*nodetest.Cluster).ReplaceBroker,
	} {
		t.Run(name, func(t *testing.T) {
			c := nodetest.Start(t, 2)
			first, second := c.Account(0, "first@example.com"), c.Account(0, "second@example.com")
			c.Replicate(first, 1, 10)
			stream := copyOf(t, c.Nodes[0], first).Copy().Stream
			away(c)
			a := copyOf(t, c.Nodes[0], second)
			if err := a.Replicate(t.Context(), stream); !fault.Is(err, fault.LogUnavailable) {
				t.Errorf("opening: %v, want kind %q", err, fault.LogUnavailable)
			}
			if got := a.Copy(); got.Mode != protocol.Local || got.Epoch != 1 {
				t.Errorf("mode %s, epoch %d, want %s in its first epoch", got.Mode, got.Epoch, protocol.Local)
			}
			mustDeliver(t, c.Nodes[0], second, "all the same")
		})
	}
}

func TestDeletionReachesACopyThatWasAway(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	c.StopNode(1)
	if _, err := c.Directory.BeginDelete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c.Eventually("deletion", func() bool {
		gone, err := c.Directory.IsDeleted(t.Context(), id)
		return err == nil && gone
	})
	again := c.Account(0, "user@example.com")
	c.StartNode(1)
	c.Eventually("no copy on the mailstore that was away", func() bool {
		_, held := c.Nodes[1].Mailstore().Account(id)
		return !held
	})
	if got, _ := contents(t, c.Nodes[0], again); len(got) != 0 {
		t.Errorf("the new account of the same name has %d messages, want none", len(got))
	}
}

// A home that comes back with nothing ends an account that is being deleted, unless another mailstore has a copy that counts.
func TestDeletionWhoseHomeLostItsDisk(t *testing.T) {
	for _, one := range []struct {
		name    string
		replica func(t *testing.T, c *nodetest.Cluster, id account.ID)
	}{
		{"no replica", func(*testing.T, *nodetest.Cluster, account.ID) {}},
		{"a replica that never came to be", func(t *testing.T, c *nodetest.Cluster, id account.ID) {
			c.StopNode(0)
			if _, err := c.Directory.PutReplica(t.Context(), id, nodetest.Name(1), 10); err != nil {
				t.Fatal(err)
			}
		}},
		{"a replica that lost its disk, too", func(t *testing.T, c *nodetest.Cluster, id account.ID) {
			c.Replicate(id, 1, 10)
			c.LoseNode(1)
		}},
		{"a replica that was to be removed", func(t *testing.T, c *nodetest.Cluster, id account.ID) {
			c.Replicate(id, 1, 10)
			c.StopNode(0)
			if err := c.Directory.RemoveReplica(t.Context(), id, nodetest.Name(1)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel() // each waits until the name of a process that was lost is free
			c := nodetest.Start(t, 2)
			id := c.Account(0, "user@example.com")
			mustDeliver(t, c.Nodes[0], id, "one")
			one.replica(t, c, id)
			c.LoseNode(0)
			if _, err := c.Directory.BeginDelete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			c.ReturnNode(0)
			if c.Nodes[1] == nil {
				c.ReturnNode(1)
			}
			c.Eventually("deletion", func() bool {
				gone, err := c.Directory.IsDeleted(t.Context(), id)
				return err == nil && gone
			})
			c.Eventually("no copy", func() bool {
				_, held := c.Nodes[1].Mailstore().Account(id)
				return !held
			})
		})
	}
}

// A copy that counts is waited for: it may be made the primary, and ends the account then, everywhere.
func TestDeletionWhoseHomeLostItsDiskIsTheReplicas(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	c.LoseNode(0)
	if _, err := c.Directory.BeginDelete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c.ReturnNode(0)
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		if _, err := c.Directory.Account(t.Context(), id); err != nil {
			t.Fatalf("the account has ended though a replica has a copy: %v", err)
		}
	}
	fence(t, c.Nodes[1], id)
	c.Eventually("deletion", func() bool {
		gone, err := c.Directory.IsDeleted(t.Context(), id)
		return err == nil && gone
	})
}

func TestInitialisationWhileWritesGoOn(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	for i := range 300 {
		mustDeliver(t, c.Nodes[0], id, fmt.Sprint("before ", i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	written := 0
	writer.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			mustDeliver(t, c.Nodes[0], id, fmt.Sprint("during ", i))
			written++
		}
	})
	c.Replicate(id, 1, 10)
	cancel()
	writer.Wait()
	equal(t, c, id, 0, 1)
	if got, _ := contents(t, c.Nodes[1], id); len(got) != 300+written {
		t.Errorf("the replica has %d messages, want %d", len(got), 300+written)
	}
}

func TestTrimmedLogIsAGapThatMendsItself(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	c.StopNode(1)
	for i := range 10 {
		mustDeliver(t, c.Nodes[0], id, fmt.Sprint("while away ", i))
	}
	c.TrimLog(copyOf(t, c.Nodes[0], id).Copy().Stream.Partition)
	c.StartNode(1)
	c.Eventually("the gap to be noticed", func() bool {
		notes, err := c.Directory.Notifications(t.Context(), 10)
		return err == nil && len(notes) > 0
	})
	c.Available(id, 1)
	equal(t, c, id, 0, 1)
	mustDeliver(t, c.Nodes[0], id, "after")
	equal(t, c, id, 0, 1)
}

func TestRemovedReplicaClosesTheAccount(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	if err := c.Directory.RemoveReplica(t.Context(), id, nodetest.Name(1)); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 0, id, protocol.Local)
	c.Eventually("the replica's copy to go", func() bool {
		_, held := c.Nodes[1].Mailstore().Account(id)
		return !held
	})
	mustDeliver(t, c.Nodes[0], id, "two")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "three")
	equal(t, c, id, 0, 1)
}

func TestOldSourceEndsItsSessions(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	w := copyOf(t, c.Nodes[0], id).Watch()
	defer w.Close()
	fence(t, c.Nodes[1], id)
	select {
	case <-w.Ended():
		if !fault.Is(w.Reason(), fault.NotHome) {
			t.Errorf("reason %v, want kind %q", w.Reason(), fault.NotHome)
		}
	case <-time.After(10 * time.Second):
		t.Error("the session goes on")
	}
	if _, err := deliver(t, c.Nodes[0], id, "to the old source"); !fault.Is(err, fault.NotHome) {
		t.Errorf("delivery to the old source: %v, want kind %q", err, fault.NotHome)
	}
	c.Eventually("the directory to know", func() bool {
		a, err := c.Directory.Account(t.Context(), id)
		return err == nil && a.MailHost == nodetest.Name(1)
	})
	replicas, err := c.Directory.Replicas(t.Context(), id)
	if err != nil || len(replicas) != 1 || replicas[0].Mailstore != nodetest.Name(0) || replicas[0].Priority != 10 {
		t.Errorf("replicas %+v, %v; want the old source with priority 10", replicas, err)
	}
	fence(t, c.Nodes[0], id)
	mustDeliver(t, c.Nodes[0], id, "back")
	equal(t, c, id, 0, 1)
}

func TestSecondProcessOfOneName(t *testing.T) {
	c := nodetest.Start(t, 1)
	cfg := c.Config(0)
	cfg.Data = filepath.Join(t.TempDir(), "other")
	n, err := node.Start(t.Context(), cfg, "test", c.Logger(0))
	if err == nil {
		_ = n.Stop(t.Context())
	}
	if !fault.Is(err, fault.Exists) {
		t.Errorf("second process: %v, want kind %q", err, fault.Exists)
	}
}

func TestServesWithoutTheDirectory(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	c.StopNode(0)
	if err := errors.Join(c.Directory.Close(), os.Rename(c.Config(0).Directory, c.Config(0).Directory+".away")); err != nil {
		t.Fatal(err)
	}
	c.StartNode(0)
	c.Eventually("the log to be read", func() bool { return copyOf(t, c.Nodes[0], id).MayServe() == nil })
	mustDeliver(t, c.Nodes[0], id, "one")
}
