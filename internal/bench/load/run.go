package load

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// errorsMax is how many operations may fail before a run is given up, besides a tenth of them.
const errorsMax = 20

// Result is what a run measured.
type Result struct {
	Count   int           // operations that succeeded, those that began before the end and ended after it too
	Rate    float64       // of those that succeeded in time, per second
	Elapsed time.Duration // until the last one ended
	Failed  int
	Reason  error     // of the first that failed
	Latency Histogram // of those that succeeded
}

// operation does one thing over and over for a worker. It says whether there is more for it to do, and how long what counts took.
type operation func(worker int) (took time.Duration, more bool, err error)

// worker is what one of them measured.
type worker struct {
	latency     Histogram
	count, done int // in all, and before the end
}

// run has workers repeat an operation for a time, or until one of them has no more to do: what one did while others had run out
// would be another load. It returns when all are done.
func run(ctx context.Context, workers int, length time.Duration, do operation) (Result, error) {
	all := make([]worker, workers)
	var failures failures
	begun := time.Now()
	end := endpoint{stop: make(chan struct{})}
	timer := time.AfterFunc(length, end.reach)
	defer timer.Stop()
	defer context.AfterFunc(ctx, end.reach)()
	var running sync.WaitGroup
	for i := range all {
		running.Go(func() {
			w := &all[i]
			for !end.reached() {
				took, more, err := do(i)
				switch {
				case err != nil:
					if failures.add(err, w.count) {
						end.reach()
					}
				case more:
					w.count++
					w.latency.Add(took)
					if !end.reached() {
						w.done++
					}
				}
				if !more {
					end.reach()
				}
			}
		})
	}
	running.Wait()
	result := Result{Elapsed: time.Since(begun), Failed: failures.n, Reason: failures.first}
	done := 0
	for i := range all {
		result.Count += all[i].count
		done += all[i].done
		result.Latency.Merge(&all[i].latency)
	}
	result.Rate = float64(done) / end.at.Sub(begun).Seconds()
	if err := ctx.Err(); err != nil {
		return result, context.Cause(ctx)
	}
	if failures.tooMany(result.Count) {
		return result, fmt.Errorf("%d operations failed and %d succeeded; the first failed with: %w", result.Failed, result.Count, failures.first)
	}
	return result, nil
}

// endpoint is when a run ends for all of its workers.
type endpoint struct {
	once sync.Once
	at   time.Time
	stop chan struct{}
}

func (e *endpoint) reach() {
	e.once.Do(func() {
		e.at = time.Now()
		close(e.stop)
	})
}

func (e *endpoint) reached() bool {
	select {
	case <-e.stop:
		return true
	default:
		return false
	}
}

type failures struct {
	mu    sync.Mutex
	first error
	n     int
}

// add counts a failure and reports whether to give up.
func (f *failures) add(err error, succeeded int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.first == nil {
		f.first = err
	}
	return f.n > errorsMax && f.n > succeeded
}

func (f *failures) tooMany(succeeded int) bool { return f.n > errorsMax+succeeded/10 }
