// Package s3 is a volume in a bucket of an S3 server, reached with minio-go.
//
// Layout: PREFIX/volume.json is the marker, PREFIX/blobs/xx/NAME are the blobs, where xx are the first two digits of NAME. See
// DESIGN.md. The package must not know the cache that is put before it.
package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

const (
	markerName     = "volume.json"
	markerLayout   = 1
	markerBytesMax = 4 << 10
	blobsName      = "blobs"
	testName       = "test-" // with a name behind it: what Test writes
	foreignKeys    = 10      // are asked for to see whether a prefix is empty

	// markerFresh is how long a marker that was seen is believed in. A bucket that is emptied under a running mailstore takes
	// new blobs for that long at most; what is read and listed is never believed without the marker.
	markerFresh = time.Minute
)

// Volume is a volume in a bucket.
type Volume struct {
	id        string
	config    Config
	prefix    string // with its slash, or empty
	client    minio.Core
	transport *http.Transport

	life context.Context // ends with Close
	end  context.CancelFunc
	work sync.WaitGroup // what goes on beside calls

	checking chan struct{} // holds one token: who has it asks for the marker
	mu       sync.Mutex
	checked  time.Time // when the marker was seen last
	swept    time.Time // when leftovers were looked for last
}

var _ blob.Volume = (*Volume)(nil)

type marker struct {
	ID     string `json:"id"`
	Layout int    `json:"layout"`
}

// Open makes a volume of a bucket. It asks nothing of the server, so that a mailstore starts while S3 is away; every use does.
// Invalid: the configuration can never work.
func Open(c Config, volumeName string) (*Volume, error) {
	c, endpoint, err := c.normal()
	if err != nil {
		return nil, err
	}
	v := &Volume{id: volumeName, config: c, transport: newTransport(c), checking: make(chan struct{}, 1)}
	if c.Prefix != "" {
		v.prefix = c.Prefix + "/"
	}
	lookup := minio.BucketLookupAuto
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(c.AccessKey, c.Secret, ""),
		Secure:       endpoint.Scheme == "https",
		Region:       c.Region,
		BucketLookup: lookup,
		Transport:    &watched{base: v.transport, stallMax: c.StallMax},
		MaxRetries:   1, // try does that, with an end in time
	})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, v.cause(err.Error()), "volume %s: the endpoint %s cannot be used", v.id, c.place())
	}
	v.client = *client
	v.life, v.end = context.WithCancel(context.Background())
	return v, nil
}

// Close ends the use of the volume; no other method is running or called after it.
func (v *Volume) Close() {
	v.end()
	v.work.Wait()
	v.transport.CloseIdleConnections()
}

// ID implements blob.Volume.
func (v *Volume) ID() string { return v.id }

// String is where the volume lies; it keeps the credentials out of what prints a Volume.
func (v *Volume) String() string { return "volume " + v.id + " in " + v.config.String() }

// GoString keeps the credentials out of %#v.
func (v *Volume) GoString() string { return v.String() }

func (v *Volume) key(name string) string { return v.prefix + blobsName + "/" + name[:2] + "/" + name }

// Claim makes the bucket's prefix this volume if there is nothing, and otherwise makes sure that it is. VolumeUnavailable: it
// is another volume, holds something else, or does not answer. A mailstore calls it when it starts, and when the volume is made.
func (v *Volume) Claim(ctx context.Context) error {
	found, err := v.readMarker(ctx)
	if err != nil {
		return err
	}
	if found == nil {
		if err := v.refuseForeign(ctx); err != nil {
			return err
		}
		if err := v.writeMarker(ctx); err != nil {
			return err
		}
		if found, err = v.readNewMarker(ctx); err != nil {
			return err
		}
	}
	if err := v.believe(found); err != nil {
		return err
	}
	v.sweepDaily()
	return nil
}

// refuseForeign refuses a prefix that holds anything: a volume that has lost its marker, or what is not ours. A marker does not
// count, for another mailstore may write it meanwhile, nor does what Test could not remove.
func (v *Volume) refuseForeign(ctx context.Context) error {
	found := ""
	err := v.try(ctx, "listing the prefix", func(ctx context.Context) error {
		page, cancel := context.WithCancel(ctx)
		defer cancel()
		for object := range v.client.ListObjectsIter(page, v.config.Bucket, minio.ListObjectsOptions{Prefix: v.prefix, Recursive: true, MaxKeys: foreignKeys}) {
			if object.Err != nil {
				return object.Err
			}
			if object.Key != v.prefix+markerName && !strings.HasPrefix(object.Key, v.prefix+testName) {
				found = object.Key
				return nil
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if found != "" {
		return unavailable(nil, "volume %s: %s has no %s, and is not empty: it holds %.80q", v.id, v.config, markerName, found).
			WithHint("give the volume a prefix of its own; if it is this volume and lost its marker, write %s%s: {\"id\":%q,\"layout\":%d}",
				v.prefix, markerName, v.id, markerLayout)
	}
	return nil
}

// writeMarker puts the marker where none is. Of two mailstores that do so at once, the server refuses the second; a server that
// does not know the condition lets the last one win, and the others see that when they read it back.
func (v *Volume) writeMarker(ctx context.Context) error {
	content, err := json.Marshal(marker{ID: v.id, Layout: markerLayout})
	if err != nil {
		return fault.Wrap(fault.Internal, err, "volume %s: its marker cannot be made", v.id)
	}
	conditional := true
	return v.try(ctx, "writing the marker", func(ctx context.Context) error {
		options := minio.PutObjectOptions{ContentType: "application/json", DisableContentSha256: true}
		if conditional {
			options.SetMatchETagExcept("*")
		}
		err := v.put(ctx, v.prefix+markerName, append(content, '\n'), options)
		switch codeOf(err) {
		case minio.PreconditionFailed:
			return nil // another was faster
		case "NotImplemented":
			if conditional {
				conditional = false
				return v.put(ctx, v.prefix+markerName, append(content, '\n'), minio.PutObjectOptions{ContentType: "application/json", DisableContentSha256: true})
			}
		}
		return err
	})
}

// put writes an object by one request. The sum of its bytes is signed with the request, and the server compares it.
func (v *Volume) put(ctx context.Context, key string, content []byte, options minio.PutObjectOptions) error {
	sum := sha256.Sum256(content)
	_, err := v.client.PutObject(ctx, v.config.Bucket, key, bytes.NewReader(content), int64(len(content)), "", hex.EncodeToString(sum[:]), options)
	return err
}

// readMarker gives nil if there is none.
func (v *Volume) readMarker(ctx context.Context) (found *marker, err error) {
	err = v.try(ctx, "reading the marker", func(ctx context.Context) (err error) {
		found, err = v.readMarkerOnce(ctx)
		return err
	})
	return found, err
}

// readNewMarker reads the marker that this process or another one has just written. A server may refuse a second marker a
// moment before it shows the first: versitygw does.
func (v *Volume) readNewMarker(ctx context.Context) (found *marker, err error) {
	err = v.try(ctx, "reading the marker back", func(ctx context.Context) (err error) {
		found, err = v.readMarkerOnce(ctx)
		if err == nil && found == nil {
			err = errors.New("it is not there, and another cannot be written")
		}
		return err
	})
	return found, err
}

func (v *Volume) readMarkerOnce(ctx context.Context) (*marker, error) {
	body, _, _, err := v.client.GetObject(ctx, v.config.Bucket, v.prefix+markerName, minio.GetObjectOptions{})
	if codeOf(err) == minio.NoSuchKey {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(body, markerBytesMax+1))
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	found := &marker{}
	if len(content) > markerBytesMax || json.Unmarshal(content, found) != nil {
		return &marker{}, nil // it is another's, or damaged: believe tells
	}
	return found, nil
}

// checkMarker makes sure that the prefix is the volume, and answers.
func (v *Volume) checkMarker(ctx context.Context) error {
	found, err := v.readMarker(ctx)
	if err != nil {
		return err
	}
	return v.believe(found)
}

// believe compares a marker with the volume.
func (v *Volume) believe(found *marker) error {
	if found == nil {
		return unavailable(nil, "volume %s: %s has no %s", v.id, v.config, markerName).
			WithHint("check bucket and prefix; a new volume gets its marker when it is made with powerstore doCreateVolume")
	}
	if found.ID == "" {
		return unavailable(nil, "volume %s: %s in %s cannot be understood", v.id, markerName, v.config).WithHint("check bucket and prefix")
	}
	if found.ID != v.id || found.Layout != markerLayout {
		return unavailable(nil, "%s holds volume %.80q in layout %d, not volume %s in layout %d",
			v.config, found.ID, found.Layout, v.id, markerLayout).WithHint("give the volume a bucket or a prefix of its own")
	}
	v.mu.Lock()
	v.checked = time.Now()
	v.mu.Unlock()
	return nil
}

// ensure makes sure that the prefix is the volume, unless that was seen a moment ago. Of many callers one asks.
func (v *Volume) ensure(ctx context.Context) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, ctx.Err(), "volume %s: interrupted", v.id)
	}
	if v.fresh() {
		return nil
	}
	select {
	case v.checking <- struct{}{}:
		defer func() { <-v.checking }()
	case <-ctx.Done():
		return fault.Wrap(fault.Interrupted, ctx.Err(), "volume %s: interrupted", v.id)
	}
	if v.fresh() {
		return nil
	}
	return v.checkMarker(ctx)
}

func (v *Volume) fresh() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.checked.IsZero() && time.Since(v.checked) < markerFresh
}

// Remove implements blob.Volume. In a bucket that keeps versions the bytes stay until a lifecycle rule removes them.
func (v *Volume) Remove(ctx context.Context, name string) error {
	if err := blob.CheckName(name); err != nil {
		return err
	}
	if err := v.ensure(ctx); err != nil {
		return err
	}
	return v.try(ctx, "removing blob "+name, func(ctx context.Context) error {
		err := v.client.RemoveObject(ctx, v.config.Bucket, v.key(name), minio.RemoveObjectOptions{})
		if codeOf(err) == "NoSuchKey" {
			return nil
		}
		return err
	})
}
