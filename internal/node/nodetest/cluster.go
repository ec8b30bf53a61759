// Package nodetest runs whole mailstores, with a broker and a directory, inside one test process.
package nodetest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"mailreplica/internal/account"
	"mailreplica/internal/config"
	"mailreplica/internal/directory"
	"mailreplica/internal/engine/enginetest"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/node"
)

// Cluster is some mailstores, mbox1.example.com and so on, that share a directory, a broker and a volume.
type Cluster struct {
	Broker    *broker.Broker
	Directory *directory.Directory
	Nodes     []*node.Node
	Clock     *Clock // by which blobs are reclaimed

	t       testing.TB
	address string // of all listeners
	folder  string
	configs []config.Config
}

// AdminToken is the token of the mailstores' admin APIs.
const AdminToken = "0123456789abcdef-admin"

// Start starts a cluster of n mailstores with brokers configured. It ends with the test.
func Start(t testing.TB, n int) *Cluster {
	t.Helper()
	return StartWith(t, n, func(int, *config.Config) {})
}

// StartWith is Start with configurations that the test changes; i counts from 0.
func StartWith(t testing.TB, n int, change func(i int, cfg *config.Config)) *Cluster {
	t.Helper()
	c := &Cluster{t: t, address: loopback(), folder: t.TempDir(), Clock: &Clock{begun: time.Now()}}
	c.Broker = brokertest.StartBroker(t, broker.Config{DataDir: filepath.Join(c.folder, "broker"), Listen: c.freeAddress()})
	d, err := directory.Create(t.Context(), directory.Options{Path: filepath.Join(c.folder, "directory.db")})
	if err != nil {
		t.Fatal(err)
	}
	c.Directory = d
	t.Cleanup(func() { _ = d.Close() })
	if err := d.SetConfig(t.Context(), "brokers", c.Broker.Address()); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"admin.token": AdminToken, "peer.token": "0123456789abcdef-peer"} {
		if err := os.WriteFile(filepath.Join(c.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		cfg := c.configure(i)
		change(i, &cfg)
		c.configs = append(c.configs, cfg)
		c.Nodes = append(c.Nodes, nil)
		c.StartNode(i)
	}
	t.Cleanup(func() {
		for i := range c.Nodes {
			c.StopNode(i)
		}
	})
	return c
}

// Name is the FQDN of the i-th mailstore, from 0.
func Name(i int) string { return fmt.Sprintf("mbox%d.example.com", i+1) }

func (c *Cluster) configure(i int) config.Config {
	cfg := config.Default()
	cfg.FQDN, cfg.Data, cfg.Directory = Name(i), filepath.Join(c.folder, Name(i)), filepath.Join(c.folder, "directory.db")
	cfg.Tokens = config.Tokens{Admin: filepath.Join(c.folder, "admin.token"), Peer: filepath.Join(c.folder, "peer.token")}
	cfg.Volumes = []config.Volume{{Name: "blobs", Path: filepath.Join(c.folder, "blobs"), Centralised: true}}
	cfg.PrimaryVolume, cfg.Log.Replication, cfg.Log.Streams = "blobs", 1, 4
	cfg.Listen = config.Listen{Admin: c.freeAddress(), Peer: c.freeAddress(), IMAP: c.freeAddress(), LMTP: c.freeAddress()}
	cfg.IMAP.AllowPlaintext = true
	return cfg
}

var clusters atomic.Uint32 // started by this process

// loopback is an address of this cluster alone where the system lets one use all of 127/8, as Linux does. A mailstore that is started
// again needs its ports; on an address that all share, another program's outgoing connection, or another test's mailstore, may have one
// meanwhile.
func loopback() string {
	pid := os.Getpid()
	own := fmt.Sprintf("127.%d.%d.%d", 64+pid&63, pid>>6&255, 1+clusters.Add(1)%254)
	l, err := net.Listen("tcp", own+":0")
	if err != nil {
		return "127.0.0.1"
	}
	_ = l.Close() // nobody has connected
	return own
}

func (c *Cluster) freeAddress() string {
	c.t.Helper()
	return enginetest.FreeAddress(c.t, c.address)
}

// Config is the configuration of the i-th mailstore.
func (c *Cluster) Config(i int) config.Config { return c.configs[i] }

// StartNode starts the i-th mailstore, which must not be running.
func (c *Cluster) StartNode(i int) {
	c.t.Helper()
	n, err := node.StartIn(c.t.Context(), node.Surroundings{Clock: c.Clock}, c.configs[i], "test", c.Logger(i))
	if err != nil {
		c.t.Fatalf("starting %s: %v", Name(i), err)
	}
	c.Nodes[i] = n
}

// Logger shows what a mailstore says when the test is run with -v.
func (c *Cluster) Logger(i int) *slog.Logger {
	var out io.Writer = io.Discard
	if testing.Verbose() {
		out = os.Stderr
	}
	return slog.New(slog.NewTextHandler(out, nil)).With("mailstore", Name(i))
}

// StopBroker takes the broker away; StartBroker brings it back with its data, at the same address.
func (c *Cluster) StopBroker() {
	c.t.Helper()
	c.Broker.Close()
}

// StartBroker brings the broker back.
func (c *Cluster) StartBroker() {
	c.t.Helper()
	c.Broker = brokertest.StartBroker(c.t, broker.Config{DataDir: filepath.Join(c.folder, "broker"), Listen: c.Broker.Address()})
}

// ReplaceBroker puts a broker that knows nothing in the place of the one that was: another cluster at the same address.
func (c *Cluster) ReplaceBroker() {
	c.t.Helper()
	c.Broker.Close()
	c.Broker = brokertest.StartBroker(c.t, broker.Config{DataDir: filepath.Join(c.folder, "other-broker"), Listen: c.Broker.Address()})
}

// TrimLog removes every record that a stream holds, as retention does.
func (c *Cluster) TrimLog(stream int32) {
	c.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Broker.Address()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	admin, topic := kadm.NewClient(client), c.configs[0].Log.Topic
	ends, err := admin.ListEndOffsets(c.t.Context(), topic)
	if err != nil {
		c.t.Fatal(err)
	}
	end, ok := ends.Lookup(topic, stream)
	if !ok {
		c.t.Fatalf("no stream %d", stream)
	}
	var offsets kadm.Offsets
	offsets.AddOffset(topic, stream, end.Offset, -1)
	answers, err := admin.DeleteRecords(c.t.Context(), offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// StopNode stops the i-th mailstore, if it is running.
func (c *Cluster) StopNode(i int) {
	c.t.Helper()
	if c.Nodes[i] == nil {
		return
	}
	if err := c.Nodes[i].Stop(context.Background()); err != nil {
		c.t.Errorf("stopping %s: %v", Name(i), err)
	}
	c.Nodes[i] = nil
}

// ReturnNode starts the i-th mailstore, which has lost its database: its name is free when its last process has been silent for a while.
func (c *Cluster) ReturnNode(i int) {
	c.t.Helper()
	c.Eventually(Name(i)+" to start", func() bool {
		n, err := node.StartIn(c.t.Context(), node.Surroundings{Clock: c.Clock}, c.configs[i], "test", c.Logger(i))
		if err == nil {
			c.Nodes[i] = n
		}
		return err == nil
	})
}

// LoseNode stops the i-th mailstore, if it runs, and loses all that it has stored. ReturnNode starts it again.
func (c *Cluster) LoseNode(i int) {
	c.t.Helper()
	c.StopNode(i)
	if err := os.RemoveAll(c.configs[i].Data); err != nil {
		c.t.Fatal(err)
	}
}

// Account makes an account with its home on the i-th mailstore and waits until its mailbox is there.
func (c *Cluster) Account(i int, name string) account.ID {
	c.t.Helper()
	a, err := c.Directory.CreateAccount(c.t.Context(), directory.NewAccount{Name: name, MailHost: Name(i)})
	if err != nil {
		c.t.Fatal(err)
	}
	c.Eventually(fmt.Sprintf("mailbox of %s", name), func() bool {
		_, ok := c.Nodes[i].Mailstore().Account(a.ID)
		return ok
	})
	return a.ID
}

// Replicate wishes for a replica and waits until it is available.
func (c *Cluster) Replicate(id account.ID, i, priority int) {
	c.t.Helper()
	if _, err := c.Directory.PutReplica(c.t.Context(), id, Name(i), priority); err != nil {
		c.t.Fatal(err)
	}
	c.Available(id, i)
}

// Available waits until the i-th mailstore has an available replica.
func (c *Cluster) Available(id account.ID, i int) {
	c.t.Helper()
	c.Eventually(fmt.Sprintf("replica on %s", Name(i)), func() bool {
		replicas, err := c.Directory.Replicas(c.t.Context(), id)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, r := range replicas {
			if r.Mailstore == Name(i) && r.State == directory.Available {
				return true
			}
		}
		return false
	})
}

// Eventually waits until done holds; it fails the test after a long while.
func (c *Cluster) Eventually(what string, done func() bool) {
	c.t.Helper()
	const patience = time.Minute
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	c.t.Fatalf("%s: not after %s", what, patience)
}
