package eventlog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"mailreplica/internal/fault"
)

// Report is what TestBrokers found out.
type Report struct {
	ClusterID string
	Version   string // the brokers' version, as far as it can be guessed
	Brokers   []BrokerReport
	RoundTrip RoundTrip
	Topic     string    // of the event log, if Config names one
	Streams   int32     // 0: the topic does not exist yet
	Warnings  []Warning // of the brokers, and of the topic if it exists
}

// BrokerReport is one broker under the address that the cluster gives to clients.
type BrokerReport struct {
	ID           int32
	Address      string
	Rack         string
	Controller   bool
	AnswerMillis float64
	Error        string // empty if the broker answers under this address
}

// RoundTrip is one record written to a topic made for it, and read back.
type RoundTrip struct {
	AppendMillis float64
	ReadMillis   float64
	Refused      string // why it was not done, empty if it was; the facts above hold all the same
}

// probeTopic is the topic of a Config that names none.
const probeTopic = "mailreplica-test"

// TestBrokers looks at brokers before they are used: whether they answer, each under the address that clients are told,
// whether a record can be written and read back, and which settings are unsafe. The record goes through a topic of its
// own, which is deleted. The error is of kind LogUnavailable if no broker answers.
func TestBrokers(ctx context.Context, config Config) (Report, error) {
	named := config.Topic
	if named == "" {
		config.Topic = probeTopic
	}
	config, err := config.withDefaults()
	if err != nil {
		return Report{}, err
	}
	options, err := config.options(newContact())
	if err != nil {
		return Report{}, err
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return Report{}, fault.Wrap(fault.Invalid, err, "the event log's settings are not usable")
	}
	defer client.Close()
	report, err := lookAround(ctx, client, config)
	if err != nil {
		return Report{}, err
	}
	report.RoundTrip = roundTrip(ctx, config, len(report.Brokers))
	report.Topic = named
	return report, lookAtTopic(ctx, config, &report)
}

// lookAround asks for the brokers, and then each of them.
func lookAround(ctx context.Context, client *kgo.Client, config Config) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, config.AppendTimeout)
	defer cancel()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // none; nil would mean all
	metadata, err := request.RequestWith(ctx, client)
	if err != nil {
		if refused := firstRefusal(err); refused != nil {
			return Report{}, refused
		}
		return Report{}, interrupted(ctx, err, "connecting to the brokers")
	}
	var report Report
	if metadata.ClusterID != nil {
		report.ClusterID = *metadata.ClusterID
	}
	for _, b := range metadata.Brokers {
		found := BrokerReport{ID: b.NodeID, Address: net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))),
			Controller: b.NodeID == metadata.ControllerID}
		if b.Rack != nil {
			found.Rack = *b.Rack
		}
		ask := kmsg.NewPtrApiVersionsRequest()
		ask.ClientSoftwareName, ask.ClientSoftwareVersion = "mailreplica", "1"
		started := time.Now()
		answer, err := client.Broker(int(b.NodeID)).Request(ctx, ask)
		found.AnswerMillis = millisSince(started)
		if err != nil {
			found.Error = "does not answer under this address"
			if refused := firstRefusal(err); refused != nil {
				found.Error = fault.Message(refused)
			}
		} else if versions, ok := answer.(*kmsg.ApiVersionsResponse); ok && report.Version == "" {
			report.Version = kversion.FromApiVersionsResponse(versions).VersionGuess()
		}
		report.Brokers = append(report.Brokers, found)
	}
	return report, nil
}

// roundTrip writes a record and reads it back, through a topic made for it.
func roundTrip(ctx context.Context, config Config, brokers int) RoundTrip {
	var random [8]byte
	rand.Read(random[:])
	config.Topic = probeTopic + "-" + hex.EncodeToString(random[:])
	config.Streams, config.Replication = 1, int16(min(replicationWanted, max(1, brokers)))
	config.Expect = Identity{}
	l, err := Open(ctx, config)
	if err != nil {
		return RoundTrip{Refused: refusedRoundTrip(err)}
	}
	defer l.Close()
	defer func() { // also when ctx has ended meanwhile
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.AppendTimeout)
		defer cancel()
		l.admin.DeleteTopics(ctx, config.Topic)
	}()
	started := time.Now()
	appended := make(chan error, 1)
	l.Append(0, nil, random[:], func(err error) { appended <- err })
	if err := <-appended; err != nil { // within AppendTimeout
		return RoundTrip{Refused: refusedRoundTrip(err)}
	}
	result := RoundTrip{AppendMillis: millisSince(started)}
	started = time.Now()
	err = l.ReadRange(ctx, 0, 0, 1, func(entries []Entry) error {
		if string(entries[0].Value) != string(random[:]) {
			return fault.New(fault.Internal, "another record came back")
		}
		return nil
	})
	if err != nil {
		return RoundTrip{Refused: refusedRoundTrip(err)}
	}
	result.ReadMillis = millisSince(started)
	return result
}

func refusedRoundTrip(err error) string {
	for _, denied := range []error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed} {
		if errors.Is(err, denied) {
			return "not authorised to make, write or read a topic"
		}
	}
	return fault.Message(err)
}

// lookAtTopic adds what is unsafe of the brokers, and of the event log's own topic, if it exists; it does not make it.
func lookAtTopic(ctx context.Context, config Config, report *Report) error {
	l, err := connect(config)
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(ctx, config.AppendTimeout)
	defer cancel()
	metadata, err := l.describe(ctx)
	if err != nil {
		return err
	}
	topic := metadata.Topics[0]
	if report.Topic == "" || isTopicGone(kerr.ErrorForCode(topic.ErrorCode)) {
		report.Warnings = l.checkCluster(ctx, metadata)
		return nil
	}
	report.Streams = int32(len(topic.Partitions))
	report.Warnings, err = l.Check(ctx)
	return err
}

func millisSince(started time.Time) float64 {
	return float64(time.Since(started).Microseconds()) / 1000
}
