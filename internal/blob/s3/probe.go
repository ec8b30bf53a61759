package s3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

// probe is what Test has found out so far.
type probe struct {
	volume   *Volume
	endpoint *url.URL
	steps    []string
	key      string
	content  []byte
	written  bool   // perhaps
	upload   string // that was begun
}

// Test proves that a bucket can hold a volume: that it is found and reached, takes, gives back, lists and removes an object, and
// is not set to remove mail by itself. It returns what was found of each step, up to the one that failed, whose error says why.
// It leaves nothing behind that it may remove, and needs no volume in the bucket.
func Test(ctx context.Context, c Config) ([]string, error) {
	v, err := Open(c, "test")
	if err != nil {
		return []string{"configuration: " + fault.Message(err)}, err
	}
	defer v.Close()
	_, endpoint, err := c.normal()
	if err != nil {
		return nil, err
	}
	name := blob.NewName()
	p := &probe{volume: v, endpoint: endpoint, key: v.prefix + testName + name, content: bytes.Repeat([]byte(name), 4<<10)}
	for _, step := range []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"name", p.resolve}, {"connection", p.connect}, {"credentials and bucket", p.bucket}, {"write", p.write}, {"read", p.read},
		{"list", p.list}, {"remove", p.remove}, {"large messages", p.multipart}, {"versions", p.versions}, {"lifecycle", p.lifecycle},
	} {
		found, err := step.run(ctx)
		if err != nil {
			p.cleanUp(ctx)
			p.steps = append(p.steps, step.name+": failed: "+strings.TrimPrefix(fault.Message(err), "volume "+v.id+": "))
			return p.steps, err
		}
		p.steps = append(p.steps, step.name+": "+found)
	}
	return p.steps, nil
}

// cleanUp removes what a step that failed may have left. What it cannot remove does not keep a volume from being made there.
func (p *probe) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortMax)
	defer cancel()
	if p.upload != "" {
		_ = p.volume.client.AbortMultipartUpload(ctx, p.volume.config.Bucket, p.key, p.upload)
	}
	if p.written {
		_ = p.volume.client.RemoveObject(ctx, p.volume.config.Bucket, p.key, minio.RemoveObjectOptions{})
	}
}

func (p *probe) address() string {
	port := p.endpoint.Port()
	switch {
	case port != "":
	case p.endpoint.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return net.JoinHostPort(p.endpoint.Hostname(), port)
}

func (p *probe) resolve(ctx context.Context) (string, error) {
	addresses, err := net.DefaultResolver.LookupHost(ctx, p.endpoint.Hostname())
	if err != nil {
		return "", p.volume.failed(err, "looking "+p.endpoint.Hostname()+" up")
	}
	return fmt.Sprintf("%s is %s", p.endpoint.Hostname(), addresses[0]), nil
}

func (p *probe) connect(ctx context.Context) (string, error) {
	start := time.Now()
	dialer := &net.Dialer{Timeout: dialMax}
	if p.endpoint.Scheme == "http" {
		conn, err := dialer.DialContext(ctx, "tcp", p.address())
		if err != nil {
			return "", p.volume.failed(err, "connecting")
		}
		return fmt.Sprintf("%s answers in %v, without TLS", p.address(), time.Since(start).Round(time.Millisecond)), conn.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, dialMax+handshakeMax)
	defer cancel()
	conn, err := (&tls.Dialer{NetDialer: dialer, Config: p.volume.transport.TLSClientConfig}).DialContext(ctx, "tcp", p.address())
	if err != nil {
		return "", p.volume.failed(err, "connecting")
	}
	version := tls.VersionName(conn.(*tls.Conn).ConnectionState().Version)
	return fmt.Sprintf("%s answers in %v, %s", p.address(), time.Since(start).Round(time.Millisecond), version), conn.Close()
}

// bucket lists, because the answer says why not, which that to HEAD does not.
func (p *probe) bucket(ctx context.Context) (string, error) {
	if err := p.listed(ctx, func(minio.ObjectInfo) {}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s in region %s", p.volume.config.Bucket, p.volume.config.Region), nil
}

func (p *probe) listed(ctx context.Context, fn func(minio.ObjectInfo)) error {
	return p.volume.try(ctx, "listing", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		options := minio.ListObjectsOptions{Prefix: p.key, Recursive: true, MaxKeys: 2}
		for object := range p.volume.client.ListObjectsIter(ctx, p.volume.config.Bucket, options) {
			if object.Err != nil {
				return object.Err
			}
			fn(object)
		}
		return ctx.Err()
	})
}

func (p *probe) write(ctx context.Context) (string, error) {
	start := time.Now()
	p.written = true
	err := p.volume.try(ctx, "writing an object", func(ctx context.Context) error {
		return p.volume.put(ctx, p.key, p.content, minio.PutObjectOptions{DisableContentSha256: true})
	})
	return fmt.Sprintf("%d bytes in %v", len(p.content), time.Since(start).Round(time.Millisecond)), err
}

func (p *probe) read(ctx context.Context) (string, error) {
	start := time.Now()
	err := p.volume.try(ctx, "reading an object", func(ctx context.Context) error {
		body, _, _, err := p.volume.client.GetObject(ctx, p.volume.config.Bucket, p.key, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		got, err := io.ReadAll(io.LimitReader(body, int64(2*len(p.content))))
		if err == nil && !bytes.Equal(got, p.content) {
			err = fmt.Errorf("%w: %d bytes came back of %d", errDamaged, len(got), len(p.content))
		}
		return errors.Join(err, body.Close())
	})
	return fmt.Sprintf("the same bytes in %v", time.Since(start).Round(time.Millisecond)), err
}

func (p *probe) list(ctx context.Context) (string, error) {
	found := false
	err := p.listed(ctx, func(o minio.ObjectInfo) { found = found || o.Key == p.key && o.Size == int64(len(p.content)) })
	if err == nil && !found {
		err = unavailable(nil, "bucket %s does not list an object that was just written", p.volume.config.Bucket).
			WithHint("use a server that is consistent: what was written is listed and read at once")
	}
	return "the object is listed", err
}

func (p *probe) remove(ctx context.Context) (string, error) {
	err := p.volume.try(ctx, "removing an object", func(ctx context.Context) error {
		return p.volume.client.RemoveObject(ctx, p.volume.config.Bucket, p.key, minio.RemoveObjectOptions{})
	})
	if err != nil {
		return "", err
	}
	left := false
	err = p.listed(ctx, func(minio.ObjectInfo) { left = true })
	if err == nil && left {
		err = unavailable(nil, "bucket %s lists an object that was just removed", p.volume.config.Bucket)
	}
	return "the object is gone", err
}

// multipart begins an upload, finds it in the list of those that are not finished, and ends it.
func (p *probe) multipart(ctx context.Context) (string, error) {
	v, bucket := p.volume, p.volume.config.Bucket
	err := v.try(ctx, "beginning an upload in parts", func(ctx context.Context) (err error) {
		p.upload, err = v.client.NewMultipartUpload(ctx, bucket, p.key, minio.PutObjectOptions{})
		return err
	})
	if err != nil {
		return "", err
	}
	listed := v.try(ctx, "listing uploads in parts", func(ctx context.Context) error {
		_, err := v.client.ListMultipartUploads(ctx, bucket, p.key, "", "", "", 2)
		return err
	})
	err = v.try(ctx, "ending an upload in parts", func(ctx context.Context) error {
		return v.client.AbortMultipartUpload(ctx, bucket, p.key, p.upload)
	})
	if listed != nil {
		err = listed
	}
	return "uploads in parts can be begun, listed and ended", err
}

// notKnown says why a setting of the bucket cannot be told: many keys may not ask, and some servers know no such setting.
func (p *probe) notKnown(err error) string {
	code := codeOf(err)
	if code == "" {
		code = "no answer"
	}
	return fmt.Sprintf("not known (%.60s)", p.volume.clean(code))
}

// versions tells what removing means in this bucket.
func (p *probe) versions(ctx context.Context) (string, error) {
	found, err := p.volume.client.GetBucketVersioning(ctx, p.volume.config.Bucket)
	switch {
	case ctx.Err() != nil:
		return "", p.volume.interrupted(ctx)
	case err != nil:
		return p.notKnown(err), nil
	case found.Enabled():
		return "kept: a lifecycle rule must remove noncurrent versions, or removed mail takes space for ever", nil
	}
	return "not kept", nil
}

// lifecycle refuses a bucket that removes mail by itself.
func (p *probe) lifecycle(ctx context.Context) (string, error) {
	found, err := p.volume.client.GetBucketLifecycle(ctx, p.volume.config.Bucket)
	switch {
	case ctx.Err() != nil:
		return "", p.volume.interrupted(ctx)
	case codeOf(err) == "NoSuchLifecycleConfiguration":
		return "no rules", nil
	case err != nil:
		return p.notKnown(err), nil
	}
	for _, rule := range found.Rules {
		if rule.Status != "Enabled" || rule.Expiration.Days == 0 && rule.Expiration.Date.IsZero() {
			continue
		}
		return "", fault.New(fault.Invalid, "a lifecycle rule of bucket %s removes objects by their age: %q", p.volume.config.Bucket, rule.ID).
			WithHint("remove the rule, or limit it to noncurrent versions and unfinished uploads: it would remove mail")
	}
	return fmt.Sprintf("%d rules, none removes current objects", len(found.Rules)), nil
}
