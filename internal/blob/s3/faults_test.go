package s3_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/blob/s3"
	"mailreplica/internal/fault"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func withExchange(r *http.Request, x *exchange) context.Context {
	return context.WithValue(r.Context(), exchangeKey{}, x)
}

// bound is how long a call may take when the server is gone: retries, and one more attempt.
const bound = 5 * time.Second

// write writes a blob; its error may be that of any of the steps.
func write(v blob.Volume, content []byte) (string, error) {
	w, err := v.Create(context.Background())
	if err != nil {
		return "", err
	}
	defer w.Abort()
	if _, err := w.Write(content); err != nil {
		return "", err
	}
	name, _, err := w.Commit(context.Background())
	return name, err
}

func read(v blob.Volume, name string) ([]byte, error) {
	b, err := v.Open(context.Background(), name)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
}

func listed(t testing.TB, v blob.Volume) int {
	t.Helper()
	n := 0
	if err := v.List(t.Context(), "", func(blob.Info) error { n++; return nil }); err != nil {
		t.Errorf("list: %v", err)
	}
	return n
}

// within measures that a call does not take longer than it may.
func within(t testing.TB, most time.Duration, what string, call func()) {
	t.Helper()
	start := time.Now()
	call()
	if took := time.Since(start); took > most {
		t.Errorf("%s took %v, want at most %v", what, took, most)
	}
}

func TestServerKilledDuringAnUpload(t *testing.T) {
	g := own(t)
	c := bucket(t, g)
	v := claimed(t, c)
	content := blobtest.Content(1, 12<<20)
	w, err := v.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content[:6<<20]); err != nil { // a part is on the server
		t.Fatal(err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, 2*bound, "an upload to a dead server", func() {
		_, err := w.Write(content[6<<20:])
		assertKind(t, "write", c, err, fault.VolumeUnavailable)
		_, _, err = w.Commit(t.Context())
		assertKind(t, "commit", c, err, fault.VolumeUnavailable)
	})
	within(t, bound, "reading from a dead server", func() {
		_, err := v.Open(t.Context(), blob.NewName())
		assertKind(t, "open", c, err, fault.VolumeUnavailable)
	})
	_, err = write(v, content[:100])
	assertKind(t, "small", c, err, fault.VolumeUnavailable)
	if err := g.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, v); got != 0 {
		t.Errorf("%d blobs are visible, want none", got)
	}
	blobtest.AssertContent(t, v, blobtest.Put(t, v, content), content)

	// What the dead upload left is found when it is old, and what is being written is not touched.
	if n, err := v.RemoveLeftovers(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("leftovers older than an hour: got %d, %v, want none", n, err)
	}
	if n, err := v.RemoveLeftovers(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("leftovers: got %d, %v, want 1", n, err)
	}
	if n, err := v.RemoveLeftovers(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("leftovers, again: got %d, %v, want none", n, err)
	}
}

// An upload that is given up leaves no parts.
func TestAbortedUploadLeavesNoParts(t *testing.T) {
	v := claimed(t, bucket(t, shared(t)))
	w, err := v.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(blobtest.Content(1, 12<<20)); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if n, err := v.RemoveLeftovers(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("leftovers: got %d, %v, want none", n, err)
	}
}

// A server that is away for a moment is waited for.
func TestServerRestarts(t *testing.T) {
	g := own(t)
	c := bucket(t, g)
	c.RetryMax = 10 * time.Second // the server may start slowly on a busy machine
	v := claimed(t, c)
	name := blobtest.Put(t, v, []byte("before"))
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	back := make(chan error)
	go func() { back <- g.Restart(context.Background()) }()
	blobtest.AssertContent(t, v, name, []byte("before"))
	blobtest.AssertContent(t, v, blobtest.Put(t, v, []byte("while")), []byte("while"))
	if err := <-back; err != nil {
		t.Fatal(err)
	}
}

func TestServerFreezes(t *testing.T) {
	g := own(t)
	c := bucket(t, g)
	c.StallMax = 2 * time.Second
	v := claimed(t, c)
	name := blobtest.Put(t, v, []byte("before"))
	large := blobtest.Content(1, 12<<20)
	if err := g.Pause(); err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for what, call := range map[string]func() error{
		"write":       func() error { _, err := write(v, []byte("x")); return err },
		"large write": func() error { _, err := write(v, large); return err },
		"read":        func() error { _, err := read(v, name); return err },
		"remove":      func() error { return v.Remove(t.Context(), blob.NewName()) },
		"list":        func() error { return v.List(t.Context(), "", func(blob.Info) error { return nil }) },
		"claim":       func() error { return v.Claim(t.Context()) },
	} {
		calls.Go(func() {
			within(t, 2*bound, what, func() { assertKind(t, what, c, call(), fault.VolumeUnavailable) })
		})
	}
	calls.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, c.StallMax, "a call whose context ends", func() {
		_, err := v.Open(ctx, name)
		assertKind(t, "open", c, err, fault.Interrupted)
	})
	if err := g.Continue(); err != nil {
		t.Fatal(err)
	}
	blobtest.AssertContent(t, v, name, []byte("before"))
	blobtest.AssertContent(t, v, blobtest.Put(t, v, large), large)
}

func TestServerIsSlow(t *testing.T) {
	b := standBetween(t, shared(t), false)
	c := b.config(bucket(t, shared(t)))
	c.StallMax = 2 * time.Second
	v := claimed(t, c)
	content := blobtest.Content(1, 60_000)
	b.set(func(x *exchange) {
		x.toServer = func(r io.ReadCloser) io.Reader { return &slow{r, 6000} } // the buffers between hide its pace
		x.fromServer = func(r io.ReadCloser) io.Reader { return &slow{r, 500} }
	})
	start := time.Now()
	blobtest.AssertContent(t, v, blobtest.Put(t, v, content), content)
	if took := time.Since(start); took < c.StallMax {
		t.Fatalf("it took %v only: the test is no test", took)
	}
}

// slow gives a little every 20 ms: it moves.
type slow struct {
	io.Reader
	bytes int
}

func (s *slow) Read(p []byte) (int, error) {
	<-time.After(20 * time.Millisecond)
	return s.Reader.Read(p[:min(len(p), s.bytes)])
}

func TestConnectionIsCut(t *testing.T) {
	b := standBetween(t, shared(t), false)
	c := b.config(bucket(t, shared(t)))
	v, patient := claimed(t, c), claimed(t, patiently(c))
	small, large := blobtest.Content(1, 300_000), blobtest.Content(2, 12<<20)
	smallName, largeName := blobtest.Put(t, v, small), blobtest.Put(t, v, large)

	b.set(func(x *exchange) {
		if x.number%2 == 1 { // every second answer
			x.fromServer = cut(100_000)
		}
	})
	blobtest.AssertContent(t, patient, smallName, small)
	blobtest.AssertContent(t, patient, largeName, large)

	b.set(func(x *exchange) { x.fromServer = cut(100_000) })
	within(t, bound, "reading what is always cut", func() {
		_, err := read(v, smallName)
		assertKind(t, "small", c, err, fault.VolumeUnavailable)
	})
	_, err := read(v, largeName)
	assertKind(t, "large", c, err, fault.VolumeUnavailable)

	b.set(func(x *exchange) {
		if x.isBlob() && x.number%2 == 1 {
			x.toServer = cut(100_000)
		}
	})
	blobtest.AssertContent(t, patient, blobtest.Put(t, patient, small), small)
	b.set(func(x *exchange) { x.toServer = cut(100_000) })
	before := listed(t, v)
	_, err = write(v, small)
	assertKind(t, "write", c, err, fault.VolumeUnavailable)
	b.set(nil)
	if got := listed(t, v); got != before {
		t.Errorf("%d blobs are visible, want the %d of before", got, before)
	}
}

// The server did what it should, and its answer is lost: that is no second blob, and no failure.
func TestAnswerIsLost(t *testing.T) {
	b := standBetween(t, shared(t), false)
	v := claimed(t, patiently(b.config(bucket(t, shared(t)))))
	contents := [][]byte{blobtest.Content(1, 1000), blobtest.Content(2, 12<<20)}
	lost := map[string]bool{}
	b.set(func(x *exchange) {
		kind := x.Method + " " + x.URL.Query().Get("partNumber") + fmt.Sprint(x.URL.Query().Has("uploads"), x.URL.Query().Has("uploadId"))
		if x.isBlob() && !lost[kind] { // the first of each kind
			lost[kind], x.dropAnswer = true, true
		}
	})
	for _, content := range contents {
		blobtest.AssertContent(t, v, blobtest.Put(t, v, content), content)
	}
	if len(lost) < 6 {
		t.Errorf("only %d answers were lost: %v", len(lost), lost)
	}
	b.set(nil)
	if got := listed(t, v); got != len(contents) {
		t.Errorf("%d blobs are visible, want %d", got, len(contents))
	}
}

func TestBytesAreChangedOnTheWay(t *testing.T) {
	b := standBetween(t, shared(t), false)
	c := b.config(bucket(t, shared(t)))
	v, patient := claimed(t, c), claimed(t, patiently(c))
	small, large := blobtest.Content(1, 300_000), blobtest.Content(2, 12<<20)
	smallName, largeName := blobtest.Put(t, v, small), blobtest.Put(t, v, large)

	b.set(func(x *exchange) {
		if x.number == 1 {
			x.fromServer = flip(1000)
		}
	})
	blobtest.AssertContent(t, patient, smallName, small)
	b.set(func(x *exchange) { x.fromServer = flip(1000) })
	_, err := read(v, smallName)
	assertKind(t, "small", c, err, fault.VolumeUnavailable)
	_, err = read(v, largeName)
	assertKind(t, "large", c, err, fault.VolumeUnavailable)

	b.set(func(x *exchange) {
		if x.isBlob() && x.number == 1 {
			x.toServer = flip(1000)
		}
	})
	blobtest.AssertContent(t, patient, blobtest.Put(t, patient, small), small)
	blobtest.AssertContent(t, patient, blobtest.Put(t, patient, large), large)
	b.set(func(x *exchange) { x.toServer = flip(1000) })
	for what, content := range map[string][]byte{"small": small, "large": large} {
		_, err := write(v, content)
		assertKind(t, what+" write", c, err, fault.VolumeUnavailable)
	}
	b.set(nil)
	if got := listed(t, v); got != 4 {
		t.Errorf("%d blobs are visible, want the 4 whole ones", got)
	}
}

// The bytes rot on the server.
func TestBytesAreChangedOnTheServer(t *testing.T) {
	g := shared(t)
	c := bucket(t, g)
	v := claimed(t, c)
	for _, size := range []int{1000, 1 << 20, 3 << 20, 12 << 20} {
		content := blobtest.Content(1, size)
		name := blobtest.Put(t, v, content)
		path := filepath.Join(g.Folder(c.Bucket), c.Prefix, "blobs", name[:2], name)
		content[size-1] ^= 1
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := read(v, name)
		assertKind(t, fmt.Sprint(size, " bytes"), c, err, fault.VolumeUnavailable)
		if bytes.Equal(got, content) {
			t.Errorf("%d bytes: all of them were given", size)
		}
		if !strings.Contains(fault.Message(err), "damaged") {
			t.Errorf("%d bytes: got %v, want that the blob is damaged", size, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	b := standBetween(t, shared(t), false)
	c := b.config(bucket(t, shared(t)))
	v := claimed(t, c)
	name := blobtest.Put(t, v, []byte("x"))
	for code, test := range map[string]struct {
		status int
		want   fault.Kind
		again  bool
		text   string
	}{
		"AccessDenied":         {403, fault.VolumeUnavailable, false, "access is denied"},
		"RequestTimeTooSkewed": {403, fault.VolumeUnavailable, false, "clocks"},
		"NoSuchBucket":         {404, fault.VolumeUnavailable, false, "does not exist"},
		"PermanentRedirect":    {301, fault.VolumeUnavailable, false, "another region"},
		"EntityTooLarge":       {400, fault.TooLarge, false, "size"},
		"QuotaExceeded":        {403, fault.VolumeUnavailable, false, "full"},
		"XMinioStorageFull":    {507, fault.VolumeUnavailable, false, "full"},
		"Whatever":             {418, fault.VolumeUnavailable, false, "Whatever"},
		"SlowDown":             {503, fault.VolumeUnavailable, true, "fewer requests"},
		"InternalError":        {500, fault.VolumeUnavailable, true, "InternalError"},
		"ServiceUnavailable":   {503, fault.VolumeUnavailable, true, "ServiceUnavailable"},
	} {
		t.Run(code, func(t *testing.T) {
			b.set(func(x *exchange) { x.answer = refuse(test.status, code) })
			within(t, bound, "it", func() {
				_, err := write(v, []byte("y"))
				assertKind(t, "write", c, err, test.want)
				if !strings.Contains(fault.Message(err), test.text) {
					t.Errorf("got %v, want %q in it", err, test.text)
				}
				t.Log(err, "|", fault.HintOf(err))
			})
			if n := len(b.seen()); n > 1 != test.again || n > 10 {
				t.Errorf("%d requests, want several: %v, but no more than 10", n, test.again)
			}
			b.set(func(x *exchange) {
				if x.number == 1 && test.again {
					x.answer = refuse(test.status, code)
				}
			})
			blobtest.AssertContent(t, v, name, []byte("x"))
		})
	}
}

// A server, or what stands before it, may repeat what it was sent.
func TestCredentialsAreNotRepeated(t *testing.T) {
	b := standBetween(t, shared(t), false)
	c := b.config(bucket(t, shared(t)))
	v := claimed(t, c)
	for _, body := range []string{"<Error><Code>%[2]s</Code><Message>%[1]s</Message></Error>", "you sent %[1]s and %[2]s"} {
		b.set(func(x *exchange) {
			x.answer = func(w http.ResponseWriter) {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, body, c.Secret, c.AccessKey)
			}
		})
		_, err := write(v, []byte("y"))
		assertKind(t, "write", c, err, fault.VolumeUnavailable)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "config", c, "volume", v)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "config", c, "pointer", &c, "volume", v)
	fmt.Fprintf(&out, "%v %+v %#v %s %v %+v %#v %+v", c, c, c, c, v, v, v, struct{ C s3.Config }{c})
	if text := out.String(); strings.Contains(text, c.Secret) || strings.Contains(text, c.AccessKey) {
		t.Errorf("%s holds a credential", text)
	}
}

// A bucket that was emptied, or is gone, is no volume without blobs: it is no volume.
func TestBucketTakenAway(t *testing.T) {
	g := shared(t)
	c := bucket(t, g)
	v := claimed(t, c)
	name := blobtest.Put(t, v, []byte("x"))
	if err := os.RemoveAll(filepath.Join(g.Folder(c.Bucket), "volumes")); err != nil {
		t.Fatal(err)
	}
	nothing := func(blob.Info) error { return nil }
	for range 2 { // emptied, then gone
		_, err := v.Open(t.Context(), name)
		assertKind(t, "open", c, err, fault.VolumeUnavailable)
		assertKind(t, "list", c, v.List(t.Context(), "", nothing), fault.VolumeUnavailable)
		if err := os.RemoveAll(g.Folder(c.Bucket)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := write(v, []byte("y"))
	assertKind(t, "write", c, err, fault.VolumeUnavailable)
	assertKind(t, "remove", c, v.Remove(t.Context(), name), fault.VolumeUnavailable)
	assertKind(t, "claim", c, v.Claim(t.Context()), fault.VolumeUnavailable)
}
