package dir_test

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/blob/dir"
	"mailreplica/internal/fault"
)

type place string

func (p place) Open(t testing.TB) blob.Volume { return open(t, string(p)) }

func open(t testing.TB, path string) *dir.Volume {
	t.Helper()
	v, err := dir.Open(path, "shared")
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(v.Close)
	return v
}

func TestContract(t *testing.T) {
	blobtest.Run(t, func(t testing.TB) blobtest.Place { return place(filepath.Join(t.TempDir(), "volume")) })
}

func TestUnmountedIsNoticed(t *testing.T) {
	mountPoint := t.TempDir()
	_, err := dir.Open(mountPoint, "shared")
	if !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("empty mount point: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	if left, err := os.ReadDir(mountPoint); err != nil || len(left) > 0 {
		t.Errorf("the mount point was written to: %v, %v", left, err)
	}
	v, err := dir.Create(mountPoint, "shared")
	if err != nil {
		t.Fatalf("create in an existing directory: %v", err)
	}
	v.Close()
	if _, err := dir.Open(mountPoint, "another"); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("another volume: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	if _, err := dir.Create(mountPoint, "another"); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("create over another volume: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	if _, err := dir.Open(filepath.Join(mountPoint, "missing", "deep"), "shared"); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("missing parent: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
}

func TestCreateRefusesForeignDirectory(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Create(home, "shared"); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want kind %v", err, fault.Invalid)
	}
}

// A directory that was emptied or taken away under a running mailstore is no volume without that blob: it is no volume.
func TestVolumeTakenAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	v := open(t, path)
	name := blobtest.Put(t, v, []byte("x"))
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // the mount point is still there
		t.Fatal(err)
	}
	if _, err := v.Open(t.Context(), name); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("open: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	if err := v.Remove(t.Context(), name); !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("remove: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	w, err := v.Create(t.Context())
	if err == nil {
		w.Write([]byte("x"))
		_, _, err = w.Commit(t.Context())
	}
	if !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("write: got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	if left, err := os.ReadDir(path); err != nil || len(left) > 0 {
		t.Errorf("the mount point was written to: %v, %v", left, err)
	}
}

func TestOpenedByManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	var openers sync.WaitGroup
	for range 8 {
		openers.Go(func() {
			v, err := dir.Open(path, "shared")
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			defer v.Close()
			blobtest.Put(t, v, []byte("x"))
		})
	}
	openers.Wait()
	if beside, err := os.ReadDir(filepath.Dir(path)); err != nil || len(beside) != 1 {
		t.Errorf("beside the volume: %v, %v, want nothing", beside, err)
	}
}

func TestLeftovers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	v := open(t, path)
	kept := blobtest.Put(t, v, []byte("kept"))
	files := map[string]struct {
		age  time.Duration
		stay bool
	}{
		blob.NewName() + ".part":           {25 * time.Hour, false},
		blob.NewName() + ".PART":           {25 * time.Hour, true}, // not ours
		"notes.part":                       {25 * time.Hour, true}, // not ours
		"0" + blob.NewName()[1:] + ".part": {time.Hour, true},      // another mailstore may be writing it
	}
	for name, f := range files {
		file := filepath.Join(path, "tmp", "0", name)
		then := time.Now().Add(-f.age)
		if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, path)
	for name, f := range files {
		_, err := os.Stat(filepath.Join(path, "tmp", "0", name))
		if stayed := err == nil; stayed != f.stay {
			t.Errorf("%s of age %v: stayed %v, want %v", name, f.age, stayed, f.stay)
		}
	}
	blobtest.AssertContent(t, again, kept, []byte("kept"))
}

func TestAbortLeavesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	v := open(t, path)
	w, err := v.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 200_000)); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if left, err := filepath.Glob(filepath.Join(path, "tmp", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
}

// A link that someone puts into the volume does not lead out of it.
func TestLinkOutOfTheVolume(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	v := open(t, path)
	if err := os.RemoveAll(filepath.Join(path, "tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev", filepath.Join(path, "tmp")); err != nil {
		t.Fatal(err)
	}
	w, err := v.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	_, err = w.Write(make([]byte, 100_000)) // too large to be written in one go
	if err == nil {
		_, _, err = w.Commit(t.Context())
	}
	if !fault.Is(err, fault.VolumeUnavailable) {
		t.Errorf("got %v, want kind %v", err, fault.VolumeUnavailable)
	}
	packed := blobtest.Put(t, v, []byte("x"))
	for name, file := range map[string]string{packed: packed[:24] + ".pack", blob.NewName()[:24] + "ffffffff": ""} {
		at := filepath.Join(path, "blobs", name[:2], cmp.Or(file, name))
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/etc/passwd", at); err != nil {
			t.Fatal(err)
		}
		if b, err := v.Open(t.Context(), name); !fault.Is(err, fault.VolumeUnavailable) {
			t.Errorf("%s is a link: got %v, %v, want kind %v", at, b, err, fault.VolumeUnavailable)
		}
	}
}

// A context that ended since Create ends the writing, also where nothing was written before Commit.
func TestCommitAfterTheEnd(t *testing.T) {
	v := open(t, filepath.Join(t.TempDir(), "volume"))
	for _, size := range []int{10, 100_000} {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := v.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, _, err := w.Commit(t.Context()); !fault.Is(err, fault.Interrupted) {
			t.Errorf("%d bytes: got %v, want kind %v", size, err, fault.Interrupted)
		}
	}
	if err := v.List(t.Context(), "", func(i blob.Info) error { t.Errorf("listed %v", i); return nil }); err != nil {
		t.Error(err)
	}
}
