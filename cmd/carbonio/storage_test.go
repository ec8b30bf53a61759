package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"mailreplica/internal/admin/admintest"
)

// A tour through buckets and volumes, as a script reads it. No line of it shows the secret.
func TestStorageTour(t *testing.T) {
	c := start(t, 2)
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, admintest.Secret+"\n", 0o600)
	var tour strings.Builder
	for _, line := range []string{
		"core doCreateBucket MINIO mail-blobs mailreplica file:" + file + " https://minio.example.com:9000 mail",
		"core docreatebucket s3 archive AKIAIOSFODNN7EXAMPLE file:" + file + " cold eu-west-1",
		"core testS3Connection mail",
		"powerstore doCreateVolume S3 central primary mail centralized true prefix site1",
		"powerstore doCreateVolume S3 own secondary cold",
		"powerstore getAllVolumes",
		"--host mbox2.example.com powerstore doCreateVolume Centralized mbox1.example.com central volume_type secondary",
		"--host mbox2.example.com powerstore doUpdateVolume MinIO central current_volume true",
		"--host mbox2.example.com --json powerstore getAllVolumes",
		"powerstore doDeleteVolume own",
		"core doUpdateBucket mail access_key rotated secret file:" + file,
		"core doDeleteBucket cold",
		"core listBuckets all",
		"--json core listBuckets all",
	} {
		r := c.run(line)
		fmt.Fprintf(&tour, "$ carbonio %s\n%s%s-> %d\n\n", strings.ReplaceAll(line, file, "/root/secret"), r.out, r.errors, r.code)
	}
	golden(t, "storage.txt", redacted(tour.String()))
	if strings.Contains(tour.String(), admintest.Secret) {
		t.Error("the secret is shown")
	}
}

func TestSecretsFromElsewhere(t *testing.T) {
	c := start(t, 1)
	r := c.runWith(t.Context(), admintest.Secret+"\nmore\n", strings.Fields("core doCreateBucket S3 mail k - mail eu-west-1")...)
	if r.code != exitSuccessful || !strings.Contains(r.out, "storeType S3\n") {
		t.Errorf("got %+v", r)
	}
	c.ok("core testS3Connection mail") // so it was the first line
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, "\n", 0o600)
	largest, long := empty+".largest", empty+".long" // 4,096 bytes with the line end, and one more
	write(t, largest, strings.Repeat("x", secretLineBytesMax-1)+"\nmore", 0o600)
	write(t, long, strings.Repeat("x", secretLineBytesMax)+"\n", 0o600)
	if secret, err := secretOf("file:" + largest); err != nil || len(secret) != secretLineBytesMax-1 {
		t.Errorf("the longest secret: %d bytes, %v", len(secret), err)
	}
	for _, test := range []struct{ secret, want string }{
		{"file:" + empty, "its first line is empty"},
		{"file:" + long, "its first line has more than 4096 bytes"},
		{"file:" + empty + ".none", "cannot be read"},
		{"file:", "cannot be read"},
		{"-", "has no password"},
	} {
		c.fails("core doCreateBucket S3 mail2 k "+test.secret+" mail2 eu-west-1", test.want)
		c.fails("core doUpdateBucket mail secret "+test.secret, test.want)
	}
	c.fails("MailReplica test 127.0.0.1:1 authentication SCRAM-SHA-512:u:file:"+empty, "its first line is empty")
	c.fails("MailReplica test 127.0.0.1:1 authentication SCRAM-SHA-512:u:file:"+empty+".none", "cannot be read")
}

func TestStorageBadInput(t *testing.T) {
	c := start(t, 2)
	c.ok("core doCreateBucket S3 mail k " + admintest.Secret + " mail eu-west-1")
	for _, test := range []struct{ line, want string }{
		{"core doCreateBucket S3 Mail k s label eu-west-1", "Mail"},
		{"core doCreateBucket S3 mail2 k s mail eu-west-1", "label"},
		{"core doCreateBucket MinIO mail2 k s nowhere label", "endpoint"},
		{"core doCreateBucket S3 mail2 k s label eu-west-1 path_style perhaps", "true or false"},
		{"core doUpdateBucket mail", "nothing is to be changed"},
		{"core doUpdateBucket mail secret wrong", "nothing was changed"},
		{"core doUpdateBucket mail bucket_name other", "cannot be changed here"},
		{"core doDeleteBucket other", "no bucket"},
		{"core listBuckets all show_secrets true", "secrets are shown to nobody"},
		{"core listBuckets Azure", "Azure"},
		{"core testS3Connection 7f0e9b52-0d5c-4f55-9d3c-52d8c1a1f7aa", "no bucket"},
		{"powerstore doCreateVolume S3 central tertiary mail", "tertiary"},
		{"powerstore doCreateVolume S3 central primary other", "no bucket"},
		{"powerstore doCreateVolume S3 central primary mail centralized maybe", "true or false"},
		{"powerstore doCreateVolume Centralized mbox9.example.com central", "mbox9"},
		{"powerstore doCreateVolume Centralized mbox2.example.com central", "no volume"},
		{"powerstore doUpdateVolume central volume_type primary", "no volume"},
		{"powerstore doUpdateVolume blobs", "nothing is to be changed"},
		{"powerstore doUpdateVolume blobs volume_type secondary", "only primary"},
		{"powerstore doUpdateVolume blobs volume_type primary current_volume false", "contradict"},
		{"powerstore doUpdateVolume S3 blobs volume_prefix x", "cannot be changed here"},
		{"powerstore doDeleteVolume blobs", "is a folder"},
	} {
		t.Run(test.line, func(t *testing.T) {
			one := *c
			one.t = t
			one.fails(test.line, test.want)
		})
	}
}

// A test that fails shows what was passed, says what was not and what to do, and exits with 1.
func TestS3ConnectionThatFails(t *testing.T) {
	c := start(t, 1)
	c.ok("core doCreateBucket S3 mail k " + admintest.Secret + " mail eu-west-1")
	c.SetBucketsAway(true)
	r := c.run("core testS3Connection mail")
	if r.code != exitFailed || !strings.Contains(r.out, "result failed\n") || !strings.Contains(r.out, "step connection\nfound failed: ") ||
		!strings.Contains(r.errors, "does not answer (") {
		t.Errorf("got %+v", r)
	}
}
