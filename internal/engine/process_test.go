package engine_test

import (
	"testing"

	"mailreplica/internal/engine"
)

// TestPortsDiffer asks for many ports before anybody listens on one.
func TestPortsDiffer(t *testing.T) {
	given := map[int]bool{}
	for range 1000 {
		port, err := engine.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if given[port] {
			t.Fatalf("port %d was given twice", port)
		}
		given[port] = true
	}
}
