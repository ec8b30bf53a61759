package admin

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// Kinds of buckets. Both speak S3; that of Amazon needs no URL.
const (
	BucketS3    = string(directory.S3Bucket)
	BucketMinIO = string(directory.MinIOBucket)
)

// Bucket is a bucket as an administrator sees it. It has no secret: what is not sent cannot be read by the wrong person.
type Bucket struct {
	ID        string        `json:"id"`
	Kind      string        `json:"kind"`
	Label     string        `json:"label"`
	Name      string        `json:"name"` // at the provider
	URL       string        `json:"url"`
	Region    string        `json:"region"`
	AccessKey string        `json:"accessKey"`
	PathStyle bool          `json:"pathStyle"`
	Created   time.Time     `json:"created"`
	Usage     []BucketUsage `json:"usage,omitempty"`
	Notes     []string      `json:"notes,omitempty"`
}

// BucketUsage is a volume that lies in a bucket.
type BucketUsage struct {
	Mailstore string `json:"server"`
	Volume    string `json:"volume"`
}

func (a *Admin) viewBucket(b directory.Bucket) Bucket {
	v := Bucket{ID: b.ID, Kind: string(b.Kind), Label: b.Label, Name: b.Name, URL: b.Endpoint, Region: b.Region, AccessKey: b.AccessKey,
		PathStyle: b.PathStyle, Created: b.CreatedAt}
	for _, one := range a.copy.AllVolumes() {
		if one.Kind == directory.S3Volume && one.BucketID == b.ID {
			v.Usage = append(v.Usage, BucketUsage{one.Mailstore, one.Name})
		}
	}
	return v
}

// ListBuckets gives the buckets of a kind, or all of them.
func (a *Admin) ListBuckets(ctx context.Context, kind string) ([]Bucket, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return nil, err
	}
	every := strings.EqualFold(kind, "all")
	wanted, err := directory.ParseBucketKind(kind)
	if err != nil && !every {
		return nil, err
	}
	stored, err := a.Directory.Buckets(ctx)
	if err != nil {
		return nil, err
	}
	all := []Bucket{}
	for _, b := range stored {
		if every || b.Kind == wanted {
			all = append(all, a.viewBucket(b))
		}
	}
	return all, nil
}

// CreateBucket is what CreateBucket takes.
type CreateBucket struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	AccessKey string `json:"accessKey"`
	Secret    string `json:"secret"`
	Label     string `json:"label"`
	URL       string `json:"url,omitempty"`
	Region    string `json:"region,omitempty"`
	PathStyle *bool  `json:"pathStyle,omitempty"` // nil: as the kind and the URL have it
}

// CreateBucket records a bucket that is there at its provider. It makes nothing there, and asks it nothing.
func (a *Admin) CreateBucket(ctx context.Context, in CreateBucket) (Bucket, error) {
	kind, err := directory.ParseBucketKind(in.Kind)
	if err != nil {
		return Bucket{}, err
	}
	b := directory.Bucket{Kind: kind, Label: in.Label, Name: in.Name, Endpoint: in.URL, Region: in.Region,
		AccessKey: in.AccessKey, Secret: in.Secret, PathStyle: in.URL != "" && !strings.Contains(in.URL, amazonDomain)}
	if in.PathStyle != nil {
		b.PathStyle = *in.PathStyle
	}
	if err := a.Follower.Poll(ctx); err != nil {
		return Bucket{}, err
	}
	if err := a.checkBucket(b); err != nil {
		return Bucket{}, err
	}
	if b, err = a.Directory.CreateBucket(ctx, b); err != nil {
		return Bucket{}, err
	}
	a.tell(ctx, a.allMailstores()...)
	v := a.viewBucket(b)
	v.Notes = inTheClear(b)
	return v, nil
}

// amazonDomain is that of the provider whose buckets have host names of their own.
const amazonDomain = "amazonaws.com"

// UpdateBucket is what UpdateBucket takes. What is nil stays.
type UpdateBucket struct {
	ID        string  `json:"id"`
	Label     *string `json:"label,omitempty"`
	AccessKey *string `json:"accessKey,omitempty"`
	Secret    *string `json:"secret,omitempty"`
	URL       *string `json:"url,omitempty"`
	Region    *string `json:"region,omitempty"`
	PathStyle *bool   `json:"pathStyle,omitempty"`
}

// UpdateBucket changes how a bucket is reached, for instance its credentials, on every mailstore and without a restart. What
// does not work is not recorded: mail would wait everywhere.
func (a *Admin) UpdateBucket(ctx context.Context, in UpdateBucket) (Bucket, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return Bucket{}, err
	}
	old, err := a.bucket(in.ID)
	if err != nil {
		return Bucket{}, err
	}
	if in == (UpdateBucket{ID: in.ID}) {
		return Bucket{}, fault.New(fault.Invalid, "nothing is to be changed").WithHint("name what: label, access_key, secret, url, region or path_style")
	}
	b := in.on(old)
	if err := a.checkBucket(b); err != nil {
		return Bucket{}, err
	}
	renamed := old
	renamed.Label = b.Label
	if b != renamed { // not only the label
		if err := a.proveBucket(ctx, b); err != nil {
			return Bucket{}, err
		}
	}
	b, err = a.Directory.UpdateBucket(ctx, old.ID, func(stored *directory.Bucket) error {
		*stored = b
		return nil
	})
	if err != nil {
		return Bucket{}, err
	}
	a.tell(ctx, a.allMailstores()...)
	v := a.viewBucket(b)
	v.Notes = inTheClear(b)
	return v, nil
}

func (in UpdateBucket) on(b directory.Bucket) directory.Bucket {
	for _, f := range []struct {
		to   *string
		from *string
	}{{&b.Label, in.Label}, {&b.AccessKey, in.AccessKey}, {&b.Secret, in.Secret}, {&b.Endpoint, in.URL}, {&b.Region, in.Region}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if in.PathStyle != nil {
		b.PathStyle = *in.PathStyle
	}
	return b
}

// proveBucket has this mailstore reach a bucket as it would be recorded: every volume in it must be found there again, and
// without a volume, blobs can be written, read and deleted.
func (a *Admin) proveBucket(ctx context.Context, b directory.Bucket) error {
	proven := map[string]bool{}
	for _, v := range a.copy.AllVolumes() {
		if v.Kind != directory.S3Volume || v.BucketID != b.ID || proven[v.Name] {
			continue
		}
		if err := a.Volumes.Find(ctx, v, b); err != nil {
			return fault.Wrap(fault.KindOf(err), err, "the volume %s is not reached with that, so nothing was changed: %s", v.Name, fault.Message(err)).
				WithHint("%s", fault.HintOf(err))
		}
		proven[v.Name] = true
	}
	if len(proven) > 0 {
		return nil
	}
	if _, err := a.Volumes.TestBucket(ctx, b, ""); err != nil {
		return fault.Wrap(fault.KindOf(err), err, "the bucket %s is not reached with that, so nothing was changed: %s", b.Name, fault.Message(err)).
			WithHint("%s", fault.HintOf(err))
	}
	return nil
}

// DeleteBucket forgets a bucket that no volume lies in. At its provider nothing changes.
func (a *Admin) DeleteBucket(ctx context.Context, id string) error {
	if err := a.Follower.Poll(ctx); err != nil {
		return err
	}
	b, err := a.bucket(id)
	if err != nil {
		return err
	}
	if err := a.Directory.DeleteBucket(ctx, b.ID); err != nil {
		return err
	}
	a.tell(ctx, a.allMailstores()...)
	return nil
}

// TestBucket is what TestBucket takes.
type TestBucket struct {
	ID     string `json:"id"`
	Prefix string `json:"prefix,omitempty"` // below which blobs are written; credentials may be good for that alone
}

// BucketTest is what came of a test: what was found at each step, up to the problem that ended it.
type BucketTest struct {
	Bucket    Bucket   `json:"bucket"`
	Mailstore string   `json:"mailstore"` // from which it was reached
	Steps     []string `json:"steps"`     // NAME: what was found
	Problem   string   `json:"problem"`   // empty: there is none
	Hint      string   `json:"hint"`
}

// testWait bounds a test, so that the administrator is told what does not answer.
const testWait = 30 * time.Second

// TestBucket writes, reads, lists and deletes an object in a bucket, from this mailstore.
func (a *Admin) TestBucket(ctx context.Context, in TestBucket) (BucketTest, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return BucketTest{}, err
	}
	b, err := a.bucket(in.ID)
	if err != nil {
		return BucketTest{}, err
	}
	prefix, err := cleanPrefix(in.Prefix)
	if err != nil {
		return BucketTest{}, err
	}
	test := BucketTest{Bucket: a.viewBucket(b), Mailstore: a.Self}
	within, cancel := context.WithTimeout(ctx, testWait)
	defer cancel()
	test.Steps, err = a.Volumes.TestBucket(within, b, prefix)
	if ctx.Err() != nil {
		return BucketTest{}, fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted")
	}
	if err != nil {
		test.Problem, test.Hint = fault.Message(err), fault.HintOf(err)
		a.Logger.Warn("a bucket did not pass its test", "bucket", b.ID, "error", err)
	}
	return test, nil
}

// bucket finds the bucket that an administrator names, by its id or its label.
func (a *Admin) bucket(name string) (directory.Bucket, error) {
	name = strings.TrimSpace(name)
	if b, known := a.copy.Bucket(strings.ToLower(name)); known {
		return b, nil
	}
	for _, b := range a.copy.Buckets() {
		if name != "" && b.Label == name {
			return b, nil
		}
	}
	return directory.Bucket{}, fault.New(fault.NotFound, "there is no bucket %.100q", name).WithHint("core listBuckets all lists them with their ids")
}

// checkBucket refuses what the directory would take, and an administrator cannot mean.
func (a *Admin) checkBucket(b directory.Bucket) error {
	if strings.TrimSpace(b.Label) == "" || strings.TrimSpace(b.Label) != b.Label {
		return fault.New(fault.Invalid, "%.200q is no label", b.Label).WithHint("give the bucket a word by which you know it")
	}
	for _, other := range a.copy.Buckets() {
		if other.ID != b.ID && other.Label == b.Label {
			return fault.New(fault.Exists, "the bucket %s has the label %q already", other.ID, b.Label).WithHint("choose another label")
		}
	}
	if b.Endpoint == "" && b.Region == "" && b.Kind == directory.S3Bucket {
		return fault.New(fault.Invalid, "neither a region nor a url is given").WithHint("give the region of the bucket, for instance eu-west-1")
	}
	return nil
}

// inTheClear warns of messages that cross a network unencrypted.
func inTheClear(b directory.Bucket) []string {
	u, err := url.Parse(b.Endpoint)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return nil
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && addr.IsLoopback() {
		return nil
	}
	return []string{"messages go to " + net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80")) +
		" in the clear; give the server a certificate, and its URL as https://…"}
}

// samePlace reports whether two buckets are one at the provider, whatever credentials they are reached with.
func samePlace(a, b directory.Bucket) bool {
	return a.ID == b.ID || a.Name == b.Name && hostOf(a) == hostOf(b)
}

// hostOf is where a bucket is served. Names of buckets of Amazon are unique among all of its regions.
func hostOf(b directory.Bucket) string {
	u, err := url.Parse(b.Endpoint)
	if err != nil || u.Host == "" || strings.HasSuffix(u.Hostname(), amazonDomain) {
		return amazonDomain
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(net.JoinHostPort(u.Hostname(), port))
}

const prefixBytesMax = 512

// cleanPrefix gives a prefix without the slashes around it, or refuses it. Names of objects are below 1,024 bytes.
func cleanPrefix(prefix string) (string, error) {
	prefix = strings.Trim(prefix, "/")
	parts := strings.Split(prefix, "/")
	bad := strings.ContainsFunc(prefix, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`\{}^%[]"<>#|`+"`", r) })
	if len(prefix) > prefixBytesMax || bad || prefix != "" && slices.ContainsFunc(parts, func(p string) bool { return p == "" || p == "." || p == ".." }) {
		return "", fault.New(fault.Invalid, "%.200q is no prefix of objects", prefix).
			WithHint("use letters, digits, hyphens and slashes between them, at most %d", prefixBytesMax)
	}
	return prefix, nil
}
