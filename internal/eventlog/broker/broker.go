// Package broker owns the embedded event log: one broker that speaks the Kafka protocol, run as its own process on
// machines that have no Kafka. It is franz-go's kfake with a data directory.
//
// It must not know what the records mean. What kfake does not do by itself, and why it matters here, is in DESIGN.md.
package broker

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"

	"mailreplica/internal/fault"
)

// ListenDefault is where the embedded broker listens if nothing else is said.
const ListenDefault = "127.0.0.10:9092"

// Config says where a broker keeps its data and where it listens.
type Config struct {
	Listen     string // IP:port, the address that clients are told too; default ListenDefault; port 0 takes a free one
	Advertise  string // IP:port that clients are told instead, where they reach the broker by way of another address
	DataDir    string // empty: in memory, for tests
	SyncWrites bool   // nothing is confirmed, or given to readers, before it is synced
	Logger     *slog.Logger
	Ready      func(address string) error // called once, when clients are answered; its error ends the broker; may be nil

	// Network carries the connections of a simulation; nil is TCP.
	Network Network
}

// Network is what carries connections where it is not TCP; kfake.VirtualNetwork is one.
type Network interface {
	Listen(network, address string) (net.Listener, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Broker is a running broker.
type Broker struct {
	config  Config
	address string
	cluster *kfake.Cluster
	lock    *os.File
	barrier *barrier   // nil where nothing is synced
	failed  chan error // receives the one error that ends the broker
	stop    func()     // ends retention
	closing sync.Once
}

// Run runs a broker until ctx ends or the broker can no longer keep what it confirms. It refuses a data directory that
// another process uses (fault.Exists) and an address that is taken (fault.Invalid).
func Run(ctx context.Context, config Config) error {
	b, err := Start(config)
	if err != nil {
		return err
	}
	if config.Ready != nil {
		if err := config.Ready(b.Address()); err != nil {
			b.Close()
			return err
		}
	}
	select {
	case <-ctx.Done():
		b.Close()
		return nil
	case err := <-b.failed:
		// Not closed: the cluster's only goroutine is held, or no answer passes the barrier, so that nothing is confirmed any
		// more. The process ends.
		return err
	}
}

// Start starts a broker in this process.
func Start(config Config) (*Broker, error) {
	if config.Listen == "" {
		config.Listen = ListenDefault
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	address, err := netip.ParseAddrPort(config.Listen)
	if err != nil || address.Addr().IsUnspecified() {
		return nil, fault.New(fault.Invalid, "%q is no address that the broker can give to clients (IP:port)", config.Listen)
	}
	var told net.Addr
	if config.Advertise != "" {
		to, err := netip.ParseAddrPort(config.Advertise)
		if err != nil || to.Addr().IsUnspecified() || to.Port() == 0 {
			return nil, fault.New(fault.Invalid, "%q is no address that the broker can give to clients (IP:port)", config.Advertise)
		}
		told = net.TCPAddrFromAddrPort(to)
	}
	b := &Broker{config: config, failed: make(chan error, 1), stop: func() {}}
	if config.DataDir != "" {
		if b.lock, err = lockDir(config.DataDir); err != nil {
			return nil, err
		}
	}
	listen := net.Listen
	if config.Network != nil {
		listen = config.Network.Listen
	}
	listener, err := listen("tcp", config.Listen)
	if err != nil {
		b.unlock()
		return nil, fault.Wrap(fault.Invalid, err, "the broker cannot listen on %s", config.Listen).
			WithHint("another broker may be running; stop it, or choose another address")
	}
	if told != nil {
		listener = advertised{listener, told}
	}
	b.address = listener.Addr().String()
	if err := b.startCluster(listener); err != nil {
		listener.Close()
		b.release()
		return nil, err
	}
	return b, nil
}

// fail ends the broker for the first reason there is.
func (b *Broker) fail(reason error) {
	select {
	case b.failed <- reason:
	default: // it ends already
	}
}

func (b *Broker) startCluster(listener net.Listener) (err error) {
	if b.config.DataDir != "" && b.config.SyncWrites {
		if b.barrier, err = newBarrier(b.config.DataDir, b.fail); err != nil {
			return err
		}
		listener = guarded{listener, b.barrier}
	}
	ready := make(chan struct{})
	defer close(ready)
	listener = awaited{listener, ready}
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
		kfake.ClusterID(newClusterID()), // one that is on disk already wins
		kfake.WithLogger(clusterLogger{b}),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":      strconv.Itoa(segmentBytes),
			"log.cleaner.backoff.ms": strconv.FormatInt(kfakeRetentionNever.Milliseconds(), 10),
		}),
	}
	if dir := b.config.DataDir; dir != "" {
		if err := rememberSequences(dir); err != nil {
			return err
		}
		options = append(options, kfake.DataDir(dir))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return fault.Wrap(fault.DatabaseUnavailable, err, "the broker's data in %s cannot be read", b.config.DataDir)
	}
	b.cluster = cluster
	if b.config.DataDir != "" {
		if err := forgetSequences(b.config.DataDir); err != nil {
			cluster.Close()
			return err
		}
		b.stop = b.startRetention()
	}
	return nil
}

// awaited is a listener that accepts nobody before all is ready: what a client appended while the sequences of before still lie there
// would be refused, or be there twice, if the process died then.
type awaited struct {
	net.Listener
	ready <-chan struct{}
}

// Accept implements net.Listener.
func (a awaited) Accept() (net.Conn, error) {
	<-a.ready
	return a.Listener.Accept()
}

// advertised is a listener that is reached at another address than its own.
type advertised struct {
	net.Listener
	at net.Addr
}

// Addr implements net.Listener. It is what the cluster tells its clients.
func (a advertised) Addr() net.Addr { return a.at }

// Address is where clients reach the broker, as IP:port.
func (b *Broker) Address() string { return b.address }

// Cluster is the fake cluster itself, for tests that inject faults.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close stops the broker cleanly.
func (b *Broker) Close() {
	b.closing.Do(func() {
		b.stop()
		b.cluster.Close()
		b.release()
	})
}

// release gives up what the broker holds of its folder.
func (b *Broker) release() {
	if b.barrier != nil {
		b.barrier.close()
	}
	b.unlock()
}

func (b *Broker) unlock() {
	if b.lock != nil {
		b.lock.Close()
	}
}

// newClusterID is a random id of the form that Kafka uses.
func newClusterID() string {
	var id [16]byte
	rand.Read(id[:])
	return base64.RawURLEncoding.EncodeToString(id[:])
}
