package dir_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/blob/dir"
	"mailreplica/internal/fault"
)

// packOf gives a volume with one pack, of blobs of these sizes.
func packOf(t testing.TB, sizes ...int) (v *dir.Volume, path string, names []string, contents map[string][]byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "volume")
	v, contents = open(t, path), map[string][]byte{}
	for i, size := range sizes {
		content := blobtest.Content(uint64(i), size)
		name, err := put(t.Context(), v, content)
		if err != nil {
			t.Fatal(err)
		}
		contents[name] = content
		names = append(names, name)
	}
	return v, path, names, contents
}

// age makes a pack one that nobody has written to for a time.
func age(t testing.TB, pack string, by time.Duration) time.Time {
	t.Helper()
	then := time.Now().Add(-by).Truncate(time.Microsecond)
	if err := os.Chtimes(pack, then, then); err != nil {
		t.Fatal(err)
	}
	return then
}

// The names say where a blob is, and that of a record is in its header. Backups and administrators rely on the format.
func TestFormatOfPacks(t *testing.T) {
	_, path, names, contents := packOf(t, 5, 8500, 65_504)
	for i, want := range []string{"00000001", "00000103", "00000410"} {
		if names[i][:24] != names[0][:24] || names[i][24:] != want {
			t.Errorf("got name %s, want one that ends with %s", names[i], want)
		}
	}
	pack, err := os.ReadFile(packFile(path, names[0]))
	if err != nil || len(pack) != 20*4096 {
		t.Fatalf("%d bytes, %v", len(pack), err)
	}
	record := pack[4096:]
	want, _ := hex.DecodeString("6d726232" + names[1] + "00002134")
	want = binary.BigEndian.AppendUint32(want, crc32.Checksum(contents[names[1]], crc32.MakeTable(crc32.Castagnoli)))
	want = binary.BigEndian.AppendUint32(want, crc32.Checksum(want, crc32.MakeTable(crc32.Castagnoli)))
	if got := record[:32]; string(got) != string(want) {
		t.Errorf("header: got %x, want %x", got, want)
	}
	if string(record[32:32+8500]) != string(contents[names[1]]) || strings.Trim(string(record[32+8500:3*4096]), "\x00") != "" {
		t.Error("the record is not the header, the blob and zeros")
	}
}

// The space of what is removed is given back, and a removal leaves the time of the pack and all that is in there alone.
func TestRemovalGivesSpaceBack(t *testing.T) {
	v, path, names, contents := packOf(t, 5, 8500, 65_504, 0, 30_000)
	pack := packFile(path, names[0])
	before := age(t, pack, time.Hour)
	for len(names) > 0 {
		if err := v.Remove(t.Context(), names[0]); err != nil {
			t.Fatal(err)
		}
		wantGone(t, v, names[0])
		delete(contents, names[0])
		names = names[1:]
		for name, content := range contents {
			blobtest.AssertContent(t, v, name, content)
		}
		wantNames(t, v, names...)
	}
	info, err := os.Stat(pack)
	if err != nil {
		t.Fatal(err)
	}
	if blocks := info.Sys().(*syscall.Stat_t).Blocks; blocks != 0 || !info.ModTime().Equal(before) {
		t.Errorf("%d blocks are left, the pack is of %v; want none, and %v", blocks, info.ModTime(), before)
	}
	age(t, pack, 25*time.Hour)
	wantNames(t, v)
	if left := packs(t, path); len(left) > 0 {
		t.Errorf("left are %q, long after the last append", left)
	}
}

// No mailstore takes what another writes for what was left long ago, though its own clock is a day ahead.
func TestClockThatIsAhead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	first := blobtest.Put(t, open(t, path), nil)
	now := age(t, packFile(path, first), 0)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(now.Add(30 * time.Hour)))
		v := open(t, path)
		w, err := v.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		other := open(t, path)
		for range 2 {
			name := blobtest.Put(t, v, []byte("packed"))
			if err := other.Remove(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			wantNames(t, other, first)
			if _, err := os.Stat(packFile(path, name)); err != nil {
				t.Errorf("the pack that is written: %v", err)
			}
		}
		if _, _, err := w.Commit(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The last removal takes the pack away if nobody can be writing to it, and else leaves it to who writes.
func TestLastRemoval(t *testing.T) {
	for _, old := range []bool{false, true} {
		v, path, names, _ := packOf(t, 100, 200)
		pack := packFile(path, names[0])
		if old {
			age(t, pack, 25*time.Hour)
		}
		var removers sync.WaitGroup
		for _, name := range names {
			for range 2 {
				other := open(t, path)
				removers.Go(func() {
					if err := other.Remove(t.Context(), name); err != nil {
						t.Error(err)
					}
				})
			}
		}
		removers.Wait()
		if left := packs(t, path); old != (len(left) == 0) {
			t.Errorf("old: %v, left are %q", old, left)
		}
		// Whatever became of the pack, its writer loses nothing that it acknowledges.
		name, err := put(t.Context(), v, []byte("more"))
		if old {
			if !fault.Is(err, fault.VolumeUnavailable) {
				t.Errorf("to a pack that is gone: got %v", err)
			}
			name, err = put(t.Context(), v, []byte("more"))
		}
		if err != nil {
			t.Fatal(err)
		}
		blobtest.AssertContent(t, v, name, []byte("more"))
		wantNames(t, v, name)
	}
}

// A blob that was just appended is never listed as older than its pack, whatever else happens to the pack.
func TestAgeOfPackedBlobs(t *testing.T) {
	v, path, names, _ := packOf(t, 100, 200, 300)
	age(t, packFile(path, names[0]), 50*time.Hour)
	begun := time.Now().Add(-time.Second)
	fresh := blobtest.Put(t, v, nil)
	if err := v.Remove(t.Context(), names[1]); err != nil {
		t.Fatal(err)
	}
	err := v.List(t.Context(), "", func(i blob.Info) error {
		if i.Modified.Before(begun) && i.Name == fresh {
			t.Errorf("%s is of %v, before it was written", i.Name, i.Modified)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Whoever reads a blob while it is removed reads it, or is told that it is gone.
func TestReadingWhileItIsRemoved(t *testing.T) {
	v, path, names, contents := packOf(t, slices.Repeat([]int{60_000}, 50)...)
	var workers sync.WaitGroup
	for range 4 {
		reader := open(t, path)
		workers.Go(func() {
			for _, name := range names {
				for {
					b, err := reader.Open(t.Context(), name)
					if fault.Is(err, fault.NotFound) {
						break
					}
					if err != nil {
						t.Error(err)
						break
					}
					got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
					if err != nil || string(got) != string(contents[name]) {
						t.Errorf("%s: got other bytes, %v", name, err)
					}
					b.Close()
				}
			}
		})
	}
	workers.Go(func() {
		for _, name := range names {
			if err := v.Remove(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	})
	workers.Wait()
	held := blobtest.Put(t, v, []byte("held"))
	b, err := v.Open(t.Context(), held)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := v.Remove(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size())); string(got) != "held" || err != nil {
		t.Errorf("a blob that was open: got %q, %v", got, err)
	}
}

// A power loss cuts a pack off anywhere, or loses pages of it. What is whole stays, and nothing else is taken for a blob's bytes.
func TestTornPack(t *testing.T) {
	v, path, names, contents := packOf(t, 100, 9000, 4064, 20_000, 5)
	pack := packFile(path, names[0])
	whole, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	write := func(content []byte) {
		if err := os.WriteFile(pack, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for cut := 0; cut < len(whole); cut += 1024 {
		write(whole[:cut])
		assertWholeOrNone(t, v, contents)
	}
	for page := 0; page < len(whole); page += 4096 {
		lost := slices.Clone(whole)
		clear(lost[page : page+4096])
		write(lost)
		readable := assertWholeOrNone(t, v, contents)
		if readable != len(names)-1 {
			t.Errorf("page %d lost: %d blobs are readable, want all but one", page/4096, readable)
		}
		listed := 0
		if err := v.List(t.Context(), "", func(blob.Info) error { listed++; return nil }); err != nil || listed < readable {
			t.Errorf("page %d lost: listed %d, %v, want %d", page/4096, listed, err, readable)
		}
	}
}

// assertWholeOrNone counts the blobs that can be read: as they were written, the others not at all.
func assertWholeOrNone(t testing.TB, v blob.Volume, contents map[string][]byte) (readable int) {
	t.Helper()
	for name, content := range contents {
		b, err := v.Open(t.Context(), name)
		if err != nil {
			if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.VolumeUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		readable++
		got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		if err != nil || string(got) != string(content) {
			t.Errorf("%s: got %d bytes, %v, want the %d that were written", name, len(got), err, len(content))
		}
		b.Close()
	}
	return readable
}

// What a message holds is not taken for a record, whatever it holds.
func TestRecordInsideOfABlob(t *testing.T) {
	v, path, names, _ := packOf(t, 10, 20, 30)
	pack, err := os.ReadFile(packFile(path, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	letter := append(make([]byte, 4096-32), pack...) // its records lie where records can
	name := blobtest.Put(t, v, letter)
	names = append(names, name)
	wantNames(t, v, names...)
	file, err := os.OpenFile(packFile(path, name), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(make([]byte, 32), 3*4096); err != nil { // its header is lost
		t.Fatal(err)
	}
	wantNames(t, v, names[:3]...)
	if _, err := v.Open(t.Context(), name[:30]+"01"); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
}

// An administrator can put a blob of a backup in the place of one that is damaged, as a file of its own.
func TestBlobPutBack(t *testing.T) {
	v, path, names, contents := packOf(t, 100, 200, 300, 400)
	pack := packFile(path, names[0])
	file, err := os.OpenFile(pack, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for i, at := range map[int]int64{1: 4096 + 50, 2: 2*4096 + 5} { // one in the body, one in the header
		if _, err := file.WriteAt([]byte{1, 2, 3}, at); err != nil {
			t.Fatal(err)
		}
		want := map[int]fault.Kind{1: fault.VolumeUnavailable, 2: fault.NotFound}[i]
		if _, err := v.Open(t.Context(), names[i]); !fault.Is(err, want) {
			t.Errorf("damaged: got %v, want kind %v", err, want)
		}
		own := filepath.Join(path, "blobs", names[i][:2], names[i])
		if err := os.WriteFile(own, contents[names[i]], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		blobtest.AssertContent(t, v, name, contents[name])
	}
	wantNames(t, v, names...)
	for i := range names {
		var rest []string
		if err := v.List(t.Context(), names[i], func(info blob.Info) error { rest = append(rest, info.Name); return nil }); err != nil {
			t.Error(err)
		}
		if !slices.Equal(rest, names[i+1:]) {
			t.Errorf("after %s: listed %q", names[i], rest)
		}
	}
	for _, name := range names {
		if err := v.Remove(t.Context(), name); err != nil {
			t.Error(err)
		}
		wantGone(t, v, name)
	}
	wantNames(t, v)
}

// killedVariable makes the test binary the process that is killed: it writes to the volume there.
const killedVariable = "DIR_TEST_KILLED"

// A process that is killed in the middle of writing has lost nothing that it acknowledged, and leaves nothing in the way.
func TestKilledWhileWriting(t *testing.T) {
	if path := os.Getenv(killedVariable); path != "" {
		writeForEver(t, path)
	}
	path := filepath.Join(t.TempDir(), "volume")
	acknowledged := map[string]bool{}
	for range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileWriting$")
		cmd.Env = append(os.Environ(), killedVariable+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 40 {
				cmd.Process.Kill()
			}
			if name := lines.Text(); blob.CheckName(name) == nil { // the last line may be half
				acknowledged[name] = true
			}
		}
		_ = cmd.Wait()
	}
	v := open(t, path)
	for name := range acknowledged {
		blobtest.AssertContent(t, v, name, blobtest.Content(7, 8500))
	}
	listed := 0 // half of a record may be among them, under a name that nobody knows
	if err := v.List(t.Context(), "", func(blob.Info) error { listed++; return nil }); err != nil {
		t.Error(err)
	}
	if len(acknowledged) < 3*40 || listed < len(acknowledged) {
		t.Errorf("%d were acknowledged, %d are there", len(acknowledged), listed)
	}
	name := blobtest.Put(t, v, []byte("after"))
	if slices.ContainsFunc(slices.Collect(maps.Keys(acknowledged)), func(n string) bool { return n[:24] == name[:24] }) {
		t.Error("a pack of a process that was killed was written to")
	}
}

func writeForEver(t *testing.T, path string) {
	v := open(t, path)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for {
				name, err := put(context.Background(), v, blobtest.Content(7, 8500))
				if err != nil {
					t.Error(err)
					return
				}
				os.Stdout.WriteString(name + "\n")
			}
		})
	}
	writers.Wait()
}

// A file that takes no more in the middle of a batch says nothing about the size of a message, and the next pack takes it.
func TestPackCannotGrow(t *testing.T) {
	const limit = 150_000
	if !blobtest.InFullProcess(t, limit) {
		return
	}
	v := open(t, filepath.Join(t.TempDir(), "volume"))
	var names []string
	refused := 0
	for i := range 40 {
		content := blobtest.Content(uint64(i), 20_000)
		name, err := put(t.Context(), v, content)
		switch {
		case err == nil:
			names = append(names, name)
			blobtest.AssertContent(t, v, name, content)
		case fault.Is(err, fault.VolumeUnavailable):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if refused != 5 { // six fit, and the next one is refused
		t.Errorf("%d of 40 were refused, want 5", refused)
	}
	wantNames(t, v, names...)
}

// FuzzPack puts anything into the middle of a pack, or over all of it: the blobs that are in there are read as they were written, or not
// at all, and nothing that is listed or named is trouble.
func FuzzPack(f *testing.F) {
	v, path, names, contents := packOf(f, 100, 9000, 4064, 0, 20_000)
	pack := packFile(path, names[0])
	whole, err := os.ReadFile(pack)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, uint32(0), true, uint32(1))
	f.Add([]byte("mrb2"), uint32(4096), false, uint32(0x103))
	f.Add(whole[:5000], uint32(4096), false, uint32(0x102))
	f.Add(whole, uint32(4096), true, uint32(0xffffffff))
	f.Add(whole[4096:4096+32], uint32(0), true, uint32(0))
	f.Fuzz(func(t *testing.T, bytes []byte, at uint32, cut bool, where uint32) {
		content := slices.Clone(whole)
		start := int(at % uint32(len(whole)))
		if end := start + copy(content[start:], bytes); cut {
			content = content[:end]
		}
		if err := os.WriteFile(pack, content, 0o600); err != nil {
			t.Fatal(err)
		}
		assertWholeOrNone(t, v, contents)
		last := ""
		err := v.List(t.Context(), "", func(i blob.Info) error {
			if i.Name <= last || blob.CheckName(i.Name) != nil || i.Size < 0 || i.Size > 65_504 {
				t.Errorf("listed %+v after %q", i, last)
			}
			last = i.Name
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		name := names[0][:24] + hex.EncodeToString(binary.BigEndian.AppendUint32(nil, where))
		if b, err := v.Open(t.Context(), name); err == nil && contents[name] == nil {
			t.Errorf("%s was never written: got %d bytes", name, b.Size())
		}
		if err := v.Remove(t.Context(), name); err != nil {
			t.Error(err)
		}
		for other, content := range contents {
			if b, err := v.Open(t.Context(), other); err == nil && (other == name || b.Size() != int64(len(content))) {
				t.Errorf("after the removal of %s: %s has %d bytes", name, other, b.Size())
			}
		}
	})
}
