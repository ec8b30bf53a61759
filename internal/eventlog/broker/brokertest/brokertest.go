// Package brokertest runs the embedded broker inside a test.
package brokertest

import (
	"testing"

	"mailreplica/internal/eventlog/broker"
)

// Start runs a broker in memory until the test ends and returns its address.
func Start(t testing.TB) (address string) {
	t.Helper()
	return StartBroker(t, broker.Config{}).Address()
}

// StartBroker runs a broker until the test ends. Without a Listen it takes a free port. A test that stops it and starts
// it again gives DataDir, and as Listen the Address of the first. Faults are injected through Broker.Cluster, for
// example with its ControlKey.
func StartBroker(t testing.TB, config broker.Config) *broker.Broker {
	t.Helper()
	if config.Listen == "" {
		config.Listen = "127.0.0.1:0"
	}
	b, err := broker.Start(config)
	if err != nil {
		t.Fatalf("starting the broker: %v", err)
	}
	t.Cleanup(b.Close)
	return b
}
