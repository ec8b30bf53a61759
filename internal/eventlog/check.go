package eventlog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Warning is a setting of the brokers or of the topic with which the promise holds less than it should.
type Warning struct {
	Setting string
	Value   string // as found
	Want    string
	Why     string // what can happen
	Mend    string // what to do
}

// Three copies, of which two have every confirmed record, survive the loss of one broker without a loss of records and
// without a pause.
const (
	replicationWanted = 3
	inSyncWanted      = 2
)

// Check looks for settings that are not safe. It asks and changes nothing. What the brokers do not tell (for want of a
// permission, or because they do not know the setting) is not warned of, but for the topic's settings as a whole.
func (l *Log) Check(ctx context.Context) ([]Warning, error) {
	ctx, cancel := context.WithTimeout(ctx, l.config.AppendTimeout)
	defer cancel()
	metadata, err := l.describe(ctx)
	if err != nil {
		return nil, err
	}
	topic := metadata.Topics[0]
	if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
		return nil, l.offsetsError(ctx, err)
	}
	warnings := l.checkWire()
	warnings = append(warnings, checkCopies(metadata)...)
	settings, err := l.topicSettings(ctx)
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		warnings = append(warnings, Warning{"topic settings", "not readable", "readable",
			"unsafe settings cannot be noticed", "grant DescribeConfigs on topic " + l.config.Topic})
	case err != nil:
		return nil, interrupted(ctx, err, "asking for the settings of the event log")
	default:
		warnings = append(warnings, l.checkSettings(settings)...)
	}
	if len(metadata.Brokers) > 1 {
		warnings = append(warnings, l.checkElection(ctx)...)
	}
	return warnings, nil
}

// checkWire warns of brokers elsewhere that are spoken to in the clear.
func (l *Log) checkWire() []Warning {
	if l.config.TLS != nil {
		return nil
	}
	for _, broker := range l.config.Brokers {
		host, _, err := net.SplitHostPort(broker)
		if addr, parsed := netip.ParseAddr(host); err != nil || (parsed == nil && addr.IsLoopback()) || host == "localhost" {
			continue
		}
		return []Warning{{"security.protocol", "plaintext", "TLS",
			"records hold subjects and addresses, readable on the network",
			"give the brokers a TLS listener and configure it"}}
	}
	return nil
}

func checkCopies(metadata *kmsg.MetadataResponse) []Warning {
	var warnings []Warning
	if brokers := len(metadata.Brokers); brokers < replicationWanted {
		warnings = append(warnings, Warning{"brokers", strconv.Itoa(brokers), fmt.Sprintf("at least %d", replicationWanted),
			"while a broker is down, mail for replicated accounts waits; if its disk is lost, so are records",
			"add brokers, with power of their own"})
	}
	partitions := metadata.Topics[0].Partitions
	copies, behind := replicationWanted, 0
	for _, p := range partitions {
		copies = min(copies, len(p.Replicas))
		if len(p.ISR) < len(p.Replicas) {
			behind++
		}
	}
	if copies < replicationWanted {
		warnings = append(warnings, Warning{"replication.factor", strconv.Itoa(copies), strconv.Itoa(replicationWanted),
			"the loss of a broker can lose records that were confirmed",
			"reassign the topic's partitions to three brokers (kafka-reassign-partitions.sh)"})
	}
	if behind > 0 {
		warnings = append(warnings, Warning{"in-sync replicas", fmt.Sprintf("%d of %d streams lack some", behind, len(partitions)),
			"all", "a broker is down or behind", "look at the brokers' logs"})
	}
	return warnings
}

// checkSettings judges the topic's settings, the brokers' defaults included.
func (l *Log) checkSettings(settings map[string]string) []Warning {
	var warnings []Warning
	mend := func(setting, value string) string {
		return fmt.Sprintf("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s=%s",
			l.config.Topic, setting, value)
	}
	warn := func(setting, want, value, why string) {
		warnings = append(warnings, Warning{setting, settings[setting], want, why, mend(setting, value)})
	}
	number := func(setting string, absent int64) int64 {
		n, err := strconv.ParseInt(settings[setting], 10, 64)
		if err != nil {
			return absent
		}
		return n
	}
	if number("min.insync.replicas", inSyncWanted) < inSyncWanted {
		warn("min.insync.replicas", "2", "2", "a record can be confirmed by one broker alone, and be lost with it")
	}
	if settings["unclean.leader.election.enable"] == "true" {
		warn("unclean.leader.election.enable", "false", "false", "a broker that is behind can become the leader and cut off confirmed records")
	}
	if policy, known := settings["cleanup.policy"]; known && policy != "delete" {
		warn("cleanup.policy", "delete", "delete", "compaction removes records from the middle of a stream; copies become gap")
	}
	if ms := number("retention.ms", -1); ms >= 0 && l.config.Retention != 0 {
		wanted := l.config.Retention.Milliseconds()
		if l.config.Retention < 0 {
			wanted = -1
		}
		if wanted < 0 || ms < wanted {
			warn("retention.ms", strconv.FormatInt(wanted, 10), strconv.FormatInt(wanted, 10),
				fmt.Sprintf("a mailstore that is away for longer than %v must copy its mailboxes anew", time.Duration(ms)*time.Millisecond))
		}
	}
	if number("retention.bytes", -1) >= 0 {
		warn("retention.bytes", "-1", "-1", "much mail can push out records before the time that retention.ms grants")
	}
	if room := number("max.message.bytes", int64(l.config.batchBytesMax())); room < int64(l.config.batchBytesMax()) {
		size := strconv.Itoa(int(l.config.batchBytesMax()))
		warn("max.message.bytes", "at least "+size, size, "large transactions are refused, and stay in doubt")
	}
	return warnings
}

func (l *Log) topicSettings(ctx context.Context) (map[string]string, error) {
	resources, err := l.admin.DescribeTopicConfigs(ctx, l.config.Topic)
	if err != nil {
		return nil, err
	}
	resource, err := resources.On(l.config.Topic, nil)
	if err == nil {
		err = resource.Err
	}
	if err != nil {
		return nil, err
	}
	settings := make(map[string]string, len(resource.Configs))
	for _, c := range resource.Configs {
		if c.Value != nil {
			settings[c.Key] = *c.Value
		}
	}
	return settings, nil
}

// checkElection warns if the cluster may elect a leader that lacks confirmed records after all in-sync brokers failed
// one after another (KIP-966). The feature exists since Kafka 4.0 and is on by default in new clusters since 4.1.
func (l *Log) checkElection(ctx context.Context) []Warning {
	const feature = "eligible.leader.replicas.version"
	versions, err := l.admin.ApiVersions(ctx)
	if err != nil {
		return nil
	}
	for _, broker := range versions.Sorted() {
		raw := broker.Raw()
		if broker.Err != nil || raw == nil {
			continue
		}
		level := 0
		for _, f := range raw.FinalizedFeatures {
			if f.Name == feature {
				level = int(f.MaxVersionLevel)
			}
		}
		if level < 1 {
			return []Warning{{feature, strconv.Itoa(level), "1",
				"the last in-sync broker can crash without having written, and be elected all the same",
				"use Kafka 4.1 or later; kafka-features.sh upgrade --feature " + feature + "=1"}}
		}
		return nil
	}
	return nil
}
