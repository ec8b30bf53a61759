package eventlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"mailreplica/internal/fault"
)

// Entry is one record as it stands in a stream.
type Entry struct {
	Stream      int32
	Offset      int64
	LeaderEpoch int32
	Timestamp   time.Time // by the broker's clock, if the topic was made here
	Key, Value  []byte
}

// Batch is what a handler is given: entries in stream order, or an error.
//
// After an error with ErrOffsetGone or ErrTopicGone in its chain the stream is no longer followed. Other errors
// (LogUnavailable: the brokers refuse, for example for want of a permission) are reported once, and following goes on.
// Brokers that are merely away are no error: see Log.Reachable.
type Batch struct {
	Stream  int32
	Entries []Entry
	Err     error
}

// Handler applies a batch. The context ends when the stream is no longer followed.
type Handler func(ctx context.Context, b Batch)

// Reader follows streams. Its methods are safe for concurrent use.
//
// One goroutine, run, owns the client: it polls, and it carries out what Follow and Unfollow ask between two polls. So
// nothing that was fetched for an earlier position of a stream can reach a later follower. Each followed stream has a
// goroutine that calls the handler; a slow one is paused at the client when its queue is full, and holds up no other.
type Reader struct {
	log     *Log
	handler Handler
	client  *kgo.Client
	ctx     context.Context
	cancel  context.CancelFunc
	ended   chan struct{}

	mu        sync.Mutex
	asked     []request          // not yet carried out
	interrupt context.CancelFunc // ends the poll in progress
	closed    bool

	followers map[int32]*follower // altered by run alone, which reads it without mu

	last map[int32]chan struct{} // closed when the stream's previous follower has ended; only run touches it
}

// request is what Follow (follow) and Unfollow ask of run.
type request struct {
	stream      int32
	follow      bool
	from        int64
	leaderEpoch int32
}

// NewReader makes a reader that follows nothing yet. The handler is called from one goroutine a followed stream: one
// batch at a time and in order for a stream, in parallel for several. A batch holds all that has arrived meanwhile,
// bounded by the size of a fetch and of the queue.
func (l *Log) NewReader(handler func(ctx context.Context, b Batch)) *Reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Reader{
		log: l, handler: handler, ctx: ctx, cancel: cancel, ended: make(chan struct{}),
		interrupt: func() {}, followers: make(map[int32]*follower), last: make(map[int32]chan struct{}),
	}
	options, err := l.config.options(l.contact)
	if err == nil {
		r.client, err = kgo.NewClient(append(options, l.config.consumerOptions()...)...)
	}
	go r.run(err)
	return r
}

// Follow starts to deliver a stream at an offset: the next one to be judged, which may be the end of the stream.
// leaderEpoch is that of the entry before it, or -1 if unknown; with it the brokers can tell a log that was cut off and
// written anew. Following a stream that is followed already moves it: the handler's call in progress ends first.
func (r *Reader) Follow(stream int32, from int64, leaderEpoch int32) {
	r.ask(request{stream: stream, follow: true, from: from, leaderEpoch: leaderEpoch})
}

// Unfollow stops to deliver a stream. It does not wait: the handler's call in progress, whose context ends, may still
// be running, but once its context has ended no other is begun. It may be called from the handler.
func (r *Reader) Unfollow(stream int32) { r.ask(request{stream: stream}) }

// Close stops all streams and returns when no handler is running any more. It must not be called from a handler.
func (r *Reader) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	<-r.ended
}

func (r *Reader) ask(q request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.asked = append(r.asked, q)
	r.interrupt()
}

func (r *Reader) run(err error) {
	defer close(r.ended)
	if err != nil {
		r.refuseAll(fault.Wrap(fault.Internal, err, "the event log's client cannot be made"))
	} else {
		for r.ctx.Err() == nil {
			r.turn()
		}
		r.client.Close()
	}
	for stream := range r.followers {
		r.drop(stream)
	}
	for _, ended := range r.last {
		<-ended
	}
}

// turn carries out what was asked, then polls once. A request that arrives after the first step finds the poll's
// interrupt in place and ends the poll, so it is carried out in the next turn.
func (r *Reader) turn() {
	poll, cancel := context.WithCancel(r.ctx)
	defer cancel()
	r.mu.Lock()
	asked := r.asked
	r.asked = nil
	r.interrupt = cancel
	r.mu.Unlock()
	r.carryOut(asked)

	fetches := r.client.PollFetches(poll)
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if f := r.followers[p.Partition]; f != nil && p.Topic == r.log.config.Topic {
			r.deliver(f, p.FetchPartition)
		}
	})
}

// carryOut removes and adds partitions, each in one call for all streams: a call interrupts the fetches of all.
func (r *Reader) carryOut(asked []request) {
	final := make(map[int32]request, len(asked))
	for _, q := range asked {
		final[q.stream] = q
	}
	var removed []int32
	added := make(map[int32]kgo.Offset)
	for stream, q := range final {
		if r.drop(stream) {
			removed = append(removed, stream)
		}
		if q.follow {
			added[stream] = kgo.NewOffset().At(max(0, q.from)).WithEpoch(q.leaderEpoch)
			r.add(q)
		}
	}
	topic := r.log.config.Topic
	if len(removed) > 0 {
		r.client.RemoveConsumePartitions(map[string][]int32{topic: removed})
		r.client.ResumeFetchPartitions(map[string][]int32{topic: removed})
	}
	if len(added) > 0 {
		r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: added})
	}
}

func (r *Reader) add(q request) {
	f := newFollower(r, q.stream, max(0, q.from))
	previous := r.last[q.stream]
	r.mu.Lock()
	r.followers[q.stream] = f
	r.mu.Unlock()
	r.last[q.stream] = f.ended
	go f.run(previous)
}

func (r *Reader) drop(stream int32) bool {
	f, followed := r.followers[stream]
	if followed {
		f.cancel()
		r.forget(stream)
	}
	return followed
}

func (r *Reader) forget(stream int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.followers, stream)
}

// Ahead says what a stream holds beyond what the handler has done with, as far as fetches have told.
type Ahead struct {
	End   int64     // of the stream
	Since time.Time // of the first entry that the handler has not done with, or of the last that it has; by the brokers' clock
}

// Ahead asks nobody. Of a stream that is not followed it says nothing.
func (r *Reader) Ahead(stream int32) Ahead {
	r.mu.Lock()
	f := r.followers[stream]
	r.mu.Unlock()
	if f == nil {
		return Ahead{}
	}
	return f.ahead()
}

// deliver hands what was fetched of one stream to its follower.
func (r *Reader) deliver(f *follower, p kgo.FetchPartition) {
	err := f.offer(p.Records, p.HighWatermark)
	if err == nil && p.Err != nil {
		err = r.fetchError(f, p.Err)
	}
	if err == nil {
		return
	}
	f.fail(err)
	if errors.Is(err, ErrOffsetGone) || errors.Is(err, ErrTopicGone) {
		// The follower ends by itself when it has delivered the error; nothing more is fetched for it.
		r.forget(f.stream)
		r.client.RemoveConsumePartitions(map[string][]int32{r.log.config.Topic: {f.stream}})
	}
}

func (r *Reader) fetchError(f *follower, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed):
		return nil
	case isOffsetGone(err):
		return offsetGone(f.stream, f.next, err)
	case isTopicGone(err):
		return topicGone(r.log.config.Topic, err)
	}
	return unavailable(err, "the brokers refuse to give stream %d", f.stream)
}

// refuseAll answers every Follow with an error, until the reader is closed.
func (r *Reader) refuseAll(err error) {
	for r.ctx.Err() == nil {
		poll, cancel := context.WithCancel(r.ctx)
		r.mu.Lock()
		asked := r.asked
		r.asked = nil
		r.interrupt = cancel
		r.mu.Unlock()
		for _, q := range asked {
			if r.drop(q.stream); q.follow {
				r.add(q)
				r.followers[q.stream].fail(err)
			}
		}
		<-poll.Done()
		cancel()
	}
}
