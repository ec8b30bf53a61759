package s3

import (
	"crypto/x509"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"mailreplica/internal/fault"
)

const (
	prefixBytesMax  = 512 // a key may have 1,024 bytes
	stallMaxDefault = 10 * time.Second
	retryMaxDefault = 3 * time.Second
	regionDefault   = "us-east-1" // what servers that know no regions expect
	amazon          = "https://s3.amazonaws.com"
)

// Config says which bucket a volume lies in, and how it is reached. It prints without its credentials.
type Config struct {
	Endpoint  string // URL, https://HOST or http://HOST:PORT; empty for Amazon
	Region    string // empty: us-east-1
	Bucket    string
	Prefix    string // what all keys begin with, without slashes around it; may be empty
	AccessKey string
	Secret    string
	PathStyle bool           // the bucket stands in the path of the URL; otherwise in the host where the server is known for it
	CA        *x509.CertPool // who may certify the server; nil: those the system trusts

	// StallMax is how long a request may make no progress before it is given up; 0: 10 seconds.
	StallMax time.Duration
	// RetryMax is how long after its first attempt a request that failed may be made again; 0: 3 seconds.
	RetryMax time.Duration
}

// String is where the bucket is.
func (c Config) String() string {
	return strings.TrimSuffix(c.place()+"/"+c.Bucket+"/"+strings.Trim(c.Prefix, "/"), "/")
}

// GoString keeps the credentials out of %#v.
func (c Config) GoString() string { return c.String() }

// LogValue keeps the credentials out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// place is the endpoint without what may stand in a URL that must not be shown.
func (c Config) place() string {
	if c.Endpoint == "" {
		return amazon
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return "an endpoint that is no URL"
	}
	return u.Scheme + "://" + u.Host
}

// normal is the configuration with its defaults, and refuses what can never work.
func (c Config) normal() (Config, *url.URL, error) {
	if c.Endpoint == "" {
		c.Endpoint = amazon
	}
	if c.Region == "" {
		c.Region = regionDefault
	}
	if c.StallMax <= 0 {
		c.StallMax = stallMaxDefault
	}
	if c.RetryMax <= 0 {
		c.RetryMax = retryMaxDefault
	}
	c.Prefix = strings.Trim(c.Prefix, "/")
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return c, nil, fault.New(fault.Invalid, "the endpoint of bucket %s is no URL", c.Bucket).
			WithHint("give it as https://HOST or http://HOST:PORT")
	}
	if endpoint.User != nil || strings.Trim(endpoint.Path, "/") != "" || endpoint.RawQuery != "" {
		return c, nil, fault.New(fault.Invalid, "the endpoint %s of bucket %s has more than a host and a port", c.place(), c.Bucket).
			WithHint("give it as https://HOST or http://HOST:PORT; bucket and credentials have fields of their own")
	}
	switch {
	case c.Bucket == "":
		return c, nil, fault.New(fault.Invalid, "the bucket at %s has no name", c.place())
	case c.AccessKey == "" || c.Secret == "":
		return c, nil, fault.New(fault.Invalid, "bucket %s has no access key or no secret", c.Bucket)
	}
	if err := s3utils.CheckValidBucketName(c.Bucket); err != nil {
		return c, nil, fault.Wrap(fault.Invalid, err, "%.80q cannot be the name of a bucket", c.Bucket).WithHint("correct the name of the bucket")
	}
	return c, endpoint, checkPrefix(c.Prefix)
}

// checkPrefix takes what every S3 server keeps as it is, and what a person can read in a listing.
func checkPrefix(prefix string) error {
	if len(prefix) > prefixBytesMax {
		return fault.New(fault.Invalid, "the prefix %.40q… is longer than %d bytes", prefix, prefixBytesMax)
	}
	if prefix == "" {
		return nil
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "" || part == "." || part == ".." {
			return fault.New(fault.Invalid, "the prefix %q has an empty part, or one that is only dots", prefix)
		}
	}
	for _, c := range prefix {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_./", c) {
			return fault.New(fault.Invalid, "the prefix %q holds %q", prefix, c).WithHint("use letters, digits, - _ . and /")
		}
	}
	return nil
}
