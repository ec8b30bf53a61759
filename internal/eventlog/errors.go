package eventlog

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"mailreplica/internal/fault"
)

// ErrOffsetGone is in the chain of an error that says: the position is below the start of the stream or beyond its
// end. The stream does not hold what the reader has yet to see, or never held what it has seen. Nothing moves the
// position by itself.
var ErrOffsetGone = errors.New("the event log does not hold this position")

// ErrTopicGone is in the chain of an error that says: the topic that was opened is no more. It was deleted, or deleted
// and made anew under the same name.
var ErrTopicGone = errors.New("the event log's topic was deleted or made anew")

// offsetGone is the error of one stream whose position is not in the log.
func offsetGone(stream int32, position int64, cause error) error {
	return fault.Wrap(fault.Unusable, errors.Join(ErrOffsetGone, cause), "stream %d does not hold position %d", stream, position).
		WithHint("the copies on this stream are made anew by themselves; the brokers' retention may be too short")
}

// ErrOtherCluster is in the chain of an error that says: these brokers belong to another cluster than that of the event log.
// ErrTopicGone is there too: the log is not to be had from them.
var ErrOtherCluster = errors.New("the brokers belong to another cluster")

// otherCluster is the error of brokers of another cluster than that of the event log.
func otherCluster(found, expected string) error {
	return fault.Wrap(fault.LogUnavailable, errors.Join(ErrOtherCluster, ErrTopicGone), "the brokers belong to cluster %s, not to %s", found, expected).
		WithHint("configure the brokers of the cluster that holds the event log")
}

// topicGone is the error of a topic that is no more.
func topicGone(topic string, cause error) error {
	return fault.Wrap(fault.LogUnavailable, errors.Join(ErrTopicGone, cause), "topic %s was deleted or made anew", topic).
		WithHint("restart the mailstore, then reseed from the copy that is ahead")
}

// unavailable is the error of brokers that did not do what was asked. Where they did not let the client in, it says that.
func unavailable(cause error, format string, args ...any) *fault.Error {
	if refused := refusal(cause); refused != nil {
		return refused
	}
	return fault.Wrap(fault.LogUnavailable, cause, format, args...)
}

// isTopicGone says whether the brokers do not know the topic, or not by the id that we hold.
func isTopicGone(err error) bool {
	return errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition) ||
		errors.Is(err, kerr.InconsistentTopicID)
}

// isOffsetGone says whether a fetch failed because its position is not in the log. ErrDataLoss is what the client
// reports when the leader epoch of a position proves that the log was cut off and written anew below it.
func isOffsetGone(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.Is(err, kerr.OffsetOutOfRange) || errors.As(err, &loss)
}

// interrupted turns an error of a context that the caller ended into its kind, and leaves others to unavailable.
func interrupted(ctx context.Context, cause error, what string) error {
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return fault.Wrap(fault.Interrupted, cause, "%s: interrupted", what)
	}
	return unavailable(cause, "%s: the brokers did not answer", what)
}
