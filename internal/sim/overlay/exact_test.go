package overlay_test

import (
	"path/filepath"
	"testing"

	"mailreplica/internal/sim/overlay"
)

// The edits must fit the sources of the Go release that go.mod names, and ours.
func TestEditsFit(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := overlay.Apply(root, overlay.Exact); err != nil {
		t.Error(err)
	}
}
