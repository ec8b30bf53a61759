package node_test

import (
	"fmt"
	"testing"

	"mailreplica/internal/fault"
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

// logOf is what a mailstore says of the log that it reads.
func logOf(t *testing.T, n *node.Node) string {
	t.Helper()
	status, err := n.Service().Status(t.Context(), nil)
	if err != nil || len(status.Services) == 0 {
		t.Fatalf("status: %+v, %v", status, err)
	}
	return status.Services[0].Detail
}
