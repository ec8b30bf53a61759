// Package kafka starts and stops a real Apache Kafka cluster on free loopback ports: brokers that are controllers too (KRaft),
// for the tests, the demo and the development cluster. Its settings are those of production where they decide what survives;
// the heaps are small, and a broker that is lost is noticed sooner.
//
// It must not know Mailreplica: a mailstore meets the brokers only over their protocol.
package kafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"mailreplica/internal/engine"
	"mailreplica/internal/fault"
)

const (
	brokersDefault = 3
	username       = "mailreplica" // known to the brokers if Options.SCRAM

	startMax  = 3 * time.Minute // of a machine that does much else
	stopMax   = 30 * time.Second
	pollEvery = 20 * time.Millisecond
)

// Options say where a cluster lives, and how clients come in.
type Options struct {
	Folder   string                               // holds data, settings, certificates and logs; made if it is missing, kept by Close
	Brokers  int                                  // default 3
	TLS      bool                                 // clients come over TLS; the brokers' certificates are of an authority made for it
	SCRAM    bool                                 // clients say who they are, with SCRAM-SHA-512 or SCRAM-SHA-256
	Way      func(address string) (string, error) // optional: another address by which clients come to that of a broker
	Settings map[string]string                    // of every broker, by the names of server.properties, over those of the package
}

// Cluster is a number of brokers, of which some may be killed or paused. Brokers are counted from 0. Its methods may be called
// from several goroutines, for one broker from one at a time.
type Cluster struct {
	options  Options
	id       string
	password string
	java     java
	brokers  []*broker
}

// broker is one of the cluster. The mutex guards what the brokers' goroutines ask of each other: who runs.
type broker struct {
	index  int
	folder string
	ports  ports
	told   string // where clients are told to come

	mu      sync.Mutex
	process *engine.Process // nil when none runs
	paused  bool
}

// ports are one for clients, one for the other brokers, one for the controllers.
type ports struct{ client, internal, controller int }

// Start starts a cluster, over the disks of an earlier run if the folder holds some, and returns when every broker knows all of
// them. Close ends it.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Brokers == 0 {
		o.Brokers = brokersDefault
	}
	var err error
	if o.Folder, err = filepath.Abs(o.Folder); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the folder of Kafka has no path")
	}
	c := &Cluster{options: o}
	if c.java, err = findJava(ctx); err != nil {
		return nil, err
	}
	if c.id, err = c.keep("cluster-id", newClusterID()); err != nil {
		return nil, err
	}
	if c.password, err = c.keep("password", rand.Text()); err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	if err := c.each(func(b *broker) error { return c.start(ctx, b) }); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := c.Await(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// newClusterID makes one as Kafka does: a UUID in base64, without a dash in front, which Kafka's programs take for an option.
func newClusterID() string {
	for {
		var id [16]byte
		rand.Read(id[:])
		if text := base64.RawURLEncoding.EncodeToString(id[:]); text[0] != '-' {
			return text
		}
	}
}

// keep gives what a file of the folder holds, and writes the given text into it the first time: the brokers' disks know it.
func (c *Cluster) keep(name, text string) (string, error) {
	path := filepath.Join(c.options.Folder, name)
	if kept, err := os.ReadFile(path); err == nil {
		return string(kept), nil
	}
	err := os.MkdirAll(c.options.Folder, 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the folder of Kafka cannot be written")
	}
	return text, nil
}

// PID is the process id of a broker that runs, 0 of another.
func (c *Cluster) PID(i int) int {
	process := c.brokers[i].running()
	if process == nil {
		return 0
	}
	return process.PID()
}

// Addrs are the addresses of the brokers for clients, as host:port.
func (c *Cluster) Addrs() []string {
	var all []string
	for _, b := range c.brokers {
		all = append(all, b.told)
	}
	return all
}

// CAFile is the certificate, as PEM, of who signed those of the brokers; empty without Options.TLS.
func (c *Cluster) CAFile() string {
	if !c.options.TLS {
		return ""
	}
	return filepath.Join(c.options.Folder, "ca.pem")
}

// Username is that of a user who may do everything; empty without Options.SCRAM.
func (c *Cluster) Username() string {
	if !c.options.SCRAM {
		return ""
	}
	return username
}

// Password is that of Username.
func (c *Cluster) Password() string {
	if !c.options.SCRAM {
		return ""
	}
	return c.password
}

// LogFile is what a broker has written of itself.
func (c *Cluster) LogFile(i int) string { return c.brokers[i].logFile() }

// Kill ends a broker as a crash of its process does: kill -9.
func (c *Cluster) Kill(i int) error {
	if process := c.brokers[i].forget(); process != nil {
		process.Kill()
	}
	return nil
}

// Stop ends a broker in an orderly way: it hands over what it leads.
func (c *Cluster) Stop(i int) error {
	if process := c.brokers[i].forget(); process != nil {
		process.Stop(stopMax)
	}
	return nil
}

// Restart starts a broker again over what is in its folder; one that still runs is stopped first. It returns when the broker
// serves clients. While too few brokers run to make a majority of controllers, none serves anyone: then it returns at once,
// and Await waits for all.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	b := c.brokers[i]
	if err := c.Stop(i); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	if err := c.start(ctx, b); err != nil {
		return err
	}
	if len(c.running())*2 <= len(c.brokers) {
		return nil
	}
	return c.await(ctx, b, []*broker{b})
}

// Runs says whether a broker's process is there, be it paused.
func (c *Cluster) Runs(i int) bool {
	return c.brokers[i].running() != nil
}

// Wipe takes a broker's disk away: all that it knew. The broker is killed if it runs; Restart gives it an empty disk.
func (c *Cluster) Wipe(i int) error {
	if err := c.Kill(i); err != nil {
		return err
	}
	if err := os.RemoveAll(c.brokers[i].data()); err != nil {
		return fault.Wrap(fault.Internal, err, "the data of a broker cannot be removed")
	}
	return nil
}

// Pause freezes a broker: connections stand, nothing is answered.
func (c *Cluster) Pause(i int) error { return c.brokers[i].pause(true) }

// Continue ends a Pause.
func (c *Cluster) Continue(i int) error { return c.brokers[i].pause(false) }

// Await returns when every broker that runs knows every other that runs.
func (c *Cluster) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	running := c.running()
	for _, b := range running {
		if err := c.await(ctx, b, running); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all brokers. Their folders stay.
func (c *Cluster) Close() error {
	return c.each(func(b *broker) error { return c.Kill(b.index) })
}

// each does something with all brokers at once.
func (c *Cluster) each(do func(*broker) error) error {
	failed := make([]error, len(c.brokers))
	var all sync.WaitGroup
	for i, b := range c.brokers {
		all.Go(func() { failed[i] = do(b) })
	}
	all.Wait()
	return errors.Join(failed...)
}

// running are the brokers that run and are not paused.
func (c *Cluster) running() []*broker {
	var all []*broker
	for _, b := range c.brokers {
		b.mu.Lock()
		if b.process != nil && !b.paused {
			all = append(all, b)
		}
		b.mu.Unlock()
	}
	return all
}

// start starts the process, over an empty disk if there is none.
func (c *Cluster) start(ctx context.Context, b *broker) error {
	if _, err := os.Stat(filepath.Join(b.data(), "meta.properties")); err != nil {
		if err := c.format(ctx, b); err != nil {
			return err
		}
	}
	process, err := c.java.start(b.logFile(), "kafka.Kafka", b.settingsFile())
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.process = process
	return nil
}

func (b *broker) id() int32            { return int32(b.index + 1) }
func (b *broker) data() string         { return filepath.Join(b.folder, "data") }
func (b *broker) settingsFile() string { return filepath.Join(b.folder, "server.properties") }
func (b *broker) logFile() string      { return filepath.Join(b.folder, "server.log") }
func (b *broker) address() string      { return loopback(b.ports.client) }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// forget takes the process out, so that nobody takes it for running while it ends.
func (b *broker) forget() *engine.Process {
	b.mu.Lock()
	defer b.mu.Unlock()
	process, paused := b.process, b.paused
	b.process, b.paused = nil, false
	if process != nil && paused {
		_ = process.Signal(syscall.SIGCONT) // a frozen one could not end in an orderly way
	}
	return process
}

func (b *broker) pause(paused bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process == nil {
		return fault.New(fault.Invalid, "broker %d does not run", b.index)
	}
	which := syscall.SIGCONT
	if paused {
		which = syscall.SIGSTOP
	}
	if err := b.process.Signal(which); err != nil {
		return err
	}
	b.paused = paused
	return nil
}
