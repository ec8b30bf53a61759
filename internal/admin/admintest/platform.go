// Package admintest makes a platform for tests of what an administrator can do: a real directory, operations and admin APIs,
// and mailstores that carry wishes out in the directory alone, without a mailbox or a log.
package admintest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/directory"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/operation"
	"mailreplica/internal/peer"
	"mailreplica/internal/reclaim"
)

// The tokens of every platform.
const (
	AdminToken = "admin-token-of-the-tests"
	peerToken  = "peer-token-of-the-tests"
)

// Platform is a few mailstores that share a directory.
type Platform struct {
	Directory  *directory.Directory
	Mailstores []*Mailstore

	mu          sync.Mutex
	mails       []string
	reseeded    []string
	marks       map[string]string // in buckets: the volume, by place
	bucketsAway bool
	promoting   chan struct{} // if set, promotions wait until it is closed
}

// Mailstore is one mailstore of a platform.
type Mailstore struct {
	FQDN  string
	Admin *admin.Admin
	API   *httptest.Server // the admin API

	platform *Platform
	peer     *httptest.Server
	follower *directory.Follower

	mu             sync.Mutex
	dead           bool
	logAway        bool
	logAwayLooks   int // how often it is still found away
	contents       map[account.ID][]string
	contentsHidden bool
	agentStopped   bool
	condition      string // of its copies
	references     []peer.Reference
	found          reclaim.Report
	findErr        error
	checks         []reclaim.Check
	referenceErr   error
}

// Name is the FQDN of the i-th mailstore, from 1.
func Name(i int) string { return fmt.Sprintf("mbox%d.example.com", i) }

// Start makes a platform of n mailstores.
func Start(t testing.TB, n int) *Platform {
	t.Helper()
	d, err := directory.Create(t.Context(), directory.Options{Path: filepath.Join(t.TempDir(), "directory.db")})
	must(t, err)
	p := &Platform{Directory: d}
	ctx, cancel := context.WithCancel(context.Background())
	var runs sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		runs.Wait()
		must(t, d.Close())
	})
	for i := 1; i <= n; i++ {
		m := &Mailstore{FQDN: Name(i), platform: p, condition: "complete"}
		m.start(ctx, t, &runs)
		p.Mailstores = append(p.Mailstores, m)
	}
	must(t, d.SetConfig(t.Context(), admin.SettingBrokers, "127.0.0.1:9092"))
	for _, m := range p.Mailstores {
		must(t, m.follower.Poll(t.Context()))
	}
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *Mailstore) start(ctx context.Context, t testing.TB, runs *sync.WaitGroup) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	copied, err := directory.OpenCopy(t.Context(), filepath.Join(t.TempDir(), "copy.db"), directory.Options{})
	must(t, err)
	d := m.platform.Directory
	m.follower = directory.NewFollower(directory.FollowerConfig{Directory: d, Copy: copied, Every: 20 * time.Millisecond})
	m.peer = httptest.NewServer(peer.Handler(service{m}, peerToken, logger))
	c := admin.Config{
		Self: m.FQDN, Token: AdminToken, Directory: d, Follower: m.follower, Peers: peer.NewClient(peerToken, nil),
		Reseeder: m.platform, Logger: logger, LogStatus: m.logStatus, LogConfig: m.platform.logConfig, Volumes: storage{m},
		Deliver: m.platform.deliver, Blobs: m, Reports: filepath.Join(t.TempDir(), "reports"),
		Pace: admin.Pace{Look: 5 * time.Millisecond, Ask: 20 * time.Millisecond, Patience: 100 * time.Millisecond},
	}
	runners := admin.Runners(c)
	runners[admin.OperationPromote] = operation.RunnerFunc(m.platform.promote)
	var notifier *admin.Admin
	c.Operations = operation.NewManager(operation.ManagerConfig{
		Directory: d, Host: m.FQDN, Runners: runners, StoreEvery: 5 * time.Millisecond, Items: admin.OperationItems(),
		Name:     admin.NameItems(m.follower.Copy()),
		Notified: func(n operation.Notification) { notifier.Notify(ctx, n) },
	})
	m.Admin = admin.NewAdmin(c)
	notifier = m.Admin
	m.API = httptest.NewServer(m.Admin.Handler())
	must(t, d.RegisterMailstore(t.Context(), m.registration()))
	must(t, m.registerVolumes(t.Context()))
	runs.Go(func() { c.Operations.Run(ctx) })
	runs.Go(func() { m.live(ctx) })
	t.Cleanup(func() {
		m.API.Close()
		m.peer.Close()
		must(t, copied.Close())
	})
}

func (m *Mailstore) registration() directory.Mailstore {
	return directory.Mailstore{FQDN: m.FQDN, PeerAddr: strings.TrimPrefix(m.peer.URL, "http://"), Incarnation: "one of " + m.FQDN,
		AdminAddr: strings.TrimPrefix(m.API.URL, "http://"), LMTPAddr: "127.0.0.1:7025", IMAPAddr: "127.0.0.1:7143"}
}

// live carries out wishes as they come.
func (m *Mailstore) live(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.reconcile(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// reconcile does in the directory what a mailstore does when it has done it to its copies. Failures are tried again.
func (m *Mailstore) reconcile(ctx context.Context) {
	if m.isDead() || m.follower.Poll(ctx) != nil {
		return
	}
	d, wishes := m.platform.Directory, m.follower.Copy()
	away := m.isLogAway()
	for _, wish := range wishes.Accounts(func(a *directory.Account) bool { return a.MailHost == m.FQDN }) {
		if wish.Epoch == 0 {
			_, _ = d.SetHome(ctx, wish.ID, m.FQDN, 1, nil)
		}
		if away || m.conditionOfCopies() != "complete" {
			continue
		}
		if wish.Deleting {
			_ = d.FinishDelete(ctx, wish.ID)
		}
		for _, r := range wishes.Replicas(wish.ID) {
			if r.Removing {
				_ = d.FinishRemoveReplica(ctx, wish.ID, r.Mailstore)
			}
		}
	}
	var telling sync.WaitGroup // side by side, so that they share transactions
	for _, r := range wishes.ReplicasOn(m.FQDN) {
		if r.State == directory.Initialising && !r.Removing && !away {
			telling.Go(func() { _ = d.SetReplicaState(ctx, r.AccountID, m.FQDN, directory.Available) })
		}
	}
	telling.Wait()
}

// Kill makes a mailstore one that answers nobody. With its admin API it takes that of the operator away.
func (m *Mailstore) Kill() {
	m.mu.Lock()
	m.dead = true
	m.mu.Unlock()
	m.peer.Close()
	m.API.Close()
}

// SetLogAway says whether the brokers answer the mailstore.
func (m *Mailstore) SetLogAway(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.logAway = away
}

// SetLogConnecting has the brokers found away for so many looks, and then answer, as after a start.
func (m *Mailstore) SetLogConnecting(looks int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.logAwayLooks = looks
}

// SetBroken makes the mailstore's copies ones that can do nothing, for instance gap.
func (m *Mailstore) SetBroken(condition string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.condition = condition
}

func (m *Mailstore) conditionOfCopies() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.condition
}

func (m *Mailstore) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

func (m *Mailstore) isLogAway() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.logAwayLooks > 0 {
		m.logAwayLooks--
		return true
	}
	return m.logAway
}

// Cluster is the id of the cluster that every platform's log is in.
const Cluster = "cluster-of-the-tests"

func (m *Mailstore) logStatus() admin.LogStatus {
	return admin.LogStatus{Reachable: !m.isLogAway(), Identity: eventlog.Identity{ClusterID: Cluster, TopicID: [16]byte{1}, Streams: 4}}
}

func (p *Platform) logConfig(brokers []string) eventlog.Config {
	return eventlog.Config{Brokers: brokers, Topic: "mailreplica-events", Streams: 4, Replication: 1, AppendTimeout: time.Second}
}

func (p *Platform) deliver(_ context.Context, to string, message []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails = append(p.mails, to+"\n"+string(message))
	return nil
}

// Mails gives what was delivered: the recipient, a line end, and the message.
func (p *Platform) Mails() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.mails...)
}

// Reseed notes what it was asked for.
func (p *Platform) Reseed(_ context.Context, fqdn string, id account.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reseeded = append(p.reseeded, fqdn+" "+id.String())
	return nil
}

// Reseeded gives what was reseeded: the mailstore and the account's id.
func (p *Platform) Reseeded() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.reseeded...)
}
