package blob_test

import (
	"regexp"
	"testing"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

var madeName = regexp.MustCompile(`\A[0-9a-f]{32}\z`)

// FuzzCheckName: a name becomes a path and a key in a bucket, so nothing else than what NewName makes is one.
func FuzzCheckName(f *testing.F) {
	for _, name := range []string{blob.NewName(), "", "../../../../../../../../../../etc", "0123456789abcdef0123456789ABCDEF", "0123456789abcdef0123456789abcde\n", "０123456789abcdef0123456789abc"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		err := blob.CheckName(name)
		if madeName.MatchString(name) != (err == nil) || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v", name, err)
		}
	})
}
