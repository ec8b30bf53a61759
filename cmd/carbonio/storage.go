package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"mailreplica/internal/admin"
	"mailreplica/internal/fault"
)

// A secret can be given without standing in the list of processes, where every user of the machine reads it.
const (
	secretHelp  = "- reads it from standard input, file:PATH from a file"
	secretShown = "\nA secret that is written in the command can be seen by every user of this machine (ps), and is kept in its history."
)

func bucketCommands() []*command {
	name := parameter{name: "bucket_name", help: "as it is called at the provider, where it must exist"}
	key := parameter{name: "access_key", help: "of the user that may read, write, list and delete there"}
	secret := parameter{name: "secret", help: "of that user; " + secretHelp}
	label := parameter{name: "label", help: "by which you know the bucket"}
	style := parameter{name: "path_style", value: "true|false", help: "whether its name stands in the path; as the provider needs it if left out"}
	id := parameter{name: "bucket_uuid", help: "its id, as listBuckets shows it, or its label"}
	const made = "It is recorded for all mailstores. Nothing is made at the provider; test it with core testS3Connection UUID." + secretShown
	return []*command{
		{
			module: "core", name: "doCreateBucket S3", summary: "Make a bucket of Amazon S3, or of a server that speaks S3, known", text: made,
			positional: []parameter{name, key, secret, label, {name: "region", help: "of the bucket, for instance eu-west-1"}},
			options:    []parameter{{name: "url", value: "U", help: "of the server, if it is not Amazon's: https://host[:port]"}, style},
			examples: []string{"core doCreateBucket S3 mail-blobs AKIAIOSFODNN7EXAMPLE file:/root/secret mail eu-west-1",
				"core doCreateBucket S3 mail-blobs mailreplica - mail us-east-1 url https://s3.example.com < secret"},
			run: createBucket(admin.BucketS3),
		},
		{
			module: "core", name: "doCreateBucket MinIO", summary: "Make a bucket of a MinIO server known", text: made,
			positional: []parameter{name, key, secret, {name: "url", help: "of the server: https://host:9000"}, label},
			options:    []parameter{{name: "region", value: "R", help: "if the server has one"}, style},
			examples:   []string{"core doCreateBucket MinIO mail-blobs mailreplica file:/root/secret https://minio.example.com:9000 mail"},
			run:        createBucket(admin.BucketMinIO),
		},
		{
			module: "core", name: "doUpdateBucket", summary: "Change how a bucket is reached, for instance its credentials",
			text: `It is tried from this mailstore before anything is recorded, and used by all mailstores without a restart. To rotate
credentials: make the new ones at the provider, run this, and take the old ones away there.` + secretShown,
			positional: []parameter{id},
			options: []parameter{{name: "label", value: "L", help: "another label"}, {name: "access_key", value: "K", help: "another user"},
				{name: "secret", value: "S", help: secretHelp}, {name: "url", value: "U", help: "where the same bucket is reached now"},
				{name: "region", value: "R", help: "of the bucket"}, style},
			refused:  map[string]string{"bucket_name": "blobs lie in that bucket; make another bucket known, and a volume in it"},
			examples: []string{"core doUpdateBucket 7f0e9b52-0d5c-4f55-9d3c-52d8c1a1f7aa access_key AKIAI44QH8DHBEXAMPLE secret file:/root/secret"},
			run:      runUpdateBucket,
		},
		{
			module: "core", name: "doDeleteBucket", summary: "Forget a bucket; refused while a volume lies in it",
			text: "What is in the bucket stays there.", positional: []parameter{id},
			examples: []string{"core doDeleteBucket 7f0e9b52-0d5c-4f55-9d3c-52d8c1a1f7aa"}, run: runDeleteBucket,
		},
		{
			module: "core", name: "listBuckets", summary: "List the buckets and the volumes that lie in them",
			positional: []parameter{{name: "type", help: "all, S3 or MinIO"}},
			refused:    map[string]string{"show_secrets": "secrets are shown to nobody; doUpdateBucket sets another one"},
			examples:   []string{"core listBuckets all"}, run: runListBuckets,
		},
		{
			module: "core", name: "testS3Connection", summary: "Write, read, list and delete in a bucket, from a mailstore (--host)",
			positional: []parameter{id},
			options:    []parameter{{name: "volume_prefix", also: "prefix", value: "P", help: "below which to do it, if the credentials are good for that alone"}},
			examples: []string{"core testS3Connection 7f0e9b52-0d5c-4f55-9d3c-52d8c1a1f7aa",
				"--host mbox2.example.com core testS3Connection mail volume_prefix mail/blobs"},
			run: runTestBucket,
		},
	}
}

func createBucket(kind string) func(context.Context, *session) error {
	return func(ctx context.Context, s *session) error {
		secret, err := s.secret(s.values["secret"])
		if err != nil {
			return err
		}
		in := admin.CreateBucket{Kind: kind, Name: s.values["bucket_name"], AccessKey: s.values["access_key"], Secret: secret,
			Label: s.values["label"], URL: s.values["url"], Region: s.values["region"]}
		if in.PathStyle, err = s.truth("path_style"); err != nil {
			return err
		}
		made, err := s.client.CreateBucket(ctx, in)
		if err != nil {
			return err
		}
		s.notes(made.Notes)
		return s.printOne(bucketRecord(made))
	}
}

func runUpdateBucket(ctx context.Context, s *session) (err error) {
	in := admin.UpdateBucket{ID: s.values["bucket_uuid"]}
	for _, f := range []struct {
		name string
		to   **string
	}{{"label", &in.Label}, {"access_key", &in.AccessKey}, {"secret", &in.Secret}, {"url", &in.URL}, {"region", &in.Region}} {
		text, given := s.values[f.name]
		if !given {
			continue
		}
		if f.name == "secret" {
			if text, err = s.secret(text); err != nil {
				return err
			}
		}
		*f.to = &text
	}
	if in.PathStyle, err = s.truth("path_style"); err != nil {
		return err
	}
	changed, err := s.client.UpdateBucket(ctx, in)
	if err != nil {
		return err
	}
	s.notes(changed.Notes)
	return s.printOne(bucketRecord(changed))
}

func runDeleteBucket(ctx context.Context, s *session) error {
	if err := s.client.DeleteBucket(ctx, s.values["bucket_uuid"]); err != nil {
		return err
	}
	fmt.Fprintf(s.stderr, "the bucket %s is forgotten; what is in it stays there\n", printable(s.values["bucket_uuid"]))
	return nil
}

func runListBuckets(ctx context.Context, s *session) error {
	found, err := s.client.ListBuckets(ctx, s.values["type"])
	if err != nil {
		return err
	}
	all := make(records, len(found))
	for i, b := range found {
		all[i] = bucketRecord(b)
	}
	return s.print(all)
}

func runTestBucket(ctx context.Context, s *session) error {
	test, err := s.client.TestBucket(ctx, admin.TestBucket{ID: s.values["bucket_uuid"], Prefix: s.values["volume_prefix"]})
	if err != nil {
		return err
	}
	steps := records{}
	for _, one := range test.Steps {
		step, found, _ := strings.Cut(one, ": ")
		steps = append(steps, record{{name: "step", value: step}, {name: "found", value: found, text: true}})
	}
	result := "connection ok"
	if test.Problem != "" {
		result = "failed"
	}
	err = s.printOne(record{{name: "uuid", value: test.Bucket.ID}, {name: "bucketName", value: test.Bucket.Name},
		{name: "mailstore", value: test.Mailstore}, {name: "result", value: result}, {name: "problem", value: test.Problem, more: true},
		{name: "hint", value: test.Hint, more: true}, {name: "steps", value: steps}})
	if err == nil && test.Problem != "" {
		fmt.Fprintf(s.stderr, "carbonio: %s (%s)\n", printable(test.Problem), printable(test.Hint))
		err = exitCode(exitFailed)
	}
	return err
}

func bucketRecord(b admin.Bucket) record {
	protocol := "HTTPS"
	if u, err := url.Parse(b.URL); err == nil && u.Scheme == "http" {
		protocol = "HTTP"
	}
	usage := records{}
	for _, one := range b.Usage {
		usage = append(usage, record{{name: "bucket", value: b.Label, table: true}, {name: "server", value: one.Mailstore}, {name: "volume", value: one.Volume}})
	}
	return record{{name: "bucketName", value: b.Name}, {name: "protocol", value: protocol, spare: 2}, {name: "storeType", value: b.Kind},
		{name: "accessKey", value: b.AccessKey, spare: 1}, {name: "region", value: b.Region, spare: 3}, {name: "uuid", value: b.ID},
		{name: "label", value: b.Label}, {name: "url", value: b.URL, spare: 4}, {name: "pathStyle", value: b.PathStyle, spare: 5},
		{name: "created", value: b.Created, more: true}, {name: "usage", value: usage}}
}

// secret gives a secret as it stands, or from where it says: - is the first line of standard input, file:PATH that of a file.
func (s *session) secret(text string) (string, error) {
	if text == "-" {
		return s.password(text)
	}
	return secretOf(text)
}

// secretOf gives a secret as it stands, or for file:PATH the first line of a file.
func secretOf(text string) (string, error) {
	path, isFile := strings.CutPrefix(text, "file:")
	if !isFile {
		return text, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the file %s cannot be read", path).WithHint("name a file that is there, and that you may read")
	}
	defer file.Close()
	line, err := firstLine(file)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the file %s: %s", path, err).WithHint("write the secret there, on one line")
	}
	return line, nil
}
