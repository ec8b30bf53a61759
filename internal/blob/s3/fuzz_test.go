package s3_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/s3"
	"mailreplica/internal/fault"
)

const (
	listing  = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>mail</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>`
	fuzzName = "0123456789abcdef0123456789abcdef"
)

// liar is an S3 server that answers what a test says: body to requests for the marker, and a listing without objects to all others,
// unless answer is set.
type liar struct {
	mu     sync.Mutex
	marker []byte
	answer func(http.ResponseWriter)
}

func (l *liar) say(marker []byte, answer func(http.ResponseWriter)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marker, l.answer = marker, answer
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	l.mu.Lock()
	marker, answer := l.marker, l.answer
	l.mu.Unlock()
	w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
	switch {
	case strings.HasSuffix(r.URL.Path, "/volume.json"):
		w.Header().Set("ETag", `"0"`)
		_, _ = w.Write(marker)
	case answer != nil:
		answer(w)
	default:
		_, _ = io.WriteString(w, listing)
	}
}

func newLiar(f *testing.F) (*liar, *s3.Volume) {
	l := &liar{}
	server := httptest.NewServer(l)
	f.Cleanup(server.Close)
	return l, open(f, s3.Config{RetryMax: time.Nanosecond, StallMax: time.Second, Endpoint: server.URL, Bucket: "mail", Prefix: "one", AccessKey: "key", Secret: "secret", PathStyle: true})
}

// FuzzMarker has the server give anything for the marker of a volume: it is believed if it is the volume's own, and else the volume is
// unavailable.
func FuzzMarker(f *testing.F) {
	for _, text := range []string{
		`{"id":"central","layout":1}`, `{"id":"central","layout":2}`, `{"id":"other","layout":1}`, "", "null", "[]", `{"ID":"central","layout":1.0}`,
		`{"id":"central","layout":1}{}`, `{"id":"\u001b[2J","layout":1}`, strings.Repeat("[", 20_000),
		strings.Repeat(" ", 5000) + `{"id":"central","layout":1}`, `{"id":"central","layout":1}` + strings.Repeat(" ", 5000) + "{}",
	} {
		f.Add([]byte(text))
	}
	l, v := newLiar(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		l.say(text, nil)
		var want struct {
			ID     string `json:"id"`
			Layout int    `json:"layout"`
		}
		own := len(text) <= 4096 && json.Unmarshal(text, &want) == nil && want.ID == "central" && want.Layout == 1
		err := v.List(t.Context(), "", func(blob.Info) error { return nil })
		if own != (err == nil) || err != nil && !fault.Is(err, fault.VolumeUnavailable) {
			t.Errorf("%.100q: got %.200v", text, err)
		}
		if err != nil {
			readable(t, err)
		}
	})
}

// readable makes sure that a message can be shown.
func readable(t *testing.T, err error) {
	t.Helper()
	text := fault.Message(err)
	if len(text) > 1000 || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("the message is %q", text)
	}
}

// FuzzAnswer has the server answer anything: every call ends soon, and what cannot be is an error.
func FuzzAnswer(f *testing.F) {
	object := "<Contents><Key>one/blobs/01/" + fuzzName + "</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><Size>3</Size></Contents>"
	listed := strings.Replace(listing, "<IsTruncated>", object+"<IsTruncated>", 1)
	f.Add(uint16(200), "", []byte(listed))
	f.Add(uint16(200), "", []byte(strings.Replace(listed, "<IsTruncated>false", "<NextContinuationToken>t</NextContinuationToken><IsTruncated>true", 1)))
	f.Add(uint16(200), "", []byte(strings.Replace(listing, "<IsTruncated>false", "<NextContinuationToken>t</NextContinuationToken><IsTruncated>true", 1)))
	f.Add(uint16(206), "Content-Range: bytes 0-2/3\nETag: \"0\"", []byte("abc"))
	f.Add(uint16(206), "Content-Range: bytes 0-2/9223372036854775807\nETag: \"0\"", []byte("abc"))
	f.Add(uint16(206), "Content-Range: bytes 5-1/-3\nETag: \"0\"", []byte("abc"))
	f.Add(uint16(206), "Content-Range: bytes 0-2/3\nx-amz-checksum-crc32c: AAAAAA==\nETag: \"0\"", []byte("abc"))
	f.Add(uint16(416), "", []byte("<Error><Code>InvalidRange</Code><Message>\x1b[2J</Message></Error>"))
	f.Add(uint16(404), "", []byte("<Error><Code>NoSuchKey</Code></Error>"))
	f.Add(uint16(500), "", []byte("<Error><Code>InternalError</Code></Error>"))
	f.Add(uint16(301), "Location: http://192.0.2.1/", []byte(""))
	l, v := newLiar(f)
	f.Fuzz(func(t *testing.T, status uint16, header string, body []byte) {
		l.say([]byte(`{"id":"central","layout":1}`), func(w http.ResponseWriter) {
			for line := range strings.Lines(header) {
				if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
					w.Header().Set(name, strings.TrimSpace(value))
				}
			}
			w.WriteHeader(200 + int(status)%400)
			_, _ = w.Write(body)
		})
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		ask(ctx, t, v)
		if ctx.Err() != nil {
			t.Error("not all calls end")
		}
	})
}

// ask calls all there is.
func ask(ctx context.Context, t *testing.T, v *s3.Volume) {
	see := func(err error) {
		t.Helper()
		if err == nil {
			return
		}
		if kind := fault.KindOf(err); kind != fault.VolumeUnavailable && kind != fault.NotFound && kind != fault.TooLarge && kind != fault.Interrupted {
			t.Errorf("%v (kind %v)", err, kind)
		}
		readable(t, err)
	}
	last := ""
	see(v.List(ctx, "", func(i blob.Info) error {
		if blob.CheckName(i.Name) != nil || i.Name <= last || i.Size < 0 {
			t.Errorf("listed: %+v after %q", i, last)
		}
		last = i.Name
		return nil
	}))
	if b, err := v.Open(ctx, fuzzName); err != nil {
		see(err)
	} else {
		if b.Size() < 0 {
			t.Errorf("a blob of %d bytes", b.Size())
		}
		var piece [4096]byte
		if n, err := b.ReadAt(piece[:], 0); err != io.EOF {
			see(err)
		} else if int64(n) != b.Size() {
			t.Errorf("the end after %d of %d bytes", n, b.Size())
		}
		see(b.Close())
	}
	see(v.Remove(ctx, fuzzName))
	if w, err := v.Create(ctx); err != nil {
		see(err)
	} else {
		_, err := w.Write([]byte("abc"))
		see(err)
		_, _, err = w.Commit(ctx)
		see(err)
	}
}
