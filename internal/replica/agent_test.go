package replica

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/protocol"
)

func connect(t *testing.T, g *Agent, brokers string) {
	t.Helper()
	g.Connect(eventlog.Config{Brokers: []string{brokers}, Topic: "events", Streams: 4, AppendTimeout: 2 * time.Second})
	eventually(t, "a connection", func() bool { _, ok := g.Identity(); return ok })
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("%s: not after a long while", what)
}

func deliver(t *testing.T, a *mailstore.Account, name string) error {
	return a.Update(t.Context(), func(d *mailbox.Draft) error {
		_, _, err := d.Deliver(mailbox.NewMessage{Volume: "v", Blob: name, Size: 3, Summary: []byte(name)}, mailbox.DeliveryKey{}, "INBOX")
		return err
	})
}

func choose(g *Agent, stream int32) func(context.Context) (protocol.Stream, error) {
	return func(context.Context) (protocol.Stream, error) {
		id, ok := g.Identity()
		if !ok {
			return protocol.Stream{}, fault.New(fault.LogUnavailable, "no brokers")
		}
		return protocol.Stream{ClusterID: id.ClusterID, TopicID: id.TopicID, Partition: stream, LeaderEpoch: -1}, nil
	}
}

// replicate makes a copy as the manager does.
func replicate(t *testing.T, from, to *Agent, id account.ID, stream int32) *mailstore.Account {
	t.Helper()
	r, w := io.Pipe()
	go func() { w.CloseWithError(from.Give(t.Context(), id, to.m.Self(), choose(from, stream), w)) }()
	a, err := to.take(t.Context(), id, r, none)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.catchUp(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

func create(t *testing.T, g *Agent) *mailstore.Account {
	t.Helper()
	a, err := g.m.Create(t.Context(), account.NewID())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestCatchUpWhileStreamsMove makes many copies in one stream at once, while clients write to every account and the destination
// loses and finds its brokers again.
func TestCatchUpWhileStreamsMove(t *testing.T) {
	brokers := brokertest.Start(t)
	a, b := newAgent(t, source), newAgent(t, destination)
	connect(t, a, brokers)
	connect(t, b, brokers)
	const accounts = 12
	ctx, cancel := context.WithCancel(t.Context())
	var work, writers sync.WaitGroup
	copies := make([]*mailstore.Account, accounts)
	for i := range copies {
		one := create(t, a)
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := deliver(t, one, fmt.Sprint(n)); err != nil && !fault.Is(err, fault.Busy) {
					t.Error(err)
					return
				}
			}
		})
		work.Go(func() {
			r, w := io.Pipe()
			go func() { w.CloseWithError(a.Give(t.Context(), one.ID(), destination, choose(a, 1), w)) }()
			taken, err := b.take(t.Context(), one.ID(), r, none)
			for err == nil || fault.Is(err, fault.LogUnavailable) || fault.Is(err, fault.Interrupted) {
				if err = b.catchUp(t.Context(), taken); err == nil {
					copies[i] = taken
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Error(err)
		})
	}
	work.Go(func() {
		for range 5 {
			time.Sleep(30 * time.Millisecond)
			connect(t, b, brokers)
		}
	})
	work.Wait()
	cancel()
	writers.Wait()
	for i, taken := range copies {
		if taken == nil {
			t.Fatalf("copy %d was not made", i)
		}
		home, _ := a.m.Account(taken.ID())
		eventually(t, "equal copies", func() bool {
			c, h := taken.Copy(), home.Copy()
			return c.Condition == protocol.Complete && c.Sequence == h.Sequence
		})
	}
}

func TestFollowedOnceByMany(t *testing.T) {
	brokers := brokertest.Start(t)
	g := newAgent(t, source)
	connect(t, g, brokers)
	var askers sync.WaitGroup
	for range 16 {
		askers.Go(func() {
			if err := g.Follow(t.Context(), 2); err != nil {
				t.Error(err)
			}
		})
	}
	askers.Wait()
	if err := g.ReadToEnd(t.Context(), []int32{2}); err != nil {
		t.Errorf("reading an idle stream to its end: %v", err)
	}
	if !g.CaughtUp(2) {
		t.Error("a stream without records is not read to its end")
	}
}

// TestAnotherCluster sets the brokers to another cluster and back: an account is neither written to there nor served from there,
// and goes on as if nothing had been.
func TestAnotherCluster(t *testing.T) {
	first, second := brokertest.Start(t), brokertest.Start(t)
	a, b := newAgent(t, source), newAgent(t, destination)
	connect(t, a, first)
	connect(t, b, first)
	one := create(t, a)
	taken := replicate(t, a, b, one.ID(), 0)
	if err := deliver(t, one, "one"); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if err := one.MayServe(); err != nil {
		t.Errorf("reads end with the brokers: %v", err)
	}
	connect(t, a, second)
	other := create(t, a)
	if err := other.Replicate(t.Context(), mustChoose(t, a, 0)); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, other, "in the other log"); err != nil {
		t.Errorf("an account of the other cluster: %v", err)
	}
	if err := one.MayServe(); !fault.Is(err, fault.NotReady) {
		t.Errorf("an account of the first cluster: %v, want kind %q", err, fault.NotReady)
	}
	connect(t, a, first)
	eventually(t, "the first log to be read", func() bool { return one.MayServe() == nil })
	if err := deliver(t, one, "two"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "equal copies", func() bool { return taken.Copy().Sequence == one.Copy().Sequence })
	if c := one.Copy(); c.Condition != protocol.Complete {
		t.Errorf("the copy is %s", c.Condition)
	}
}

func mustChoose(t *testing.T, g *Agent, stream int32) protocol.Stream {
	t.Helper()
	s, err := choose(g, stream)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBatchesThatDoNotContinue: of a batch that was fetched for another position nothing is applied but what follows on what was judged.
func TestBatchesThatDoNotContinue(t *testing.T) {
	g := newAgent(t, destination)
	for _, c := range []struct {
		followed bool
		from, to int64
		want     []int64
	}{
		{true, 5, 7, []int64{5, 6}},
		{true, 3, 7, []int64{5, 6}},
		{true, 3, 5, nil},
		{true, 6, 9, nil}, // it would leave a hole
		{false, 5, 7, nil},
	} {
		var entries []eventlog.Entry
		for offset := c.from; offset < c.to; offset++ {
			entries = append(entries, eventlog.Entry{Offset: offset})
		}
		var got []int64
		for _, e := range g.continues(&stream{followed: c.followed, next: 5}, entries) {
			got = append(got, e.Offset)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}
