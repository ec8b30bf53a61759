package eventlog

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"mailreplica/internal/fault"
)

// Config says where the event log is and how it is used. Brokers and Topic are mandatory; a zero value elsewhere takes
// the default that the field names.
type Config struct {
	Brokers []string // host:port, as ParseBrokers gives them
	Topic   string

	// Streams, Replication and Retention are used when the topic is made; an existing topic is left as it is, and
	// Check says where it differs.
	Streams     int32         // default 16
	Replication int16         // default 1
	Retention   time.Duration // default: what the brokers have; negative keeps records for ever

	// Expect is the topic that the caller knows from before. If it is not zero, Open makes no topic and refuses
	// another one.
	Expect Identity

	AppendTimeout  time.Duration // bound on a confirmation and on every request; default 10 s, at least 1 s
	LingerMax      time.Duration // how long a record may wait for company; default 0, the mailstore batches itself
	RecordBytesMax int           // key and value of one record; default 950,000, which fits the brokers' own default
	Compression    string        // none (default), lz4, snappy or zstd

	ClientID string      // default mailreplica
	TLS      *tls.Config // nil: plaintext
	SASL     SASL
	Logger   *slog.Logger // default: discard

	// Dial connects to a broker; nil uses TCP, or TLS. Simulations give their network here.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// topicSettings are those that the topic is made with. All that matters is said, whatever the brokers' defaults are.
func (c Config) topicSettings() map[string]string {
	settings := map[string]string{
		"cleanup.policy":                 "delete",
		"max.message.bytes":              strconv.Itoa(int(c.batchBytesMax()) + topicRoomBytes),
		"min.insync.replicas":            strconv.Itoa(min(inSyncWanted, int(c.Replication))),
		"unclean.leader.election.enable": "false",
		"retention.bytes":                "-1",
		// By the clocks of the brokers, of which retention then speaks. With those of the mailstores, the records of one
		// whose clock is behind would be removed too early, and those of one whose clock is ahead be refused.
		"message.timestamp.type": "LogAppendTime",
	}
	if c.Retention > 0 {
		settings["retention.ms"] = strconv.FormatInt(c.Retention.Milliseconds(), 10)
	} else if c.Retention < 0 {
		settings["retention.ms"] = "-1"
	}
	return settings
}

// SASL is how a client authenticates to the brokers. The zero value does not.
type SASL struct {
	Mechanism string // empty, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User      string
	Password  string
}

// String is without the password, so that none comes into a log by chance.
func (s SASL) String() string {
	if s.Mechanism == "" {
		return "no authentication"
	}
	return s.Mechanism + " as " + s.User
}

// GoString is String: for %#v.
func (s SASL) GoString() string { return s.String() }

const (
	streamsDefault        = 16
	recordBytesMaxDefault = 950_000
	recordBytesMaxLimit   = 64 << 20
	topicRoomBytes        = 1024
	recordOverheadBytes   = 50_012 // batch header, lengths, compression's worst case: rounds the default to kgo's
	appendTimeoutDefault  = 10 * time.Second
	appendTimeoutMin      = time.Second

	// bufferedRecordsMax and bufferedBytesMax bound what waits for brokers that are slow or away. Beyond them Append
	// refuses at once instead of blocking.
	bufferedRecordsMax = 200_000
	bufferedBytesMax   = 256 << 20

	fetchWaitMax           = 100 * time.Millisecond // how late a newly followed stream can join a waiting fetch
	fetchBytesMax          = 16 << 20
	fetchPartitionBytesMax = 2 << 20
)

func (c Config) withDefaults() (Config, error) {
	if len(c.Brokers) == 0 {
		return c, fault.New(fault.Invalid, "no brokers are configured").
			WithHint("run config set global brokers host:port,…")
	}
	if c.Topic == "" {
		return c, fault.New(fault.Invalid, "the event log's topic has no name")
	}
	if c.Streams == 0 {
		c.Streams = streamsDefault
	}
	if c.Replication == 0 {
		c.Replication = 1
	}
	if c.AppendTimeout == 0 {
		c.AppendTimeout = appendTimeoutDefault
	}
	c.AppendTimeout = max(c.AppendTimeout, appendTimeoutMin)
	if c.RecordBytesMax == 0 {
		c.RecordBytesMax = recordBytesMaxDefault
	}
	if c.Streams < 0 || c.Replication < 0 || c.LingerMax < 0 || c.RecordBytesMax < 0 || c.RecordBytesMax > recordBytesMaxLimit {
		return c, fault.New(fault.Invalid, "a setting of the event log is out of range")
	}
	if c.ClientID == "" {
		c.ClientID = "mailreplica"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// batchBytesMax is the largest batch that is sent, counted before compression.
func (c Config) batchBytesMax() int32 { return int32(c.RecordBytesMax + recordOverheadBytes) }

// patience is how long a broker may take to connect or to answer. A broker that is frozen, or cut off without a word, is given
// up after one (a fetch, a question) or two of them (an append): early enough for the record to reach the leader that the
// others have elected meanwhile, within AppendTimeout.
func (c Config) patience() time.Duration { return max(time.Second, c.AppendTimeout/4) }

// options are those of every client; contact learns from each of them whether brokers answer.
func (c Config) options(contact *contact) ([]kgo.Opt, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.WithLogger(clientLogger{c.Logger}),
		kgo.WithHooks(contact),
		kgo.DialTimeout(c.patience()),
		kgo.RequestTimeoutOverhead(c.patience()),
		kgo.RetryBackoffFn(backoff),
		kgo.RetryTimeout(c.AppendTimeout),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.MetadataMaxAge(c.patience()), // a leader that is frozen does not say that another was elected
		kgo.DisableClientMetrics(),
	}
	switch {
	case c.Dial != nil:
		options = append(options, kgo.Dialer(c.Dial))
	case c.TLS != nil:
		options = append(options, kgo.DialTLSConfig(c.TLS))
	}
	mechanism, err := c.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		options = append(options, kgo.SASL(mechanism))
	}
	return options, nil
}

// backoff between tries; brokers that come back are used again within half a second.
func backoff(tries int) time.Duration {
	return min(500*time.Millisecond, 20*time.Millisecond<<min(tries, 10))
}

func (c Config) producerOptions() ([]kgo.Opt, error) {
	codecs := map[string]kgo.CompressionCodec{
		"": kgo.NoCompression(), "none": kgo.NoCompression(), "lz4": kgo.Lz4Compression(),
		"snappy": kgo.SnappyCompression(), "zstd": kgo.ZstdCompression(),
	}
	codec, known := codecs[c.Compression]
	if !known {
		return nil, fault.New(fault.Invalid, "%q is no compression (none, lz4, snappy, zstd)", c.Compression)
	}
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(c.LingerMax),
		kgo.ProducerBatchMaxBytes(c.batchBytesMax()),
		kgo.ProducerBatchCompression(codec),
		kgo.ProduceRequestTimeout(c.patience()), // the connection is given up as long after that
		kgo.RecordDeliveryTimeout(c.AppendTimeout),
		// Without this, a record that was sent and not answered could not time out at all: it, and every later
		// record of its stream, would wait for as long as the brokers are away. The price is that a record
		// reported as in doubt may land later, which every reader judges anyway (design section 4, rule 4).
		kgo.AllowIdempotentProduceCancellation(),
		kgo.MaxBufferedRecords(bufferedRecordsMax + 1), // Append counts, and refuses before
	}, nil
}

func (c Config) consumerOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // kgo's default would rewind silently
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.FetchMinBytes(1),
		kgo.FetchMaxWait(fetchWaitMax),
		kgo.FetchMaxBytes(fetchBytesMax),
		kgo.FetchMaxPartitionBytes(fetchPartitionBytesMax),
	}
}

func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch strings.ToUpper(s.Mechanism) {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism(), nil
	}
	return nil, fault.New(fault.Invalid, "%q is no authentication of brokers (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512)", s.Mechanism)
}
