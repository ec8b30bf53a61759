package kafka

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mailreplica/internal/engine"
	"mailreplica/internal/fault"
)

// The listeners of a broker. Brokers and controllers speak to each other in the clear: they are on one machine.
const (
	clientListener     = "CLIENT"
	internalListener   = "INTERNAL"
	controllerListener = "CONTROLLER"
)

// prepare makes what the brokers are started with.
func (c *Cluster) prepare() error {
	free, err := freePorts(3 * c.options.Brokers)
	if err != nil {
		return err
	}
	for i := range c.options.Brokers {
		b := &broker{index: i, folder: filepath.Join(c.options.Folder, "broker-"+strconv.Itoa(i)),
			ports: ports{client: free[3*i], internal: free[3*i+1], controller: free[3*i+2]}}
		b.told = b.address()
		if c.options.Way != nil {
			if b.told, err = c.options.Way(b.address()); err != nil {
				return fault.Wrap(fault.Invalid, err, "there is no other way to a broker of Kafka")
			}
		}
		if err := os.MkdirAll(b.folder, 0o700); err != nil {
			return fault.Wrap(fault.Invalid, err, "the folder of Kafka cannot be made")
		}
		c.brokers = append(c.brokers, b)
	}
	if c.options.TLS {
		if err := c.makeCertificates(); err != nil {
			return err
		}
	}
	for _, b := range c.brokers {
		if err := c.writeSettings(b); err != nil {
			return err
		}
	}
	return nil
}

func freePorts(count int) ([]int, error) {
	ports := make([]int, count)
	for i := range ports {
		var err error
		if ports[i], err = engine.FreePort(); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

func (c *Cluster) writeSettings(b *broker) error {
	all := c.settings(b)
	maps.Copy(all, c.options.Settings)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s=%s\n", name, all[name])
	}
	if err := os.WriteFile(b.settingsFile(), []byte(text.String()), 0o600); err != nil {
		return fault.Wrap(fault.Invalid, err, "the folder of Kafka cannot be written")
	}
	return nil
}

// settings are those of one broker.
func (c *Cluster) settings(b *broker) map[string]string {
	var voters []string
	for _, v := range c.brokers {
		voters = append(voters, fmt.Sprintf("%d@%s", v.id(), loopback(v.ports.controller)))
	}
	copies := strconv.Itoa(min(3, len(c.brokers)))
	inSync := strconv.Itoa(min(2, len(c.brokers)))
	all := map[string]string{
		"process.roles":            "broker,controller",
		"node.id":                  strconv.Itoa(int(b.id())),
		"log.dirs":                 b.data(),
		"controller.quorum.voters": strings.Join(voters, ","),
		"listeners": fmt.Sprintf("%s://%s,%s://%s,%s://%s", clientListener, loopback(b.ports.client),
			internalListener, loopback(b.ports.internal), controllerListener, loopback(b.ports.controller)),
		"advertised.listeners": fmt.Sprintf("%s://%s,%s://%s", clientListener, b.told,
			internalListener, loopback(b.ports.internal)),
		"listener.security.protocol.map": fmt.Sprintf("%s:%s,%s:PLAINTEXT,%s:PLAINTEXT", clientListener, c.protocol(),
			internalListener, controllerListener),
		"controller.listener.names":  controllerListener,
		"inter.broker.listener.name": internalListener,
		"broker.rack":                "rack-" + strconv.Itoa(b.index),

		// What survives, as in production.
		"default.replication.factor":               copies,
		"min.insync.replicas":                      inSync,
		"unclean.leader.election.enable":           "false",
		"auto.create.topics.enable":                "false",
		"offsets.topic.replication.factor":         copies,
		"transaction.state.log.replication.factor": copies,
		"transaction.state.log.min.isr":            inSync,

		// A broker that is silent holds up every write until it is taken out. Kafka's defaults are 9 s and 30 s.
		"broker.session.timeout.ms":    "5000",
		"broker.heartbeat.interval.ms": "1000",
		"replica.lag.time.max.ms":      "5000",

		// Small, for many run on one machine.
		"num.network.threads":                          "1",
		"num.io.threads":                               "2",
		"num.recovery.threads.per.data.dir":            "1",
		"background.threads":                           "2",
		"log.cleaner.dedupe.buffer.size":               "2097152",
		"log.index.size.max.bytes":                     "1048576",
		"offsets.topic.num.partitions":                 "1",
		"transaction.state.log.num.partitions":         "1",
		"share.coordinator.state.topic.num.partitions": "1",
	}
	if c.options.TLS {
		all["ssl.keystore.type"] = "PEM"
		all["ssl.keystore.location"] = b.certificateFile()
	}
	if c.options.SCRAM {
		all["sasl.enabled.mechanisms"] = "SCRAM-SHA-512,SCRAM-SHA-256"
		for _, mechanism := range []string{"scram-sha-512", "scram-sha-256"} {
			all["listener.name."+strings.ToLower(clientListener)+"."+mechanism+".sasl.jaas.config"] =
				"org.apache.kafka.common.security.scram.ScramLoginModule required;"
		}
	}
	return all
}

// protocol is Kafka's name of how clients come in.
func (c *Cluster) protocol() string {
	switch {
	case c.options.TLS && c.options.SCRAM:
		return "SASL_SSL"
	case c.options.TLS:
		return "SSL"
	case c.options.SCRAM:
		return "SASL_PLAINTEXT"
	}
	return "PLAINTEXT"
}

// format makes an empty disk of a broker.
func (c *Cluster) format(ctx context.Context, b *broker) error {
	args := []string{"kafka.tools.StorageTool", "format", "--config", b.settingsFile(), "--cluster-id", c.id}
	if c.options.SCRAM {
		for _, mechanism := range []string{"SCRAM-SHA-512", "SCRAM-SHA-256"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, username, c.password))
		}
	}
	return c.java.run(ctx, b.logFile(), args...)
}
