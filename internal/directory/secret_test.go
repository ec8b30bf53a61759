package directory_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mailreplica/internal/directory"
)

// However a bucket is printed, its credentials are not.
func TestSecretsAreNotPrinted(t *testing.T) {
	b := directory.Bucket{ID: "id", Kind: directory.S3Bucket, Name: "mail", AccessKey: "the-access-key", Secret: "the-secret"}
	changes := directory.Changes{Buckets: []directory.Bucket{b}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
		fmt.Fprintf(&out, verb+verb+verb, b, &b, changes)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "bucket", b, "pointer", &b, "all", changes.Buckets, "changes", changes)
	}
	text, err := json.Marshal(changes)
	must(t, err)
	out.Write(text)
	for _, secret := range []string{"the-access-key", "the-secret", "7468652d736563726574"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s is in %s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), "mail") {
		t.Errorf("the bucket's name is not in %s", out.String())
	}
}
