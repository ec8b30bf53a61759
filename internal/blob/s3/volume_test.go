package s3_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/blob/s3"
	engine "mailreplica/internal/engine/s3"
	"mailreplica/internal/fault"
)

// server is a real one, which the tests that do not harm it share.
var server struct {
	sync.Mutex
	gateway *engine.Gateway
	folder  string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if server.gateway != nil {
		_ = server.gateway.Close()
		_ = os.RemoveAll(server.folder)
	}
	os.Exit(code)
}

func shared(t testing.TB) *engine.Gateway {
	t.Helper()
	server.Lock()
	defer server.Unlock()
	if server.gateway == nil {
		folder, err := os.MkdirTemp("", "s3-")
		if err != nil {
			t.Fatal(err)
		}
		server.folder = folder
		if server.gateway, err = engine.Start(t.Context(), engine.Options{Folder: folder}); err != nil {
			t.Fatalf("%v (%s)", err, fault.HintOf(err))
		}
	}
	return server.gateway
}

// own is a server for one test.
func own(t testing.TB) *engine.Gateway {
	t.Helper()
	g, err := engine.Start(t.Context(), engine.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatalf("%v (%s)", err, fault.HintOf(err))
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

var buckets atomic.Int64

// bucket is a new and empty one.
func bucket(t testing.TB, g *engine.Gateway) s3.Config {
	t.Helper()
	name := fmt.Sprintf("mail-%d", buckets.Add(1))
	if err := g.CreateBucket(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	// Most tests make a request fail for as long as it is tried: RetryMax is short, for the whole to take less long.
	return s3.Config{RetryMax: 300 * time.Millisecond, Endpoint: g.Endpoint(), Region: g.Region(), Bucket: name, Prefix: "volumes/one", AccessKey: g.AccessKey(), Secret: g.Secret(), PathStyle: true}
}

// patiently is for what has to succeed in the end, however slow the machine is.
func patiently(c s3.Config) s3.Config {
	c.RetryMax = time.Hour // attempts are counted, too
	return c
}

func open(t testing.TB, c s3.Config) *s3.Volume {
	t.Helper()
	v, err := s3.Open(c, "central")
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(v.Close)
	return v
}

func claimed(t testing.TB, c s3.Config) *s3.Volume {
	t.Helper()
	v := open(t, c)
	if err := v.Claim(t.Context()); err != nil {
		t.Fatalf("claim: %v", err)
	}
	return v
}

type place s3.Config

func (p place) Open(t testing.TB) blob.Volume { return claimed(t, s3.Config(p)) }

func TestContract(t *testing.T) {
	blobtest.Run(t, func(t testing.TB) blobtest.Place { return place(bucket(t, shared(t))) })
}

func TestClaim(t *testing.T) {
	c := bucket(t, shared(t))
	v := open(t, c)
	if _, err := v.Create(t.Context()); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("write before the claim: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	if _, err := v.Open(t.Context(), blob.NewName()); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("read before the claim: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	for range 2 {
		if err := v.Claim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	other, err := s3.Open(c, "another")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	if err := other.Claim(t.Context()); !fault.Is(err, fault.VolumeUnavailable) || !strings.Contains(err.Error(), `holds volume "central"`) {
		t.Errorf("claim of another volume's prefix: got %v, want that it holds central", err)
	}
	if _, err := other.Create(t.Context()); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("write to another volume's prefix: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	c.Prefix = "volumes"
	if err := open(t, c).Claim(t.Context()); !fault.Is(err, fault.VolumeUnavailable) || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("claim of a prefix with something in it: got %v, want that it is not empty", err)
	}
}

func TestClaimedByManyAtOnce(t *testing.T) {
	c := bucket(t, shared(t))
	var wins atomic.Int64
	var claims sync.WaitGroup
	for i := range 8 {
		claims.Go(func() {
			v, err := s3.Open(c, fmt.Sprintf("volume-%d", i%2))
			if err != nil {
				t.Error(err)
				return
			}
			defer v.Close()
			err = v.Claim(t.Context())
			if err == nil {
				wins.Add(1)
			} else if !strings.Contains(err.Error(), "holds volume") {
				t.Errorf("claim: got %v, want that it holds another volume", err)
			}
		})
	}
	claims.Wait()
	if wins.Load() != 4 {
		t.Errorf("%d of 8 claims succeeded, want the 4 of one volume", wins.Load())
	}
}
