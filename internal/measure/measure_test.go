package measure_test

import (
	"errors"
	"testing"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/measure"
)

func TestDurations(t *testing.T) {
	var d measure.Durations
	for _, took := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, 3 * time.Second, 60 * time.Second, time.Hour} {
		d.Add(took)
	}
	got := d.Read()
	if got.Count != 6 || got.Seconds < 3663 || got.Seconds > 3663.01 {
		t.Errorf("got %d in %v s, want 6 in 3663.002", got.Count, got.Seconds)
	}
	for bound, want := range map[float64]uint64{.0005: 1, .001: 2, .002: 3, 2: 3, 5: 4, 30: 4, 60: 5} {
		if got.AtMost[bound] != want {
			t.Errorf("got %d of at most %v s, want %d", got.AtMost[bound], bound, want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	var o measure.Outcomes
	o.Add(nil)
	o.Add(fault.New(fault.Busy, "busy"))
	o.Add(fault.Wrap(fault.Busy, errors.New("why"), "busy"))
	o.Add(errors.New("of no kind"))
	want := map[string]uint64{measure.OK: 1, "busy": 2, "internal": 1}
	seen := 0
	for outcome, got := range o.All() {
		if seen++; got != want[outcome] {
			t.Errorf("%s: got %d, want %d", outcome, got, want[outcome])
		}
	}
	if seen != 1+fault.Kinds {
		t.Errorf("got %d outcomes, want %d", seen, 1+fault.Kinds)
	}
}

func BenchmarkDurations(b *testing.B) {
	var d measure.Durations
	for b.Loop() {
		d.Since(time.Now())
	}
}

func BenchmarkOutcomes(b *testing.B) {
	var o measure.Outcomes
	err := error(fault.New(fault.Busy, "busy"))
	b.Run("ok", func(b *testing.B) {
		for b.Loop() {
			o.Add(nil)
		}
	})
	b.Run("failed", func(b *testing.B) {
		for b.Loop() {
			o.Add(err)
		}
	})
}
