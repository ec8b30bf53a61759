package node_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/node"
	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/protocol"
)

func TestReseedIsRefusedWhileTheLogWorks(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	for i := range 2 {
		if err := c.Nodes[i].Service().Reseed(t.Context(), id); !fault.Is(err, fault.Invalid) {
			t.Errorf("reseed from %s: %v, want kind %q", nodetest.Name(i), err, fault.Invalid)
		}
	}
	mustDeliver(t, c.Nodes[0], id, "one")
	equal(t, c, id, 0, 1)
}

// TestReseedAfterTheLogIsLost replaces the brokers by others that know nothing, and has an operator declare the copy of the home,
// or of the replica, the primary. Nothing that was acknowledged is lost, and replication begins anew in the new log.
func TestReseedAfterTheLogIsLost(t *testing.T) {
	for _, seed := range []int{0, 1} {
		t.Run(nodetest.Name(seed), func(t *testing.T) {
			c := nodetest.Start(t, 2)
			id := c.Account(0, "user@example.com")
			c.Replicate(id, 1, 10)
			for i := range 5 {
				mustDeliver(t, c.Nodes[0], id, fmt.Sprint("message ", i))
			}
			equal(t, c, id, 0, 1)
			before := uidValidity(t, c.Nodes[0], id)
			lost := logOf(t, c.Nodes[0])
			c.ReplaceBroker()
			c.Eventually("both to read the other log", func() bool {
				return logOf(t, c.Nodes[0]) != lost && logOf(t, c.Nodes[1]) != lost
			})
			if seed != 0 { // while the home answers and is not behind, it is the one to begin from
				c.Eventually("the refusal", func() bool {
					return fault.Is(c.Nodes[seed].Service().Reseed(t.Context(), id), fault.Invalid)
				})
				c.StopNode(0)
			}
			c.Eventually("the decree", func() bool {
				err := c.Nodes[seed].Service().Reseed(t.Context(), id)
				if err != nil && !fault.Is(err, fault.Invalid) { // the mailstore does not know yet that its log is gone
					t.Fatal(err)
				}
				return err == nil
			})
			c.Eventually("the directory to know", func() bool {
				a, err := c.Directory.Account(t.Context(), id)
				return err == nil && a.MailHost == nodetest.Name(seed) && a.Epoch > 100
			})
			c.Eventually("a delivery", func() bool {
				_, err := deliver(t, c.Nodes[seed], id, "after")
				return err == nil
			})
			if seed != 0 {
				c.StartNode(0)
			}
			c.Available(id, 1-seed)
			equal(t, c, id, 0, 1)
			if got, _ := contents(t, c.Nodes[1-seed], id); len(got) != 6 {
				t.Errorf("the copy made anew has %d messages, want 6", len(got))
			}
			mustDeliver(t, c.Nodes[seed], id, "replicated again")
			equal(t, c, id, 0, 1)
			if after := uidValidity(t, c.Nodes[seed], id); (after == before) != (seed == 0) {
				t.Errorf("UIDVALIDITY was %d and is %d; it changes if, and only if, the seed was not the primary", before, after)
			}
		})
	}
}

// TestReseedOverAHomeThatCommitsAlone has a copy that was away when it was removed, and whose log is lost since. It must not become
// the primary: the home goes on by itself, with mail that the copy never saw.
func TestReseedOverAHomeThatCommitsAlone(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	c.StopNode(1)
	if err := c.Directory.RemoveReplica(t.Context(), id, nodetest.Name(1)); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 0, id, protocol.Local)
	mustDeliver(t, c.Nodes[0], id, "that the copy never saw")
	c.ReplaceBroker()
	c.StartNode(1)
	c.Eventually("the refusal", func() bool {
		err := c.Nodes[1].Service().Reseed(t.Context(), id)
		if err == nil {
			t.Fatal("a copy that had left was declared the primary")
		}
		return fault.Is(err, fault.Invalid)
	})
	if got, _ := contents(t, c.Nodes[0], id); len(got) != 2 {
		t.Errorf("the home has %d messages, want 2", len(got))
	}
	mustDeliver(t, c.Nodes[0], id, "three")
}

// TestReseedNeverGivesAUIDTwice loses a home, and the log, with mail that the replica never read. Clients have seen that mail's UIDs.
func TestReseedNeverGivesAUIDTwice(t *testing.T) {
	c := nodetest.Start(t, 3)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	equal(t, c, id, 0, 1)
	c.StopNode(1)
	type given struct {
		validity uint32
		uid      mailbox.UID
	}
	used := map[given]bool{}
	give := func(n int, text string) {
		t.Helper()
		g := given{uidValidity(t, c.Nodes[n], id), mustDeliver(t, c.Nodes[n], id, text)}
		if used[g] {
			t.Errorf("%s: UID %d of UIDVALIDITY %d was used before", text, g.uid, g.validity)
		}
		used[g] = true
	}
	for i := range 3 {
		give(0, fmt.Sprint("that the replica never reads ", i))
	}
	c.StopNode(0)
	c.StopNode(2) // so that it need not find out that the log is another one
	c.ReplaceBroker()
	c.StartNode(1)
	c.StartNode(2)
	if err := c.Nodes[1].Service().Reseed(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		give(1, fmt.Sprint("after the decree ", i))
	}
	c.Replicate(id, 2, 20)
	give(1, "replicated again")
	equal(t, c, id, 1, 2)
	c.StartNode(0) // it was the primary; it gives way
	c.Available(id, 0)
	equal(t, c, id, 0, 1, 2)
	if got, _ := contents(t, c.Nodes[0], id); len(got) != 5 {
		t.Errorf("the home of before has %d messages, want 5", len(got))
	}
}

// TestCopyThatWasCatchingUpWhenItsLogWasLost has the brokers replaced while a copy is on its way: in the other log there is nothing
// to read on in, so it is made anew.
func TestCopyThatWasCatchingUpWhenItsLogWasLost(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	mustDeliver(t, c.Nodes[0], id, "one")
	if err := c.Nodes[1].Service().SetService(t.Context(), "agent", false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Directory.PutReplica(t.Context(), id, nodetest.Name(1), 10); err != nil {
		t.Fatal(err)
	}
	c.Eventually("a copy that cannot read on", func() bool {
		a, held := c.Nodes[1].Mailstore().Account(id)
		return held && a.Copy().Condition == protocol.CatchingUp
	})
	c.StopNode(0)
	c.ReplaceBroker()
	c.StartNode(0)
	c.Eventually("the decree", func() bool { return c.Nodes[0].Service().Reseed(t.Context(), id) == nil })
	if err := c.Nodes[1].Service().SetService(t.Context(), "agent", true); err != nil {
		t.Fatal(err)
	}
	c.Available(id, 1)
	mustDeliver(t, c.Nodes[0], id, "two")
	equal(t, c, id, 0, 1)
}

// TestDecreeThatTheProcessDidNotCarryOut ends the process between the directory's word and its own.
func TestDecreeThatTheProcessDidNotCarryOut(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	equal(t, c, id, 0, 1)
	epoch := copyOf(t, c.Nodes[1], id).Copy().Epoch
	if err := copyOf(t, c.Nodes[1], id).PlanDecree(t.Context(), epoch+1_000, false); err != nil {
		t.Fatal(err)
	}
	c.StopNode(0)
	c.StopNode(1)
	won, err := c.Directory.DeclareHome(t.Context(), id, nodetest.Name(1), epoch+1_000, epoch,
		[]directory.Replica{{Mailstore: nodetest.Name(0), Priority: 10, State: directory.Initialising}})
	if err != nil || !won {
		t.Fatalf("%v, %v", won, err)
	}
	c.StartNode(1)
	mode(t, c, 1, id, protocol.Local)
	mustDeliver(t, c.Nodes[1], id, "two")
	c.StartNode(0)
	equalAndAll(t, c, id, 1, 2)
}

// TestTwoDecreesAtOnce has two operators declare two copies the primary at the same moment, again and again. One of them is told that
// the other came first; there is one primary at the end, and what it acknowledged since its decree is there on every copy.
func TestTwoDecreesAtOnce(t *testing.T) {
	c := nodetest.Start(t, 3)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	c.Replicate(id, 2, 10)
	home, want := 0, 0
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 1))
		want++
		mustDeliver(t, c.Nodes[home], id, fmt.Sprint("before decree ", seed))
		equal(t, c, id, 0, 1, 2)
		c.StopBroker()
		c.StopNode(home)
		rivals := []int{(home + 1) % 3, (home + 2) % 3}
		errs := make([]error, 3)
		var both sync.WaitGroup
		for _, i := range rivals {
			late := time.Duration(random.IntN(10)) * time.Millisecond
			both.Go(func() {
				time.Sleep(late)
				if errs[i] = c.Nodes[i].Service().Reseed(t.Context(), id); errs[i] == nil {
					_, errs[i] = deliver(t, c.Nodes[i], id, fmt.Sprint("after decree ", seed))
				}
			})
		}
		both.Wait()
		won := rivals[0]
		if errs[won] != nil {
			won = rivals[1]
		}
		loser := rivals[0] + rivals[1] - won
		if errs[won] != nil || !fault.Is(errs[loser], fault.Busy) && !fault.Is(errs[loser], fault.Invalid) {
			t.Fatalf("seed %d: %v, want one decree, and the other refused", seed, errs)
		}
		want++
		c.StartBroker()
		c.StartNode(home)
		home = won
		equalAndAll(t, c, id, home, want)
	}
}

// TestTwoPrimariesOfOneEpoch has a copy that is the primary by its own word, in the epoch in which the directory names another.
func TestTwoPrimariesOfOneEpoch(t *testing.T) {
	c := nodetest.Start(t, 3)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	c.Replicate(id, 2, 10)
	mustDeliver(t, c.Nodes[0], id, "one")
	equal(t, c, id, 0, 1, 2)
	c.StopBroker()
	c.StopNode(0)
	if err := c.Nodes[1].Service().Reseed(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	epoch := copyOf(t, c.Nodes[1], id).Copy().Epoch
	if err := copyOf(t, c.Nodes[2], id).Reseed(t.Context(), epoch, false); err != nil {
		t.Fatal(err)
	}
	mustDeliver(t, c.Nodes[1], id, "two")
	c.StartBroker()
	c.StartNode(0)
	equalAndAll(t, c, id, 1, 2)
}

// equalAndAll waits until there is one primary, which holds so many messages, and every other copy follows and equals it.
func equalAndAll(t *testing.T, c *nodetest.Cluster, id account.ID, home, messages int) {
	t.Helper()
	for i := range c.Nodes {
		if i == home {
			continue
		}
		// One that the decree made a stranger is copied anew, and is not there for a moment; what the directory says may be of before.
		c.Eventually("a copy of the new reign on "+nodetest.Name(i), func() bool {
			a, there := c.Nodes[i].Mailstore().Account(id)
			return there && a.Copy().Condition == protocol.Complete && a.Copy().Epoch == copyOf(t, c.Nodes[home], id).Copy().Epoch
		})
		c.Available(id, i)
	}
	for i := range c.Nodes {
		equal(t, c, id, home, i)
		if got := copyOf(t, c.Nodes[i], id).Copy(); got.Primary != nodetest.Name(home) {
			t.Errorf("%s says that the primary is %s, want %s", nodetest.Name(i), got.Primary, nodetest.Name(home))
		}
	}
	if got, _ := contents(t, c.Nodes[home], id); len(got) != messages {
		t.Errorf("%d messages, want %d", len(got), messages)
	}
}

// logOf is what a mailstore says of the log that it reads.
func logOf(t *testing.T, n *node.Node) string {
	t.Helper()
	status, err := n.Service().Status(t.Context(), nil)
	if err != nil || len(status.Services) == 0 {
		t.Fatalf("status: %+v, %v", status, err)
	}
	return status.Services[0].Detail
}
