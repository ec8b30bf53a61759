package load_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mailreplica/internal/bench/load"
)

func TestQuantiles(t *testing.T) {
	var h load.Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %s, want 0", got)
	}
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Duration, 10_000)
	var halves [2]load.Histogram
	for i := range all {
		all[i] = time.Duration(1000 * (1 + random.ExpFloat64()*float64(random.IntN(1_000_000)))) // 1 µs to some seconds
		halves[i%2].Add(all[i])
	}
	h.Merge(&halves[0])
	h.Merge(&halves[1])
	slices.Sort(all)
	for _, share := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(0, int(share*float64(len(all)))-1)]
		got := h.Quantile(share)
		if difference := (got - want).Abs(); difference > want/50+time.Microsecond {
			t.Errorf("quantile %v is %s, want %s within a fiftieth", share, got, want)
		}
	}
	if got := h.Count(); got != 10_000 {
		t.Errorf("counted %d, want 10000", got)
	}
}

func TestQuantileOfFew(t *testing.T) {
	var h load.Histogram
	for _, ms := range []int{1, 2, 3} {
		h.Add(time.Duration(ms) * time.Millisecond)
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 2, 0.67: 3, 0.99: 3} {
		got := h.Quantile(share)
		if (got - want*time.Millisecond).Abs() > 60*time.Microsecond {
			t.Errorf("quantile %v of 1, 2, 3 ms is %s, want %d ms", share, got, want)
		}
	}
}

func TestHistogramTakesAnything(t *testing.T) {
	var h load.Histogram
	h.Add(-time.Second)
	h.Add(1 << 62)
	if low, high := h.Quantile(0), h.Quantile(1); low != 0 || high < 10*24*time.Hour {
		t.Errorf("quantiles are %s and %s, want 0 and more than ten days", low, high)
	}
}
