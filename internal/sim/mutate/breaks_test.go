package main

import (
	"path/filepath"
	"testing"
)

// Every break must fit the sources as they are. What each is found by is shown by make mutate.
func TestBreaksFit(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, b := range breaks {
		known[b.name] = true
		if _, err := patch(b, root); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
	}
	for name := range behind {
		if !known[name] {
			t.Errorf("there is no break %q", name)
		}
	}
}
