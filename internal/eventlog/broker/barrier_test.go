package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/fault"
)

func startSynced(t *testing.T) *broker.Broker {
	t.Helper()
	return brokertest.StartBroker(t, broker.Config{DataDir: t.TempDir(), SyncWrites: true})
}

// follow counts the entries that readers are given of stream 0.
func follow(l *eventlog.Log) (given *atomic.Int64, r *eventlog.Reader) {
	given = new(atomic.Int64)
	r = l.NewReader(func(_ context.Context, b eventlog.Batch) { given.Add(int64(len(b.Entries))) })
	r.Follow(0, 0, -1)
	return given, r
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// heldSyncs are a broker's syncs of segments, each of which waits while they are held.
type heldSyncs struct {
	holding       atomic.Bool
	count         atomic.Int64
	held, release chan struct{}
}

func holdSyncs(b *broker.Broker) *heldSyncs {
	s := &heldSyncs{held: make(chan struct{}, 100), release: make(chan struct{})}
	b.SetSync(func(path string, really func(string) error) error {
		if strings.HasSuffix(path, ".dat") {
			s.count.Add(1)
			if s.holding.Load() {
				s.held <- struct{}{}
				<-s.release
			}
		}
		return really(path)
	})
	return s
}

func (s *heldSyncs) letGo() {
	s.holding.Store(false)
	close(s.release)
}

// While a segment is being synced, neither the producer nor a reader hears of what is in it; what is appended meanwhile shares
// the next sync.
func TestNothingIsToldBeforeItIsSynced(t *testing.T) {
	b := startSynced(t)
	syncs := holdSyncs(b)
	l, other := openLog(t, b.Address()), openLog(t, b.Address())
	given, r := follow(other)
	defer r.Close()
	appendAll(t, l, 0, 0, 1)
	appendAll(t, other, 0, 1, 2) // its producer has an id now
	eventually(t, "the first records are read", func() bool { return given.Load() == 2 })

	syncs.holding.Store(true)
	confirmed := make(chan error, 2)
	l.Append(0, nil, []byte("a"), func(err error) { confirmed <- err })
	<-syncs.held
	other.Append(0, nil, []byte("b"), func(err error) { confirmed <- err })
	eventually(t, "the second record is written", func() bool { return b.Cluster().PartitionInfo("mail", 0).HighWatermark == 4 })
	if n, g := len(confirmed), given.Load(); n > 0 || g != 2 {
		t.Errorf("before the sync ended, %d records were confirmed and %d were read", n, g-2)
	}
	syncs.letGo()
	for range 2 {
		if err := <-confirmed; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "both records are read", func() bool { return given.Load() == 4 })
}

// Requests that one client sends ahead are worked at while the answer to the first waits for its sync, and share the next one. Our own client
// sends none of the same stream ahead: Kafka's does.
func TestRequestsOfOneClientShareASync(t *testing.T) {
	b := startSynced(t)
	syncs := holdSyncs(b)
	l := openLog(t, b.Address())
	given, r := follow(l)
	defer r.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Address()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	confirmed := make(chan error, 5)
	send := func() {
		client.TryProduce(t.Context(), &kgo.Record{Topic: "mail", Value: []byte("ahead")}, func(_ *kgo.Record, err error) { confirmed <- err })
	}
	if send(); <-confirmed != nil { // its producer has an id now, and sends ahead from then on
		t.Fatal("the first record was refused")
	}
	eventually(t, "the first record is read", func() bool { return given.Load() == 1 })

	syncs.holding.Store(true)
	for i := range 4 {
		send()
		eventually(t, "the record is written", func() bool {
			return b.Cluster().PartitionInfo("mail", 0).HighWatermark == int64(2+i)
		})
		if i == 0 {
			<-syncs.held
		}
	}
	if n, g := len(confirmed), given.Load(); n > 0 || g != 1 {
		t.Errorf("before the sync ended, %d records were confirmed and %d were read", n, g-1)
	}
	before := syncs.count.Load()
	syncs.letGo()
	for range 4 {
		if err := <-confirmed; err != nil {
			t.Error(err)
		}
	}
	if more := syncs.count.Load() - before; more > 1 {
		t.Errorf("%d syncs for three requests that had been written", more)
	}
	eventually(t, "all are read", func() bool { return given.Load() == 5 })
}

// After a failed sync nothing is confirmed or read any more, and the broker ends.
func TestFailedSyncEndsTheBroker(t *testing.T) {
	b := startSynced(t)
	var failing atomic.Bool
	b.SetSync(func(path string, really func(string) error) error {
		if failing.Load() && strings.HasSuffix(path, ".dat") {
			return errors.New("the disk is on fire")
		}
		return really(path)
	})
	l := openLog(t, b.Address())
	given, r := follow(l)
	defer r.Close()
	appendAll(t, l, 0, 0, 1)
	eventually(t, "the first record is read", func() bool { return given.Load() == 1 })
	failing.Store(true)
	confirmed := make(chan error, 1)
	l.Append(0, nil, []byte("lost"), func(err error) { confirmed <- err })
	if err := <-b.Failed(); !fault.Is(err, fault.DatabaseUnavailable) {
		t.Errorf("got %v, want kind %v", err, fault.DatabaseUnavailable)
	}
	failing.Store(false) // what the kernel could not write once, it may say to have written the next time
	if err := <-confirmed; err == nil || given.Load() != 1 {
		t.Errorf("the record was confirmed with %v, %d records were read", err, given.Load())
	}
}

// power is what a power loss would leave of a broker's folder: of each segment, what was in it when its last sync began.
type power struct {
	mu     sync.Mutex
	synced map[string]int64
}

func (p *power) sync(path string, really func(string) error) error {
	stat, statErr := os.Stat(path)
	err := really(path)
	if err == nil && statErr == nil && !stat.IsDir() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.synced[path] = max(p.synced[path], stat.Size())
	}
	return err
}

// lose copies to another folder what is left of dir.
func (p *power) lose(t *testing.T, dir, to string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for path, size := range p.synced {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(path) != ".json" { // those are replaced whole
			content = content[:size]
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Writers go on while the power is lost, in the middle of several topics' streams: all that was confirmed by then is there.
func TestPowerLoss(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.StartBroker(t, broker.Config{DataDir: dir, SyncWrites: true})
	power := &power{synced: map[string]int64{}}
	b.SetSync(power.sync)
	l := openLog(t, b.Address())
	const streams, window, lossesMax = 4, 20, 5
	var confirmed [streams]atomic.Int64
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for stream := range int32(streams) {
		writers.Go(func() {
			slots := make(chan struct{}, window)
			for i := 0; ; i++ {
				select {
				case slots <- struct{}{}:
				case <-stop:
					return
				}
				l.Append(stream, nil, []byte(fmt.Sprint(i)), func(err error) {
					if err == nil {
						confirmed[stream].Add(1)
					}
					<-slots
				})
			}
		})
	}
	for loss := range lossesMax {
		eventually(t, "records are confirmed", func() bool { return confirmed[3].Load() >= int64(50*(loss+1)) })
		if loss == 2 {
			if err := b.Overflow(); err != nil {
				t.Fatal(err)
			}
		}
		var before [streams]int64
		for stream := range streams {
			before[stream] = confirmed[stream].Load()
		}
		left := t.TempDir()
		power.lose(t, dir, left)
		again := brokertest.StartBroker(t, broker.Config{DataDir: left, SyncWrites: true})
		found := openLog(t, again.Address())
		if identity(t, found) != identity(t, l) {
			t.Error("another log after a power loss")
		}
		for stream := range int32(streams) {
			got := values(t, found, stream)
			if int64(len(got)) < before[stream] || fmt.Sprint(got) != fmt.Sprint(numbers(0, len(got))) {
				t.Errorf("stream %d holds %d values in order, %d were confirmed: %s", stream, len(got), before[stream], firstDifference(got))
			}
		}
		again.Close()
	}
	close(stop)
	writers.Wait()
}
