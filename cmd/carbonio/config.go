package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"mailreplica/internal/admin"
	"mailreplica/internal/config"
	"mailreplica/internal/fault"
)

// Limits of the configuration.
const (
	configBytesMax = 1 << 20
	endpointsMax   = 1_000
)

// probeWaits is how long a mailstore is given to answer before the next one is asked. When none has, all are asked once more,
// with patience: a busy platform is when an administrator needs an answer. One that is not there refuses at once.
func probeWaits() []time.Duration { return []time.Duration{time.Second, 4 * time.Second} }

// endpoint is where a mailstore's admin API is.
type endpoint struct{ name, address string }

// configuration is carbonio's configuration file.
type configuration struct {
	token     string
	ca        string     // PEM file that the mailstores' certificates are checked against; empty: the API is plain HTTP
	endpoints []endpoint // in the order of the file
}

// readConfig reads the configuration. It holds a token, so others must not be able to read it.
func readConfig(path string) (configuration, error) {
	const hint = "write it, or name another one with CARBONIO_CONFIG; it holds token and endpoints"
	file, err := os.Open(path)
	if err != nil {
		reason := "cannot be read"
		if errors.Is(err, os.ErrNotExist) {
			reason = "is not there"
		} else if errors.Is(err, os.ErrPermission) {
			reason = "may not be read by this user"
		}
		return configuration{}, fault.Wrap(fault.Invalid, err, "the configuration %s %s", path, reason).WithHint(hint)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return configuration{}, fault.New(fault.Invalid, "the configuration %s is no file", path).WithHint(hint)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return configuration{}, fault.New(fault.Invalid, "the configuration %s holds a token and can be read by others", path).
			WithHint("chmod 600 %s", path)
	}
	if info.Size() > configBytesMax { // what is cut off would be left out in silence
		return configuration{}, fault.New(fault.Invalid, "the configuration %s has more than %d bytes", path, configBytesMax).WithHint(hint)
	}
	data, err := io.ReadAll(io.LimitReader(file, configBytesMax))
	if err != nil {
		return configuration{}, fault.Wrap(fault.Invalid, err, "the configuration %s cannot be read", path)
	}
	c, err := parseConfig(data)
	if err != nil {
		return configuration{}, fault.New(fault.Invalid, "the configuration %s: %s", path, fault.Message(err)).WithHint("%s", fault.HintOf(err))
	}
	if c.ca != "" && !filepath.IsAbs(c.ca) {
		c.ca = filepath.Join(filepath.Dir(path), c.ca)
	}
	return c, nil
}

func parseConfig(data []byte) (configuration, error) {
	var raw struct {
		Token     string    `yaml:"token"`
		CA        string    `yaml:"ca"`
		Endpoints yaml.Node `yaml:"endpoints"`
	}
	const want = "want token: TEXT, and endpoints: with one line NAME: HOST:PORT a mailstore"
	if err := config.DecodeYAML(data, &raw); err != nil {
		return configuration{}, fault.Wrap(fault.Invalid, err, "%s", fault.Message(err)).WithHint(want)
	}
	c := configuration{token: strings.TrimSpace(raw.Token), ca: raw.CA}
	if c.token == "" {
		return c, fault.New(fault.Invalid, "token is missing").WithHint(want)
	}
	if strings.ContainsFunc(c.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return c, fault.New(fault.Invalid, "the token holds a blank or a character that is not ASCII").WithHint(want)
	}
	if raw.Endpoints.Kind != yaml.MappingNode || len(raw.Endpoints.Content) == 0 {
		return c, fault.New(fault.Invalid, "endpoints is missing, or names no mailstore").WithHint(want)
	}
	if len(raw.Endpoints.Content) > 2*endpointsMax {
		return c, fault.New(fault.Invalid, "endpoints names more than %d mailstores", endpointsMax).WithHint(want)
	}
	for i := 0; i+1 < len(raw.Endpoints.Content); i += 2 {
		name, address := raw.Endpoints.Content[i], raw.Endpoints.Content[i+1]
		if address.Kind != yaml.ScalarNode || address.Value == "" {
			return c, fault.New(fault.Invalid, "line %d: the endpoint %s has no address", name.Line, name.Value).WithHint(want)
		}
		if _, err := admin.NewClient(address.Value, c.token, nil); err != nil {
			return c, fault.New(fault.Invalid, "line %d: the endpoint %s is %q, which is not host:port", name.Line, name.Value, address.Value).
				WithHint(want)
		}
		if slices.ContainsFunc(c.endpoints, func(e endpoint) bool { return strings.EqualFold(e.name, name.Value) }) { // in another case
			return c, fault.New(fault.Invalid, "line %d: two endpoints are named %s", name.Line, name.Value).WithHint(want)
		}
		c.endpoints = append(c.endpoints, endpoint{strings.ToLower(name.Value), address.Value})
	}
	return c, nil
}

func (c configuration) tls() (*tls.Config, error) {
	if c.ca == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.ca)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		return nil, fault.Wrap(fault.Invalid, err, "the file %s holds no certificate", c.ca).WithHint("correct ca in the configuration")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// choose gives the endpoints to try: the one asked for, or all.
func (c configuration) choose(host string) ([]endpoint, error) {
	if host == "" {
		return c.endpoints, nil
	}
	var names []string
	for _, e := range c.endpoints {
		if strings.EqualFold(e.name, host) {
			return []endpoint{e}, nil
		}
		names = append(names, e.name)
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		return []endpoint{{host, host}}, nil
	}
	return nil, fault.New(fault.Invalid, "--host %s: the configuration has no such endpoint", host).
		WithHint("it has %s; host:port works, too", strings.Join(names, ", "))
}

// reach gives a client of the first endpoint that answers. A token that is refused ends the search.
func (c configuration) reach(ctx context.Context, host string) (*admin.Client, error) {
	endpoints, err := c.choose(host)
	if err != nil {
		return nil, err
	}
	config, err := c.tls()
	if err != nil {
		return nil, err
	}
	var tried []string
	for _, wait := range probeWaits() {
		tried = tried[:0]
		for _, e := range endpoints {
			client, err := admin.NewClient(e.address, c.token, e.tls(config))
			if err != nil {
				return nil, err
			}
			probing, cancel := context.WithTimeout(ctx, wait)
			_, err = client.Ping(probing)
			cancel()
			switch {
			case err == nil:
				return client, nil
			case ctx.Err() != nil:
				return nil, fault.Wrap(fault.Interrupted, err, "interrupted")
			case !fault.Is(err, fault.HomeUnreachable):
				return nil, err
			}
			tried = append(tried, fmt.Sprintf("%s (%s)", e, reason(err)))
		}
	}
	return nil, fault.New(fault.HomeUnreachable, "no mailstore answers: tried %s", strings.Join(tried, ", ")).
		WithHint("start one, or correct endpoints and ca in the configuration")
}

func (e endpoint) String() string {
	if e.name == e.address {
		return e.name
	}
	return e.name + " at " + e.address
}

// tls is for an endpoint that is given by its IP address: the certificate is the mailstore's, whose name the endpoint bears.
func (e endpoint) tls(config *tls.Config) *tls.Config {
	host, _, err := net.SplitHostPort(e.address)
	if config == nil || err != nil || net.ParseIP(host) == nil || e.name == e.address {
		return config
	}
	named := config.Clone()
	named.ServerName = e.name
	return named
}

// reason says in a few words why a mailstore did not answer.
func reason(err error) string {
	var name x509.HostnameError
	var certificate *tls.CertificateVerificationError
	var request *url.Error
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks no TLS; take ca out of the configuration"
	case errors.As(err, &name):
		return "its certificate is for another name"
	case errors.As(err, &certificate):
		return "its certificate is not trusted: " + certificate.Err.Error()
	case errors.Is(err, admin.ErrWantsTLS):
		return "it speaks TLS; name its certificate with ca in the configuration"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case !errors.As(err, &request):
		return fault.Message(err)
	case request.Timeout():
		return "no answer in time"
	}
	return request.Err.Error()
}
