// Package eventlog owns the connection to the event log: it appends records to streams and reads them back, over the
// Kafka protocol.
//
// It knows a topic, its partitions (the streams), offsets and opaque bytes. It must not know what a record means, which
// accounts live in a stream, which record is accepted, or where positions are stored: the protocol package judges, the
// mailstore's database remembers. It never moves a position by itself.
package eventlog

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"mailreplica/internal/fault"
)

// Identity says which log this is. A topic that was deleted and made anew has another TopicID.
type Identity struct {
	ClusterID string
	TopicID   [16]byte
	Streams   int32
}

// Log is one topic on one cluster. Its methods are safe for concurrent use.
type Log struct {
	config  Config
	contact *contact
	client  *kgo.Client // appends and asks; every reader has a client of its own
	admin   *kadm.Client
	streams atomic.Int32 // as last described
}

// Open connects to the log and makes its topic if it is missing and Config.Expect is zero. It fails with
// fault.LogUnavailable if no broker answers within Config.AppendTimeout, and with ErrTopicGone in the chain if the topic
// is not the expected one.
func Open(ctx context.Context, config Config) (*Log, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	l, err := connect(config)
	if err != nil {
		return nil, err
	}
	if err := l.openTopic(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// connect makes the client, which connects when it is first used.
func connect(config Config) (*Log, error) {
	l := &Log{config: config, contact: new(contact)}
	options, err := config.options(l.contact)
	if err != nil {
		return nil, err
	}
	producer, err := config.producerOptions()
	if err != nil {
		return nil, err
	}
	l.client, err = kgo.NewClient(append(options, producer...)...)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the event log's settings are not usable")
	}
	l.admin = kadm.NewClient(l.client)
	return l, nil
}

// Close ends the connection. Appends in flight are reported as in doubt. Readers are closed by their owners, before.
func (l *Log) Close() { l.client.Close() }

func (l *Log) openTopic(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.config.AppendTimeout)
	defer cancel()
	identity, err := l.identity(ctx)
	if errors.Is(err, ErrTopicGone) && l.config.Expect == (Identity{}) {
		if err := l.createTopic(ctx); err != nil {
			return err
		}
		identity, err = l.awaitTopic(ctx)
	}
	if err != nil {
		return err
	}
	return l.checkExpected(identity)
}

func (l *Log) checkExpected(found Identity) error {
	expect := l.config.Expect
	if expect == (Identity{}) {
		return nil
	}
	if expect.ClusterID != found.ClusterID {
		return fault.Wrap(fault.LogUnavailable, ErrTopicGone, "the brokers belong to cluster %s, not to %s",
			found.ClusterID, expect.ClusterID).WithHint("configure the brokers of the cluster that holds the event log")
	}
	if expect.TopicID != found.TopicID {
		return topicGone(l.config.Topic, nil)
	}
	return nil
}

// Identity asks the brokers which log this is, afresh. It is used at start and periodically: a consumer of a topic that
// was made anew may get no error, only silence. ErrTopicGone is in the chain if the topic does not exist.
func (l *Log) Identity(ctx context.Context) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, l.config.AppendTimeout)
	defer cancel()
	return l.identity(ctx)
}

// identity asks by a request of its own: what the client and kadm offer is answered from a cache.
func (l *Log) identity(ctx context.Context) (Identity, error) {
	response, err := l.describe(ctx)
	if err != nil {
		return Identity{}, err
	}
	topic := response.Topics[0]
	if err := kerr.ErrorForCode(topic.ErrorCode); isTopicGone(err) {
		return Identity{}, topicGone(l.config.Topic, err)
	} else if err != nil {
		return Identity{}, unavailable(err, "the brokers refuse to describe topic %s", l.config.Topic)
	}
	identity := Identity{TopicID: topic.TopicID, Streams: int32(len(topic.Partitions))}
	if response.ClusterID != nil {
		identity.ClusterID = *response.ClusterID
	}
	l.streams.Store(identity.Streams)
	return identity, nil
}

// describe asks for the metadata of the brokers and of the topic.
func (l *Log) describe(ctx context.Context) (*kmsg.MetadataResponse, error) {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &l.config.Topic
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, l.client)
	if err != nil {
		return nil, interrupted(ctx, err, "asking which event log this is")
	}
	if len(response.Topics) != 1 {
		return nil, unavailable(nil, "the brokers describe %d topics, one was asked for", len(response.Topics))
	}
	return response, nil
}

func (l *Log) createTopic(ctx context.Context) error {
	c := l.config
	value := func(s string) *string { return &s }
	settings := map[string]*string{
		"cleanup.policy":      value("delete"),
		"max.message.bytes":   value(strconv.Itoa(int(c.batchBytesMax()) + 1024)),
		"min.insync.replicas": value(strconv.Itoa(min(2, int(c.Replication)))),
	}
	if c.Retention > 0 {
		settings["retention.ms"] = value(strconv.FormatInt(c.Retention.Milliseconds(), 10))
	} else if c.Retention < 0 {
		settings["retention.ms"] = value("-1")
	}
	_, err := l.admin.CreateTopic(ctx, c.Streams, c.Replication, settings, c.Topic)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists): // another mailstore was faster
		return nil
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return fault.Wrap(fault.Invalid, err, "topic %s cannot have %d copies: there are too few brokers", c.Topic, c.Replication)
	}
	return unavailable(err, "topic %s could not be made", c.Topic)
}

// awaitTopic waits until every broker's answer shows the new topic with all its streams.
func (l *Log) awaitTopic(ctx context.Context) (Identity, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		identity, err := l.identity(ctx)
		if err == nil && identity.Streams > 0 {
			return identity, nil
		}
		if err != nil && !errors.Is(err, ErrTopicGone) {
			return identity, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return identity, unavailable(ctx.Err(), "topic %s did not appear", l.config.Topic)
		}
	}
}
