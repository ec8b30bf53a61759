package node_test

import (
	"strings"
	"testing"

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
