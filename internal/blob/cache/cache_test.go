package cache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/blob/cache"
	"mailreplica/internal/fault"
)

const plenty = 1 << 30

// volume is one that counts what is asked of it, can be away, and can be held up.
type volume struct {
	blob.Volume
	opens atomic.Int64
	away  atomic.Bool
	hold  chan struct{} // nil, or closed when Open may go on
	held  chan struct{} // nil, or takes a token when Open waits
}

func newVolume(t testing.TB) *volume {
	t.Helper()
	return &volume{Volume: blobtest.NewMemory("central")}
}

func (v *volume) Open(ctx context.Context, name string) (blob.Blob, error) {
	v.opens.Add(1)
	if v.hold != nil {
		v.held <- struct{}{}
		<-v.hold
	}
	if v.away.Load() {
		return nil, fault.New(fault.VolumeUnavailable, "away")
	}
	return v.Volume.Open(ctx, name)
}

func open(t testing.TB, folder string, bytesMax int64) *cache.Cache {
	t.Helper()
	c, err := cache.Open(folder, bytesMax, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

func read(v blob.Volume, name string) ([]byte, error) {
	b, err := v.Open(context.Background(), name)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	return content, errors.Join(err, b.Close())
}

// files are those of the blobs in a cache's folder.
func files(t testing.TB, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "?", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// place is a volume of which each process has a cache of its own, as mailstores have.
type place struct {
	bytesMax int64
	volume   blob.Volume
}

func (p place) Open(t testing.TB) blob.Volume { return open(t, t.TempDir(), p.bytesMax).Wrap(p.volume) }

func TestContract(t *testing.T) {
	for name, bytesMax := range map[string]int64{"room": plenty, "little room": 100_000, "no room": 0} {
		t.Run(name, func(t *testing.T) {
			blobtest.Run(t, func(testing.TB) blobtest.Place { return place{bytesMax, blobtest.NewMemory("central")} })
		})
	}
}

func TestServesWhileTheVolumeIsAway(t *testing.T) {
	under, folder := newVolume(t), t.TempDir()
	c := open(t, folder, plenty)
	v := c.Wrap(under)
	contents := map[string][]byte{}
	for i, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 300_000, 3 << 20} {
		content := blobtest.Content(uint64(i), size)
		contents[blobtest.Put(t, v, content)] = content            // written here
		contents[blobtest.Put(t, under.Volume, content)] = content // written elsewhere
	}
	for name, content := range contents {
		blobtest.AssertContent(t, v, name, content)
	}
	if got := under.opens.Load(); got != 6 {
		t.Errorf("the volume was asked %d times, want 6: what was written is kept", got)
	}
	under.away.Store(true)
	for name, content := range contents {
		blobtest.AssertContent(t, v, name, content)
	}
	if _, err := v.Open(t.Context(), blob.NewName()); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("a blob that is not kept: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	c.Close()
	again := open(t, folder, plenty)
	for name, content := range contents {
		blobtest.AssertContent(t, again.Wrap(under), name, content)
	}
	if s := again.Stats(); s.Hits != 12 || s.Misses != 0 || s.Blobs != 12 {
		t.Errorf("opened again: got %+v, want 12 hits of 12 blobs", s)
	}
	for _, file := range files(t, folder) {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v, want 0600", file, info.Mode(), err)
		}
	}
}

func TestClosedCacheTouchesNothing(t *testing.T) {
	under, folder := newVolume(t), t.TempDir()
	c := open(t, folder, plenty)
	v := c.Wrap(under)
	content := blobtest.Content(1, 200_000)
	name := blobtest.Put(t, v, content)
	c.Close()
	open(t, folder, plenty) // another process has it now
	blobtest.AssertContent(t, v, name, content)
	blobtest.AssertContent(t, v, blobtest.Put(t, v, content), content)
	if err := v.Remove(t.Context(), name); err != nil {
		t.Error(err)
	}
	if got := files(t, folder); len(got) != 1 {
		t.Errorf("got %d files, want the one that was there when it was closed", len(got))
	}
}

// Of many who open one blob at once, one asks the volume.
func TestOneFetchesForAll(t *testing.T) {
	under := newVolume(t)
	v := open(t, t.TempDir(), plenty).Wrap(under)
	content := blobtest.Content(1, 500_000)
	name := blobtest.Put(t, under.Volume, content)
	under.hold, under.held = make(chan struct{}), make(chan struct{}, 100)
	var readers sync.WaitGroup
	for range 32 {
		readers.Go(func() {
			if got, err := read(v, name); err != nil || !bytes.Equal(got, content) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
	<-under.held
	close(under.hold)
	readers.Wait()
	if got := under.opens.Load(); got != 1 {
		t.Errorf("the volume was asked %d times, want once", got)
	}
}

// The one who fetches goes away: the others do not.
func TestFetcherGoesAway(t *testing.T) {
	under := newVolume(t)
	v := open(t, t.TempDir(), plenty).Wrap(under)
	name := blobtest.Put(t, under.Volume, []byte("x"))
	under.hold, under.held = make(chan struct{}), make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	readers.Go(func() {
		if _, err := v.Open(ctx, name); !fault.Is(err, fault.Interrupted) {
			t.Errorf("the one who goes: got %v, want kind %v", err, fault.Interrupted)
		}
	})
	<-under.held
	readers.Go(func() {
		if got, err := read(v, name); err != nil || string(got) != "x" {
			t.Errorf("the one who stays: got %q, %v", got, err)
		}
	})
	cancel()
	close(under.hold)
	readers.Wait()
}

// What was removed while it was fetched is not kept.
func TestRemovedWhileFetched(t *testing.T) {
	under := newVolume(t)
	c := open(t, t.TempDir(), plenty)
	v := c.Wrap(under)
	for _, size := range []int{10, 3 << 20} {
		content := blobtest.Content(1, size)
		name := blobtest.Put(t, under.Volume, content)
		b, err := under.Volume.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		slow := c.Wrap(&removing{Volume: under.Volume, b: b, remove: func() { v.Remove(t.Context(), name) }})
		if got, err := read(slow, name); err != nil || !bytes.Equal(got, content) {
			t.Errorf("got %d bytes, %v, want those of the blob that was open", len(got), err)
		}
		if _, err := v.Open(t.Context(), name); !fault.Is(err, fault.NotFound) {
			t.Errorf("afterwards: got %v, want kind %v", err, fault.NotFound)
		}
	}
	if s := c.Stats(); s.Blobs != 0 || s.Bytes != 0 {
		t.Errorf("got %+v, want nothing kept", s)
	}
}

// removing is a volume on which a blob is removed after it was opened.
type removing struct {
	blob.Volume
	b      blob.Blob
	remove func()
}

func (v *removing) Open(context.Context, string) (blob.Blob, error) {
	v.remove()
	return v.b, nil
}

func TestKeepsItsLimit(t *testing.T) {
	under, folder := newVolume(t), t.TempDir()
	const limit = 1 << 20
	c := open(t, folder, limit)
	v := c.Wrap(under)
	first := blobtest.Put(t, v, blobtest.Content(0, 50_000))
	var last string
	for i := range 60 {
		last = blobtest.Put(t, v, blobtest.Content(uint64(i), 50_000))
		if _, err := read(v, first); err != nil {
			t.Fatal(err)
		}
		var bytes int64
		for _, file := range files(t, folder) {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			bytes += info.Size()
		}
		if got := c.Stats().Bytes; bytes > limit || got > limit || got < bytes {
			t.Fatalf("after %d: %d bytes on the disk, %d counted, want at most %d", i, bytes, got, limit)
		}
	}
	s := c.Stats()
	if s.Misses != 0 || s.Evicted < 30 {
		t.Errorf("got %+v, want that what is read often stays, and that others go", s)
	}
	big := blobtest.Content(9, limit/2)
	blobtest.AssertContent(t, v, blobtest.Put(t, v, big), big)
	if got := c.Stats(); got.Misses != s.Misses+1 || got.Blobs > s.Blobs {
		t.Errorf("a blob that is half as large as the cache is kept: %+v", got)
	}
	c.Close()
	again := open(t, folder, 200_000)
	if got := again.Stats(); got.Bytes > 200_000 || got.Blobs == 0 {
		t.Errorf("opened again with less room: got %+v", got)
	}
	under.away.Store(true)
	if _, err := read(again.Wrap(under), last); err != nil {
		t.Errorf("the last one: %v, want that it stayed", err)
	}
}

// However a file is damaged, what is read is what was written.
func TestDamage(t *testing.T) {
	content := blobtest.Content(1, 200_000)
	for name, damage := range map[string]func([]byte) []byte{
		"first byte":    func(f []byte) []byte { f[0] ^= 1; return f },
		"last byte":     func(f []byte) []byte { f[199_999] ^= 1; return f },
		"sums":          func(f []byte) []byte { f[200_001] ^= 1; return f },
		"footer":        func(f []byte) []byte { f[len(f)-30] ^= 1; return f },
		"end":           func(f []byte) []byte { f[len(f)-1] ^= 1; return f },
		"cut":           func(f []byte) []byte { return f[:100_000] },
		"cut by a byte": func(f []byte) []byte { return f[:len(f)-1] },
		"empty":         func([]byte) []byte { return nil },
		"longer":        func(f []byte) []byte { return append(f, 0) },
		"zeros":         func(f []byte) []byte { clear(f); return f },
		"a hole":        func(f []byte) []byte { clear(f[65_536:131_072]); return f },
	} {
		t.Run(name, func(t *testing.T) {
			under, folder := newVolume(t), t.TempDir()
			c := open(t, folder, plenty)
			v := c.Wrap(under)
			blobName := blobtest.Put(t, v, content)
			file := files(t, folder)[0]
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, damage(raw), 0o600); err != nil {
				t.Fatal(err)
			}
			blobtest.AssertContent(t, v, blobName, content)
			blobtest.AssertContent(t, v, blobName, content)
			if s := c.Stats(); s.Damaged != 1 {
				t.Errorf("got %+v, want one damaged file", s)
			}
		})
	}
}

// A file that lies under another blob's name is not that blob.
func TestFileOfAnotherBlob(t *testing.T) {
	under, folder := newVolume(t), t.TempDir()
	v := open(t, folder, plenty).Wrap(under)
	a, b := blobtest.Content(1, 1000), blobtest.Content(2, 1000)
	nameA, nameB := blobtest.Put(t, v, a), blobtest.Put(t, v, b)
	var of [2]string
	for _, file := range files(t, folder) {
		if strings.Contains(file, nameA) {
			of[0] = file
		} else {
			of[1] = file
		}
	}
	if err := os.Rename(of[0], of[1]); err != nil {
		t.Fatal(err)
	}
	blobtest.AssertContent(t, v, nameB, b)
	blobtest.AssertContent(t, v, nameA, a)
}

// A folder that cannot be written costs speed, and nothing else.
func TestFolderThatCannotBeWritten(t *testing.T) {
	under, folder := newVolume(t), t.TempDir()
	c := open(t, folder, plenty)
	v := c.Wrap(under)
	tmp := filepath.Join(folder, "tmp")
	if err := os.Remove(tmp); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tmp, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{100, 300_000, 3 << 20} {
		content := blobtest.Content(1, size)
		name := blobtest.Put(t, v, content)
		blobtest.AssertContent(t, v, name, content)
		blobtest.AssertContent(t, v, name, content)
	}
	if s := c.Stats(); s.Blobs != 0 || s.Bytes != 0 || s.WritesFailed == 0 {
		t.Errorf("got %+v, want nothing kept and failures counted", s)
	}
}

func TestTwoProcesses(t *testing.T) {
	folder := t.TempDir()
	c := open(t, folder, plenty)
	if _, err := cache.Open(folder, plenty, slog.New(slog.DiscardHandler)); !fault.Is(err, fault.Busy) {
		t.Errorf("got %v, want kind %v", err, fault.Busy)
	}
	c.Close()
	open(t, folder, plenty)
}

// A large blob of which only the beginning is read is neither fetched whole nor kept, and can be fetched by another.
func TestBeginningOfALargeBlob(t *testing.T) {
	under := newVolume(t)
	c := open(t, t.TempDir(), plenty)
	v := c.Wrap(under)
	content := blobtest.Content(1, 3<<20)
	name := blobtest.Put(t, under.Volume, content)
	b, err := v.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var first [1000]byte
	if n, err := b.ReadAt(first[:], 0); n != 1000 || err != nil || !bytes.Equal(first[:], content[:1000]) {
		t.Errorf("got %d, %v", n, err)
	}
	blobtest.AssertContent(t, v, name, content) // while the first reader is at it
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if s := c.Stats(); s.Blobs != 0 || s.Bytes != 0 {
		t.Errorf("got %+v, want nothing kept", s)
	}
	blobtest.AssertContent(t, v, name, content)
	if s := c.Stats(); s.Blobs != 1 {
		t.Errorf("got %+v, want the blob kept that was read to its end", s)
	}
}

func TestVolumesShareAFolder(t *testing.T) {
	c := open(t, t.TempDir(), plenty)
	a, b := newVolume(t), newVolume(t)
	other := c.Wrap(renamed{b.Volume})
	name := blobtest.Put(t, c.Wrap(a), []byte("x"))
	if _, err := other.Open(t.Context(), name); !fault.Is(err, fault.NotFound) {
		t.Errorf("another volume's blob: got %v, want kind %v", err, fault.NotFound)
	}
}

type renamed struct{ blob.Volume }

func (renamed) ID() string { return "another" }

// Readers, writers and removers at once, in a cache that is too small.
func TestCrowd(t *testing.T) {
	under, folder := newVolume(t), t.TempDir()
	c := open(t, folder, 2<<20)
	v := c.Wrap(under)
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			var mine []string
			for i := range 40 {
				content := blobtest.Content(uint64(worker), 1000*(i%7)*worker+i)
				mine = append(mine, blobtest.Put(t, v, content))
				blobtest.AssertContent(t, v, mine[len(mine)-1], content)
				if i%3 == 0 {
					if err := v.Remove(t.Context(), mine[0]); err != nil {
						t.Errorf("remove: %v", err)
					}
					mine = mine[1:]
				} else if _, err := read(v, mine[0]); err != nil {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
	workers.Wait()
	var bytes int64
	for _, file := range files(t, folder) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size() + 4096
	}
	s := c.Stats()
	if s.Bytes != bytes || s.Bytes > 2<<20 {
		t.Errorf("%d bytes are counted, %d are on the disk, at most %d may be", s.Bytes, bytes, 2<<20)
	}
	left, err := os.ReadDir(filepath.Join(folder, "tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}
