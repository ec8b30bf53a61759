package deploy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/engine/kafka"
	"mailreplica/internal/eventlog"
)

// ofAHost are the settings that say where a broker is and who signed its certificate: those of a cluster on loopback differ.
var ofAHost = []string{"node.id", "advertised.listeners", "listeners", "process.roles", "controller.", "inter.broker.listener.name",
	"listener.", "log.dirs", "ssl.", "sasl.", "config.providers"}

// brokerSettings are the others of server.properties, with the users of a loopback cluster.
func brokerSettings(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
lines:
	for line := range strings.Lines(read(t, "kafka", "server.properties")) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || name[0] == '#' {
			continue
		}
		for _, prefix := range ofAHost {
			if strings.HasPrefix(name, prefix) {
				continue lines
			}
		}
		all[name] = value
	}
	if len(all) < 15 || all["min.insync.replicas"] != "2" {
		t.Fatalf("got %v", all)
	}
	all["super.users"] += ";User:mailreplica"
	return all
}

// TestBrokers starts three brokers with what server.properties says of safety, and asks what MailReplica test asks: there is
// nothing to warn of.
func TestBrokers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := kafka.Start(ctx, kafka.Options{Folder: t.TempDir(), TLS: true, SCRAM: true, Settings: brokerSettings(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Close() })
	pem, err := os.ReadFile(cluster.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	config := eventlog.Config{
		Brokers: cluster.Addrs(), Topic: "mailreplica-events", Streams: 4, Replication: 3, Retention: 14 * 24 * time.Hour,
		TLS: &tls.Config{RootCAs: pool}, SASL: eventlog.SASL{Mechanism: "SCRAM-SHA-512", User: cluster.Username(), Password: cluster.Password()},
	}
	log, err := eventlog.Open(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	log.Close()
	report, err := eventlog.TestBrokers(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Brokers) != 3 || report.Streams != 4 || report.RoundTrip.Refused != "" {
		t.Errorf("got %+v", report)
	}
	for _, w := range report.Warnings {
		t.Errorf("%s is %s, want %s: %s (%s)", w.Setting, w.Value, w.Want, w.Why, w.Mend)
	}
}
