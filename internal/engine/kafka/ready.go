package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"mailreplica/internal/engine"
	"mailreplica/internal/fault"
)

const answerMax = 5 * time.Second // also of a machine that does much else

// startsMax is how often a broker is started that ends by itself meanwhile. Kafka's may end with an exception where its own threads
// meet in an unlucky order, as on a busy machine; a service manager would start it again, too.
const startsMax = 3

// await returns when a broker tells a client that all of those wanted serve.
func (c *Cluster) await(ctx context.Context, b *broker, wanted []*broker) error {
	if b.running() == nil {
		return fault.New(fault.Invalid, "broker %d does not run", b.index)
	}
	starts := map[*broker]int{}
	again := time.NewTicker(pollEvery)
	defer again.Stop()
	for {
		known, err := c.known(ctx, b)
		if err == nil && !slices.ContainsFunc(wanted, func(w *broker) bool { return !slices.Contains(known, w.id()) }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Internal, err, "a broker of Kafka knows %v of the others; its log says:\n%s", known, logTail(b.running()))
		case <-again.C:
		}
		for _, w := range wanted {
			process := w.running()
			if process == nil || !process.HasEnded() {
				continue
			}
			if starts[w]++; starts[w] == startsMax {
				return fault.New(fault.Internal, "a broker of Kafka ended while it started; its log says:\n%s", process.LogTail())
			}
			if err := c.start(ctx, w); err != nil {
				return err
			}
		}
	}
}

func logTail(process *engine.Process) string {
	if process == nil {
		return "nothing: it does not run"
	}
	return process.LogTail()
}

// running is a broker's process, nil if none was left running.
func (b *broker) running() *engine.Process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.process
}

// known are the ids of the brokers that serve, as one of them tells.
func (c *Cluster) known(ctx context.Context, b *broker) ([]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, answerMax)
	defer cancel()
	client, err := c.client(b)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // none; nil would mean all
	// The seed is asked: what the client learns of other brokers would lead it to them.
	response, err := request.RequestWith(ctx, client.SeedBrokers()[0])
	if err != nil {
		return nil, err
	}
	var known []int32
	for _, found := range response.Brokers {
		known = append(known, found.NodeID)
	}
	return known, nil
}

func (c *Cluster) client(b *broker) (*kgo.Client, error) {
	options := []kgo.Opt{kgo.SeedBrokers(b.address()), kgo.RequestRetries(0), kgo.DisableClientMetrics()}
	if c.options.TLS {
		pem, err := os.ReadFile(c.CAFile())
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		options = append(options, kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
	}
	if c.options.SCRAM {
		options = append(options, kgo.SASL(scram.Auth{User: username, Pass: c.password}.AsSha512Mechanism()))
	}
	return kgo.NewClient(options...)
}
