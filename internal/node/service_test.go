package node_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"mailreplica/internal/node/nodetest"
)

// ready asks a mailstore of a cluster for its health.
func ready(t *testing.T, c *nodetest.Cluster, i int) (status int, log string) {
	t.Helper()
	answer, err := http.Get("http://" + c.Config(i).Listen.Admin + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var health struct{ Log string }
	if err := json.NewDecoder(answer.Body).Decode(&health); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, health.Log
}

// TestWhyTheLogIsNotUsed: an operator who stopped the agent is not sent to look at the brokers, and one whose brokers are away is not
// told that they are read.
func TestWhyTheLogIsNotUsed(t *testing.T) {
	c := nodetest.Start(t, 1)
	c.Eventually("the event log to be read", func() bool { return strings.HasPrefix(logOf(t, c.Nodes[0]), "reads the event log of cluster ") })
	c.StopBroker()
	c.Eventually("the brokers to be missed", func() bool { status, _ := ready(t, c, 0); return status == http.StatusServiceUnavailable })
	detail := logOf(t, c.Nodes[0])
	if _, log := ready(t, c, 0); !strings.HasPrefix(detail, "the brokers of cluster ") || !strings.HasPrefix(log, "the brokers do not answer") {
		t.Errorf("without brokers: %q, %q", detail, log)
	}
	if err := c.Nodes[0].Service().SetService(t.Context(), "agent", false); err != nil {
		t.Fatal(err)
	}
	detail = logOf(t, c.Nodes[0])
	if _, log := ready(t, c, 0); detail != "stopped by an operator" || !strings.HasPrefix(log, "an operator stopped the agent") {
		t.Errorf("with the agent stopped: %q, %q", detail, log)
	}
}
