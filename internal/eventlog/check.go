package eventlog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

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
	warnings := append(l.checkCluster(ctx, metadata), l.checkCopies(metadata)...)
	settings, err := l.topicSettings(ctx)
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return append(warnings, Warning{"topic settings", "not readable", "readable",
			"unsafe settings cannot be noticed", "grant DescribeConfigs on topic " + l.config.Topic}), nil
	case err != nil:
		return nil, interrupted(ctx, err, "asking for the settings of the event log")
	}
	return append(warnings, l.checkSettings(settings, copiesOf(topic))...), nil
}

// checkCluster is for what does not need the topic.
func (l *Log) checkCluster(ctx context.Context, metadata *kmsg.MetadataResponse) []Warning {
	warnings := l.checkWire()
	if brokers := len(metadata.Brokers); brokers < replicationWanted {
		warnings = append(warnings, Warning{"brokers", strconv.Itoa(brokers), fmt.Sprintf("at least %d", replicationWanted),
			"while a broker is down, mail for replicated accounts waits; if its disk is lost, so are records",
			"add brokers with power of their own, or start those that are down"})
	}
	if len(metadata.Brokers) > 1 {
		warnings = append(warnings, l.checkElection(ctx)...)
	}
	return append(warnings, l.checkBroker(ctx, metadata)...)
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
		why := "records hold subjects and addresses, readable on the network"
		if l.config.SASL.Mechanism != "" {
			why += "; so are signs of the password"
		}
		return []Warning{{"security.protocol", "plaintext", "TLS", why,
			"give the brokers a listener with SSL or SASL_SSL, name its port in brokers, and set log.tls (and log.ca)"}}
	}
	return nil
}

// copiesOf is the number of copies that every stream has at least.
func copiesOf(topic kmsg.MetadataResponseTopic) int {
	copies := replicationWanted
	for _, p := range topic.Partitions {
		copies = min(copies, len(p.Replicas))
	}
	return copies
}

// checkCopies looks at where the copies of the streams are.
func (l *Log) checkCopies(metadata *kmsg.MetadataResponse) []Warning {
	var warnings []Warning
	partitions := metadata.Topics[0].Partitions
	if copies := copiesOf(metadata.Topics[0]); copies < replicationWanted {
		warnings = append(warnings, Warning{"replication.factor", strconv.Itoa(copies), strconv.Itoa(replicationWanted),
			"the loss of a broker can lose records that were confirmed",
			fmt.Sprintf("give each stream of topic %s three replicas: kafka-reassign-partitions.sh --bootstrap-server %s --execute "+
				"--reassignment-json-file F", l.config.Topic, l.config.Brokers[0])})
	}
	behind, together := 0, 0
	for _, p := range partitions {
		if len(p.ISR) < len(p.Replicas) {
			behind++
		}
		if inOneRack(metadata.Brokers, p.Replicas) {
			together++
		}
	}
	if behind > 0 {
		warnings = append(warnings, Warning{"in-sync replicas", fmt.Sprintf("%d of %d streams lack some", behind, len(partitions)),
			"all", "a broker is down or behind; with one more, mail for replicated accounts waits", "start it; else look at the brokers' logs"})
	}
	if together > 0 {
		warnings = append(warnings, Warning{"broker.rack", fmt.Sprintf("%d of %d streams have all replicas in one rack", together, len(partitions)),
			"several racks", "the loss of a rack loses records that were confirmed",
			"spread the replicas over the racks: kafka-reassign-partitions.sh"})
	}
	return warnings
}

// inOneRack says whether several replicas are in one rack though the brokers are in several. Brokers need not name racks.
func inOneRack(brokers []kmsg.MetadataResponseBroker, replicas []int32) bool {
	racks, used := make(map[string]bool), make(map[string]bool)
	for _, b := range brokers {
		if b.Rack == nil {
			return false
		}
		racks[*b.Rack] = true
		if slices.Contains(replicas, b.NodeID) {
			used[*b.Rack] = true
		}
	}
	return len(replicas) > 1 && len(racks) > 1 && len(used) == 1
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
				fmt.Sprintf("with Kafka 4.1 or later: kafka-features.sh --bootstrap-server %s upgrade --feature %s=1", l.config.Brokers[0], feature)}}
		}
		return nil
	}
	return nil
}
