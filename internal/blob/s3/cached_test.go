package s3_test

import (
	"log/slog"
	"sync"
	"testing"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/blob/cache"
	"mailreplica/internal/blob/s3"
	"mailreplica/internal/fault"
)

func cached(t testing.TB, v blob.Volume) blob.Volume {
	t.Helper()
	c, err := cache.Open(t.TempDir(), 64<<20, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.Wrap(v)
}

type cachedPlace s3.Config

func (p cachedPlace) Open(t testing.TB) blob.Volume { return cached(t, claimed(t, s3.Config(p))) }

func TestContractBehindACache(t *testing.T) {
	blobtest.Run(t, func(t testing.TB) blobtest.Place { return cachedPlace(bucket(t, shared(t))) })
}

// What was written or read lately is served while the server is away, and asks nothing of it before.
func TestServerIsAwayBehindACache(t *testing.T) {
	g := own(t)
	b := standBetween(t, g, false)
	c := b.config(bucket(t, g))
	v := claimed(t, c)
	written, unread := cached(t, v), blobtest.Put(t, v, []byte("unread"))
	small, large := blobtest.Content(1, 75<<10), blobtest.Content(2, 12<<20)
	names := map[string][]byte{blobtest.Put(t, written, small): small, blobtest.Put(t, written, large): large}
	b.set(nil)
	elsewhere := blobtest.Put(t, v, small)
	names[elsewhere] = small
	b.set(nil)
	var readers sync.WaitGroup
	for range 16 {
		readers.Go(func() { blobtest.AssertContent(t, written, elsewhere, small) })
	}
	readers.Wait()
	if got := b.ofBlobs(); len(got) != 1 {
		t.Errorf("16 readers took %d requests, want 1: %q", len(got), got)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	for name, content := range names {
		blobtest.AssertContent(t, written, name, content)
	}
	_, err := read(written, unread)
	assertKind(t, "what was not read before", c, err, fault.VolumeUnavailable)
	_, err = write(written, []byte("new"))
	assertKind(t, "write", c, err, fault.VolumeUnavailable)
}
