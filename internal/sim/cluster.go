package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing/synctest"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/scenario"
	"mailreplica/internal/sim/check"
	"mailreplica/internal/sim/disk"
	"mailreplica/internal/sim/network"
)

const (
	directoryName = "directory.db"
	volumeName    = "blobs"
	brokerName    = "broker"
	brokerAddress = "10.0.0.100:9092"
	adminPort     = 7071
	peerPort      = 7072
	lmtpPort      = 7025
	imapPort      = 143
	adminToken    = "0123456789abcdef-admin.token"
	peerToken     = "0123456789abcdef-peer.token"
)

// Options say what is simulated. What is zero is chosen by the seed.
type Options struct {
	Seed    uint64
	Faulty  time.Duration // how long faults happen
	Streams int32
	Folder  string // for its files; must be empty
	Exact   bool   // leave nothing to chance; the program must have been built for that, by package exact

	Scenario *scenario.Scenario // what is done to the cluster instead of what the seed chooses; optional
}

// cluster is what is simulated.
type cluster struct {
	options  Options
	random   *rand.Rand // of the nemesis alone
	folder   string
	trace    *trace
	network  *network.Network
	broker   *broker.Broker
	doubtful *doubtful            // the broker's host
	dir      *directory.Directory // as administrators reach it
	stores   []*mailstore
	accounts []account.ID // that are not to be deleted
	doomed   []account.ID // that are, or have been
	names    map[account.ID]string
	history  *check.History

	gone       sync.Map   // accounts that were wished away: their clients stop
	died       chan *life // whose disk has failed as it was to
	background sync.WaitGroup
	stopped    chan struct{} // closed when clients are to stop

	mu       sync.Mutex
	rests    int // of all goroutines, so far; for breathe alone
	problems []string
	mails    int // sent so far
	ops      int // for names and keywords
}

// of is a source of random numbers of its own for one part of the simulation, so that what one part asks for does not change what
// another is given.
func (o Options) of(part string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(part))
	return rand.New(rand.NewPCG(o.Seed, h.Sum64()))
}

func newCluster(ctx context.Context, o Options) (*cluster, error) {
	c := &cluster{
		options: o, random: o.of("nemesis"), folder: o.Folder, network: network.New(o.Seed), history: check.NewHistory(),
		names: map[account.ID]string{}, died: make(chan *life, 16), stopped: make(chan struct{}), trace: &trace{begun: time.Now(), folder: o.Folder},
	}
	if err := disk.Install(); err != nil {
		return nil, err
	}
	for _, name := range []string{"admin.token", "peer.token"} {
		if err := os.WriteFile(filepath.Join(c.folder, name), []byte("0123456789abcdef-"+name), 0o600); err != nil {
			return nil, err
		}
	}
	var err error
	if c.dir, err = directory.Create(ctx, directory.Options{Path: filepath.Join(c.folder, "directory", directoryName)}); err != nil {
		return nil, err
	}
	c.doubtful = &doubtful{
		Host: c.network.Host(brokerName, netip.MustParseAddrPort(brokerAddress).Addr()), random: o.of("doubts"), chance: map[netip.Addr]float64{},
	}
	brokersClock.wear()
	c.broker, err = broker.Start(broker.Config{Listen: brokerAddress, Network: c.doubtful})
	clock(0).wear()
	if err != nil {
		return nil, err
	}
	return c, c.dir.SetConfig(ctx, "brokers", brokerAddress)
}

// populate makes mailstores and accounts, as the seed says.
func (c *cluster) populate(ctx context.Context) error {
	random := c.options.of("population")
	stores, accounts := 2+random.IntN(2), 1+random.IntN(3)
	if c.options.Scenario != nil {
		stores, accounts = stageStores, stageCount
	}
	for i := range stores {
		m := &mailstore{
			cluster: c, index: i, name: fmt.Sprintf("mbox%d.example.com", i+1), ip: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}),
		}
		m.data = filepath.Join(c.folder, m.name+"-1")
		c.stores = append(c.stores, m)
		l, err := m.start()
		if err != nil {
			return err
		}
		if <-l.started; l.err != nil { // one after another, for they draw from one source of random numbers
			return l.err
		}
		synctest.Wait()
	}
	for i := range accounts {
		home := random.IntN(len(c.stores))
		if c.options.Scenario != nil {
			home = 0
		}
		a, err := c.dir.CreateAccount(ctx, directory.NewAccount{
			Name: fmt.Sprintf("user%d@example.com", i), MailHost: c.stores[home].name, PasswordHash: passwordHash,
		})
		if err != nil {
			return err
		}
		c.accounts = append(c.accounts, a.ID)
		c.names[a.ID] = a.Name
		for k, m := range c.stores {
			if k != home && (c.options.Scenario != nil || random.IntN(4) > 0) {
				if _, err := c.dir.PutReplica(ctx, a.ID, m.name, random.IntN(3)); err != nil {
					return err
				}
			}
		}
	}
	time.Sleep(time.Duration(random.Int64N(int64(5 * time.Second))))
	return nil
}

func (c *cluster) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.trace.add("PROBLEM", "%s", text)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, text)
}

func (c *cluster) nextMail() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mails++
	return c.mails
}

func (c *cluster) nextName(prefix string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ops++
	return fmt.Sprintf("%s%d", prefix, c.ops)
}

// close ends everything, so that no goroutine is left.
func (c *cluster) close() {
	for _, m := range c.stores {
		m.stop()
	}
	c.background.Wait()
	c.broker.Close()
	_ = c.dir.Close()
}
