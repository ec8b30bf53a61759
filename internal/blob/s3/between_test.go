package s3_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mailreplica/internal/blob/s3"
	engine "mailreplica/internal/engine/s3"
	"mailreplica/internal/fault"
)

// between stands between the volume and the server: it counts requests, and harms those that a test chooses.
type between struct {
	server *httptest.Server
	conns  atomic.Int64

	mu       sync.Mutex
	requests []string // METHOD path?query
	harm     func(*exchange)
}

// exchange is a request on its way; harm may change it.
type exchange struct {
	*http.Request
	number     int                           // of the requests since harm was set, from 1
	answer     func(w http.ResponseWriter)   // instead of the server
	toServer   func(io.ReadCloser) io.Reader // the request's body
	fromServer func(io.ReadCloser) io.Reader // the response's body
	dropAnswer bool                          // the connection ends when the server has done what it should
}

var errHarm = errors.New("cut")

// standBetween starts one; secure: with TLS.
func standBetween(t testing.TB, g *engine.Gateway, secure bool) *between {
	t.Helper()
	to, err := url.Parse(g.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	b := &between{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.Host = r.In.Host // as the client signed it
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ModifyResponse: func(r *http.Response) error {
			x := r.Request.Context().Value(exchangeKey{}).(*exchange)
			if x.dropAnswer {
				return errHarm
			}
			if x.fromServer != nil {
				r.Body = struct {
					io.Reader
					io.Closer
				}{x.fromServer(r.Body), r.Body}
			}
			return nil
		},
		FlushInterval: -1,
		ErrorLog:      quiet(),
	}
	b.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.pass(w, r, proxy) }))
	b.server.Config.ErrorLog = quiet()
	b.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			b.conns.Add(1)
		}
	}
	if secure {
		b.server.StartTLS()
	} else {
		b.server.Start()
	}
	t.Cleanup(b.server.Close)
	return b
}

type exchangeKey struct{}

func (b *between) pass(w http.ResponseWriter, r *http.Request, proxy http.Handler) {
	x := &exchange{Request: r}
	b.mu.Lock()
	b.requests = append(b.requests, r.Method+" "+r.URL.RequestURI())
	x.number = len(b.requests)
	harm := b.harm
	b.mu.Unlock()
	if harm != nil {
		harm(x)
	}
	if x.answer != nil {
		x.answer(w)
		return
	}
	if x.toServer != nil && r.Body != nil {
		r.Body = struct {
			io.Reader
			io.Closer
		}{x.toServer(r.Body), r.Body}
	}
	proxy.ServeHTTP(w, r.WithContext(withExchange(r, x)))
}

// set begins to count anew, and harms what comes from now on.
func (b *between) set(harm func(*exchange)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests, b.harm = nil, harm
}

func (b *between) seen() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.requests...)
}

// ofBlobs are the requests for blobs alone: others come once a minute or a day.
func (b *between) ofBlobs() []string {
	return slices.DeleteFunc(b.seen(), func(request string) bool { return !strings.Contains(request, "/blobs/") })
}

func (b *between) config(c s3.Config) s3.Config {
	c.Endpoint = b.server.URL
	return c
}

// isBlob reports whether a request is about a blob itself.
func (x *exchange) isBlob() bool {
	return strings.Contains(x.URL.Path, "/blobs/") && x.URL.Path[len(x.URL.Path)-1] != '/'
}

// flip changes one bit of a body.
func flip(at int) func(io.ReadCloser) io.Reader {
	return func(body io.ReadCloser) io.Reader { return &flipped{body, at} }
}

type flipped struct {
	io.Reader
	at int
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if f.at >= 0 && f.at < n {
		p[f.at] ^= 0x10
	}
	f.at -= n
	return n, err
}

// cut ends a body with an error.
func cut(after int64) func(io.ReadCloser) io.Reader {
	return func(body io.ReadCloser) io.Reader {
		return io.MultiReader(io.LimitReader(body, after), failing{})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errHarm }

// refuse answers as S3 does.
func refuse(status int, code string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>so it is</Message></Error>", code)
	}
}

// assertKind looks at an error, and that it tells no credential.
func assertKind(t testing.TB, what string, c s3.Config, err error, want fault.Kind) {
	t.Helper()
	if !fault.Is(err, want) {
		t.Errorf("%s: got error %v, want kind %q", what, err, want)
	}
	if err == nil {
		return
	}
	for _, text := range []string{err.Error(), fault.Message(err), fault.HintOf(err), fmt.Sprintf("%+v %#v", err, errors.Unwrap(err))} {
		if strings.Contains(text, c.Secret) || strings.Contains(text, c.AccessKey) {
			t.Errorf("%s: the error %q holds a credential", what, text)
		}
	}
}
