package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
)

const (
	inFlight   = 4 // records of a stream that the ledger's writer waits for at once
	recordSize = 300
	appendPace = 10 * time.Millisecond // of a stream's records, so that the brokers have time for what the test does to them
)

// ledger appends to every stream without a pause, and keeps what was confirmed. Each value is appended once only, so that what
// is in the log twice was doubled on the way.
type ledger struct {
	log     *eventlog.Log
	streams int32
	stop    context.CancelFunc
	writers sync.WaitGroup

	mu        sync.Mutex
	changed   chan struct{} // closed and renewed at every answer
	confirmed map[int32][]int
	doubtful  map[int32]map[int]bool
	strange   error         // an append failed otherwise than it should
	last      time.Time     // of a confirmation
	stall     time.Duration // the longest time without one
}

func startLedger(t *testing.T, l *eventlog.Log, streams int32) *ledger {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	g := &ledger{log: l, streams: streams, stop: cancel, changed: make(chan struct{}), confirmed: make(map[int32][]int),
		doubtful: make(map[int32]map[int]bool), last: time.Now()}
	for stream := range streams {
		g.doubtful[stream] = make(map[int]bool)
		g.writers.Go(func() { g.write(ctx, stream) })
	}
	t.Cleanup(func() {
		cancel()
		g.writers.Wait()
	})
	return g
}

func (g *ledger) write(ctx context.Context, stream int32) {
	room := make(chan struct{}, inFlight)
	pace := time.NewTicker(appendPace)
	defer pace.Stop()
	for n := 0; ; n++ {
		<-pace.C
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			for range inFlight { // until all are answered
				room <- struct{}{}
			}
			return
		}
		value := make([]byte, recordSize)
		copy(value, strconv.Itoa(n)+" ")
		g.log.Append(stream, []byte("ledger"), value, func(err error) {
			g.note(stream, n, err)
			<-room
		})
	}
}

func (g *ledger) note(stream int32, n int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.changed)
	g.changed = make(chan struct{})
	if err != nil {
		g.doubtful[stream][n] = true
		if !fault.Is(err, fault.LogUnavailable) || errors.Is(err, eventlog.ErrTopicGone) || errors.Is(err, eventlog.ErrRefused) {
			g.strange = err
		}
		return
	}
	g.confirmed[stream] = append(g.confirmed[stream], n)
	g.stall, g.last = max(g.stall, time.Since(g.last)), time.Now()
}

// progress waits until so many more are confirmed on every stream.
func (g *ledger) progress(t *testing.T, more int) {
	t.Helper()
	g.mu.Lock()
	want := make(map[int32]int)
	for stream := range g.streams {
		want[stream] = len(g.confirmed[stream]) + more
	}
	g.mu.Unlock()
	g.await(t, "appends do not go on", func() bool {
		for stream, count := range want {
			if len(g.confirmed[stream]) < count {
				return false
			}
		}
		return true
	})
}

// doubt waits until an append to every stream has failed.
func (g *ledger) doubt(t *testing.T) {
	t.Helper()
	g.await(t, "appends do not fail", func() bool {
		for stream := range g.streams {
			if len(g.doubtful[stream]) == 0 {
				return false
			}
		}
		return true
	})
}

func (g *ledger) await(t *testing.T, complaint string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	for {
		g.mu.Lock()
		done, changed := ok(), g.changed
		g.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal(complaint)
		}
	}
}

// settle ends the appends, and compares a fresh reader with what was confirmed.
func (g *ledger) settle(t *testing.T, w *world) {
	t.Helper()
	g.stop()
	g.writers.Wait()
	l := w.open(t)
	confirmed, doubtful := 0, 0
	for stream := range g.streams {
		g.compare(t, stream, readAll(t, l, stream))
		confirmed += len(g.confirmed[stream])
		doubtful += len(g.doubtful[stream])
	}
	if g.strange != nil {
		t.Errorf("an append failed with %v, want kind %v", g.strange, fault.LogUnavailable)
	}
	t.Logf("%d confirmed, %d in doubt, longest time without a confirmation %v", confirmed, doubtful, g.stall.Round(time.Millisecond))
}

func (g *ledger) compare(t *testing.T, stream int32, values []string) {
	t.Helper()
	place := make(map[int]int)
	for i, value := range values {
		var n int
		if _, err := fmt.Sscanf(value, "%d ", &n); err != nil {
			t.Fatalf("stream %d holds %q", stream, value)
		}
		if _, twice := place[n]; twice {
			t.Errorf("stream %d holds %d twice (in doubt: %v)", stream, n, g.doubtful[stream][n])
		}
		place[n] = i
	}
	slices.Sort(g.confirmed[stream])
	last := -1
	for _, n := range g.confirmed[stream] {
		found, there := place[n]
		switch {
		case !there:
			t.Errorf("stream %d: %d was confirmed and is not there", stream, n)
		case found < last:
			t.Errorf("stream %d: %d stands before one that was appended earlier", stream, n)
		default:
			last = found
		}
		delete(place, n)
	}
	for n := range place {
		if !g.doubtful[stream][n] {
			t.Errorf("stream %d holds %d, which nobody appended", stream, n)
		}
	}
}
