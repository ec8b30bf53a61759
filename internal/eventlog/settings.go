package eventlog

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// checkSettings judges the topic's settings, the brokers' defaults included.
func (l *Log) checkSettings(settings map[string]string, copies int) []Warning {
	var warnings []Warning
	mend := func(setting, value string) string {
		return fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s",
			l.config.Brokers[0], l.config.Topic, setting, value)
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
	switch inSync := int(number("min.insync.replicas", inSyncWanted)); {
	case inSync < inSyncWanted:
		warn("min.insync.replicas", "2", "2", "a record can be confirmed by one broker alone, and be lost with it")
	case inSync >= copies && copies > inSyncWanted:
		warn("min.insync.replicas", "2", "2", "mail for replicated accounts waits while any broker is down")
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
	if settings["message.timestamp.type"] == "CreateTime" {
		warn("message.timestamp.type", "LogAppendTime", "LogAppendTime",
			"of a mailstore whose clock is behind records are removed too early, and of one whose clock is ahead they are refused")
	}
	return warnings
}

// checkBroker looks at the settings of a broker itself. They are the same on all, or should be.
func (l *Log) checkBroker(ctx context.Context, metadata *kmsg.MetadataResponse) []Warning {
	if len(metadata.Brokers) == 0 {
		return nil
	}
	id := metadata.Brokers[0].NodeID
	resources, err := l.admin.DescribeBrokerConfigs(ctx, id)
	if err != nil {
		return nil // it may ask for a permission that an account of its own does not have
	}
	resource, err := resources.On(strconv.Itoa(int(id)), nil)
	if err != nil || resource.Err != nil {
		return nil
	}
	var warnings []Warning
	settings := settingsOf(resource)
	mend := func(assignment string) string {
		return assignment + " in server.properties of every broker and controller, and restart them one after another"
	}
	if settings["auto.create.topics.enable"] == "true" {
		warnings = append(warnings, Warning{"auto.create.topics.enable", "true", "false",
			"a topic that was deleted comes back by itself, empty and with one replica", mend("auto.create.topics.enable=false")})
	}
	// A record waits for every broker in sync: until one that is silent is taken out, nothing is confirmed.
	for _, setting := range []string{"broker.session.timeout.ms", "replica.lag.time.max.ms"} {
		ms, err := strconv.ParseInt(settings[setting], 10, 64)
		if err == nil && time.Duration(ms)*time.Millisecond >= l.config.AppendTimeout {
			wanted := strconv.FormatInt(l.config.AppendTimeout.Milliseconds()/2, 10)
			warnings = append(warnings, Warning{setting, settings[setting], "at most " + wanted,
				fmt.Sprintf("a broker that is silent holds up appends until they fail after %v", l.config.AppendTimeout), mend(setting + "=" + wanted)})
		}
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
	return settingsOf(resource), nil
}

func settingsOf(resource kadm.ResourceConfig) map[string]string {
	settings := make(map[string]string, len(resource.Configs))
	for _, c := range resource.Configs {
		if c.Value != nil {
			settings[c.Key] = *c.Value
		}
	}
	return settings
}
