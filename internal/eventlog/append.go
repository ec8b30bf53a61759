package eventlog

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"mailreplica/internal/fault"
)

// Append sends one record to a stream and returns at once; it never blocks. done is called exactly once, from a
// goroutine of the producer, and must not block: with nil when all in-sync brokers have the record, with an error when
// the outcome is in doubt. It waits while records that were appended before it are under way (turns).
//
// An error never means "not written". A record that timed out or was cancelled may be on its way and land later, even
// after records that were appended after it; only reading the stream settles it. The kinds are: LogUnavailable (no
// confirmation within Config.AppendTimeout of being sent, or the brokers refused it, or what it waited for failed),
// Busy (too much is waiting already), TooLarge (over Config.RecordBytesMax, or over the brokers' limit), Invalid (no
// such stream), Interrupted (the log was closed).
// ErrTopicGone is in the chain if the topic is no more; then every later append fails too.
//
// Records of one stream that were appended in order and confirmed stand in that order. If one fails, those that were
// waiting behind it in the same stream fail with it; appends made after that start afresh. A confirmed record is in
// the log at least once: brokers that crash may forget that they have seen a repeated send.
//
// key and value are not copied: they must not be changed until done was called.
func (l *Log) Append(stream int32, key, value []byte, done func(err error)) {
	size := len(key) + len(value)
	if size > l.config.RecordBytesMax {
		done(fault.New(fault.TooLarge, "a record of %d bytes is over the event log's limit of %d", size, l.config.RecordBytesMax))
		return
	}
	if streams := l.streams.Load(); stream < 0 || stream >= streams {
		done(fault.New(fault.Invalid, "there is no stream %d: the event log has %d", stream, streams))
		return
	}
	record := &kgo.Record{Topic: l.config.Topic, Partition: stream, Key: key, Value: value}
	if !l.room.take(size) {
		done(fault.New(fault.Busy, "too many appends wait for the event log"))
		return
	}
	l.turnsOf(stream).add(appended{record, func(err error) {
		l.room.give(size)
		if err != nil {
			err = l.appendError(stream, err)
		}
		done(err)
	}})
}

// isTooLarge says whether the brokers refused a batch with this record for its size. What waited behind such a batch was not sent.
func isTooLarge(err error) bool {
	var behind *behindError
	return !errors.As(err, &behind) && (errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge))
}

// turnsOf gives the turns of a stream.
func (l *Log) turnsOf(stream int32) *turns {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, known := l.turns[stream]
	if !known {
		t = &turns{send: l.send}
		l.turns[stream] = t
	}
	return t
}

// Waiting is how many records have been appended and not been answered by the brokers, and their bytes.
func (l *Log) Waiting() (records, bytes int64) { return l.room.records.Load(), l.room.bytes.Load() }

func (l *Log) send(record *kgo.Record, done func(error)) {
	l.client.TryProduce(context.Background(), record, func(_ *kgo.Record, err error) { done(err) })
}

func (l *Log) appendError(stream int32, err error) error {
	switch {
	case errors.Is(err, kgo.ErrClientClosed):
		return fault.Wrap(fault.Interrupted, err, "appending to stream %d: the event log was closed", stream)
	case isTooLarge(err):
		return fault.Wrap(fault.TooLarge, err, "a record is over the brokers' limit").
			WithHint("raise the topic's max.message.bytes to at least %d", l.config.batchBytesMax())
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
		return topicGone(l.config.Topic, err)
	}
	return unavailable(err, "appending to stream %d: the brokers did not confirm in time", stream)
}
