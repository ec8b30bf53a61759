package kafka_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"mailreplica/internal/engine/kafka"
)

// connect is a client that comes in as the cluster demands; it is closed at the end of the test.
func connect(t *testing.T, c *kafka.Cluster, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	options = append(options, kgo.SeedBrokers(c.Addrs()...), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.RequestTimeoutOverhead(2*time.Second))
	if c.CAFile() != "" {
		text, err := os.ReadFile(c.CAFile())
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		options = append(options, kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
	}
	if c.Username() != "" {
		options = append(options, kgo.SASL(scram.Auth{User: c.Username(), Pass: c.Password()}.AsSha256Mechanism()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func write(t *testing.T, client *kgo.Client, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := client.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
		t.Fatalf("writing %s: %v", value, err)
	}
}

func TestLife(t *testing.T) {
	start := time.Now()
	c, err := kafka.Start(t.Context(), kafka.Options{Folder: t.TempDir(), TLS: true, SCRAM: true,
		Settings: map[string]string{"log.retention.hours": "42"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(start))
	t.Cleanup(func() { _ = c.Close() })
	client := connect(t, c, kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"))
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, -1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	write(t, client, "three brokers")
	for step, do := range map[string]func() error{
		"kill":  func() error { return c.Kill(0) },
		"stop":  func() error { return c.Stop(0) },
		"wipe":  func() error { return c.Wipe(0) },
		"pause": func() error { return c.Pause(0) },
	} {
		start := time.Now()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s took %v", step, time.Since(start))
		write(t, client, step)
		t.Logf("%s and write took %v", step, time.Since(start))
		start = time.Now()
		if err := c.Restart(t.Context(), 0); err != nil {
			t.Fatalf("after %s: %v", step, err)
		}
		t.Logf("restarted after %s in %v", step, time.Since(start))
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for i := range c.Addrs() { // the second does not come to serve before the third
		if err := c.Restart(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("all back in %v", time.Since(start))
	var got []string
	for len(got) < 5 {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if got[0] != "three brokers" {
		t.Errorf("got %v, want what was written in its order", got)
	}
}

func TestStartFails(t *testing.T) {
	_, err := kafka.Start(t.Context(), kafka.Options{Folder: t.TempDir(), Brokers: 1,
		Settings: map[string]string{"num.io.threads": "none"}})
	if err == nil || !strings.Contains(err.Error(), "num.io.threads") {
		t.Errorf("got %v, want what Kafka says", err)
	}
}

// A broker that ends by itself while the cluster is awaited is started again.
func TestEndsWhileItStarts(t *testing.T) {
	c, err := kafka.Start(t.Context(), kafka.Options{Folder: t.TempDir(), Brokers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first := c.PID(0)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := c.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !c.Runs(0) || c.PID(0) == first {
		t.Errorf("process %d, and at first %d", c.PID(0), first)
	}
}
