package eventlog_test

import (
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

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
	safe := map[string]string{"min.insync.replicas": "2", "cleanup.policy": "delete", "retention.ms": "604800000"}
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
			for _, w := range warnings {
				if w.Want == "" || w.Why == "" || w.Mend == "" {
					t.Errorf("a warning lacks words: %+v", w)
				}
			}
		})
	}
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
