package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/fault"
)

// patience bounds every wait of a test that should never take that long.
const patience = 20 * time.Second

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func configFor(address string) eventlog.Config {
	return eventlog.Config{Brokers: []string{address}, Topic: "mail", Streams: 8, AppendTimeout: 5 * time.Second}
}

func openLog(t testing.TB, config eventlog.Config) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(within(t), config)
	if err != nil {
		t.Fatalf("opening the log: %v", err)
	}
	t.Cleanup(l.Close)
	return l
}

// startLog runs a broker in memory and opens a log on it.
func startLog(t testing.TB) (*eventlog.Log, *broker.Broker) {
	t.Helper()
	b := brokertest.StartBroker(t, broker.Config{})
	return openLog(t, configFor(b.Address())), b
}

// appendAll appends values to a stream, in order, and waits until all are confirmed.
func appendAll(t testing.TB, l *eventlog.Log, stream int32, values ...string) {
	t.Helper()
	results := make(chan error, len(values))
	for _, value := range values {
		l.Append(stream, []byte("key"), []byte(value), func(err error) { results <- err })
	}
	for range values {
		if err := <-results; err != nil {
			t.Fatalf("appending to stream %d: %v", stream, err)
		}
	}
}

func numbered(from, to int) []string {
	var values []string
	for i := from; i < to; i++ {
		values = append(values, fmt.Sprintf("value %d", i))
	}
	return values
}

func TestOpenMakesTopicOnce(t *testing.T) { both(t, checkOpenMakesTopicOnce) }

func checkOpenMakesTopicOnce(t *testing.T, w *world) {
	first := w.open(t)
	one, err := first.Identity(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if one.Streams != 8 || one.TopicID == [16]byte{} || one.ClusterID == "" {
		t.Errorf("got identity %+v, want 8 streams, a topic id and a cluster id", one)
	}
	config := w.config
	config.Streams, config.Expect = 3, one
	two, err := openLog(t, config).Identity(within(t))
	if err != nil || two != one {
		t.Errorf("opened again: got %+v, %v, want %+v", two, err, one)
	}
}

func TestOpenWithoutBroker(t *testing.T) {
	config := configFor("127.0.0.1:1")
	config.AppendTimeout = time.Second
	started := time.Now()
	_, err := eventlog.Open(within(t), config)
	if !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("got %v, want kind %v", err, fault.LogUnavailable)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %v, want about the append timeout", took)
	}
}

func TestOpenRefusesAnotherTopic(t *testing.T) { both(t, checkOpenRefusesAnotherTopic) }

func checkOpenRefusesAnotherTopic(t *testing.T, w *world) {
	l := w.open(t)
	config := w.config
	var err error
	if config.Expect, err = l.Identity(within(t)); err != nil {
		t.Fatal(err)
	}
	w.deleteTopic(t)
	if _, err := l.Identity(within(t)); !errors.Is(err, eventlog.ErrTopicGone) {
		t.Errorf("identity of a deleted topic: got %v, want ErrTopicGone", err)
	}
	if _, err := eventlog.Open(within(t), config); !errors.Is(err, eventlog.ErrTopicGone) {
		t.Errorf("opening a deleted topic: got %v, want ErrTopicGone", err)
	}
	w.makeTopic(t, nil)
	again, err := l.Identity(within(t))
	if err != nil || again == config.Expect {
		t.Errorf("identity of a topic made anew: got %+v, %v, want another than %+v", again, err, config.Expect)
	}
	if _, err := eventlog.Open(within(t), config); !errors.Is(err, eventlog.ErrTopicGone) {
		t.Errorf("opening a topic made anew: got %v, want ErrTopicGone", err)
	}
	config.Expect.ClusterID, config.Expect.TopicID = "another", again.TopicID
	if _, err := eventlog.Open(within(t), config); !errors.Is(err, eventlog.ErrOtherCluster) {
		t.Errorf("opening another cluster: got %v, want ErrOtherCluster", err)
	}
	config.Topic = "none"
	if _, err := eventlog.Open(within(t), config); !errors.Is(err, eventlog.ErrOtherCluster) {
		t.Errorf("opening another cluster without the topic: got %v, want ErrOtherCluster", err)
	}
	if _, err := eventlog.Open(within(t), config); !errors.Is(err, eventlog.ErrTopicGone) {
		t.Errorf("opening another cluster: got %v, want ErrTopicGone", err)
	}
}

func TestBoundsAndRange(t *testing.T) { both(t, checkBoundsAndRange) }

func checkBoundsAndRange(t *testing.T, w *world) {
	l := w.open(t)
	appendAll(t, l, 2, numbered(0, 100)...)
	appendAll(t, l, 5, numbered(0, 7)...)
	w.deleteRecords(t, 2, 40)
	got, err := l.Bounds(within(t), []int32{2, 5, 7, 2})
	if err != nil {
		t.Fatal(err)
	}
	want := map[int32]eventlog.Bounds{2: {Start: 40, End: 100}, 5: {Start: 0, End: 7}, 7: {}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("bounds: got %v, want %v", got, want)
	}
	var values []string
	err = l.ReadRange(within(t), 2, 50, 90, func(entries []eventlog.Entry) error {
		for _, e := range entries {
			values = append(values, string(e.Value))
		}
		return nil
	})
	if err != nil || fmt.Sprint(values) != fmt.Sprint(numbered(50, 90)) {
		t.Errorf("range: got %v, %v, want values 50 to 89", values, err)
	}
	for _, bad := range [][2]int64{{39, 50}, {90, 101}} {
		err := l.ReadRange(within(t), 2, bad[0], bad[1], func([]eventlog.Entry) error { return nil })
		if !errors.Is(err, eventlog.ErrOffsetGone) {
			t.Errorf("range %v: got %v, want ErrOffsetGone", bad, err)
		}
	}
	if _, err := l.Bounds(within(t), []int32{2, 99}); err == nil {
		t.Error("bounds of a stream that does not exist: got no error")
	}
}

func TestBoundsWithoutBroker(t *testing.T) {
	l, b := startLog(t)
	b.Close()
	if _, err := l.Bounds(within(t), []int32{1}); !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("got %v, want kind %v", err, fault.LogUnavailable)
	}
	if l.Reachable() {
		t.Error("the log is reachable without a broker")
	}
}
