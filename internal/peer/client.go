package peer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// Waits for a mailstore that may be stopped, but whose machine still takes connections.
const (
	dialWait      = 2 * time.Second
	streamIdleMax = 60 * time.Second // for the next bytes of a snapshot or of the results of fences
	answerWaitMax = 60 * time.Second // for the head of an answer; the slowest reads a stream to its end and waits for a Fence
)

// Client asks other mailstores. Every failure to reach one is HomeUnreachable; what a mailstore answers keeps its kind.
type Client struct {
	http   *http.Client
	token  string
	scheme string

	requests sync.Map // *Requests by address
}

// Requests are how many requests to one mailstore were answered, and how many it left without an answer.
type Requests struct{ Answered, Unanswered atomic.Uint64 }

// Requests are counted on while the client is used.
func (c *Client) Requests(addr string) *Requests {
	found, known := c.requests.Load(addr)
	if !known {
		found, _ = c.requests.LoadOrStore(addr, new(Requests))
	}
	return found.(*Requests)
}

// NewClient makes a client that presents the peer token. Without a TLS configuration it speaks plain HTTP.
func NewClient(token string, config *tls.Config) *Client { return NewClientOver(nil, token, config) }

// NewClientOver is NewClient for a network of the caller's own; a nil dial is TCP.
func NewClientOver(
	dial func(ctx context.Context, network, addr string) (net.Conn, error), token string, config *tls.Config,
) *Client {
	scheme := "http"
	if config != nil {
		scheme = "https"
	}
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialWait, KeepAlive: 15 * time.Second}).DialContext
	}
	return &Client{token: token, scheme: scheme, http: &http.Client{Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: config, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute,
		ResponseHeaderTimeout: answerWaitMax,
	}}}
}

// Status asks for the state of copies.
func (c *Client) Status(ctx context.Context, addr string, ids []account.ID) (s Status, err error) {
	body, err := c.post(ctx, addr, "/v1/status", nil, ids)
	if err != nil {
		return s, err
	}
	defer body.Close()
	return s, decode(body, &s)
}

// Volumes asks on which volumes the contents of copies lie. The mailstore reads every row of their contents for that.
func (c *Client) Volumes(ctx context.Context, addr string, ids []account.ID) (all []ContentVolumes, err error) {
	body, err := c.post(ctx, addr, "/v1/volumes", nil, ids)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return all, decode(body, &all)
}

// Settled asks for the state of copies that is on disk.
func (c *Client) Settled(ctx context.Context, addr string, ids []account.ID) (copies []CopyStatus, err error) {
	body, err := c.post(ctx, addr, "/v1/settled", nil, ids)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return copies, decode(body, &copies)
}

// References asks for every blob of a volume that a mailstore names. What was yielded counts only where no error follows.
func (c *Client) References(ctx context.Context, addr, volume string, yield func(Reference) error) error {
	body, err := c.stream(ctx, addr, "/v1/references", url.Values{"volume": {volume}}, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	return readReferences(body, yield)
}

// Locate asks where messages lie that share contents.
func (c *Client) Locate(ctx context.Context, addr string, request LocateRequest) (found []Location, err error) {
	body, err := c.post(ctx, addr, "/v1/locate", nil, request)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return found, decode(body, &found)
}

// Snapshot asks for a copy of an account. The caller reads the stream to its end and closes it. A stream that brings
// nothing for streamIdleMax ends with an error: its mailstore may be stopped, and holds the connection all the same.
func (c *Client) Snapshot(ctx context.Context, addr string, id account.ID, destination string) (io.ReadCloser, error) {
	return c.stream(ctx, addr, "/v1/snapshot", url.Values{"account": {id.String()}, "destination": {destination}}, nil)
}

// stream is post for an answer that comes bit by bit.
func (c *Client) stream(ctx context.Context, addr, path string, query url.Values, v any) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	body, err := c.post(ctx, addr, path, query, v)
	if err != nil {
		cancel()
		return nil, err
	}
	return &streamBody{body: body, cancel: cancel}, nil
}

// streamBody bounds the wait for the next bytes, not what the reader does between two reads.
type streamBody struct {
	body   io.ReadCloser
	cancel context.CancelFunc
}

func (s *streamBody) Read(p []byte) (int, error) {
	idle := time.AfterFunc(streamIdleMax, s.cancel)
	defer idle.Stop()
	return s.body.Read(p)
}

func (s *streamBody) Close() error {
	s.cancel()
	return s.body.Close()
}

// Fence asks a mailstore to take accounts over; tell is called for each as it is decided.
func (c *Client) Fence(ctx context.Context, addr string, request FenceRequest, tell func(FenceResult)) error {
	body, err := c.stream(ctx, addr, "/v1/fence", nil, request)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := json.NewDecoder(bufio.NewReader(body))
	for {
		var result FenceResult
		err := lines.Decode(&result)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Wrap(fault.HomeUnreachable, err, "the mailstore at %s broke off its answer", addr)
		}
		tell(result)
	}
}

// Reseed makes a mailstore's copy of an account the primary by decree.
func (c *Client) Reseed(ctx context.Context, addr string, id account.ID) error {
	return c.discard(c.post(ctx, addr, "/v1/reseed", url.Values{"account": {id.String()}}, nil))
}

// Nudge makes a mailstore look at the directory now.
func (c *Client) Nudge(ctx context.Context, addr string) error {
	return c.discard(c.post(ctx, addr, "/v1/nudge", nil, nil))
}

// SetService starts or stops a service of a mailstore.
func (c *Client) SetService(ctx context.Context, addr, name string, run bool) error {
	verb := "stop"
	if run {
		verb = "start"
	}
	return c.discard(c.post(ctx, addr, "/v1/service", url.Values{"name": {name}, "do": {verb}}, nil))
}

func (c *Client) discard(body io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	return body.Close()
}

// post sends a request and returns the body of a good answer.
func (c *Client) post(ctx context.Context, addr, path string, query url.Values, v any) (io.ReadCloser, error) {
	encoded, err := json.Marshal(v)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the request to %s cannot be encoded", addr)
	}
	where := url.URL{Scheme: c.scheme, Host: addr, Path: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, where.String(), bytes.NewReader(encoded))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%q is not a mailstore's address", addr)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	switch {
	case err == nil:
		c.Requests(addr).Answered.Add(1)
	case !errors.Is(err, context.Canceled): // else who asked has gone
		c.Requests(addr).Unanswered.Add(1)
	}
	if err != nil {
		return nil, fault.Wrap(fault.HomeUnreachable, err, "the mailstore at %s does not answer", addr)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	var failure Failure
	if err := decode(response.Body, &failure); err != nil || failure.Error == "" {
		return nil, fault.New(fault.HomeUnreachable, "the mailstore at %s answers %s", addr, response.Status)
	}
	return nil, fault.New(fault.ParseKind(failure.Kind), "%s", failure.Error).WithHint("%s", failure.Hint)
}

func decode(r io.Reader, v any) error {
	if err := json.NewDecoder(io.LimitReader(r, responseBytesMax)).Decode(v); err != nil {
		return fault.Wrap(fault.HomeUnreachable, err, "the mailstore's answer cannot be read")
	}
	return nil
}
