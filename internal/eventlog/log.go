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
	"sync"
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
	streams atomic.Int32           // as last described
	opened  atomic.Pointer[string] // the id of the cluster on which the log was opened

	room  room
	mu    sync.Mutex
	turns map[int32]*turns // by stream
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
	l := &Log{config: config, contact: newContact(), turns: make(map[int32]*turns)}
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
	l.opened.Store(&identity.ClusterID)
	return l.checkExpected(identity)
}

// cluster is the id of the cluster that holds the log, as far as it is known.
func (l *Log) cluster() string {
	if l.config.Expect.ClusterID != "" {
		return l.config.Expect.ClusterID
	}
	if opened := l.opened.Load(); opened != nil {
		return *opened
	}
	return ""
}

// checkExpected compares the cluster first: of another cluster the topic says nothing.
func (l *Log) checkExpected(found Identity) error {
	expect := l.config.Expect
	switch {
	case expect == (Identity{}):
		return nil
	case expect.ClusterID != found.ClusterID:
		return otherCluster(found.ClusterID, expect.ClusterID)
	case expect.TopicID != found.TopicID:
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
	identity := Identity{TopicID: topic.TopicID, Streams: int32(len(topic.Partitions))}
	if response.ClusterID != nil {
		identity.ClusterID = *response.ClusterID
	}
	if err := kerr.ErrorForCode(topic.ErrorCode); isTopicGone(err) {
		if known := l.cluster(); known != "" && known != identity.ClusterID {
			return Identity{}, otherCluster(identity.ClusterID, known)
		}
		return Identity{}, topicGone(l.config.Topic, err)
	} else if err != nil {
		return Identity{}, unavailable(err, "the brokers refuse to describe topic %s", l.config.Topic)
	}
	l.streams.Store(identity.Streams)
	return identity, nil
}

// describe asks for the metadata of the brokers and of the topic.
func (l *Log) describe(ctx context.Context) (*kmsg.MetadataResponse, error) {
	response, err := l.topicRequest().RequestWith(ctx, l.client)
	if err != nil {
		if refused := firstRefusal(err); refused != nil && l.opened.Load() == nil {
			return nil, refused
		}
		return nil, interrupted(ctx, err, "asking which event log this is")
	}
	if len(response.Topics) != 1 {
		return nil, unavailable(nil, "the brokers describe %d topics, one was asked for", len(response.Topics))
	}
	return response, nil
}

func (l *Log) topicRequest() *kmsg.MetadataRequest {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &l.config.Topic
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = append(request.Topics, topic)
	return request
}

func (l *Log) createTopic(ctx context.Context) error {
	c := l.config
	settings := map[string]*string{}
	for setting, value := range c.topicSettings() {
		settings[setting] = &value
	}
	_, err := l.admin.CreateTopic(ctx, c.Streams, c.Replication, settings, c.Topic)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists): // another mailstore was faster
		return nil
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return fault.Wrap(fault.Invalid, err, "topic %s cannot have %d copies: there are too few brokers", c.Topic, c.Replication).
			WithHint("start all brokers, or set log.replication to what there are; with fewer than %d the loss of one can lose mail", replicationWanted)
	}
	return unavailable(err, "topic %s could not be made", c.Topic)
}

// awaitTopic waits until every broker that is up knows the new topic: each learns of it by itself, and one that does not know
// it yet would say that it is gone.
func (l *Log) awaitTopic(ctx context.Context) (Identity, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		identity, err := l.identity(ctx)
		if err == nil && identity.Streams > 0 && l.knownToAll(ctx, identity) {
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

// knownToAll asks each broker for itself. One that does not answer is away; it knows the topic before it serves again.
func (l *Log) knownToAll(ctx context.Context, identity Identity) bool {
	response, err := l.describe(ctx)
	if err != nil {
		return false
	}
	for _, b := range response.Brokers {
		answer, err := l.topicRequest().RequestWith(ctx, l.client.Broker(int(b.NodeID)))
		if err != nil {
			continue
		}
		if len(answer.Topics) != 1 || answer.Topics[0].TopicID != identity.TopicID {
			return false
		}
		for _, p := range answer.Topics[0].Partitions {
			if p.Leader < 0 {
				return false
			}
		}
	}
	return true
}
