package eventlog_test

import (
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/fault"
)

func settingsOf(warnings []eventlog.Warning) string {
	var settings []string
	for _, w := range warnings {
		settings = append(settings, w.Setting)
	}
	sort.Strings(settings)
	return strings.Join(settings, " ")
}

// threeBrokers is a cluster with what one embedded broker cannot have.
func threeBrokers(t *testing.T, topic map[string]string) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	if err := cluster.CreateTopic("mail", 4, topic); err != nil {
		t.Fatal(err)
	}
	return cluster
}

func TestCheck(t *testing.T) {
	safe := map[string]string{"min.insync.replicas": "2", "cleanup.policy": "delete", "retention.ms": "604800000",
		"message.timestamp.type": "LogAppendTime"}
	with := func(key, value string) map[string]string {
		settings := map[string]string{key: value}
		for k, v := range safe {
			if k != key {
				settings[k] = v
			}
		}
		return settings
	}
	tests := []struct {
		name  string
		topic map[string]string
		want  string
	}{
		{"safe", safe, ""},
		{"min.insync.replicas", with("min.insync.replicas", "1"), "min.insync.replicas"},
		{"all must be in sync", with("min.insync.replicas", "3"), "min.insync.replicas"},
		{"unclean election", with("unclean.leader.election.enable", "true"), "unclean.leader.election.enable"},
		{"clocks of mailstores", with("message.timestamp.type", "CreateTime"), "message.timestamp.type"},
		{"compaction", with("cleanup.policy", "compact"), "cleanup.policy"},
		{"short retention", with("retention.ms", "1000"), "retention.ms"},
		{"retention for ever", with("retention.ms", "-1"), ""},
		{"retention by size", with("retention.bytes", "1000"), "retention.bytes"},
		{"small records", with("max.message.bytes", "1000"), "max.message.bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cluster := threeBrokers(t, test.topic)
			config := configFor(cluster.ListenAddrs()[0])
			config.Retention = 24 * time.Hour
			warnings, err := openLog(t, config).Check(within(t))
			if err != nil {
				t.Fatal(err)
			}
			var judged []eventlog.Warning
			for _, w := range warnings { // the fake cluster may lack this feature of Kafka
				if w.Setting != "eligible.leader.replicas.version" {
					judged = append(judged, w)
				}
			}
			if got := settingsOf(judged); got != test.want {
				t.Errorf("got warnings of %q, want %q", got, test.want)
			}
			wantWords(t, warnings)
		})
	}
}

func wantWords(t *testing.T, warnings []eventlog.Warning) {
	t.Helper()
	for _, w := range warnings {
		if w.Want == "" || w.Why == "" || w.Mend == "" {
			t.Errorf("a warning lacks words: %+v", w)
		}
	}
}

// Of what the log makes by itself on three brokers nothing is unsafe.
func TestCheckKafka(t *testing.T) {
	w := kafkaWorld(t)
	w.config.Retention = 24 * time.Hour
	warnings, err := w.open(t).Check(within(t))
	if err != nil || len(warnings) > 0 {
		t.Errorf("got %+v, %v, want no warnings", warnings, err)
	}
	report, err := eventlog.TestBrokers(within(t), w.config)
	if err != nil {
		t.Fatal(err)
	}
	if report.RoundTrip.Refused != "" || report.RoundTrip.AppendMillis <= 0 || len(report.Brokers) != 3 || len(report.Warnings) > 0 || report.Streams != 8 {
		t.Errorf("got %+v, want three brokers, a round trip and no warnings", report)
	}
	for _, b := range report.Brokers {
		if b.Error != "" || b.Rack == "" {
			t.Errorf("got %+v, want a broker that answers, in a rack", b)
		}
	}
}

// What a warning tells to do ends the warning.
func TestMend(t *testing.T) {
	w := kafkaWorld(t)
	w.config.Retention = 24 * time.Hour
	w.makeTopic(t, map[string]string{"min.insync.replicas": "1", "unclean.leader.election.enable": "true", "cleanup.policy": "compact",
		"retention.ms": "3600000", "retention.bytes": "1000000", "max.message.bytes": "1000", "message.timestamp.type": "CreateTime"})
	l := w.open(t)
	warnings, err := l.Check(within(t))
	if err != nil {
		t.Fatal(err)
	}
	want := "cleanup.policy max.message.bytes message.timestamp.type min.insync.replicas retention.bytes retention.ms unclean.leader.election.enable"
	if got := settingsOf(warnings); got != want {
		t.Errorf("got warnings of %q, want %q", got, want)
	}
	wantWords(t, warnings)
	var alter []kadm.AlterConfig
	for _, warning := range warnings {
		command, assignment, _ := strings.Cut(warning.Mend, " --add-config ")
		name, value, _ := strings.Cut(assignment, "=")
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
		if want := "kafka-configs.sh --bootstrap-server " + w.config.Brokers[0] + " --alter --entity-type topics --entity-name " + w.config.Topic; command != want {
			t.Errorf("got %q, want %q", command, want)
		}
	}
	answers, err := w.admin(t).AlterTopicConfigs(within(t), alter, w.config.Topic)
	if err != nil || answers[0].Err != nil {
		t.Fatal(err, answers)
	}
	for again := within(t); len(warnings) > 0; { // each broker learns of it by itself
		if warnings, err = l.Check(again); err != nil {
			t.Fatalf("%v; still warned of %v", err, settingsOf(warnings))
		}
	}
}

// Kafka 4.0 and clusters that came from older versions have no strict rule of who may lead (KIP-966).
func TestCheckElection(t *testing.T) {
	w := kafkaWorld(t)
	l := w.open(t)
	const feature = "eligible.leader.replicas.version"
	level := func(to int16, kind int8) {
		t.Helper()
		request := kmsg.NewPtrUpdateFeaturesRequest()
		update := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		update.Feature, update.MaxVersionLevel, update.UpgradeType = feature, to, kind
		request.FeatureUpdates = append(request.FeatureUpdates, update)
		answer, err := request.RequestWith(within(t), w.client(t))
		if err != nil || answer.ErrorCode != 0 {
			t.Fatalf("setting %s to %d: %v, %+v", feature, to, err, answer)
		}
	}
	await := func(want string) {
		t.Helper()
		for {
			warnings, err := l.Check(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if settingsOf(warnings) == want {
				return
			}
		}
	}
	level(0, 2) // a downgrade that is safe
	defer level(1, 1)
	await(feature)
}

func TestCheckEmbedded(t *testing.T) {
	l, _ := startLog(t)
	warnings, err := l.Check(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := settingsOf(warnings), "brokers min.insync.replicas replication.factor"; got != want {
		t.Errorf("got warnings of %q, want %q", got, want)
	}
}

func TestTestBrokers(t *testing.T) {
	address := brokertest.Start(t)
	config := eventlog.Config{Brokers: []string{address}}
	report, err := eventlog.TestBrokers(within(t), config)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Brokers) != 1 || report.Brokers[0].Address != address || report.Brokers[0].Error != "" {
		t.Errorf("got brokers %+v, want one at %s that answers", report.Brokers, address)
	}
	if report.ClusterID == "" || report.RoundTrip.Refused != "" || report.RoundTrip.AppendMillis <= 0 {
		t.Errorf("got %+v, want a cluster id and a round trip", report)
	}
	config.Topic = "mail"
	report, err = eventlog.TestBrokers(within(t), config)
	if err != nil || report.Streams != 0 {
		t.Errorf("topic that is not there: got %d streams, %v, want 0", report.Streams, err)
	}
	openLog(t, configFor(address))
	report, err = eventlog.TestBrokers(within(t), config)
	if err != nil || report.Streams != 8 || len(report.Warnings) == 0 {
		t.Errorf("topic that is there: got %+v, %v, want 8 streams and warnings", report, err)
	}
}

func TestTestBrokersUnreachable(t *testing.T) {
	config := eventlog.Config{Brokers: []string{"127.0.0.1:1"}, AppendTimeout: time.Second}
	if _, err := eventlog.TestBrokers(within(t), config); !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("got %v, want kind %v", err, fault.LogUnavailable)
	}
}
