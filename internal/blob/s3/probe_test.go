package s3_test

import (
	"net"
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
