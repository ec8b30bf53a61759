// Package blobtest is the contract of blob.Volume as tests. Every implementation runs it.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

// Place is a place for one new volume. Open opens it; opened again, it is the same volume after a restart or a crash of
// the process that had it open, or from another mailstore.
type Place interface {
	Open(t testing.TB) blob.Volume
}

// Run runs the suite. place is called for every test, and gives an empty place each time.
func Run(t *testing.T, place func(t testing.TB) Place) {
	tests := map[string]func(*testing.T, Place){
		"write and read back":      testRoundTrip,
		"parts of a blob":          testReadAt,
		"25 MB":                    testLarge,
		"empty":                    testEmpty,
		"names are never the same": testNames,
		"visible after commit":     testVisible,
		"abort leaves nothing":     testAbort,
		"writer after its end":     testEnded,
		"missing blob":             testMissing,
		"names that are none":      testBadNames,
		"remove twice":             testRemove,
		"cancelled context":        testCancelled,
		"list":                     testList,
		"concurrency":              testConcurrent,
		"opened again":             testReopen,
		"crash while writing":      testCrash,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, place(t)) })
	}
}

// Content is size bytes that depend on seed only.
func Content(seed uint64, size int) []byte {
	content := make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	source.Read(content)
	return content
}

// Put writes a blob in pieces of uneven size.
func Put(t testing.TB, v blob.Volume, content []byte) string {
	t.Helper()
	w, err := v.Create(t.Context())
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	defer w.Abort()
	for rest, piece := content, 1; len(rest) > 0; piece = piece*3 + 1 {
		n := min(piece, len(rest))
		if written, err := w.Write(rest[:n]); err != nil || written != n {
			t.Fatalf("write: got %d, %v, want %d", written, err, n)
		}
		rest = rest[n:]
	}
	name, size, err := w.Commit(t.Context())
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	if size != int64(len(content)) {
		t.Fatalf("commit: got size %d, want %d", size, len(content))
	}
	return name
}

// AssertContent reads a blob from its beginning to its end.
func AssertContent(t testing.TB, v blob.Volume, name string, want []byte) {
	t.Helper()
	b, err := v.Open(t.Context(), name)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	defer b.Close()
	if b.Size() != int64(len(want)) {
		t.Fatalf("size of %s: got %d, want %d", name, b.Size(), len(want))
	}
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("content of %s: got %d bytes, %v, want the %d that were written", name, len(got), err, len(want))
	}
}

func names(t testing.TB, v blob.Volume, after string) []string {
	t.Helper()
	var found []string
	err := v.List(t.Context(), after, func(i blob.Info) error {
		found = append(found, i.Name)
		return nil
	})
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return found
}

func assertKind(t testing.TB, what string, err error, want fault.Kind) {
	t.Helper()
	if !fault.Is(err, want) {
		t.Errorf("%s: got error %v, want kind %q", what, err, want)
	}
}

func testRoundTrip(t *testing.T, place Place) {
	v := place.Open(t)
	if v.ID() == "" {
		t.Error("the volume has no id")
	}
	for i, size := range []int{1, 8 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 300_000} {
		content := Content(uint64(i), size)
		AssertContent(t, v, Put(t, v, content), content)
	}
}

func testReadAt(t *testing.T, place Place) {
	v := place.Open(t)
	content := Content(1, 200_000)
	b, err := v.Open(t.Context(), Put(t, v, content))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, part := range [][2]int{{0, 10}, {100_000, 70_000}, {199_990, 10}, {0, 200_000}, {5, 0}} {
		got := make([]byte, part[1])
		n, err := b.ReadAt(got, int64(part[0]))
		if n != part[1] || (err != nil && err != io.EOF) || !bytes.Equal(got, content[part[0]:part[0]+part[1]]) {
			t.Errorf("ReadAt(%d bytes, %d): got %d, %v", part[1], part[0], n, err)
		}
	}
	got := make([]byte, 20)
	if n, err := b.ReadAt(got, 199_990); n != 10 || err != io.EOF {
		t.Errorf("ReadAt across the end: got %d, %v, want 10, EOF", n, err)
	}
	if n, err := b.ReadAt(got, 200_000); n != 0 || err != io.EOF {
		t.Errorf("ReadAt at the end: got %d, %v, want 0, EOF", n, err)
	}
}

func testLarge(t *testing.T, place Place) {
	v := place.Open(t)
	content := Content(2, 25<<20)
	AssertContent(t, v, Put(t, v, content), content)
}

func testEmpty(t *testing.T, place Place) {
	v := place.Open(t)
	AssertContent(t, v, Put(t, v, nil), nil)
}

func testNames(t *testing.T, place Place) {
	v := place.Open(t)
	seen := make(map[string]bool)
	for range 20 {
		name := Put(t, v, []byte("the same"))
		if seen[name] {
			t.Fatalf("name %s was given twice", name)
		}
		if err := blob.CheckName(name); err != nil {
			t.Errorf("the volume's own name: %v", err)
		}
		seen[name] = true
	}
}

func testVisible(t *testing.T, place Place) {
	v, other := place.Open(t), place.Open(t)
	w, err := v.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	content := Content(3, 500_000)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if got := names(t, other, ""); len(got) > 0 {
		t.Errorf("before commit: listed %v, want nothing", got)
	}
	name, _, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	AssertContent(t, other, name, content)
}

func testAbort(t *testing.T, place Place) {
	v := place.Open(t)
	for _, size := range []int{0, 10, 500_000} {
		w, err := v.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(Content(4, size)); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		w.Abort()
	}
	if got := names(t, v, ""); len(got) > 0 {
		t.Errorf("after abort: listed %v, want nothing", got)
	}
}

func testEnded(t *testing.T, place Place) {
	v := place.Open(t)
	w, err := v.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("whole"))
	name, _, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("write after commit: got no error")
	}
	if _, _, err := w.Commit(t.Context()); err == nil {
		t.Error("second commit: got no error")
	}
	AssertContent(t, v, name, []byte("whole"))
}

func testMissing(t *testing.T, place Place) {
	v := place.Open(t)
	_, err := v.Open(t.Context(), blob.NewName())
	assertKind(t, "open", err, fault.NotFound)
}

func testBadNames(t *testing.T, place Place) {
	v := place.Open(t)
	Put(t, v, []byte("x"))
	for _, name := range []string{"", ".", "..", "../../etc/passwd", "/etc/passwd", "ab", "00/../../x",
		"0123456789abcdef0123456789abcde/", "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdef0",
		"0123456789abcdef0123456789abcde\x00"} {
		_, err := v.Open(t.Context(), name)
		assertKind(t, fmt.Sprintf("open %q", name), err, fault.Invalid)
		assertKind(t, fmt.Sprintf("remove %q", name), v.Remove(t.Context(), name), fault.Invalid)
	}
}

func testRemove(t *testing.T, place Place) {
	v := place.Open(t)
	gone, kept := Put(t, v, []byte("gone")), Put(t, v, []byte("kept"))
	for range 2 {
		if err := v.Remove(t.Context(), gone); err != nil {
			t.Fatalf("remove: %v", err)
		}
	}
	_, err := v.Open(t.Context(), gone)
	assertKind(t, "open", err, fault.NotFound)
	AssertContent(t, v, kept, []byte("kept"))
	if err := v.Remove(t.Context(), blob.NewName()); err != nil {
		t.Errorf("remove what never was: %v", err)
	}
}

func testCancelled(t *testing.T, place Place) {
	v := place.Open(t)
	name := Put(t, v, []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	w, err := v.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	w.Write(Content(5, 300_000))
	cancel()
	_, err = v.Create(ctx)
	assertKind(t, "create", err, fault.Interrupted)
	_, err = v.Open(ctx, name)
	assertKind(t, "open", err, fault.Interrupted)
	assertKind(t, "remove", v.Remove(ctx, name), fault.Interrupted)
	assertKind(t, "list", v.List(ctx, "", func(blob.Info) error { return nil }), fault.Interrupted)
	_, _, err = w.Commit(ctx)
	assertKind(t, "commit", err, fault.Interrupted)
	if got := names(t, v, ""); len(got) != 1 || got[0] != name {
		t.Errorf("afterwards: listed %v, want only %s", got, name)
	}
}

func testList(t *testing.T, place Place) {
	v := place.Open(t)
	want := make(map[string]int64)
	for i := range 300 {
		want[Put(t, v, Content(uint64(i), i))] = int64(i)
	}
	var all []string
	err := v.List(t.Context(), "", func(i blob.Info) error {
		if size, known := want[i.Name]; !known || size != i.Size || i.Modified.IsZero() {
			t.Errorf("listed %+v, want size %d (known: %v) and a time", i, size, known)
		}
		if len(all) > 0 && all[len(all)-1] >= i.Name {
			t.Errorf("listed %s after %s", i.Name, all[len(all)-1])
		}
		all = append(all, i.Name)
		return nil
	})
	if err != nil || len(all) != len(want) {
		t.Fatalf("listed %d, %v, want %d", len(all), err, len(want))
	}
	if got := names(t, v, all[99]); len(got) != 200 || got[0] != all[100] {
		t.Errorf("after the 100th: listed %d, want 200", len(got))
	}
	stop := errors.New("stop")
	if err := v.List(t.Context(), "", func(blob.Info) error { return stop }); err != stop {
		t.Errorf("stopped by fn: got %v, want its error", err)
	}
}

func testConcurrent(t *testing.T, place Place) {
	v := place.Open(t)
	var writers sync.WaitGroup
	for worker := range 16 {
		writers.Go(func() {
			for i := range 10 {
				content := Content(uint64(worker*1000+i), 1+worker*5000+i)
				name := Put(t, v, content)
				AssertContent(t, v, name, content)
				if i%2 == 0 {
					if err := v.Remove(t.Context(), name); err != nil {
						t.Errorf("remove: %v", err)
					}
				}
			}
		})
	}
	writers.Wait()
	if got := names(t, v, ""); len(got) != 80 {
		t.Errorf("listed %d, want 80", len(got))
	}
}

func testReopen(t *testing.T, place Place) {
	content := Content(6, 100_000)
	name := Put(t, place.Open(t), content)
	AssertContent(t, place.Open(t), name, content)
}

// A writer that a crash cut off leaves nothing that anyone can see, and nothing that stands in the way.
func testCrash(t *testing.T, place Place) {
	v := place.Open(t)
	kept := Put(t, v, []byte("kept"))
	w, err := v.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(Content(7, 500_000)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Abort) // the process is gone: nothing of it runs before the end of the test
	again := place.Open(t)
	if got := names(t, again, ""); len(got) != 1 || got[0] != kept {
		t.Errorf("after the crash: listed %v, want only %s", got, kept)
	}
	content := Content(8, 500_000)
	AssertContent(t, again, Put(t, again, content), content)
}
