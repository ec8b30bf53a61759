package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
)

// collector is a handler that keeps what it was given.
type collector struct {
	mu      sync.Mutex
	changed chan struct{} // closed and renewed at every batch
	values  map[int32][]string
	errs    map[int32][]error
}

func newCollector() *collector {
	return &collector{
		changed: make(chan struct{}), values: make(map[int32][]string),
		errs: make(map[int32][]error),
	}
}

func (c *collector) handle(_ context.Context, b eventlog.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range b.Entries {
		c.values[b.Stream] = append(c.values[b.Stream], fmt.Sprintf("%d %s", e.Offset, e.Value))
	}
	if b.Err != nil {
		c.errs[b.Stream] = append(c.errs[b.Stream], b.Err)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until ok holds of what was collected.
func (c *collector) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx := within(t)
	for {
		c.mu.Lock()
		done, changed := ok(), c.changed
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s did not come; got %d streams, errors %v", what, len(c.values), c.errs)
		}
	}
}

func (c *collector) awaitCount(t testing.TB, stream int32, count int) []string {
	t.Helper()
	c.await(t, fmt.Sprintf("%d values of stream %d", count, stream), func() bool { return len(c.values[stream]) >= count })
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.values[stream]...)
}

func (c *collector) awaitError(t testing.TB, stream int32, want error) {
	t.Helper()
	c.await(t, fmt.Sprintf("error %q of stream %d", want, stream), func() bool { return len(c.errs[stream]) > 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := c.errs[stream][0]; !errors.Is(got, want) {
		t.Errorf("stream %d: got error %v, want %v", stream, got, want)
	}
}

func newReader(t testing.TB, l *eventlog.Log, handler func(context.Context, eventlog.Batch)) *eventlog.Reader {
	t.Helper()
	r := l.NewReader(handler)
	t.Cleanup(r.Close)
	return r
}

// at is what a collector keeps of numbered values that begin at an offset.
func at(offset int, values []string) []string {
	var found []string
	for i, value := range values {
		found = append(found, fmt.Sprintf("%d %s", offset+i, value))
	}
	return found
}

func TestEveryStreamInOrder(t *testing.T) { both(t, checkEveryStreamInOrder) }

func checkEveryStreamInOrder(t *testing.T, w *world) {
	l := w.open(t)
	c := newCollector()
	r := newReader(t, l, c.handle)
	for stream := range int32(8) {
		r.Follow(stream, 0, -1)
	}
	var appended sync.WaitGroup
	for stream := range int32(8) {
		appended.Go(func() { appendAll(t, l, stream, numbered(0, 500)...) })
	}
	appended.Wait()
	for stream := range int32(8) {
		got := c.awaitCount(t, stream, 500)
		if want := at(0, numbered(0, 500)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("stream %d: got %d values out of order or repeated", stream, len(got))
		}
	}
	if !l.Reachable() || time.Since(l.LastContact()) > patience {
		t.Error("the log is not reachable while it is read")
	}
	if at := l.LastContact(); !strings.Contains(at.String(), " m=") { // how package time shows that
		t.Errorf("how long ago %s is depends on the machine's clock, which may be set", at)
	}
}

func TestFollowFromOffset(t *testing.T) { both(t, checkFollowFromOffset) }

func checkFollowFromOffset(t *testing.T, w *world) {
	l := w.open(t)
	appendAll(t, l, 3, numbered(0, 50)...)
	c := newCollector()
	r := newReader(t, l, c.handle)
	r.Follow(3, 30, -1)
	if got, want := c.awaitCount(t, 3, 20), at(30, numbered(30, 50)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("from 30: got %v, want %v", got, want)
	}
	r.Follow(4, 0, -1) // at the end of an empty stream
	r.Follow(3, 10, 0) // back, with a leader epoch
	got := c.awaitCount(t, 3, 60)
	if want := append(at(30, numbered(30, 50)), at(10, numbered(10, 50))...); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after going back: got %v, want %v", got, want)
	}
	appendAll(t, l, 4, "first")
	if got := c.awaitCount(t, 4, 1); got[0] != "0 first" {
		t.Errorf("stream 4: got %v", got)
	}
}

func TestUnfollow(t *testing.T) { both(t, checkUnfollow) }

func checkUnfollow(t *testing.T, w *world) {
	l := w.open(t)
	c := newCollector()
	r := newReader(t, l, c.handle)
	r.Follow(1, 0, -1)
	r.Follow(2, 0, -1)
	appendAll(t, l, 1, numbered(0, 10)...)
	c.awaitCount(t, 1, 10)
	r.Unfollow(1)
	appendAll(t, l, 1, numbered(10, 20)...)
	appendAll(t, l, 2, numbered(0, 10)...)
	c.awaitCount(t, 2, 10)
	if got := c.awaitCount(t, 1, 0); len(got) != 10 {
		t.Errorf("stream 1 after Unfollow: got %d values, want 10", len(got))
	}
	r.Follow(1, 10, -1)
	if got, want := c.awaitCount(t, 1, 20), at(0, numbered(0, 20)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("stream 1 followed again: got %v, want %v", got, want)
	}
}

// A handler that is stuck in one stream holds up no other, and its own stream arrives whole afterwards, in batches.
func TestSlowStreamIsPaused(t *testing.T) { both(t, checkSlowStreamIsPaused) }

func checkSlowStreamIsPaused(t *testing.T, w *world) {
	l := w.open(t)
	c := newCollector()
	release := make(chan struct{})
	entered := make(chan struct{}, 1)
	var batches int
	r := newReader(t, l, func(ctx context.Context, b eventlog.Batch) {
		if b.Stream == 0 {
			select {
			case entered <- struct{}{}:
			default:
			}
			<-release
			batches++
		}
		c.handle(ctx, b)
	})
	r.Follow(0, 0, -1)
	r.Follow(1, 0, -1)
	appendAll(t, l, 0, "first")
	<-entered
	const count = 40_000 // more than a queue takes
	appendAll(t, l, 0, numbered(1, count)...)
	appendAll(t, l, 1, numbered(0, 1000)...)
	c.awaitCount(t, 1, 1000)
	close(release)
	got := c.awaitCount(t, 0, count)
	if got[count-1] != fmt.Sprintf("%d value %d", count-1, count-1) {
		t.Errorf("last value: got %q", got[count-1])
	}
	r.Close()
	if batches > count/100 {
		t.Errorf("%d values came in %d batches, want few large ones", count, batches)
	}
}

func TestOffsetGone(t *testing.T) { both(t, checkOffsetGone) }

func checkOffsetGone(t *testing.T, w *world) {
	l := w.open(t)
	for stream := range int32(3) {
		appendAll(t, l, stream, numbered(0, 100)...)
	}
	w.deleteRecords(t, 0, 50)
	c := newCollector()
	r := newReader(t, l, c.handle)
	r.Follow(0, 20, -1)  // below the start
	r.Follow(1, 101, -1) // beyond the end
	r.Follow(2, 100, -1) // at the end
	c.awaitError(t, 0, eventlog.ErrOffsetGone)
	c.awaitError(t, 1, eventlog.ErrOffsetGone)
	appendAll(t, l, 2, "more")
	c.awaitCount(t, 2, 1)
	if len(c.values[0]) > 0 || len(c.values[1]) > 0 || len(c.errs[2]) > 0 {
		t.Errorf("got values %v and errors %v, want none of streams 0 and 1, no error of stream 2", c.values, c.errs)
	}
	r.Follow(0, 50, -1)
	if got, want := c.awaitCount(t, 0, 50), at(50, numbered(50, 100)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("followed again: got %v, want %v", got, want)
	}
}

// Records that are trimmed while a slow follower has yet to read them are missed loudly.
func TestTrimmedWhileReading(t *testing.T) { both(t, checkTrimmedWhileReading) }

func checkTrimmedWhileReading(t *testing.T, w *world) {
	l := w.open(t)
	c := newCollector()
	r := newReader(t, l, c.handle)
	r.Follow(0, 0, -1)
	appendAll(t, l, 0, numbered(0, 10)...)
	c.awaitCount(t, 0, 10)
	r.Unfollow(0)
	appendAll(t, l, 0, numbered(10, 20)...)
	w.deleteRecords(t, 0, 15)
	r.Follow(0, 10, -1)
	c.awaitError(t, 0, eventlog.ErrOffsetGone)
}

func TestTopicGoneWhileReading(t *testing.T) {
	for _, remade := range []bool{false, true} {
		t.Run(fmt.Sprintf("remade=%v", remade), func(t *testing.T) {
			both(t, func(t *testing.T, w *world) { checkTopicGone(t, w, remade) })
		})
	}
}

func checkTopicGone(t *testing.T, w *world, remade bool) {
	l := w.open(t)
	c := newCollector()
	r := newReader(t, l, c.handle)
	r.Follow(0, 0, -1)
	appendAll(t, l, 0, numbered(0, 10)...)
	c.awaitCount(t, 0, 10)
	w.deleteTopic(t)
	if remade {
		w.makeTopic(t, nil)
	}
	c.awaitError(t, 0, eventlog.ErrTopicGone)
	result := make(chan error, 1)
	l.Append(0, nil, []byte("lost"), func(err error) { result <- err })
	if err := <-result; !errors.Is(err, eventlog.ErrTopicGone) {
		t.Errorf("append: got %v, want ErrTopicGone", err)
	}
}

func TestBrokerRestartsWhileReading(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.StartBroker(t, broker.Config{DataDir: dir, SyncWrites: true})
	config := configFor(b.Address())
	l := openLog(t, config)
	before, err := l.Identity(within(t))
	if err != nil {
		t.Fatal(err)
	}
	c := newCollector()
	r := newReader(t, l, c.handle)
	for stream := range int32(4) {
		r.Follow(stream, 0, -1)
		appendAll(t, l, stream, numbered(0, 10)...)
		c.awaitCount(t, stream, 10)
	}
	b.Close()
	if _, err := l.Bounds(within(t), []int32{0}); err == nil || l.Reachable() {
		t.Errorf("without a broker: got %v and reachable %v", err, l.Reachable())
	}
	brokertest.StartBroker(t, broker.Config{DataDir: dir, SyncWrites: true, Listen: config.Brokers[0]})
	for stream := range int32(4) {
		appendAll(t, l, stream, numbered(10, 20)...)
		if got, want := c.awaitCount(t, stream, 20), at(0, numbered(0, 20)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("stream %d: got %v, want %v", stream, got, want)
		}
	}
	after, err := l.Identity(within(t))
	if err != nil || after != before {
		t.Errorf("identity after the restart: got %+v, %v, want %+v", after, err, before)
	}
	if !l.Reachable() {
		t.Error("not reachable after the restart")
	}
	if len(c.errs) > 0 {
		t.Errorf("got errors %v, want none", c.errs)
	}
}
