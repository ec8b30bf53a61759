// Package cluster runs three mailstores as ordinary processes, on the embedded engines or on those of production, with a proxy on
// every line between two processes, so that each can be lost, stand still, be cut off or run out of disk.
//
// It knows the programs, their configuration and the admin API, and nothing of clients.
package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"

	"mailreplica/internal/admin"
	"mailreplica/internal/config"
	"mailreplica/internal/engine"
	"mailreplica/internal/robustness/failpoint"
	"mailreplica/internal/scenario"
)

// The engines that a cluster can stand on.
const (
	Embedded   = "embedded"
	Production = "production"
)

const (
	mailstores = 3
	adminToken = "0123456789abcdef-admin"
	peerToken  = "0123456789abcdef-peer"
	diskMB     = 256 // of a mailstore, and of the volume
)

// The names of what is no mailstore, on the network.
const (
	brokersName   = "brokers"
	directoryName = "directory"
	metadataName  = "metadata"
	volumeName    = "volume"
)

// Options say what is run, and where.
type Options struct {
	Bin     string // folder of the programs
	Folder  string // for everything; must be empty
	Engines string
	DiskMB  int      // of a mailstore, and of the volume in a folder; 0 is a default
	Env     []string // of mailstores and broker, beside this process's own
}

// Cluster is three mailstores and what they stand on.
type Cluster struct {
	Stores []*Mailstore

	options Options
	who     *failpoint.Sockets
	network *failpoint.Network
	engines engines
	net     byte // third number of the addresses on which the mailstores are reached
}

// Mailstore is one of the cluster.
type Mailstore struct {
	*Process
	FQDN       string
	LMTP, IMAP string // its own addresses, which clients use
	profiles   string
	Data       string
	Admin      *admin.Client
	disk       *failpoint.Disk // nil: on the machine's
}

// engines are what mailstores stand on.
type engines interface {
	start(ctx context.Context, c *Cluster) error
	configure(ctx context.Context, c *Cluster, m *config.Config, i int) error
	// ready is called when mailstores run, and gives the brokers' addresses.
	ready(ctx context.Context, c *Cluster) (brokers string, err error)
	has(step scenario.Step) bool
	do(ctx context.Context, step scenario.Step) error
	// mend makes everything whole.
	mend(ctx context.Context) error
	processes() []*Process
	stop() error
}

// Start starts a cluster. Close ends it, after an error too.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	who := failpoint.NewSockets()
	c := &Cluster{options: o, who: who, network: failpoint.NewNetwork(who), net: byte(1 + rand.IntN(250))}
	if c.options.DiskMB == 0 {
		c.options.DiskMB = diskMB
	}
	switch o.Engines {
	case Embedded:
		c.engines = &embedded{}
	case Production:
		c.engines = &production{}
	default:
		return c, fmt.Errorf("engines is %q; want %s or %s", o.Engines, Embedded, Production)
	}
	if err := errors.Join(c.write("admin.token", adminToken), c.write("peer.token", peerToken)); err != nil {
		return c, err
	}
	if err := c.engines.start(ctx, c); err != nil {
		return c, err
	}
	for i := 1; i <= mailstores; i++ {
		if err := c.configure(ctx, i); err != nil {
			return c, err
		}
	}
	for _, m := range c.Stores {
		if err := m.Begin(); err != nil {
			return c, err
		}
	}
	for _, m := range c.Stores {
		if err := m.Ready(); err != nil {
			return c, err
		}
	}
	brokers, err := c.engines.ready(ctx, c)
	if err != nil {
		return c, err
	}
	_, err = c.Stores[0].Admin.SetConfig(ctx, "brokers", brokers)
	return c, err
}

// configure makes the i-th mailstore. Others reach it by proxies, on an address of its own.
func (c *Cluster) configure(ctx context.Context, i int) error {
	name := fmt.Sprintf("mbox%d", i)
	m := &Mailstore{FQDN: name + ".example.com", Data: c.path(name)}
	c.Stores = append(c.Stores, m)
	f := config.Default()
	f.FQDN, f.Data, f.Advertise = m.FQDN, m.Data, fmt.Sprintf("127.7.%d.%d", c.net, i)
	var ports []string
	for _, at := range []*string{&f.Listen.LMTP, &f.Listen.IMAP, &f.Listen.Admin, &f.Listen.Peer, &m.profiles} {
		port, err := engine.FreePort()
		if err != nil {
			return err
		}
		*at = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		ports = append(ports, *at)
		if _, err := c.network.Proxy(name, net.JoinHostPort(f.Advertise, strconv.Itoa(port)), *at); err != nil {
			return err
		}
	}
	m.LMTP, m.IMAP = f.Listen.LMTP, f.Listen.IMAP
	f.Tokens = config.Tokens{Admin: c.path("admin.token"), Peer: c.path("peer.token")}
	f.IMAP.AllowPlaintext = true
	if err := c.engines.configure(ctx, c, &f, i); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := yaml.NewEncoder(&text).Encode(f); err != nil {
		return err
	}
	if err := c.write(name+".yaml", text.String()); err != nil {
		return err
	}
	m.Process = c.process(name, ports, "serve", "--config", c.path(name+".yaml"), "--profile", m.profiles)
	var err error
	m.Admin, err = admin.NewClient(f.Listen.Admin, adminToken, nil)
	return err
}

func (c *Cluster) process(name string, ports []string, args ...string) *Process {
	p := &Process{Name: name, Log: c.path(name + ".log"), bin: filepath.Join(c.options.Bin, "mailstored"), args: args, env: c.options.Env, ports: ports}
	c.who.Know(name, p.PID)
	return p
}

// way leads to an engine by way of a proxy.
func (c *Cluster) way(name, target string) (string, error) {
	return c.network.Proxy(name, "127.0.0.1:0", target)
}

func (c *Cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.options.Folder}, parts...)...)
}

func (c *Cluster) write(name, text string) error {
	return os.WriteFile(c.path(name), []byte(text), 0o600)
}

// Processes are all programs of ours that the cluster runs.
func (c *Cluster) Processes() []*Process {
	all := c.engines.processes()
	for _, m := range c.Stores {
		if m.Process != nil {
			all = append(all, m.Process)
		}
	}
	return all
}

// Folder is where everything lies.
func (c *Cluster) Folder() string { return c.options.Folder }

// Engines is the name of what the cluster stands on.
func (c *Cluster) Engines() string { return c.options.Engines }

// Close ends everything at once. Logs and data stay, but for what lies on disks of their own.
func (c *Cluster) Close() error {
	for _, m := range c.Stores {
		if m.Process != nil {
			m.Kill()
		}
	}
	err := c.engines.stop()
	c.network.Close()
	for _, m := range c.Stores {
		if m.disk != nil {
			err = errors.Join(err, m.disk.Unmount())
		}
	}
	return err
}
