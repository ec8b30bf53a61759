package replica

import (
	"testing"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/fault"
)

// TestReadToEndWaitsForBrokers asks in the moment after a start, as a promotion does that is taken up again: the brokers are
// configured and have not answered yet.
func TestReadToEndWaitsForBrokers(t *testing.T) {
	g := newAgent(t, source)
	begun := time.Now()
	if err := g.ReadToEnd(t.Context(), []int32{0}); !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("without brokers: %v, want LogUnavailable", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("without brokers it takes %s to say so", took)
	}
	g.Connect(eventlog.Config{Brokers: []string{brokertest.Start(t)}, Topic: "events", Streams: 4})
	if err := g.ReadToEnd(t.Context(), []int32{0}); err != nil {
		t.Errorf("before the brokers have answered: %v", err)
	}
}
