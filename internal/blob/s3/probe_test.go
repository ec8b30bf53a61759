package s3_test

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"mailreplica/internal/blob/s3"
	"mailreplica/internal/fault"
)

func TestProbe(t *testing.T) {
	c := bucket(t, shared(t))
	steps, err := s3.Test(t.Context(), c)
	if err != nil {
		t.Fatalf("%v after %q", err, steps)
	}
	for _, step := range steps {
		t.Log(step)
	}
	if len(steps) != 10 {
		t.Errorf("got %d steps, want 10", len(steps))
	}
	if err := open(t, c).Claim(t.Context()); err != nil {
		t.Errorf("the test left something behind: %v", err)
	}
}

func TestProbeSaysWhatIsWrong(t *testing.T) {
	good := bucket(t, shared(t))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, test := range map[string]struct {
		change func(*s3.Config)
		step   string
		kind   fault.Kind
		text   string
	}{
		"no URL":      {func(c *s3.Config) { c.Endpoint = "s3.example.com" }, "configuration", fault.Invalid, "no URL"},
		"userinfo":    {func(c *s3.Config) { c.Endpoint = "http://a:" + c.Secret + "@127.0.0.1" }, "configuration", fault.Invalid, "more than a host"},
		"no name":     {func(c *s3.Config) { c.Endpoint = "http://nowhere.invalid" }, "name", fault.VolumeUnavailable, "has no address"},
		"closed port": {func(c *s3.Config) { c.Endpoint = "http://" + closed.Addr().String() }, "connection", fault.VolumeUnavailable, "cannot be reached"},
		"no TLS":      {func(c *s3.Config) { c.Endpoint = strings.Replace(c.Endpoint, "http:", "https:", 1) }, "connection", fault.VolumeUnavailable, "speaks no TLS"},
		"access key":  {func(c *s3.Config) { c.AccessKey = "NOBODY" }, "credentials", fault.VolumeUnavailable, "access key is not known"},
		"secret":      {func(c *s3.Config) { c.Secret += "x" }, "credentials", fault.VolumeUnavailable, "secret does not match"},
		"bucket":      {func(c *s3.Config) { c.Bucket = "nowhere" }, "credentials", fault.VolumeUnavailable, "does not exist"},
		"short name":  {func(c *s3.Config) { c.Bucket = "a" }, "configuration", fault.Invalid, "cannot be the name"},
		"bucket name": {func(c *s3.Config) { c.Bucket = "A_b" }, "credentials", fault.Invalid, "cannot be the name"},
		"region":      {func(c *s3.Config) { c.Region = "eu-south-9" }, "credentials", fault.VolumeUnavailable, "region is wrong"},
		"prefix":      {func(c *s3.Config) { c.Prefix = "a/../b" }, "configuration", fault.Invalid, "prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			test.change(&c)
			steps, err := s3.Test(t.Context(), c)
			if len(steps) == 0 || !fault.Is(err, test.kind) || !strings.Contains(fault.Message(err), test.text) {
				t.Fatalf("got %v after %q, want kind %q with %q", err, steps, test.kind, test.text)
			}
			if last := steps[len(steps)-1]; !strings.HasPrefix(last, test.step) {
				t.Errorf("it ends at %q, want %q", last, test.step)
			}
			t.Log(steps[len(steps)-1], "|", fault.HintOf(err), "|", err)
			for _, text := range append(steps, err.Error(), fault.HintOf(err)) {
				if strings.Contains(text, good.Secret) || strings.Contains(text, good.AccessKey) {
					t.Errorf("%q holds a credential", text)
				}
			}
		})
	}
}

// A key that may write and not remove: the test says so, and what it leaves does not keep a volume from being made.
func TestProbeThatMayNotRemove(t *testing.T) {
	b := standBetween(t, shared(t), false)
	c := b.config(bucket(t, shared(t)))
	b.set(func(x *exchange) {
		if x.Method == "DELETE" {
			x.answer = refuse(403, "AccessDenied")
		}
	})
	steps, err := s3.Test(t.Context(), c)
	if last := steps[len(steps)-1]; !strings.HasPrefix(last, "remove: failed") || !strings.Contains(last, "access is denied") || !strings.Contains(fault.HintOf(err), "s3:DeleteObject") {
		t.Errorf("got %v (%s) after %q", err, fault.HintOf(err), steps)
	}
	if err := open(t, c).Claim(t.Context()); err != nil {
		t.Errorf("claim: %v", err)
	}
}

// A step that fails removes what those before it wrote.
func TestProbeCleansUp(t *testing.T) {
	b := standBetween(t, shared(t), false)
	c := b.config(bucket(t, shared(t)))
	b.set(func(x *exchange) {
		if x.Method == "GET" && strings.Contains(x.URL.Path, "/test-") {
			x.fromServer = flip(100)
		}
	})
	if steps, err := s3.Test(t.Context(), c); err == nil || !strings.HasPrefix(steps[len(steps)-1], "read: failed") {
		t.Errorf("got %v after %q, want that reading fails", err, steps)
	}
	left, err := filepath.Glob(filepath.Join(shared(t).Folder(c.Bucket), c.Prefix, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// Settings of a bucket that would lose mail, or keep it.
func TestProbeLooksAtSettings(t *testing.T) {
	b := standBetween(t, shared(t), false)
	c := b.config(bucket(t, shared(t)))
	for what, test := range map[string]struct{ query, answer, want string }{
		"expiring":      {"lifecycle", `<LifecycleConfiguration><Rule><ID>old</ID><Status>Enabled</Status><Filter/><Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>`, "removes objects by their age"},
		"cleaning":      {"lifecycle", `<LifecycleConfiguration><Rule><ID>parts</ID><Status>Enabled</Status><Filter/><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>`, "none removes current objects"},
		"versions":      {"versioning", `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`, "a lifecycle rule must remove noncurrent versions"},
		"not permitted": {"lifecycle", "", "not known (AccessDenied)"},
	} {
		b.set(func(x *exchange) {
			if x.URL.Query().Has(test.query) {
				x.answer = func(w http.ResponseWriter) { io.WriteString(w, test.answer) }
				if test.answer == "" {
					x.answer = refuse(403, "AccessDenied")
				}
			}
		})
		steps, err := s3.Test(t.Context(), c)
		if got := strings.Join(steps, "\n"); !strings.Contains(got, test.want) || (err != nil) != (what == "expiring") {
			t.Errorf("%s: got %v after %q, want %q", what, err, steps, test.want)
		}
	}
}
