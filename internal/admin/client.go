package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
)

const (
	responseBytesMax = 1 << 30
	dialWait         = 2 * time.Second
)

// ErrWantsTLS is why a mailstore that speaks HTTPS cannot be asked in plain HTTP.
var ErrWantsTLS = errors.New("a request in plain HTTP came to a server of HTTPS")

// Client gives commands to one mailstore. Failures to reach it are HomeUnreachable; what it answers keeps kind and hint.
type Client struct {
	base  string // scheme://host:port
	token string
	http  *http.Client
}

// NewClient makes a client for an endpoint: host:port, which is spoken to over TLS if a configuration is given, or a URL
// with scheme, host and port.
func NewClient(endpoint, token string, config *tls.Config) (*Client, error) {
	return NewClientOver(nil, endpoint, token, config)
}

// NewClientOver is NewClient for a network of the caller's own; a nil dial is TCP.
func NewClientOver(
	dial func(ctx context.Context, network, addr string) (net.Conn, error), endpoint, token string, config *tls.Config,
) (*Client, error) {
	base := endpoint
	if !strings.Contains(endpoint, "://") {
		base = "http://" + endpoint
		if config != nil {
			base = "https://" + endpoint
		}
	}
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Port() == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fault.New(fault.Invalid, "%q is not a mailstore's admin address", endpoint).WithHint("give host:port")
	}
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialWait, KeepAlive: 15 * time.Second}).DialContext
	}
	return &Client{base: u.Scheme + "://" + u.Host, token: token, http: &http.Client{Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: config, IdleConnTimeout: time.Minute, Proxy: nil,
	}}}, nil
}

// call gives one command and reads its answer.
func call[Out any](ctx context.Context, c *Client, command string, in any) (Out, error) {
	var out Out
	body, err := json.Marshal(in)
	if err != nil {
		return out, fault.Wrap(fault.Internal, err, "the command %s cannot be encoded", command)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+pathPrefix+command, bytes.NewReader(body))
	if err != nil {
		return out, fault.Wrap(fault.Internal, err, "the command %s cannot be sent", command)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return out, c.broken(ctx, err, "does not answer")
	}
	defer response.Body.Close()
	answer := json.NewDecoder(io.LimitReader(response.Body, responseBytesMax))
	if response.StatusCode != http.StatusOK {
		var f failure
		if response.StatusCode == http.StatusBadRequest && len(response.Header) == 0 { // what Go's server says then has no header
			return out, fault.Wrap(fault.HomeUnreachable, ErrWantsTLS, "%s is spoken to in plain HTTP, and speaks HTTPS", c.base)
		}
		if err := answer.Decode(&f); err != nil || f.Error == "" {
			return out, fault.New(fault.HomeUnreachable, "what listens at %s is not a mailstore's admin API: it answers %s", c.base, response.Status).
				WithHint("check the endpoints in carbonio's configuration")
		}
		return out, fault.New(fault.ParseKind(f.Kind), "%s", f.Error).WithHint("%s", f.Hint)
	}
	if err := answer.Decode(&out); err != nil {
		return out, c.broken(ctx, err, "broke off its answer")
	}
	return out, nil
}

func (c *Client) broken(ctx context.Context, err error, what string) error {
	if ctx.Err() != nil && context.Cause(ctx) == context.Canceled {
		return fault.Wrap(fault.Interrupted, err, "interrupted")
	}
	return fault.Wrap(fault.HomeUnreachable, err, "the mailstore at %s %s", c.base, what).
		WithHint("start it, or use another one with --host; what was asked for may have been done")
}

// Ping asks whether the mailstore answers.
func (c *Client) Ping(ctx context.Context) (Pong, error) {
	return call[Pong](ctx, c, commandPing, nothing{})
}

// GetConfig is Admin.GetConfig.
func (c *Client) GetConfig(ctx context.Context, name string) ([]Setting, error) {
	return call[[]Setting](ctx, c, commandGetConfig, Named{name})
}

// SetConfig is Admin.SetConfig.
func (c *Client) SetConfig(ctx context.Context, name, value string) (Setting, error) {
	return call[Setting](ctx, c, commandSetConfig, Setting{name, &value})
}

// CreateAccount is Admin.CreateAccount.
func (c *Client) CreateAccount(ctx context.Context, in CreateAccount) (Account, error) {
	return call[Account](ctx, c, commandCreateAccount, in)
}

// GetAccount is Admin.GetAccount.
func (c *Client) GetAccount(ctx context.Context, name string) (Account, error) {
	return call[Account](ctx, c, commandGetAccount, Named{name})
}

// ModifyAccount is Admin.ModifyAccount.
func (c *Client) ModifyAccount(ctx context.Context, in ModifyAccount) (Account, error) {
	return call[Account](ctx, c, commandModifyAccount, in)
}

// DeleteAccount is Admin.DeleteAccount.
func (c *Client) DeleteAccount(ctx context.Context, name string) (Started, error) {
	return call[Started](ctx, c, commandDeleteAccount, Named{name})
}

// GetAllAccounts is Admin.GetAllAccounts.
func (c *Client) GetAllAccounts(ctx context.Context, in ListAccounts) ([]Account, error) {
	return call[[]Account](ctx, c, commandGetAllAccounts, in)
}

// CreateList is Admin.CreateList.
func (c *Client) CreateList(ctx context.Context, name string) (Account, error) {
	return call[Account](ctx, c, commandCreateList, Named{name})
}

// GetAllServers is Admin.GetAllServers.
func (c *Client) GetAllServers(ctx context.Context) ([]Server, error) {
	return call[[]Server](ctx, c, commandGetAllServers, nothing{})
}

// DeleteServer is Admin.DeleteServer.
func (c *Client) DeleteServer(ctx context.Context, fqdn string) error {
	_, err := call[nothing](ctx, c, commandDeleteServer, Named{fqdn})
	return err
}

// SetDestination is Admin.SetDestination.
func (c *Client) SetDestination(ctx context.Context, in SetDestination) (Started, error) {
	return call[Started](ctx, c, commandSetDestination, in)
}

// RemoveDestination is Admin.RemoveDestination.
func (c *Client) RemoveDestination(ctx context.Context, in RemoveDestination) (Started, error) {
	return call[Started](ctx, c, commandRemoveDestination, in)
}

// Promote is Admin.Promote.
func (c *Client) Promote(ctx context.Context, in Promote) (Started, error) {
	return call[Started](ctx, c, commandPromote, in)
}

// GetAccountStatus is Admin.GetAccountStatus.
func (c *Client) GetAccountStatus(ctx context.Context, in GetStatus) (AccountStatuses, error) {
	return call[AccountStatuses](ctx, c, commandGetAccountStatus, in)
}

// Pause is Admin.Pause.
func (c *Client) Pause(ctx context.Context, in Selection) (Started, error) {
	return call[Started](ctx, c, commandPause, in)
}

// Restart is Admin.Restart.
func (c *Client) Restart(ctx context.Context, in Selection) (Started, error) {
	return call[Started](ctx, c, commandRestart, in)
}

// Reseed is Admin.Reseed.
func (c *Client) Reseed(ctx context.Context, in Reseed) (Started, error) {
	return call[Started](ctx, c, commandReseed, in)
}

// TestBrokers is Admin.TestBrokers.
func (c *Client) TestBrokers(ctx context.Context, in TestBrokers) (eventlog.Report, error) {
	return call[eventlog.Report](ctx, c, commandTestBrokers, in)
}

// GetServices is Admin.GetServices.
func (c *Client) GetServices(ctx context.Context) (Services, error) {
	return call[Services](ctx, c, commandGetServices, nothing{})
}

// SetService is Admin.SetService.
func (c *Client) SetService(ctx context.Context, in SetService) (Services, error) {
	return call[Services](ctx, c, commandSetService, in)
}

// GetAllOperations is Admin.GetAllOperations.
func (c *Client) GetAllOperations(ctx context.Context) ([]Operation, error) {
	return call[[]Operation](ctx, c, commandGetAllOperations, nothing{})
}

// GetOperation is Admin.GetOperation.
func (c *Client) GetOperation(ctx context.Context, id string) (Operation, error) {
	return call[Operation](ctx, c, commandGetOperation, Named{id})
}

// GetFailures is Admin.GetFailures.
func (c *Client) GetFailures(ctx context.Context, in GetFailures) (Failures, error) {
	return call[Failures](ctx, c, commandGetFailures, in)
}

// StopOperation is Admin.StopOperation.
func (c *Client) StopOperation(ctx context.Context, id string) (Operation, error) {
	return call[Operation](ctx, c, commandStopOperation, Named{id})
}

// RemoveOperation is Admin.RemoveOperation.
func (c *Client) RemoveOperation(ctx context.Context, id string) (Operation, error) {
	return call[Operation](ctx, c, commandRemoveOperation, Named{id})
}

// GetNotifications is Admin.GetNotifications.
func (c *Client) GetNotifications(ctx context.Context, id string) ([]Notification, error) {
	return call[[]Notification](ctx, c, commandGetNotifications, Named{id})
}
