// Package node makes one mailstore out of its parts, starts it and stops it. It wires and decides nothing: tests and
// cmd/mailstored run the same value.
package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/blob"
	"mailreplica/internal/complaint"
	"mailreplica/internal/config"
	"mailreplica/internal/directory"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/peer"
	"mailreplica/internal/promotion"
	"mailreplica/internal/reclaim"
	"mailreplica/internal/replica"
)

const (
	heartbeatEvery    = 2 * time.Second
	registerRetry     = 500 * time.Millisecond
	incarnationKey    = "incarnation"
	stopWait          = 15 * time.Second // for messages that are under way
	configNameBrokers = "brokers"
)

// Node is one running mailstore.
type Node struct {
	config  config.Config
	logger  *slog.Logger
	version string
	tokens  struct{ admin, peer, metrics, nginx string }
	tls     *certificates
	brokers brokerAccess
	volumes volumes

	store     *metadata.Store
	mailstore *mailstore.Mailstore
	directory *directory.Directory
	copy      *directory.Copy
	follower  *directory.Follower
	agent     *replica.Agent
	manager   *replica.Manager
	taker     *promotion.Taker
	peers     *peer.Client
	reclaimer *reclaim.Reclaimer
	admin     *admin.Admin
	frontends frontends

	ctx     context.Context
	cancel  context.CancelFunc
	loops   sync.WaitGroup
	closers []func(context.Context) error // run last to first
	failed  chan error                    // has the reason when the node must stop by itself

	connecting sync.Mutex // held while the agent changes its brokers, which may wait for them; taken before services
	services   sync.Mutex
	stopped    map[string]bool // services that an operator stopped

	world Surroundings
}

// Surroundings is what a mailstore reaches the world through. The zero value is the machine's own network and volumes as they are; a
// simulation gives its own.
type Surroundings struct {
	Listen func(ctx context.Context, network, addr string) (net.Listener, error)
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error) // to mailstores and brokers
	Clock  reclaim.Clock                                                     // by which blobs are reclaimed
	Every  time.Duration                                                     // between two looks at what is to be reclaimed
	Volume func(blob.Volume) blob.Volume                                     // puts itself in front of a volume
}

// Start starts a mailstore and returns when it answers. The error says what is wrong with its configuration or its
// surroundings; brokers and directory may be away.
func Start(ctx context.Context, c config.Config, version string, logger *slog.Logger) (*Node, error) {
	return StartIn(ctx, Surroundings{}, c, version, logger)
}

// StartIn is Start in surroundings of the caller's own.
func StartIn(ctx context.Context, world Surroundings, c config.Config, version string, logger *slog.Logger) (*Node, error) {
	n := &Node{config: c, version: version, logger: logger, failed: make(chan error, 1), stopped: map[string]bool{}, world: world}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	for _, step := range []func(context.Context) error{
		n.readTokens, n.openStores, n.openDirectory, n.register, n.openParts, n.openAdmin, n.listen,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, n.Stop(ctx))
		}
	}
	n.follow()
	return n, nil
}

// Failed has the reason when the mailstore must stop by itself, for instance because another process took its name.
func (n *Node) Failed() <-chan error { return n.failed }

// Stop ends sessions with a word, and then everything else, within a bound. It can be called at any time.
func (n *Node) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	n.cancel()
	if n.mailstore != nil {
		n.mailstore.EndSessions()
	}
	n.loops.Wait()
	var problems []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		problems = append(problems, n.closers[i](ctx))
	}
	n.closers = nil
	return errors.Join(problems...)
}

// atStop registers what ends a part; parts end in the opposite order of their making.
func (n *Node) atStop(end func(context.Context) error) { n.closers = append(n.closers, end) }

// readTokens reads tokens and certificates.
func (n *Node) readTokens(context.Context) (err error) {
	t := n.config.Tokens
	for _, role := range []struct {
		token    *string
		file     string
		optional bool
	}{{&n.tokens.admin, t.Admin, false}, {&n.tokens.peer, t.Peer, false}, {&n.tokens.metrics, t.Metrics, true}, {&n.tokens.nginx, t.Nginx, true}} {
		if role.optional && role.file == "" {
			continue
		}
		if *role.token, err = config.ReadToken(role.file); err != nil {
			return err
		}
	}
	if n.tls, err = loadCertificates(n.config.TLS, n.logger); err != nil {
		return err
	}
	n.brokers, err = loadBrokerAccess(n.config.Log)
	return err
}

func (n *Node) openStores(ctx context.Context) error {
	if err := os.MkdirAll(n.config.Data, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "the data folder %s cannot be made", n.config.Data).
			WithHint("make it, for the mailstore's user alone, or correct data in the configuration")
	}
	if err := n.openFolders(); err != nil {
		return err
	}
	store, err := openMetadata(ctx, n.config, n.logger)
	if err != nil {
		return err
	}
	n.store = store
	n.atStop(func(context.Context) error { return store.Close() })
	n.mailstore, err = mailstore.Open(ctx, mailstore.Config{
		Self: n.config.FQDN, Store: store, Volumes: n.volumes.set, Logger: n.logger,
	})
	return err
}

func (n *Node) openDirectory(ctx context.Context) (err error) {
	options, err := DirectoryOptions(n.config)
	if err != nil {
		return err
	}
	options.Log = n.logger
	if n.directory, err = directory.Open(options); err != nil {
		return err
	}
	n.atStop(func(context.Context) error { return n.directory.Close() })
	path := filepath.Join(n.config.Data, "directory-copy.db")
	if n.copy, err = directory.OpenCopy(ctx, path, directory.Options{}); err != nil {
		return err
	}
	n.atStop(func(context.Context) error { return n.copy.Close() })
	n.follower = directory.NewFollower(directory.FollowerConfig{Directory: n.directory, Copy: n.copy})
	return nil
}

// register makes the mailstore known, unless another process is alive under its name. A directory that is away is no reason
// not to start, once it has been copied: the copy serves, and registering is tried again.
func (n *Node) register(ctx context.Context) error {
	self, err := n.registration(ctx)
	if err != nil {
		return err
	}
	err = n.announce(ctx, self)
	known := err == nil
	if fault.Is(err, fault.DirectoryUnavailable) && n.copy.Version() > 0 {
		n.logger.Warn("starting without the directory", "error", err)
		err = nil
	}
	if err != nil {
		return err
	}
	n.useVolumes()
	n.loops.Go(func() { n.heartbeat(self, known) })
	return nil
}

// announce tells the directory of this process and of the volumes in its configuration.
func (n *Node) announce(ctx context.Context, self directory.Mailstore) error {
	if err := n.directory.RegisterMailstore(ctx, self); err != nil {
		return err
	}
	return n.directory.RegisterVolumes(ctx, self.FQDN, n.configured())
}

func (n *Node) registration(ctx context.Context) (directory.Mailstore, error) {
	l, at := n.config.Listen, n.config.AdvertisedAddress
	self := directory.Mailstore{
		FQDN: n.config.FQDN, AdminAddr: at(l.Admin), PeerAddr: at(l.Peer), LMTPAddr: at(l.LMTP), IMAPAddr: at(l.IMAP),
	}
	err := n.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error {
		stored, ok, err := tx.Value(incarnationKey)
		if err != nil {
			return err
		}
		if ok {
			self.Incarnation = string(stored)
			return nil
		}
		self.Incarnation = account.NewID().String()
		return tx.SetValue(incarnationKey, []byte(self.Incarnation))
	})
	return self, err
}

// heartbeat says that the mailstore is alive, and stops it when another process took its name over. known: the directory
// has this process's addresses.
func (n *Node) heartbeat(self directory.Mailstore, known bool) {
	ticker := time.NewTicker(heartbeatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-n.ctx.Done():
			return
		}
		var err error
		if known {
			err = n.directory.Heartbeat(n.ctx, self.FQDN, self.Incarnation)
		} else {
			err = n.announce(n.ctx, self)
		}
		if known = !fault.Is(err, fault.NotFound) && (known || err == nil); fault.Is(err, fault.Exists) {
			n.fail(err)
			return
		}
	}
}

func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default: // it is stopping already
	}
}

func (n *Node) openParts(context.Context) error {
	n.peers = peer.NewClientOver(n.world.Dial, n.tokens.peer, n.tls.client())
	n.agent = replica.NewAgent(n.mailstore, n.store, n.logger)
	n.manager = replica.NewManager(replica.ManagerConfig{
		Mailstore: n.mailstore, Agent: n.agent, Wishes: n.copy, Directory: n.directory, Peers: n.peers,
		ExportDir: filepath.Join(n.config.Data, "exports"), Notified: n.notify, Logger: n.logger,
	})
	n.taker = &promotion.Taker{Mailstore: n.mailstore, Agent: n.agent, Switch: n.manager, Logger: n.logger, Reads: n.mayTake}
	n.reclaimer = reclaim.New(reclaim.Config{
		Mailstore: n.mailstore, Store: n.store, Wishes: n.copy, Peers: n.peers, Logger: n.logger,
		Grace: time.Duration(n.config.Reclaim.GraceHours) * time.Hour, Clock: n.world.Clock, Every: n.world.Every,
	})
	n.mailstore.Start(n.agent, n.manager.Look)
	n.atStop(func(context.Context) error {
		n.agent.Close()
		n.mailstore.Close()
		return nil
	})
	return nil
}

// follow begins to act upon the directory, the first time before anything is served if the directory answers.
func (n *Node) follow() {
	n.atStop(func(context.Context) error { return nil })
	cancel := n.follower.Subscribe(n.act)
	n.loops.Go(func() {
		<-n.ctx.Done()
		cancel()
	})
	n.connect()
	n.loops.Go(func() { n.follower.Run(n.ctx) })
	n.loops.Go(func() { n.manager.Run(n.ctx) })
	n.loops.Go(func() { n.reclaimer.Run(n.ctx) })
}

// act carries out what a change of the directory asks for. It is quick: the manager does the work.
func (n *Node) act(e directory.Event) {
	for _, change := range e.Accounts {
		n.manager.Look(change.ID)
		n.endSessions(change)
	}
	for _, id := range e.Replicas {
		n.manager.Look(id)
	}
	if n.ownVolumes(e) {
		n.useVolumes()
	}
	for _, name := range e.Config {
		if name == configNameBrokers {
			n.loops.Go(n.connect)
		}
	}
}

// endSessions ends the sessions of an account whose status or password changed, or which is ending (design section 8).
func (n *Node) endSessions(change directory.AccountChange) {
	a, held := n.mailstore.Account(change.ID)
	if held && change.Before != nil {
		if reason := endOfSessions(*change.Before, change.After); reason != nil {
			a.EndSessions(reason)
		}
	}
}

// endOfSessions says why a change ends the sessions of an account, nil if it does not.
func endOfSessions(before directory.Account, after *directory.Account) error {
	switch {
	case after == nil, after.Deleting && !before.Deleting:
		return fault.New(fault.NotFound, "the account was deleted")
	case after.Status != before.Status && after.Status == directory.Locked:
		return fault.New(fault.Locked, "%s was locked", after.Name)
	case after.Status != before.Status && after.Status == directory.Maintenance:
		return fault.New(fault.Maintenance, "%s is in maintenance", after.Name)
	case after.Status != before.Status && after.Status == directory.Closed:
		return fault.New(fault.Closed, "%s was closed", after.Name)
	case after.PasswordHash != before.PasswordHash:
		return fault.New(fault.Credentials, "the password of %s was changed", after.Name)
	}
	return nil
}

// connect makes the agent use the brokers that the directory names.
func (n *Node) connect() {
	n.connecting.Lock()
	defer n.connecting.Unlock()
	if n.agentStopped() || n.ctx.Err() != nil {
		return
	}
	list, _ := n.copy.Config(configNameBrokers)
	if list == "" {
		n.agent.Close()
		return
	}
	brokers, err := eventlog.ParseBrokers(list)
	if err != nil {
		n.logger.Error("the global setting brokers cannot be used", "error", err)
		return
	}
	n.agent.Connect(n.logConfig(brokers))
}

func (n *Node) logConfig(brokers []string) eventlog.Config {
	l := n.config.Log
	return eventlog.Config{
		Brokers: brokers, Topic: l.Topic, Streams: l.Streams, Replication: l.Replication,
		Retention: time.Duration(l.RetentionHours) * time.Hour, LingerMax: time.Duration(l.LingerMs) * time.Millisecond,
		ClientID: "mailreplica/" + n.config.FQDN, Logger: complaint.Thin(n.logger), TLS: n.brokers.tls, SASL: n.brokers.sasl, Dial: n.world.Dial,
	}
}

// Mailstore is the set of copies that the node holds.
func (n *Node) Mailstore() *mailstore.Mailstore { return n.mailstore }

// Reclaimer removes the blobs of messages that are gone.
func (n *Node) Reclaimer() *reclaim.Reclaimer { return n.reclaimer }

// Service is what the node offers to other mailstores.
func (n *Node) Service() peer.Service { return peerService{n} }
