package eventlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A follower's queue is full beyond either of these; then the stream is paused at the client. What a fetch brought is
// always taken, so a queue can exceed them by one fetch.
const (
	queueEntriesMax = 16_384
	queueBytesMax   = 8 << 20
)

// follower delivers one stream from one position on.
type follower struct {
	reader *Reader
	stream int32
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{}
	wake   chan struct{} // holds one token while there may be something in the queue

	next int64 // the offset expected next; only the reader's run touches it

	mu      sync.Mutex
	queue   []Entry
	bytes   int
	paused  bool
	err     error // delivered after the queue
	refused bool  // an error that does not end the follower was reported since the last entries

	end   int64     // of the stream, as the brokers said with the last fetch
	under []Entry   // with the handler now
	last  time.Time // of the last entry that the handler was given
}

func newFollower(r *Reader, stream int32, from int64) *follower {
	ctx, cancel := context.WithCancel(r.ctx)
	return &follower{
		reader: r, stream: stream, next: from, ctx: ctx, cancel: cancel,
		ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// offer queues records, which must continue the stream without a hole. Nothing on this topic makes holes: there are no
// transactions and no compaction. A hole would mean that records were lost or trimmed between two fetches.
func (f *follower) offer(records []*kgo.Record, end int64) error {
	if len(records) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.signal()
	f.end = max(f.end, end)
	for _, record := range records {
		if record.Offset < f.next {
			continue // a fetch returns whole batches
		}
		if record.Offset > f.next {
			return offsetGone(f.stream, f.next, errors.New("the stream has a hole there"))
		}
		f.next++
		f.bytes += len(record.Key) + len(record.Value)
		f.queue = append(f.queue, entryOf(record))
	}
	f.refused = false
	if !f.paused && (len(f.queue) > queueEntriesMax || f.bytes > queueBytesMax) {
		f.paused = true
		f.reader.client.PauseFetchPartitions(f.partition())
	}
	return nil
}

func (f *follower) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := errors.Is(err, ErrOffsetGone) || errors.Is(err, ErrTopicGone)
	if f.refused && !gone {
		return
	}
	f.err, f.refused = err, !gone
	f.signal()
}

func (f *follower) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run calls the handler until the follower is cancelled or its stream is gone. previous is the end of the stream's
// previous follower, so that two calls for one stream never overlap.
func (f *follower) run(previous <-chan struct{}) {
	defer close(f.ended)
	defer f.cancel()
	if previous != nil {
		<-previous
	}
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-f.wake:
		}
		entries, err := f.take()
		if len(entries) > 0 && f.ctx.Err() == nil {
			f.reader.handler(f.ctx, Batch{Stream: f.stream, Entries: entries})
			f.handled()
		}
		if err != nil && f.ctx.Err() == nil {
			f.reader.handler(f.ctx, Batch{Stream: f.stream, Err: err})
		}
		if errors.Is(err, ErrOffsetGone) || errors.Is(err, ErrTopicGone) {
			return
		}
	}
}

func (f *follower) take() ([]Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entries, err := f.queue, f.err
	f.queue, f.bytes, f.err = nil, 0, nil
	if f.under = entries; len(entries) > 0 {
		f.last = entries[len(entries)-1].Timestamp
	}
	if f.paused {
		f.paused = false
		f.reader.client.ResumeFetchPartitions(f.partition())
	}
	return entries, err
}

// handled notes that the handler has done with what it was given.
func (f *follower) handled() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.under = nil
}

// ahead is what the stream holds beyond what the handler has done with.
func (f *follower) ahead() Ahead {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := Ahead{End: f.end, Since: f.last}
	if len(f.under) > 0 {
		a.Since = f.under[0].Timestamp
	} else if len(f.queue) > 0 {
		a.Since = f.queue[0].Timestamp
	}
	return a
}

func (f *follower) partition() map[string][]int32 {
	return map[string][]int32{f.reader.log.config.Topic: {f.stream}}
}

func entryOf(record *kgo.Record) Entry {
	return Entry{
		Stream: record.Partition, Offset: record.Offset, LeaderEpoch: record.LeaderEpoch,
		Timestamp: record.Timestamp, Key: record.Key, Value: record.Value,
	}
}
