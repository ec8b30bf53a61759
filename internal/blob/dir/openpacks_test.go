package dir_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/blob/dir"
)

// A pack that is kept open is looked at anew when a blob is not in it, or damaged: others write to it, and an administrator brings back
// one of a backup.
func TestPackIsAnother(t *testing.T) {
	_, path, names, contents := packOf(t, 100, 9000, 200)
	pack := packFile(path, names[0])
	whole, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	become := func(content []byte) {
		t.Helper()
		if err := errors.Join(os.WriteFile(pack+".new", content, 0o600), os.Rename(pack+".new", pack)); err != nil {
			t.Fatal(err)
		}
	}
	damaged := slices.Clone(whole)
	damaged[4096+5000] ^= 1
	for what, other := range map[string][]byte{"it was shorter": whole[:4096], "a blob was damaged": damaged} {
		become(other)
		reader := open(t, path)
		blobtest.AssertContent(t, reader, names[0], contents[names[0]])
		if _, err := reader.Open(t.Context(), names[1]); err == nil {
			t.Errorf("%s: a blob was read that is not there", what)
		}
		become(whole)
		for _, name := range names {
			blobtest.AssertContent(t, reader, name, contents[name])
		}
	}
}

// What is read of a blob after it was closed is not another's.
func TestReadingAfterClose(t *testing.T) {
	v, _, names, _ := packOf(t, 9000, 9000)
	b, err := v.Open(t.Context(), names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	other, err := v.Open(t.Context(), names[1])
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var piece [100]byte
	if n, err := b.ReadAt(piece[:], 0); n != 0 || err == nil || err == io.EOF {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// Packs that were read are kept open, but not all of them, and none beyond the volume's end.
func TestPacksKeptOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	v := open(t, path)
	var names []string
	for range 200 {
		names = append(names, blobtest.Put(t, v, []byte("one of a pack of its own")))
		v.AgePack(2 * time.Hour)
	}
	reader, err := dir.Open(path, v.ID())
	if err != nil {
		t.Fatal(err)
	}
	before := openPackFiles(t)
	for range 2 {
		for _, name := range names {
			blobtest.AssertContent(t, reader, name, []byte("one of a pack of its own"))
		}
	}
	if kept := openPackFiles(t) - before; kept < 20 || kept > 64 {
		t.Errorf("%d packs are open, want some, and no more than 64", kept)
	}
	reader.Close()
	if kept := openPackFiles(t) - before; kept != 0 {
		t.Errorf("%d packs are open of a volume that is closed", kept)
	}
}

// openPackFiles counts files of packs that this process has open.
func openPackFiles(t *testing.T) (n int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if target, _ := os.Readlink("/proc/self/fd/" + file.Name()); strings.HasSuffix(target, ".pack") {
			n++
		}
	}
	return n
}
