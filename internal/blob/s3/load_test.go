package s3_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/blob/s3"
	"mailreplica/internal/fault"
)

// How many requests a message takes is what an operator pays for.
func TestRequestsOfAMessage(t *testing.T) {
	b := standBetween(t, shared(t), false)
	v := claimed(t, b.config(bucket(t, shared(t))))
	for _, test := range []struct {
		size         int
		write, read  int
		onlyTheFirst int // bytes that are read, by one request
	}{
		{0, 1, 2, 0}, // there is no range in nothing
		{100, 1, 1, 100},
		{75 << 10, 1, 1, 4 << 10},
		{1 << 20, 1, 1, 1 << 20},
		{5 << 20, 1, 3, 64 << 10},
		{25 << 20, 7, 9, 64 << 10},
		{64 << 20, 15, 19, 1 << 20},
	} {
		t.Run(fmt.Sprint(test.size), func(t *testing.T) {
			content := blobtest.Content(1, test.size)
			b.set(nil)
			name := blobtest.Put(t, v, content)
			if got := b.ofBlobs(); len(got) != test.write {
				t.Errorf("writing took %d requests, want %d: %q", len(got), test.write, got)
			}
			b.set(nil)
			opened, err := v.Open(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			// As FETCH BODY[] does.
			if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.NewSectionReader(opened, 0, opened.Size())}, make([]byte, 4<<10)); n != int64(test.size) || err != nil {
				t.Errorf("read %d, %v", n, err)
			}
			if got := b.ofBlobs(); len(got) != test.read {
				t.Errorf("reading took %d requests, want %d: %q", len(got), test.read, got)
			}
			if test.onlyTheFirst > 0 {
				b.set(nil)
				first, err := v.Open(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				defer first.Close()
				if n, err := first.ReadAt(make([]byte, test.onlyTheFirst), 0); n != test.onlyTheFirst || err != nil || len(b.ofBlobs()) != 1 {
					t.Errorf("reading the first %d took %d requests, %v, want 1", n, len(b.ofBlobs()), err)
				}
			}
		})
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	b := standBetween(t, shared(t), false)
	v := claimed(t, b.config(bucket(t, shared(t))))
	for i := range 50 {
		name := blobtest.Put(t, v, blobtest.Content(1, i*3000))
		blobtest.AssertContent(t, v, name, blobtest.Content(1, i*3000))
		if err := v.Remove(t.Context(), name); err != nil {
			t.Error(err)
		}
		_, err := v.Open(t.Context(), name)
		assertKind(t, "removed", s3.Config{Secret: "-", AccessKey: "-"}, err, fault.NotFound)
	}
	if got := b.conns.Load(); got > 2 {
		t.Errorf("%d connections were made, one after another, want one", got)
	}
}

func TestPrivateCA(t *testing.T) {
	b := standBetween(t, shared(t), true)
	c := b.config(bucket(t, shared(t)))
	assertKind(t, "an unknown CA", c, open(t, c).Claim(t.Context()), fault.VolumeUnavailable)
	steps, err := s3.Test(t.Context(), c)
	if err == nil || !strings.Contains(fault.Message(err), "not trusted") {
		t.Errorf("got %v after %q, want that the certificate is not trusted", err, steps)
	}
	c.CA = x509.NewCertPool()
	c.CA.AddCert(b.server.Certificate())
	v := claimed(t, c)
	content := blobtest.Content(1, 12<<20)
	blobtest.AssertContent(t, v, blobtest.Put(t, v, content), content)

	// The sums are compared over TLS too, where minio-go leaves them out by itself.
	b.set(func(x *exchange) { x.toServer = flip(100) })
	_, err = write(v, []byte(strings.Repeat("x", 1000)))
	assertKind(t, "changed behind TLS", c, err, fault.VolumeUnavailable)
	b.set(nil)
	if steps, err = s3.Test(t.Context(), c); err != nil || !strings.Contains(strings.Join(steps, "\n"), "TLS 1.") {
		t.Errorf("got %v after %q", err, steps)
	}
}

func TestManyWriters(t *testing.T) {
	v := claimed(t, bucket(t, shared(t)))
	var writers sync.WaitGroup
	for worker := range 64 {
		writers.Go(func() {
			for i := range 3 {
				content := blobtest.Content(uint64(worker*3+i), 1000+worker*i*1500)
				blobtest.AssertContent(t, v, blobtest.Put(t, v, content), content)
			}
			if worker%16 == 0 {
				content := blobtest.Content(uint64(worker), 11<<20)
				blobtest.AssertContent(t, v, blobtest.Put(t, v, content), content)
			}
		})
	}
	writers.Wait()
	if got := listed(t, v); got != 64*3+4 {
		t.Errorf("%d blobs are visible, want %d", got, 64*3+4)
	}
}

// A message of 70 MiB takes the memory of a part.
func TestMemoryOfALargeMessage(t *testing.T) {
	v := claimed(t, bucket(t, shared(t)))
	piece := blobtest.Content(1, 70<<10)
	before := inUse()
	w, err := v.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	most := int64(0)
	for i := range 1024 {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
		if i%64 == 63 {
			most = max(most, inUse()-before)
		}
	}
	name, size, err := w.Commit(t.Context())
	if err != nil || size != 70<<20 {
		t.Fatalf("got %d, %v", size, err)
	}
	t.Logf("writing took %d KiB", most>>10)
	if most > 7<<20 {
		t.Errorf("writing took %d MiB, want a part of 5", most>>20)
	}
	b, err := v.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	before, most = inUse(), 0
	got := make([]byte, len(piece))
	for i := range int64(1024) {
		if n, err := b.ReadAt(got, i*int64(len(piece))); n != len(got) || !slices.Equal(got, piece) {
			t.Fatalf("piece %d: got %d, %v", i, n, err)
		}
		if i%64 == 63 {
			most = max(most, inUse()-before)
		}
	}
	t.Logf("reading took %d KiB", most>>10)
	if most > 6<<20 {
		t.Errorf("reading took %d MiB, want a window of 4", most>>20)
	}
}

func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// More blobs than S3 lists at once come in order, and are listed whole where the server fails in between.
func TestListAcrossPages(t *testing.T) {
	b := standBetween(t, shared(t), false)
	c := b.config(bucket(t, shared(t)))
	v := claimed(t, c)
	var want []string
	for range 2500 { // put where the server keeps them, which is quicker than to ask it
		name := blob.NewName()
		folder := filepath.Join(shared(t).Folder(c.Bucket), c.Prefix, "blobs", name[:2])
		if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	slices.Sort(want)
	for what, harm := range map[string]func(*exchange){
		"undisturbed": nil,
		"disturbed": func(x *exchange) {
			if x.URL.Query().Has("list-type") && x.number%2 == 0 {
				x.fromServer = cut(100)
			}
		},
	} {
		b.set(harm)
		var got []string
		err := v.List(t.Context(), "", func(i blob.Info) error { got = append(got, i.Name); return nil })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %d blobs, %v, want the %d that there are, in order", what, len(got), err, len(want))
		}
		t.Logf("%s: %d requests for %d blobs", what, len(b.seen()), len(want))
	}
	b.set(nil)
	for _, after := range []string{want[1700], want[1700][:5], "8", "zz", "0"} {
		expect := want[len(want)-countAfter(want, after):]
		var got []string
		err := v.List(t.Context(), after, func(i blob.Info) error { got = append(got, i.Name); return nil })
		if err != nil || !slices.Equal(got, expect) {
			t.Errorf("after %s: got %d blobs, %v, want %d", after, len(got), err, len(expect))
		}
	}
	b.set(func(x *exchange) {
		if x.URL.Query().Has("list-type") {
			x.answer = refuse(503, "SlowDown")
		}
	})
	assertKind(t, "list", c, v.List(t.Context(), "", func(blob.Info) error { return nil }), fault.VolumeUnavailable)
}

func countAfter(names []string, after string) int {
	n := 0
	for _, name := range names {
		if name > after {
			n++
		}
	}
	return n
}

// Objects that are not blobs do not hide any, and are not listed.
func TestListAmongOthers(t *testing.T) {
	b := standBetween(t, shared(t), false)
	v := claimed(t, b.config(bucket(t, shared(t))))
	name := blobtest.Put(t, v, []byte("x"))
	b.set(func(x *exchange) {
		if x.URL.Query().Has("list-type") {
			x.answer = func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/xml")
				io.WriteString(w, "<ListBucketResult><IsTruncated>false</IsTruncated>")
				for _, key := range []string{"blobs/00/readme.txt", "blobs/00/" + name, "blobs/" + name[:2] + "/" + name, "blobs/zz/zz"} {
					fmt.Fprintf(w, "<Contents><Key>volumes/one/%s</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>", key)
				}
				io.WriteString(w, "</ListBucketResult>")
			}
		}
	})
	if got := listed(t, v); got != 1 {
		t.Errorf("listed %d, want the one blob", got)
	}
	b.set(func(x *exchange) {
		if x.URL.Query().Has("list-type") {
			x.answer = func(w http.ResponseWriter) {
				io.WriteString(w, "<ListBucketResult><IsTruncated>false</IsTruncated>")
				for _, name := range []string{"22", "11"} {
					fmt.Fprintf(w, "<Contents><Key>volumes/one/blobs/%[1]s/%[1]s%030d</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>", name, 0)
				}
				io.WriteString(w, "</ListBucketResult>")
			}
		}
	})
	err := v.List(t.Context(), "", func(blob.Info) error { return nil })
	if !fault.Is(err, fault.VolumeUnavailable) || !strings.Contains(err.Error(), "order") {
		t.Errorf("a server that lists out of order: got %v, want that it says so", err)
	}
}
