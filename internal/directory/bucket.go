package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"mailreplica/internal/fault"
)

// BucketKind is what kind of server a bucket is on. All of them speak S3's protocol.
type BucketKind string

// The kinds.
const (
	S3Bucket    BucketKind = "S3"
	MinIOBucket BucketKind = "MinIO"
)

// ParseBucketKind reads a kind, in any case; anything else is Invalid.
func ParseBucketKind(s string) (BucketKind, error) {
	for _, kind := range []BucketKind{S3Bucket, MinIOBucket} {
		if strings.EqualFold(s, string(kind)) {
			return kind, nil
		}
	}
	return "", fault.New(fault.Invalid, "%q is not a kind of bucket: want S3 or MinIO", s)
}

// Limits of a bucket.
const (
	BucketsMax             = 1000
	BucketLabelBytesMax    = 128
	bucketNameBytesMin     = 3 // as S3 has it
	bucketNameBytesMax     = 63
	bucketEndpointBytesMax = 512
	bucketRegionBytesMax   = 64
	bucketKeyBytesMax      = 256 // of the access key, and of the secret
)

// Bucket is where volumes in S3 lie, and how it is reached. It holds a secret: however it is printed or logged, its
// credentials are not shown.
type Bucket struct {
	ID        string // UUID, made by the directory
	Kind      BucketKind
	Label     string // the operator's word for it; may be empty
	Name      string // of the bucket on its server
	Endpoint  string // http:// or https://, and host or host:port; empty: Amazon's
	Region    string // may be empty
	AccessKey string `json:"-"`
	Secret    string `json:"-"`
	PathStyle bool   // the bucket is the first part of a URL's path, not of its host
	CreatedAt time.Time
	Version   int64
}

// String names the bucket without its credentials.
func (b Bucket) String() string {
	return fmt.Sprintf("bucket %s (%s %q, label %q, endpoint %q, region %q)", b.ID, b.Kind, b.Name, b.Label, b.Endpoint, b.Region)
}

// Format prints String for every verb, those that would show the fields included.
func (b Bucket) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }

// LogValue is String for a log.
func (b Bucket) LogValue() slog.Value { return slog.StringValue(b.String()) }

// CreateBucket stores a bucket with a new id and the present time. One that the directory has already, by its endpoint
// and name, is Exists: two rows for one bucket would let two volumes lie at one place.
func (d *Directory) CreateBucket(ctx context.Context, b Bucket) (Bucket, error) {
	if err := b.check(); err != nil {
		return Bucket{}, err
	}
	b.ID = newID()
	err := d.store.write(ctx, func(t *tx) error {
		others, err := t.buckets()
		if err != nil {
			return err
		}
		if len(others) >= BucketsMax {
			return fault.New(fault.TooLarge, "there are %d buckets, the most there may be", BucketsMax)
		}
		if err := b.unlike(others); err != nil {
			return err
		}
		b.CreatedAt = t.now.UTC().Truncate(time.Millisecond)
		if b.Version, err = t.next(); err != nil {
			return err
		}
		return t.putBucket(b)
	})
	if err != nil {
		return Bucket{}, err
	}
	return b, nil
}

// UpdateBucket lets change alter a bucket: label, endpoint, region, path style and credentials at any time, the name and
// the kind only while no volume lies in it, for its blobs would not be found any more. Id and time stay. change may run
// several times; its error is given as it is. An unknown bucket is NotFound.
func (d *Directory) UpdateBucket(ctx context.Context, id string, change func(*Bucket) error) (Bucket, error) {
	var after Bucket
	err := d.store.write(ctx, func(t *tx) error {
		before, err := t.mustKnowBucket(id)
		if err != nil {
			return err
		}
		after = before
		if err := change(&after); err != nil {
			return asGiven(err, "the change of bucket %s", id)
		}
		after.ID, after.CreatedAt, after.Version = before.ID, before.CreatedAt, before.Version
		if after == before {
			return nil
		}
		if err := t.mayChangeBucket(before, &after); err != nil {
			return err
		}
		if after.Version, err = t.next(); err != nil {
			return err
		}
		return t.putBucket(after)
	})
	if err != nil {
		return Bucket{}, err
	}
	return after, nil
}

// asGiven gives an error of a caller's function, so that it undoes this caller's write alone.
func asGiven(err error, format string, args ...any) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	return fault.Wrap(fault.Internal, err, format, args...)
}

func (t *tx) mayChangeBucket(before Bucket, after *Bucket) error {
	if err := after.check(); err != nil {
		return err
	}
	others, err := t.buckets()
	if err != nil {
		return err
	}
	if err := after.unlike(others); err != nil {
		return err
	}
	if after.Name == before.Name && after.Kind == before.Kind {
		return nil
	}
	return t.bucketUnused(before, "cannot become another bucket")
}

// DeleteBucket forgets a bucket. It is refused (Invalid) while a volume lies in it; the message names one. Nothing in the
// bucket is touched.
func (d *Directory) DeleteBucket(ctx context.Context, id string) error {
	return d.store.write(ctx, func(t *tx) error {
		b, err := t.mustKnowBucket(id)
		if err != nil {
			return err
		}
		if err := t.bucketUnused(b, "cannot be deleted"); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM buckets WHERE id = ?", id); err != nil {
			return err
		}
		return t.noteRemoved(removedBucket, []byte(id))
	})
}

func (t *tx) bucketUnused(b Bucket, refusal string) error {
	users, err := rows(&t.query, scanVolume, "SELECT "+volumeColumns+" FROM volumes WHERE bucket_id = ? ORDER BY mailstore, name", b.ID)
	if err != nil || len(users) == 0 {
		return err
	}
	return fault.New(fault.Invalid, "the bucket %s (%s) %s: the volume %s of %s lies in it", b.ID, b.Name, refusal,
		users[0].Name, users[0].Mailstore).
		WithHint("make another bucket; or delete its volumes first: powerstore getAllVolumes lists them")
}

// Buckets gives every bucket, by label and id, with its credentials.
func (d *Directory) Buckets(ctx context.Context) ([]Bucket, error) {
	var all []Bucket
	err := d.store.read(ctx, func(q *query) (err error) {
		all, err = q.buckets()
		return err
	})
	return all, err
}

const bucketColumns = "id, kind, label, name, endpoint, region, access_key, secret, path_style, created_at, version"

func (q *query) buckets() ([]Bucket, error) {
	return rows(q, scanBucket, "SELECT "+bucketColumns+" FROM buckets ORDER BY label, id")
}

func (q *query) mustKnowBucket(id string) (Bucket, error) {
	found, err := rows(q, scanBucket, "SELECT "+bucketColumns+" FROM buckets WHERE id = ?", id)
	if err != nil {
		return Bucket{}, err
	}
	if len(found) == 0 {
		return Bucket{}, fault.New(fault.NotFound, "there is no bucket %q", id).WithHint("core listBuckets lists the buckets")
	}
	return found[0], nil
}

func (t *tx) putBucket(b Bucket) error {
	values := []any{string(b.Kind), b.Label, b.Name, b.Endpoint, b.Region, b.AccessKey, b.Secret, b.PathStyle,
		millis(b.CreatedAt), b.Version, b.ID}
	return t.put(`UPDATE buckets SET kind = ?, label = ?, name = ?, endpoint = ?, region = ?, access_key = ?, secret = ?,
		path_style = ?, created_at = ?, version = ? WHERE id = ?`, values,
		`INSERT INTO buckets (kind, label, name, endpoint, region, access_key, secret, path_style, created_at, version, id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, values)
}

func scanBucket(row scanner) (Bucket, error) {
	var b Bucket
	var created int64
	err := row.Scan(&b.ID, &b.Kind, &b.Label, &b.Name, &b.Endpoint, &b.Region, &b.AccessKey, &b.Secret, &b.PathStyle, &created,
		&b.Version)
	if err != nil {
		return b, err
	}
	b.CreatedAt = fromMillis(created)
	return b, sound("bucket", b.ID, claim{"kind", b.Kind == S3Bucket || b.Kind == MinIOBucket}, claim{"created_at", isTime(created)})
}

// unlike refuses a bucket that another row is about.
func (b *Bucket) unlike(others []Bucket) error {
	for _, other := range others {
		if other.ID != b.ID && other.Name == b.Name && other.Endpoint == b.Endpoint {
			return fault.New(fault.Exists, "the bucket %s at %s is known already, as %s", b.Name, b.place(), other.ID).
				WithHint("use that one")
		}
	}
	return nil
}

func (b *Bucket) place() string {
	if b.Endpoint == "" {
		return "Amazon"
	}
	return b.Endpoint
}

// bucketName is what S3 allows: lower-case letters, digits, dots and hyphens, a letter or a digit at either end
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
var bucketName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

var bucketRegion = regexp.MustCompile(`^[A-Za-z0-9-]*$`)

// check refuses what cannot be a bucket, and brings the rest into its one spelling. No message holds a credential.
func (b *Bucket) check() error {
	kind, err := ParseBucketKind(string(b.Kind))
	if err != nil {
		return err
	}
	b.Kind = kind
	if len(b.Label) > BucketLabelBytesMax || !printable(b.Label) {
		return fault.New(fault.Invalid, "a bucket's label has at most %d bytes, none of them control characters", BucketLabelBytesMax)
	}
	if len(b.Name) < bucketNameBytesMin || len(b.Name) > bucketNameBytesMax || !bucketName.MatchString(b.Name) ||
		net.ParseIP(b.Name) != nil {
		return fault.New(fault.Invalid, "%q is not a bucket's name", b.Name).
			WithHint("a bucket's name has %d to %d lower-case letters, digits, dots and hyphens", bucketNameBytesMin, bucketNameBytesMax)
	}
	if len(b.Region) > bucketRegionBytesMax || !bucketRegion.MatchString(b.Region) {
		return fault.New(fault.Invalid, "%q is not a region: want at most %d letters, digits and hyphens", clip(b.Region, 80),
			bucketRegionBytesMax)
	}
	for what, key := range map[string]string{"access key": b.AccessKey, "secret": b.Secret} {
		if key == "" || len(key) > bucketKeyBytesMax || !printable(key) || strings.ContainsAny(key, " ") {
			return fault.New(fault.Invalid, "the %s of a bucket has 1 to %d printable characters, and no spaces", what, bucketKeyBytesMax)
		}
	}
	if b.Endpoint == "" && b.Kind == S3Bucket {
		return nil
	}
	b.Endpoint, err = parseEndpoint(b.Endpoint)
	return err
}

// parseEndpoint gives an endpoint in one spelling. Its text is not in the errors, for it may hold a password.
func parseEndpoint(text string) (string, error) {
	refuse := func(why string) (string, error) {
		return "", fault.New(fault.Invalid, "the endpoint of a bucket %s", why).
			WithHint("give it as https://s3.example.com or http://10.0.0.1:9000")
	}
	if len(text) > bucketEndpointBytesMax {
		return refuse(fmt.Sprintf("has more than %d bytes", bucketEndpointBytesMax))
	}
	u, err := url.Parse(text)
	switch {
	case text == "":
		return refuse("is missing")
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return refuse("is not a URL of http or https")
	case u.User != nil:
		return refuse("must hold no user and password: they are given apart")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return refuse("must end with its host or port: the bucket and the prefix are given apart")
	}
	host := strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; u.Port() != "" {
		host = strings.TrimSuffix(host, port)
	}
	return u.Scheme + "://" + host, nil
}

// printable reports whether a text has no control characters and is UTF-8.
func printable(s string) bool {
	return strings.ToValidUTF8(s, "\x00") == s && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
