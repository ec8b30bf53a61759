package node_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/node/nodetest"
)

// TestPromotionWaitsForTheLog promotes while the brokers are away, and has them come back: the promotion says what it waits for, and
// ends well.
func TestPromotionWaitsForTheLog(t *testing.T) {
	c := nodetest.Start(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	if _, err := deliver(t, c.Nodes[0], id, "before"); err != nil {
		t.Fatal(err)
	}
	c.StopNode(0)
	c.StopBroker()
	client, err := admin.NewClient(c.Config(1).Listen.Admin, nodetest.AdminToken, nil)
	if err != nil {
		t.Fatal(err)
	}
	started, err := client.Promote(t.Context(), admin.Promote{SourceMailHost: nodetest.Name(0)})
	if err != nil {
		t.Fatal(err)
	}
	operation := func() admin.Operation {
		op, err := client.GetOperation(t.Context(), started.OperationID)
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	c.Eventually("the promotion waits", func() bool {
		op := operation()
		if op.Finished() {
			t.Fatalf("the promotion ended without the log: %+v", op)
		}
		return strings.HasPrefix(op.Error, "1 account waits: ")
	})
	c.StartBroker()
	c.Eventually("the promotion ends", func() bool { return operation().Finished() })
	if op := operation(); op.State != "successful" || op.Error != "" {
		t.Errorf("the promotion is %+v", op)
	}
	if found, _ := contents(t, c.Nodes[1], id); len(found) != 1 {
		t.Errorf("%d messages, want the one that was acknowledged", len(found))
	}
}

// TestPromotionWithoutTheDirectory takes accounts over while the directory is away: they are promoted, and the directory is told when
// it is back.
func TestPromotionWithoutTheDirectory(t *testing.T) {
	c := nodetest.Start(t, 2)
	var ids []account.ID
	for i := range 5 {
		id := c.Account(0, fmt.Sprintf("user%d@example.com", i))
		c.Replicate(id, 1, 10)
		ids = append(ids, id)
	}
	c.StopNode(0)
	away := func(suffix, back string) {
		for _, end := range []string{"", "-wal", "-shm"} {
			err := os.Rename(c.Config(1).Directory+end+back, c.Config(1).Directory+end+suffix)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	away(".away", "")
	fence(t, c.Nodes[1], ids...)
	for _, id := range ids {
		if copied := copyOf(t, c.Nodes[1], id).Copy(); !copied.IsPrimary() {
			t.Errorf("the primary of %s is %s", id, copied.Primary)
		}
	}
	away("", ".away")
	c.Eventually("the directory knows", func() bool {
		homes, err := c.Directory.CountByHome(t.Context())
		return err == nil && homes[nodetest.Name(1)] == len(ids)
	})
	for _, id := range ids {
		if replicas, err := c.Directory.Replicas(t.Context(), id); err != nil || len(replicas) != 1 || replicas[0].Mailstore != nodetest.Name(0) {
			t.Errorf("the replicas of %s are %+v, %v; want one on the old home", id, replicas, err)
		}
	}
}
