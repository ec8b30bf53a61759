package dir_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/blob/dir"
	"mailreplica/internal/fault"
)

// packs gives the files of all packs of a volume.
func packs(t testing.TB, path string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(path, "blobs", "*", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func packFile(path, name string) string {
	return filepath.Join(path, "blobs", name[:2], name[:24]+".pack")
}

// list lists a volume, and opens each blob of it.
func list(t testing.TB, v blob.Volume) (names []string) {
	t.Helper()
	err := v.List(t.Context(), "", func(i blob.Info) error {
		if b, err := v.Open(t.Context(), i.Name); err != nil || b.Size() != i.Size {
			t.Errorf("listed %+v, and opened %v, %v", i, b, err)
		}
		names = append(names, i.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func wantNames(t testing.TB, v blob.Volume, want ...string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if got := list(t, v); !slices.Equal(got, want) {
		t.Errorf("listed %d blobs %.200q, want %d %.200q", len(got), got, len(want), want)
	}
}

func wantGone(t testing.TB, v blob.Volume, name string) {
	t.Helper()
	if _, err := v.Open(t.Context(), name); !fault.Is(err, fault.NotFound) {
		t.Errorf("%s: got %v, want kind %v", name, err, fault.NotFound)
	}
}

// put writes a blob by one call.
func put(ctx context.Context, v blob.Volume, content []byte) (string, error) {
	w, err := v.Create(ctx)
	if err != nil {
		return "", err
	}
	defer w.Abort()
	if _, err := w.Write(content); err != nil {
		return "", err
	}
	name, _, err := w.Commit(ctx)
	return name, err
}

// gate is a pack whose writes wait, and can fail.
type gate struct {
	dir.PackFile
	arrived, open chan struct{}
	write         func(f dir.PackFile, p []byte, at int64) (int, error)
}

func (g *gate) WriteAt(p []byte, at int64) (int, error) {
	g.arrived <- struct{}{}
	<-g.open
	if g.write != nil {
		return g.write(g.PackFile, p, at)
	}
	return g.PackFile.WriteAt(p, at)
}

// gated opens a volume whose packs are gates.
func gated(t *testing.T, write func(f dir.PackFile, p []byte, at int64) (int, error)) (v *dir.Volume, path string, g *gate) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "volume")
	v = open(t, path)
	g = &gate{arrived: make(chan struct{}, 100), open: make(chan struct{}), write: write}
	v.OnDisk(func(f *os.File) dir.PackFile { return &gate{f, g.arrived, g.open, g.write} })
	return v, path, g
}

// What waits while a write is under way is written together, up to a bound.
func TestWaitingBlobsAreWrittenTogether(t *testing.T) {
	v, path, g := gated(t, nil)
	var writers sync.WaitGroup
	var mu sync.Mutex
	contents := map[string][]byte{}
	start := func(size, n int) {
		for i := range n {
			writers.Go(func() {
				content := blobtest.Content(uint64(size+i), size)
				name, err := put(t.Context(), v, content)
				if err != nil {
					t.Errorf("%d bytes: %v", size, err)
				}
				mu.Lock()
				defer mu.Unlock()
				contents[name] = content
			})
		}
	}
	start(8500, 1)
	<-g.arrived
	start(0, 2)
	start(4064, 3) // with its header a block
	start(4065, 4)
	start(65_504, 5) // the largest
	waitFor(t, func() bool { return v.Waiting() == 14 })
	g.open <- struct{}{}
	<-g.arrived
	start(60_000, 20) // more than one write takes
	waitFor(t, func() bool { return v.Waiting() == 20 })
	close(g.open)
	writers.Wait()
	if len(g.arrived) != 2 {
		t.Errorf("%d writes after the second, want 2", len(g.arrived))
	}
	if got := packs(t, path); len(got) != 1 {
		t.Errorf("packs %q, want one", got)
	}
	other := open(t, path)
	for name, content := range contents {
		blobtest.AssertContent(t, other, name, content)
	}
	if got := list(t, other); len(got) != 35 {
		t.Errorf("listed %d, want 35", len(got))
	}
}

func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited a minute in vain")
		}
	}
}

// A write that fails, for want of space in the middle of a batch or because the disk did not take it, fails all that wait for it, and
// ends its pack. What was written before stays.
func TestFailingWrite(t *testing.T) {
	for _, failure := range []error{syscall.ENOSPC, syscall.EIO, syscall.EFBIG} {
		for _, written := range []int{0, 100, 5000, 13 * 4096} {
			writes := 0
			v, path, g := gated(t, func(f dir.PackFile, p []byte, at int64) (int, error) {
				if writes++; writes != 2 {
					return f.WriteAt(p, at)
				}
				n, _ := f.WriteAt(p[:written], at)
				return n, failure
			})
			close(g.open)
			before := blobtest.Content(1, 9000)
			kept := blobtest.Put(t, v, before)
			var writers sync.WaitGroup
			v.TakeTurn(func() {
				for range 8 {
					writers.Go(func() {
						if name, err := put(t.Context(), v, make([]byte, 8500)); !fault.Is(err, fault.VolumeUnavailable) {
							t.Errorf("%v after %d bytes: got %s, %v", failure, written, name, err)
						}
					})
				}
				waitFor(t, func() bool { return v.Waiting() == 8 })
			})
			writers.Wait()
			wantNames(t, v, kept)
			if info, err := os.Stat(packFile(path, kept)); err != nil || info.Size() != 3*4096 {
				t.Errorf("the pack has %d bytes, %v; want those of the blob that was written before", info.Size(), err)
			}
			after := blobtest.Put(t, v, []byte("after"))
			if after[:24] == kept[:24] {
				t.Error("the pack was written to again")
			}
			blobtest.AssertContent(t, v, kept, before)
			wantNames(t, open(t, path), kept, after)
		}
	}
}

// A pack of which nothing was written is not left behind: on a disk that stays full there would be one more for each message.
func TestFirstWriteFails(t *testing.T) {
	v, path, g := gated(t, func(f dir.PackFile, p []byte, at int64) (int, error) {
		n, _ := f.WriteAt(p[:3000], at)
		return n, syscall.ENOSPC
	})
	close(g.open)
	for range 3 {
		if _, err := put(t.Context(), v, make([]byte, 8500)); !fault.Is(err, fault.VolumeUnavailable) {
			t.Errorf("got %v", err)
		}
	}
	if left := packs(t, path); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

// Who does not wait any longer learns nothing, and others' blobs are written. What nobody waits for any more is not written.
func TestContextEndsWhileWaiting(t *testing.T) {
	v, path, g := gated(t, nil)
	var stay, gone sync.WaitGroup
	stays := func() {
		stay.Go(func() {
			if name, err := put(t.Context(), v, []byte("stays")); err != nil {
				t.Error(err)
			} else {
				blobtest.AssertContent(t, v, name, []byte("stays"))
			}
		})
	}
	stays()
	<-g.arrived
	for others := range 2 {
		for range others {
			stays()
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range 5 {
			gone.Go(func() {
				if name, err := put(ctx, v, []byte("gone")); !fault.Is(err, fault.Interrupted) {
					t.Errorf("got %q, %v", name, err)
				}
			})
		}
		waitFor(t, func() bool { return v.Waiting() == 5+others })
		cancel()
		gone.Wait()
		if n := v.Waiting(); others == 0 && n > 0 {
			t.Errorf("%d wait for nobody", n)
		}
	}
	close(g.open)
	stay.Wait()
	if n := len(list(t, open(t, path))); n != 2+5 {
		t.Errorf("listed %d, want the two that stayed, and those that one of them waited with", n)
	}
}

// A pack that is taken away while it is written, or that others may have taken for one that nobody writes, is no place for a message.
func TestPackIsLost(t *testing.T) {
	var v *dir.Volume
	var path string
	for what, happens := range map[string]func(string){
		"removed":            func(pack string) { os.Remove(pack) },
		"removed, with all":  func(string) { os.RemoveAll(path) },
		"the process slept":  func(string) { v.AgePack(13 * time.Hour) },
		"nothing (for once)": func(string) {},
	} {
		now := func() {}
		var g *gate
		v, path, g = gated(t, func(f dir.PackFile, p []byte, at int64) (int, error) {
			now()
			return f.WriteAt(p, at)
		})
		close(g.open)
		first := blobtest.Put(t, v, []byte("first"))
		now = func() { happens(packFile(path, first)) }
		_, err := put(t.Context(), v, []byte("second"))
		if want := what != "nothing (for once)"; want != fault.Is(err, fault.VolumeUnavailable) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// A pack is written for an hour, and up to 64 MiB.
func TestPackEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	v := open(t, path)
	first := blobtest.Put(t, v, []byte("first"))
	v.AgePack(59 * time.Minute)
	if name := blobtest.Put(t, v, []byte("second")); name[:24] != first[:24] {
		t.Error("a new pack after 59 minutes")
	}
	v.AgePack(time.Minute)
	if name := blobtest.Put(t, v, []byte("third")); name[:24] == first[:24] {
		t.Error("the same pack after an hour")
	}
	v.OnDisk(func(f *os.File) dir.PackFile { return unsynced{f} })
	v.AgePack(time.Hour)
	full := blobtest.Put(t, v, make([]byte, 65_000))
	for range 64<<20/(64<<10) - 1 {
		if name := blobtest.Put(t, v, make([]byte, 65_000)); name[:24] != full[:24] {
			t.Fatal("a new pack before the first was full")
		}
	}
	if name := blobtest.Put(t, v, nil); name[:24] == full[:24] {
		t.Error("more than 64 MiB in a pack")
	}
	if again := blobtest.Put(t, open(t, path), nil); slices.ContainsFunc([]string{first, full}, func(n string) bool { return n[:24] == again[:24] }) {
		t.Error("a pack of an earlier process was written to")
	}
	if got := list(t, v); len(got) != 3+1024+2 {
		t.Errorf("listed %d", len(got))
	}
}

// unsynced is a pack that need not survive anything.
type unsynced struct{ dir.PackFile }

func (u unsynced) WriteAt(p []byte, at int64) (int, error) {
	file, err := os.OpenFile(u.PackFile.(*os.File).Name(), os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return file.WriteAt(p, at)
}

// Where the filesystem makes no holes in files, every blob is a file of its own; and what a pack of elsewhere holds can be removed.
func TestNoHoles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	packed := blobtest.Put(t, open(t, path), []byte("packed"))
	v := open(t, path)
	v.NoHoles(syscall.EOPNOTSUPP)
	var names []string
	for i := range 3 {
		content := blobtest.Content(uint64(i), 1000*i)
		names = append(names, blobtest.Put(t, v, content))
		blobtest.AssertContent(t, v, names[i], content)
		if _, err := os.Stat(filepath.Join(path, "blobs", names[i][:2], names[i])); err != nil {
			t.Error(err)
		}
	}
	if got := packs(t, path); len(got) != 1 {
		t.Errorf("packs %q, want the one of before", got)
	}
	wantNames(t, v, append(names, packed)...)
	if err := v.Remove(t.Context(), packed); err != nil {
		t.Fatal(err)
	}
	wantGone(t, v, packed)
	wantNames(t, v, names...)
	v.NoHoles(syscall.EIO)
	if err := v.Remove(t.Context(), blobtest.Put(t, open(t, path), nil)); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("a disk that fails: got %v", err)
	}
}

// A volume of layout 1 is used by programs that know packs and by those that have it open from before; its blobs are read as before.
func TestVolumeOfLayout1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	open(t, path)
	marker := filepath.Join(path, "volume.json")
	if err := os.WriteFile(marker, []byte(`{"id":"shared","layout":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	old := blob.NewName()
	if err := os.WriteFile(filepath.Join(path, "blobs", old[:2], old), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	one, two := open(t, path), open(t, path)
	blobtest.AssertContent(t, one, old, []byte("old"))
	if text, err := os.ReadFile(marker); err != nil || !bytes.Contains(text, []byte(`"layout":1`)) {
		t.Errorf("before anything was written: %s, %v", text, err)
	}
	names := []string{old}
	for range 3 {
		for _, v := range []*dir.Volume{one, two} {
			names = append(names, blobtest.Put(t, v, []byte(old)))
		}
	}
	if text, err := os.ReadFile(marker); err != nil || string(text) != `{"id":"shared","layout":2}`+"\n" {
		t.Errorf("after: %s, %v", text, err)
	}
	wantNames(t, one, names...)
	for _, name := range names {
		if err := two.Remove(t.Context(), name); err != nil {
			t.Error(err)
		}
		wantGone(t, one, name)
	}
	wantNames(t, two)
	if err := os.WriteFile(marker, []byte(`{"id":"shared","layout":3}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Open(path, "shared"); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("layout 3: got %v", err)
	}
	one.AgePack(time.Hour)
	if _, err := put(t.Context(), one, nil); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("a new pack in layout 3: got %v", err)
	}
}

func TestThousandsOfWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	v := open(t, path)
	names := make([]string, 4000)
	var writers sync.WaitGroup
	for i := range names {
		writers.Go(func() {
			var err error
			if names[i], err = put(t.Context(), v, blobtest.Content(uint64(i), 10+i)); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	writers.Wait()
	other := open(t, path)
	for i, name := range names {
		blobtest.AssertContent(t, other, name, blobtest.Content(uint64(i), 10+i))
	}
	if got := list(t, other); len(got) != len(names) {
		t.Errorf("listed %d, want %d", len(got), len(names))
	}
}
