package load

import (
	"math/bits"
	"time"
)

// Buckets are exact below subBuckets microseconds, and 1/subBuckets wide relative to their value above.
const (
	subBits    = 6
	subBuckets = 1 << subBits
	bucketsMax = subBuckets * 40 // reaches beyond ten days
)

// Histogram counts durations, to within two hundredths of their value and a microsecond. The zero value is empty. It is not for several
// goroutines at once: each has its own, and they are added up.
type Histogram struct {
	counts [bucketsMax]uint64
	total  uint64
}

func bucket(d time.Duration) int {
	us := uint64(max(0, d) / time.Microsecond)
	if us < subBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - subBits
	return min(bucketsMax-1, (shift+1)<<subBits+int(us>>shift)-subBuckets)
}

// middle is the duration that stands for all of a bucket.
func middle(b int) time.Duration {
	if b < subBuckets {
		return time.Duration(b) * time.Microsecond
	}
	shift := b>>subBits - 1
	low := uint64(b&(subBuckets-1)+subBuckets) << shift
	return time.Duration(low+uint64(1)<<shift/2) * time.Microsecond
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
}

// Merge counts all that the other one did.
func (h *Histogram) Merge(other *Histogram) {
	for b, n := range other.counts {
		h.counts[b] += n
	}
	h.total += other.total
}

// Count is how many durations were counted.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile is the duration that a share of all does not exceed: 0.5 for the median. Without any it is 0.
func (h *Histogram) Quantile(share float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(share * float64(h.total))
	if float64(rank) < share*float64(h.total) {
		rank++ // the smallest that enough do not exceed
	}
	rank = min(max(rank, 1), h.total)
	var below uint64
	for b, n := range h.counts {
		if below += n; below >= rank {
			return middle(b)
		}
	}
	return middle(bucketsMax - 1)
}
