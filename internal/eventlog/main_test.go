package eventlog_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"mailreplica/internal/engine/kafka"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
)

// shared is the Kafka cluster that all tests of this binary use, each with a topic of its own. Clients come in over TLS and
// with a password. It is started by the first test that needs it.
var shared struct {
	start   sync.Once
	folder  string
	cluster *kafka.Cluster
	roots   *x509.CertPool
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.cluster != nil {
		shared.cluster.Close()
	}
	if shared.folder != "" {
		os.RemoveAll(shared.folder)
	}
	os.Exit(code)
}

func startShared() {
	if shared.folder, shared.err = os.MkdirTemp("", "eventlog-kafka-"); shared.err != nil {
		return
	}
	shared.cluster, shared.err = kafka.Start(context.Background(), kafka.Options{Folder: shared.folder, TLS: true, SCRAM: true,
		Settings: map[string]string{"file.delete.delay.ms": "0"}})
	if shared.err != nil {
		return
	}
	var text []byte
	if text, shared.err = os.ReadFile(shared.cluster.CAFile()); shared.err == nil {
		shared.roots = x509.NewCertPool()
		shared.roots.AppendCertsFromPEM(text)
	}
}

// world is where a test has its topic: the embedded broker, or the Kafka cluster.
type world struct {
	config   eventlog.Config
	embedded *broker.Broker // nil: Kafka
	cluster  *kafka.Cluster // nil: embedded
}

// both runs a test against the embedded broker and against Kafka.
func both(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("embedded", func(t *testing.T) {
		b := brokertest.StartBroker(t, broker.Config{})
		test(t, &world{config: configFor(b.Address()), embedded: b})
	})
	t.Run("kafka", func(t *testing.T) { test(t, kafkaWorld(t)) })
}

func kafkaWorld(t testing.TB) *world {
	t.Helper()
	shared.start.Do(startShared)
	if shared.err != nil {
		t.Fatalf("starting Kafka: %v", shared.err)
	}
	c := shared.cluster
	w := &world{cluster: c, config: eventlog.Config{
		Brokers: c.Addrs(), Topic: "mail-" + rand.Text(), Streams: 8, Replication: 3,
		TLS: &tls.Config{RootCAs: shared.roots}, SASL: eventlog.SASL{Mechanism: "SCRAM-SHA-512", User: c.Username(), Password: c.Password()},
	}}
	t.Cleanup(func() { w.deleteTopic(t) })
	return w
}

// open opens the log of the world.
func (w *world) open(t testing.TB) *eventlog.Log {
	t.Helper()
	return openLog(t, w.config)
}

// admin does to brokers what an operator does.
func (w *world) admin(t testing.TB) *kadm.Client {
	t.Helper()
	return kadm.NewClient(w.client(t))
}

// client is of the test's own.
func (w *world) client(t testing.TB) *kgo.Client {
	t.Helper()
	options := []kgo.Opt{
		kgo.SeedBrokers(w.config.Brokers...), kgo.DisableClientMetrics(), kgo.MetadataMinAge(20 * time.Millisecond),
		// Another broker is asked soon if one is frozen: by default a connection to it, and a question, may take 10 s each.
		kgo.DialTimeout(2 * time.Second), kgo.RequestTimeoutOverhead(2 * time.Second),
	}
	if w.config.TLS != nil {
		options = append(options, kgo.DialTLSConfig(w.config.TLS))
	}
	if w.config.SASL.User != "" {
		options = append(options, kgo.SASL(scram.Auth{User: w.config.SASL.User, Pass: w.config.SASL.Password}.AsSha512Mechanism()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// deleteRecords trims a stream of the topic: what lies below an offset goes.
func (w *world) deleteRecords(t testing.TB, stream int32, below int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: w.config.Topic, Partition: stream, At: below})
	answers, err := w.admin(t).DeleteRecords(within(t), offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		t.Fatalf("trimming stream %d: %v", stream, err)
	}
}

func (w *world) deleteTopic(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience) // it may be the end of the test
	defer cancel()
	answers, err := w.admin(t).DeleteTopics(ctx, w.config.Topic)
	if err == nil {
		err = answers.Error()
	}
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("deleting the topic: %v", err)
	}
	w.awaitTopic(ctx, t, func(found kmsg.MetadataResponseTopic) bool {
		return found.ErrorCode == kerr.UnknownTopicOrPartition.Code
	})
}

// awaitTopic waits until what every broker that is up tells of the topic is as the test needs it: each learns by itself.
func (w *world) awaitTopic(ctx context.Context, t testing.TB, ok func(kmsg.MetadataResponseTopic) bool) {
	t.Helper()
	client := w.client(t)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	request := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &w.config.Topic
	request.Topics = append(request.Topics, topic)
	for ; ; <-again.C {
		response, err := request.RequestWith(ctx, client)
		if err == nil && !slices.ContainsFunc(response.Brokers, func(b kmsg.MetadataResponseBroker) bool {
			answer, err := request.RequestWith(ctx, client.Broker(int(b.NodeID)))
			return err != nil || !ok(answer.Topics[0])
		}) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the brokers do not come to agree on topic %s: %v, %+v", w.config.Topic, err, response)
		}
	}
}

// makeTopic makes the topic as somebody would who knows nothing of how it should be.
func (w *world) makeTopic(t testing.TB, settings map[string]string) {
	t.Helper()
	given := make(map[string]*string)
	for name, value := range settings {
		given[name] = &value
	}
	_, err := w.admin(t).CreateTopic(within(t), 8, max(1, w.config.Replication), given, w.config.Topic)
	if err != nil {
		t.Fatalf("making the topic: %v", err)
	}
	w.awaitTopic(within(t), t, func(found kmsg.MetadataResponseTopic) bool { return found.ErrorCode == 0 && len(found.Partitions) == 8 })
}

// logBytes is what one copy of the topic takes on a broker's disk.
func (w *world) logBytes(t testing.TB) int64 {
	t.Helper()
	dirs, err := w.admin(t).DescribeBrokerLogDirs(within(t), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	dirs.EachPartition(func(p kadm.DescribedLogDirPartition) {
		if p.Topic == w.config.Topic {
			size += p.Size
		}
	})
	return size
}
