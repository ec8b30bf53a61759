package main

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mailreplica/internal/sim/overlay"
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
		if _, err := overlay.Apply(root, b.overlay()); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
	}
	for name := range behind {
		if !known[name] {
			t.Errorf("there is no break %q", name)
		}
	}
}

// A few breaks that are found soon are found each time the tests run: the simulation has not gone blind.
func TestBreaksAreFound(t *testing.T) {
	const seeds = 6
	for _, name := range []string{
		"store the position before the rows it speaks of", "hand a copy over that has not met the live reader",
	} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(breaks, func(b break_) bool { return b.name == name })
			if r := try(breaks[i], seeds, 10*time.Minute, false); r.err != nil || r.found == "" {
				t.Errorf("not found in %d seeds: %v", r.seeds, r.err)
			} else {
				t.Log(r.found)
			}
		})
	}
}
