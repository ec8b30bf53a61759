package admin_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"mailreplica/internal/admin"
	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/fault"
)

// aBucket is one that every platform of these tests can reach.
func aBucket(name string) admin.CreateBucket {
	return admin.CreateBucket{Kind: "minio", Name: name, AccessKey: "mailreplica", Secret: admintest.Secret, Label: name,
		URL: "https://s3.example.com:9000"}
}

func TestCreateBucket(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	made, err := c.CreateBucket(t.Context(), aBucket("mail-blobs"))
	must(t, err)
	if made.Kind != admin.BucketMinIO || !made.PathStyle || made.ID == "" || len(made.Notes) > 0 {
		t.Errorf("got %+v", made)
	}
	amazon, err := c.CreateBucket(t.Context(), admin.CreateBucket{Kind: "s3", Name: "mail-blobs", AccessKey: "k", Secret: admintest.Secret, Label: "amazon",
		Region: "eu-west-1"})
	must(t, err)
	if amazon.Kind != admin.BucketS3 || amazon.PathStyle {
		t.Errorf("got %+v", amazon)
	}
	clear := aBucket("in-the-clear")
	clear.URL = "http://10.1.2.3:9000"
	told, err := c.CreateBucket(t.Context(), clear)
	must(t, err)
	if len(told.Notes) != 1 || !strings.Contains(told.Notes[0], "in the clear") {
		t.Errorf("got notes %q", told.Notes)
	}
	for _, test := range []struct {
		kind string
		want int
	}{{"all", 3}, {"MINIO", 2}, {"S3", 1}} {
		found, err := client(t, p, 2).ListBuckets(t.Context(), test.kind)
		must(t, err)
		if len(found) != test.want {
			t.Errorf("%s: got %d buckets, want %d", test.kind, len(found), test.want)
		}
		if text, _ := json.Marshal(found); strings.Contains(string(text), admintest.Secret) {
			t.Errorf("the answer holds the secret: %s", text)
		}
	}
	_, err = c.ListBuckets(t.Context(), "Azure")
	wantFault(t, err, fault.Invalid, "Azure")
}

func TestCreateBucketRefuses(t *testing.T) {
	p := admintest.Start(t, 1)
	c := client(t, p, 1)
	_, err := c.CreateBucket(t.Context(), aBucket("taken"))
	must(t, err)
	before, err := p.Directory.Version(t.Context())
	must(t, err)
	for name, test := range map[string]struct {
		change func(*admin.CreateBucket)
		kind   fault.Kind
		want   string
	}{
		"kind":           {func(b *admin.CreateBucket) { b.Kind = "Azure" }, fault.Invalid, "Azure"},
		"name":           {func(b *admin.CreateBucket) { b.Name = "Mail_Blobs" }, fault.Invalid, "Mail_Blobs"},
		"no secret":      {func(b *admin.CreateBucket) { b.Secret = "" }, fault.Invalid, "secret"},
		"secret of two":  {func(b *admin.CreateBucket) { b.Secret = admintest.Secret + " x" }, fault.Invalid, "secret"},
		"no key":         {func(b *admin.CreateBucket) { b.AccessKey = "" }, fault.Invalid, "access key"},
		"no label":       {func(b *admin.CreateBucket) { b.Label = " " }, fault.Invalid, "label"},
		"label taken":    {func(b *admin.CreateBucket) { b.Label = "taken" }, fault.Exists, "taken"},
		"bucket taken":   {func(b *admin.CreateBucket) { b.Name, b.Label = "taken", "other" }, fault.Exists, "taken"},
		"no URL":         {func(b *admin.CreateBucket) { b.URL = "" }, fault.Invalid, ""},
		"no region":      {func(b *admin.CreateBucket) { b.Kind, b.URL = "S3", "" }, fault.Invalid, "neither a region nor a url"},
		"URL with a key": {func(b *admin.CreateBucket) { b.URL = "https://u:" + admintest.Secret + "@s3.example.com" }, fault.Invalid, ""},
		"URL with path":  {func(b *admin.CreateBucket) { b.URL = "https://s3.example.com/bucket" }, fault.Invalid, ""},
		"no web":         {func(b *admin.CreateBucket) { b.URL = "file:///etc/passwd" }, fault.Invalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := aBucket("mail-blobs")
			test.change(&in)
			_, err := c.CreateBucket(t.Context(), in)
			wantFault(t, err, test.kind, test.want)
			if strings.Contains(fmt.Sprint(err, fault.HintOf(err)), admintest.Secret) {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
	after, err := p.Directory.Version(t.Context())
	must(t, err)
	if before != after {
		t.Error("a refused bucket changed the directory")
	}
}

// Credentials are rotated while volumes lie in the bucket; what does not work is not recorded.
func TestUpdateBucket(t *testing.T) {
	p := admintest.Start(t, 1)
	c := client(t, p, 1)
	made, err := c.CreateBucket(t.Context(), aBucket("mail-blobs"))
	must(t, err)
	_, err = c.CreateVolume(t.Context(), admin.CreateVolume{Name: "central", Type: "primary", Bucket: made.ID, Centralized: true})
	must(t, err)
	text := func(s string) *string { return &s }
	changed, err := c.UpdateBucket(t.Context(), admin.UpdateBucket{ID: made.Label, AccessKey: text("another"), Secret: text(admintest.Secret), Label: text("mail")})
	must(t, err)
	if changed.AccessKey != "another" || changed.Label != "mail" || changed.ID != made.ID || len(changed.Usage) != 1 || changed.Usage[0].Volume != "central" {
		t.Errorf("got %+v", changed)
	}
	before, err := p.Directory.Version(t.Context())
	must(t, err)
	for name, test := range map[string]struct {
		in   admin.UpdateBucket
		kind fault.Kind
		want string
	}{
		"nothing":      {admin.UpdateBucket{ID: made.ID}, fault.Invalid, "nothing is to be changed"},
		"unknown":      {admin.UpdateBucket{ID: "x", Label: text("y")}, fault.NotFound, `no bucket "x"`},
		"wrong secret": {admin.UpdateBucket{ID: made.ID, Secret: text("wrong")}, fault.Denied, "nothing was changed"},
		"wrong URL":    {admin.UpdateBucket{ID: made.ID, URL: text("ftp://x")}, fault.Invalid, "endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.UpdateBucket(t.Context(), test.in)
			wantFault(t, err, test.kind, test.want)
		})
	}
	wantFault(t, c.DeleteBucket(t.Context(), made.ID), fault.Invalid, "central")
	after, err := p.Directory.Version(t.Context())
	must(t, err)
	if before != after {
		t.Error("what was refused changed the directory")
	}
	unused, err := c.CreateBucket(t.Context(), aBucket("unused"))
	must(t, err)
	must(t, c.DeleteBucket(t.Context(), unused.ID))
	wantFault(t, c.DeleteBucket(t.Context(), unused.ID), fault.NotFound, "no bucket")
}

func TestTestBucket(t *testing.T) {
	p := admintest.Start(t, 1)
	c := client(t, p, 1)
	made, err := c.CreateBucket(t.Context(), aBucket("mail-blobs"))
	must(t, err)
	test, err := c.TestBucket(t.Context(), admin.TestBucket{ID: made.ID})
	must(t, err)
	if test.Problem != "" || len(test.Steps) != 2 || test.Mailstore != admintest.Name(1) {
		t.Errorf("got %+v", test)
	}
	p.SetBucketsAway(true)
	test, err = c.TestBucket(t.Context(), admin.TestBucket{ID: made.ID})
	must(t, err)
	if !strings.Contains(test.Problem, "does not answer") || test.Hint == "" || !strings.HasPrefix(test.Steps[1], "connection: failed: ") {
		t.Errorf("got %+v", test)
	}
	_, err = c.TestBucket(t.Context(), admin.TestBucket{ID: "none"})
	wantFault(t, err, fault.NotFound, "none")
	_, err = c.TestBucket(t.Context(), admin.TestBucket{ID: made.ID, Prefix: "a/../b"})
	wantFault(t, err, fault.Invalid, "prefix")
}
