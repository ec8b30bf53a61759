package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"mailreplica/internal/fault"
	"mailreplica/internal/pause"
)

// Bounds are what a stream holds: offsets from Start up to, but not including, End.
type Bounds struct{ Start, End int64 }

// The two timestamps of the ListOffsets request that mean a position.
const (
	timestampEnd   = -1
	timestampStart = -2
)

// Bounds asks the brokers what the streams hold: two requests to each broker, however many streams there are. Every
// append confirmed before the call lies below End. It fails with fault.LogUnavailable after Config.AppendTimeout, and as
// a whole: the answer has all streams.
func (l *Log) Bounds(ctx context.Context, streams []int32) (map[int32]Bounds, error) {
	ctx, cancel := context.WithTimeout(ctx, l.config.AppendTimeout)
	defer cancel()
	// While a stream has no leader, brokers refuse for a moment; and while too few are in sync, a new leader refuses to say
	// where the stream ends: it cannot know of all that was confirmed (KIP-207, KIP-966).
	var refused error
	for {
		bounds, err := l.bounds(ctx, streams)
		switch {
		case err == nil:
			return bounds, nil
		case errors.Is(err, errAgain):
			refused = err
		case refused != nil && ctx.Err() != nil:
			return nil, refused
		default:
			return nil, err
		}
		if pause.For(ctx, boundsRetryPause) != nil {
			return nil, refused
		}
	}
}

// errAgain is in the chain of what brokers refuse while leaders move.
var errAgain = errors.New("leaders move")

const boundsRetryPause = 50 * time.Millisecond

func (l *Log) bounds(ctx context.Context, streams []int32) (map[int32]Bounds, error) {
	// The start first: while a stream is trimmed and appended to, Start <= End holds of what is returned.
	starts, err := l.offsets(ctx, streams, timestampStart)
	if err != nil {
		return nil, err
	}
	ends, err := l.offsets(ctx, streams, timestampEnd)
	if err != nil {
		return nil, err
	}
	bounds := make(map[int32]Bounds, len(streams))
	for _, stream := range streams {
		bounds[stream] = Bounds{Start: starts[stream], End: ends[stream]}
	}
	return bounds, nil
}

func (l *Log) offsets(ctx context.Context, streams []int32, timestamp int64) (map[int32]int64, error) {
	if len(streams) == 0 {
		return nil, nil
	}
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = l.config.Topic
	asked := make(map[int32]bool, len(streams))
	for _, stream := range streams {
		if asked[stream] {
			continue // twice in one request is an error of the protocol
		}
		asked[stream] = true
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = stream, timestamp
		topic.Partitions = append(topic.Partitions, partition)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	request.Topics = append(request.Topics, topic)

	found := make(map[int32]int64, len(streams))
	for _, shard := range l.client.RequestSharded(ctx, request) {
		if shard.Err != nil {
			return nil, l.shardError(ctx, shard.Err)
		}
		for _, topic := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, partition := range topic.Partitions {
				err := kerr.ErrorForCode(partition.ErrorCode)
				switch {
				case err == nil:
				case kerr.IsRetriable(err) && !isTopicGone(err):
					return nil, unavailable(fmt.Errorf("%w: %w", errAgain, err), "stream %d: too few brokers are in sync to say where it ends", partition.Partition).
						WithHint("start the brokers that are down")
				default:
					return nil, l.offsetsError(ctx, err)
				}
				found[partition.Partition] = partition.Offset
			}
		}
	}
	if len(found) != len(asked) {
		return nil, unavailable(errAgain, "the brokers know %d of %d streams asked for", len(found), len(asked))
	}
	return found, nil
}

// shardError is for a broker that was not asked, or did not answer. The client does not try again if the leader that it
// knows of is not among the brokers that it knows of, or if a stream has no leader: both are so for a moment after a
// broker died.
func (l *Log) shardError(ctx context.Context, err error) error {
	if ctx.Err() != nil || isTopicGone(err) || refusal(err) != nil {
		return l.offsetsError(ctx, err)
	}
	return unavailable(fmt.Errorf("%w: %w", errAgain, err), "asking what the streams hold: the brokers did not answer")
}

func (l *Log) offsetsError(ctx context.Context, err error) error {
	if isTopicGone(err) {
		return topicGone(l.config.Topic, err)
	}
	return interrupted(ctx, err, "asking what the streams hold")
}

// ReadRange reads the entries [from, to) of a stream once, with a client of its own, in order, in pieces as they were
// fetched; it is for catching up and for audits. It ends with fn's error if there is one, with ErrOffsetGone in the
// chain if the stream does not hold the whole range, and with fault.LogUnavailable if nothing arrives for
// Config.AppendTimeout.
func (l *Log) ReadRange(ctx context.Context, stream int32, from, to int64, fn func([]Entry) error) error {
	if from >= to {
		return nil
	}
	bounds, err := l.Bounds(ctx, []int32{stream})
	if err != nil {
		return err
	}
	if held := bounds[stream]; from < held.Start || to > held.End {
		return offsetGone(stream, from, errors.New("the range is not within the stream"))
	}
	options, err := l.config.options(l.contact)
	if err != nil {
		return err
	}
	options = append(options, l.config.consumerOptions()...)
	options = append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		l.config.Topic: {stream: kgo.NewOffset().At(from)},
	}))
	client, err := kgo.NewClient(options...)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the event log's client cannot be made")
	}
	defer client.Close()
	for next := from; next < to; {
		entries, err := l.pollRange(ctx, client, stream, next, to)
		if err != nil {
			return err
		}
		next += int64(len(entries))
		if err := fn(entries); err != nil {
			return err
		}
	}
	return nil
}

// pollRange waits for the next entries of a range; they begin at next, have no hole and end before to.
func (l *Log) pollRange(ctx context.Context, client *kgo.Client, stream int32, next, to int64) ([]Entry, error) {
	patience, cancel := context.WithTimeout(ctx, l.config.AppendTimeout+time.Second)
	defer cancel()
	var entries []Entry
	for len(entries) == 0 {
		fetches := client.PollFetches(patience)
		if patience.Err() != nil {
			return nil, interrupted(ctx, patience.Err(), "reading a range of the event log")
		}
		for _, failed := range fetches.Errors() {
			switch {
			case isOffsetGone(failed.Err):
				return nil, offsetGone(stream, next, failed.Err)
			case isTopicGone(failed.Err):
				return nil, topicGone(l.config.Topic, failed.Err)
			}
			return nil, unavailable(failed.Err, "the brokers refuse to give stream %d", stream)
		}
		for _, record := range fetches.Records() {
			expected := next + int64(len(entries))
			switch {
			case record.Offset < expected || record.Offset >= to:
			case record.Offset > expected:
				return nil, offsetGone(stream, expected, errors.New("the stream has a hole there"))
			default:
				entries = append(entries, entryOf(record))
			}
		}
	}
	return entries, nil
}
