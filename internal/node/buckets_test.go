package node_test

import (
	"strings"
	"testing"

	"mailreplica/internal/admin"
	engine "mailreplica/internal/engine/s3"
	"mailreplica/internal/fault"
	"mailreplica/internal/node/nodetest"
)

// Buckets and volumes of a real S3 server, as an administrator makes them: what is recorded was proven, and what was refused
// left nothing behind.
func TestBucketsOfAServer(t *testing.T) {
	gateway, err := engine.Start(t.Context(), engine.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gateway.Close() })
	if err := gateway.CreateBucket(t.Context(), "mail-blobs"); err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, 2)
	one, two := administrator(t, c, 0), administrator(t, c, 1)
	bucket := admin.CreateBucket{Kind: admin.BucketMinIO, Name: "mail-blobs", AccessKey: gateway.AccessKey(), Secret: gateway.Secret(), Label: "mail",
		URL: gateway.Endpoint(), Region: gateway.Region()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = one.CreateBucket(t.Context(), bucket)
	must(err)
	test, err := two.TestBucket(t.Context(), admin.TestBucket{ID: "mail"})
	must(err)
	if test.Problem != "" || len(test.Steps) < 3 {
		t.Errorf("got %+v", test)
	}
	volume := admin.CreateVolume{Name: "central", Type: "secondary", Bucket: "mail", Prefix: "site", Centralized: true}
	_, err = one.CreateVolume(t.Context(), volume)
	must(err)
	_, err = two.CreateCentralized(t.Context(), admin.CreateCentralized{Server: nodetest.Name(0), Name: "central"})
	must(err)

	refused := func(err error, what string) {
		t.Helper()
		if err == nil || fault.Is(err, fault.Internal) || fault.HintOf(err) == "" || strings.Contains(err.Error()+fault.HintOf(err), gateway.Secret()) {
			t.Errorf("%s: got %v (%v), want a refusal with a hint and without the secret", what, err, fault.KindOf(err))
		}
	}
	text := func(s string) *string { return &s }
	_, err = one.UpdateBucket(t.Context(), admin.UpdateBucket{ID: "mail", Secret: text("wrong")})
	refused(err, "a wrong secret")
	must(two.DeleteVolume(t.Context(), "central"))
	must(one.DeleteVolume(t.Context(), "central"))
	volume.Name = "another" // the mark says whose place it is, though the directory has forgotten it
	_, err = one.CreateVolume(t.Context(), volume)
	refused(err, "the place of another volume")
	volume.Name = "central"
	_, err = two.CreateVolume(t.Context(), volume)
	must(err)
	must(gateway.Kill())
	test, err = one.TestBucket(t.Context(), admin.TestBucket{ID: "mail"})
	must(err)
	if test.Problem == "" || test.Hint == "" || strings.Contains(test.Problem, gateway.Secret()) {
		t.Errorf("a server that is away: got %+v", test)
	}
	volume.Name, volume.Prefix = "late", "late"
	_, err = one.CreateVolume(t.Context(), volume)
	refused(err, "a server that is away")
}

// administrator talks to the i-th mailstore's admin API.
func administrator(t *testing.T, c *nodetest.Cluster, i int) *admin.Client {
	t.Helper()
	client, err := admin.NewClient(c.Config(i).Listen.Admin, nodetest.AdminToken, nil)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
