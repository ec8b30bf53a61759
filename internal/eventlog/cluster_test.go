package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
)

// outageTimeout is for tests that wait for appends to fail. The others take the default.
const outageTimeout = 5 * time.Second

// underLoad is a Kafka cluster with a topic that is written and followed all the time, while a test does something to brokers.
type underLoad struct {
	*world
	log    *eventlog.Log
	ledger *ledger
	live   *collector
}

func startLoad(t *testing.T, appendTimeout time.Duration) *underLoad {
	t.Helper()
	w := kafkaWorld(t)
	w.config.AppendTimeout = appendTimeout
	t.Cleanup(func() { w.heal(t) })
	l := w.open(t)
	u := &underLoad{world: w, log: l, live: newCollector()}
	r := newReader(t, l, u.live.handle)
	for stream := range int32(8) {
		r.Follow(stream, 0, -1)
	}
	u.ledger = startLedger(t, l, 8)
	u.ledger.progress(t, 20)
	return u
}

// settle heals the cluster and compares all that was confirmed with what a fresh reader finds, and with what the reader got that
// followed all the time.
func (u *underLoad) settle(t *testing.T) {
	t.Helper()
	u.heal(t)
	u.ledger.progress(t, 20)
	u.ledger.settle(t, u.world)
	for stream := range int32(8) {
		want := readAll(t, u.log, stream)
		got := u.live.awaitCount(t, stream, len(want))
		if fmt.Sprint(got) != fmt.Sprint(at(0, want)) {
			t.Errorf("stream %d: who followed it got %d entries, want the %d that are there, in their order", stream, len(got), len(want))
		}
	}
	u.live.mu.Lock()
	defer u.live.mu.Unlock()
	for stream, errs := range u.live.errs {
		for _, err := range errs {
			if errors.Is(err, eventlog.ErrOffsetGone) || errors.Is(err, eventlog.ErrTopicGone) {
				t.Errorf("stream %d: the reader was told %v", stream, err)
			}
		}
	}
}

// heal lets all brokers run, with all copies in step.
func (w *world) heal(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*patience)
	defer cancel()
	for i := range w.config.Brokers {
		if !w.cluster.Runs(i) {
			w.must(t, w.cluster.Restart(ctx, i))
		} else {
			w.must(t, w.cluster.Continue(i))
		}
	}
	w.must(t, w.cluster.Await(ctx))
	w.awaitTopic(ctx, t, func(found kmsg.MetadataResponseTopic) bool {
		return !slices.ContainsFunc(found.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool {
			return p.Leader < 0 || len(p.ISR) < 3
		})
	})
}

func (w *world) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// leader is which broker leads a stream.
func (w *world) leader(t *testing.T, stream int32) int {
	t.Helper()
	found, err := w.admin(t).ListTopics(within(t), w.config.Topic)
	if err != nil {
		t.Fatal(err)
	}
	return int(found[w.config.Topic].Partitions[stream].Leader) - 1 // of the engine's numbers
}

// A broker dies, one that leads; it comes back, leads again, and then loses its disk.
func TestLossOfOneBroker(t *testing.T) {
	u := startLoad(t, 0)
	for _, lose := range []func(int) error{u.cluster.Kill, u.cluster.Wipe} {
		lost := u.leader(t, 0)
		u.must(t, lose(lost))
		u.ledger.progress(t, 50)
		if now := u.leader(t, 0); now == lost {
			t.Errorf("broker %d leads though it is dead", now)
		}
		u.heal(t)
		answers, err := u.admin(t).ElectLeaders(within(t), kadm.ElectPreferredReplica, nil)
		if err != nil {
			t.Fatal(err, answers)
		}
		u.ledger.progress(t, 50)
	}
	u.settle(t)
}

func TestRestartInTurn(t *testing.T) {
	u := startLoad(t, 0)
	for i := range u.config.Brokers {
		u.must(t, u.cluster.Stop(i))
		u.ledger.progress(t, 20)
		u.heal(t)
	}
	u.settle(t)
}

// With two of three down nothing is confirmed, and what is in the log can be read. Writes come back by themselves.
func TestTwoOfThreeDown(t *testing.T) {
	u := startLoad(t, outageTimeout)
	u.must(t, u.cluster.Stop(0))
	u.must(t, u.cluster.Stop(1)) // in an orderly way: the third leads everything then
	u.ledger.doubt(t)
	c := newCollector()
	r := newReader(t, u.log, c.handle)
	for stream := range int32(8) {
		r.Follow(stream, 0, -1)
	}
	for stream := range int32(8) {
		c.awaitCount(t, stream, 20)
	}
	// The last broker may not know of all that the others confirmed: nobody may take what it has for all.
	if _, err := u.log.Bounds(within(t), []int32{0, 1, 2, 3, 4, 5, 6, 7}); err != nil && !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("bounds: got %v, want kind %v", err, fault.LogUnavailable)
	}
	u.must(t, u.cluster.Restart(t.Context(), 1))
	u.ledger.progress(t, 20)
	u.settle(t)
}

// All brokers die. One that was behind comes back first, and must not lead.
func TestAllDownAndBack(t *testing.T) {
	u := startLoad(t, outageTimeout)
	u.must(t, u.cluster.Kill(0))
	u.ledger.progress(t, 50)
	u.must(t, u.cluster.Kill(1))
	u.must(t, u.cluster.Kill(2))
	if _, err := u.log.Bounds(within(t), []int32{0}); !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("bounds: got %v, want kind %v", err, fault.LogUnavailable)
	}
	if u.log.Reachable() {
		t.Error("the log is reachable without a broker")
	}
	for i := range u.config.Brokers {
		u.must(t, u.cluster.Restart(t.Context(), i))
	}
	u.ledger.progress(t, 20)
	u.settle(t)
}

// A broker that leads is frozen. The others go on without it, and when it goes on it takes itself for the leader for a moment.
func TestPausedBroker(t *testing.T) {
	u := startLoad(t, 0)
	paused := u.leader(t, 0)
	u.must(t, u.cluster.Pause(paused))
	u.ledger.progress(t, 50)
	if now := u.leader(t, 0); now == paused {
		t.Errorf("broker %d leads though it is frozen", now)
	}
	u.must(t, u.cluster.Continue(paused))
	u.ledger.progress(t, 50)
	u.settle(t)
}

// A setting that is not ours lets a broker lead that lacks confirmed records: the log is cut off and written anew. Who has read
// what was cut off is told so, and is never given the new records for the old ones.
func TestCutOffAndWrittenAnew(t *testing.T) {
	w := kafkaWorld(t)
	t.Cleanup(func() { // the last broker that has the rest of it must not hold up the end
		for i := range w.config.Brokers {
			w.must(t, w.cluster.Restart(context.WithoutCancel(t.Context()), i))
		}
	})
	w.makeUnsafeTopic(t)
	l := w.open(t)
	appendAll(t, l, 0, numbered(0, 50)...)
	w.must(t, w.cluster.Stop(1))
	appendAll(t, l, 0, numbered(50, 100)...)
	c := newCollector()
	r := newReader(t, l, c.handle)
	r.Follow(0, 0, -1)
	c.awaitCount(t, 0, 100)
	w.must(t, w.cluster.Kill(0))
	w.must(t, w.cluster.Restart(t.Context(), 1))
	appendEventually(t, l, "anew", 120)
	c.awaitError(t, 0, eventlog.ErrOffsetGone)
	if got := c.awaitCount(t, 0, 100); len(got) != 100 {
		t.Errorf("who followed got %d entries, want the 100 before", len(got))
	}
}

// makeUnsafeTopic makes a topic of one stream, on brokers 0 and 1, that may be led by who lacks records.
func (w *world) makeUnsafeTopic(t *testing.T) {
	t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 10_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = w.config.Topic, -1, -1
	assignment := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	assignment.Replicas = []int32{1, 2} // the engine's 0 and 1
	topic.ReplicaAssignment = append(topic.ReplicaAssignment, assignment)
	for name, value := range map[string]string{"unclean.leader.election.enable": "true", "min.insync.replicas": "1"} {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, &value
		topic.Configs = append(topic.Configs, config)
	}
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(within(t), w.client(t))
	if err != nil || answer.Topics[0].ErrorCode != 0 {
		t.Fatalf("making the topic: %v, %+v", err, answer)
	}
	w.awaitTopic(within(t), t, func(found kmsg.MetadataResponseTopic) bool { return len(found.Partitions) == 1 })
}

// appendEventually appends so many values to stream 0, each until it is confirmed.
func appendEventually(t *testing.T, l *eventlog.Log, value string, count int) {
	t.Helper()
	ctx := within(t)
	for range count {
		for {
			result := make(chan error, 1)
			l.Append(0, nil, []byte(value), func(err error) { result <- err })
			err := <-result
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
}
