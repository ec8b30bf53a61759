package main

import (
	"testing"
)

// The system as built keeps its promises in every walk.
func TestAsBuilt(t *testing.T) {
	const walks = 1_000
	promoted, answered := 0, 0
	for seed := range uint64(walks) {
		w := walk(asBuilt(), seed+1, false)
		if w.violation != "" {
			t.Fatalf("walk %d: %s\n%s", seed+1, w.violation, tail(walk(asBuilt(), seed+1, true).trace))
		}
		promoted += w.promoted
		for _, all := range w.acks {
			answered += len(all)
		}
	}
	if promoted < walks/20 || answered < 5*walks {
		t.Errorf("%d promotions and %d answers in %d walks: too little happens", promoted, answered, walks)
	}
}

func tail(trace []string) (text string) {
	for _, line := range trace[max(0, len(trace)-60):] {
		text += line + "\n"
	}
	return text
}

// Without a rule some walk breaks a promise, but for those rules of which the table says otherwise.
func TestBreaks(t *testing.T) {
	const walksMax = 4_000
	for _, b := range breaks {
		if b.quiet != "" {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			r := asBuilt()
			b.change(&r)
			for seed := range uint64(walksMax) {
				if w := walk(r, seed+1, false); w.violation != "" {
					t.Logf("walk %d: %s", seed+1, w.violation)
					return
				}
			}
			t.Errorf("no promise is broken in %d walks", walksMax)
		})
	}
}
