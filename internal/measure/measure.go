// Package measure owns what the parts of a mailstore count with: how often something came out how, and how long it took. Its
// values begin at zero, may be used by many goroutines at once, and cost tens of nanoseconds, so that parts count where things
// happen. It knows neither what is counted nor who reads it.
package measure

import (
	"iter"
	"sync/atomic"
	"time"

	"mailreplica/internal/fault"
)

// bounds are the upper ends of the buckets of Durations, in seconds: from what one fsync takes to the longest wait of a client.
var bounds = [...]float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60}

// Durations is how long something took, each time.
type Durations struct {
	buckets [len(bounds) + 1]atomic.Uint64 // by the first bound that is not exceeded; the last: more than all of them
	nanos   atomic.Int64                   // sum
}

// Since adds the time that has passed.
func (d *Durations) Since(begun time.Time) { d.Add(time.Since(begun)) }

// Add adds a duration.
func (d *Durations) Add(took time.Duration) {
	seconds, i := took.Seconds(), 0
	for i < len(bounds) && seconds > bounds[i] {
		i++
	}
	d.buckets[i].Add(1)
	d.nanos.Add(int64(took))
}

// Distribution is what Durations held at one moment.
type Distribution struct {
	Count   uint64
	Seconds float64            // sum
	AtMost  map[float64]uint64 // how many took so many seconds or less
}

// Read gives what was added so far.
func (d *Durations) Read() Distribution {
	read := Distribution{AtMost: make(map[float64]uint64, len(bounds)), Seconds: time.Duration(d.nanos.Load()).Seconds()}
	for i, bound := range bounds {
		read.Count += d.buckets[i].Load()
		read.AtMost[bound] = read.Count
	}
	read.Count += d.buckets[len(bounds)].Load()
	return read
}

// OK is the outcome of what succeeded. Every other one is the word of a fault.Kind.
const OK = "ok"

// Outcomes is how often something succeeded, and how often it failed for which kind of reason.
type Outcomes struct {
	ok     atomic.Uint64
	failed [fault.Kinds]atomic.Uint64
}

// Add adds an outcome.
func (o *Outcomes) Add(err error) {
	if err == nil {
		o.ok.Add(1)
		return
	}
	o.failed[fault.KindOf(err)].Add(1)
}

// OK is how often it succeeded.
func (o *Outcomes) OK() uint64 { return o.ok.Load() }

// Failed gives every kind of reason, and how often it was one.
func (o *Outcomes) Failed() iter.Seq2[fault.Kind, uint64] {
	return func(yield func(fault.Kind, uint64) bool) {
		for kind := range o.failed {
			if !yield(fault.Kind(kind), o.failed[kind].Load()) {
				return
			}
		}
	}
}

// All gives every outcome, OK first, and how often it was one.
func (o *Outcomes) All() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		if !yield(OK, o.OK()) {
			return
		}
		for kind, n := range o.Failed() {
			if !yield(kind.Word(), n) {
				return
			}
		}
	}
}
