package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	dialMax         = 3 * time.Second
	handshakeMax    = 5 * time.Second
	idleMax         = 50 * time.Second // servers close idle connections after a minute or more
	idleConnections = 128
	bufferBytes     = 32 << 10

	// slowestBytesPerSecond: when a body has gone to the system's buffers it may be on its way for a while, without a sign of it.
	slowestBytesPerSecond = 512 << 10
)

// errStalled ends a request that made no progress for the configured time: the server is frozen, or the network is gone.
var errStalled = errors.New("no answer and no progress in time")

// newTransport is like the default one of minio-go, with shorter times, and without a limit on how long a request may take
// that moves.
func newTransport(c Config) *http.Transport {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialMax, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   handshakeMax,
		ExpectContinueTimeout: time.Second,
		MaxIdleConns:          idleConnections,
		MaxIdleConnsPerHost:   idleConnections,
		IdleConnTimeout:       idleMax,
		WriteBufferSize:       bufferBytes,
		ReadBufferSize:        bufferBytes,
		DisableCompression:    true, // bodies are kept as they are
	}
	if c.CA != nil {
		t.TLSClientConfig = &tls.Config{RootCAs: c.CA, MinVersion: tls.VersionTLS12}
	}
	return t
}

// watched gives up requests that make no progress. A limit on the whole of a request would be too short for a large part on a
// slow line, or too long for a server that is frozen.
type watched struct {
	base     http.RoundTripper
	stallMax time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t *watched) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	w := &watch{cancel: cancel, stallMax: t.stallMax}
	w.timer = time.AfterFunc(t.stallMax, func() { cancel(errStalled) })
	request = request.WithContext(ctx)
	if request.Body != nil && request.Body != http.NoBody {
		request.Body = &watchedBody{ReadCloser: request.Body, watch: w, size: request.ContentLength}
	}
	response, err := t.base.RoundTrip(request)
	if err != nil {
		if context.Cause(ctx) == errStalled {
			err = errStalled
		}
		w.end()
		return nil, err
	}
	w.progress(0)
	response.Body = &watchedBody{ReadCloser: response.Body, watch: w, ctx: ctx}
	return response, nil
}

type watch struct {
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	stallMax time.Duration
}

// progress lets the request live for stallMax and some more.
func (w *watch) progress(more time.Duration) { w.timer.Reset(w.stallMax + more) }

func (w *watch) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// watchedBody is the body of a request, whose bytes are taken as they are sent, or of a response (with a context), whose end
// is the end of the request.
type watchedBody struct {
	io.ReadCloser
	watch *watch
	ctx   context.Context
	size  int64 // of a request's body
	read  int64
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.watch.progress(0)
	b.read += int64(n)
	if b.ctx == nil && b.read == b.size {
		b.watch.progress(time.Duration(b.size) * time.Second / slowestBytesPerSecond)
	}
	if err != nil && err != io.EOF && b.ctx != nil && context.Cause(b.ctx) == errStalled {
		err = errStalled
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	if b.ctx != nil {
		b.watch.end()
	}
	return err
}
