package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/reclaim"
)

// A tour through the checks of volumes, as a script reads it.
func TestBlobsTour(t *testing.T) {
	c := start(t, 1)
	c.Mailstores[0].FindBlobs(reclaim.Report{
		Problems: []string{}, Blobs: reclaim.Count{Blobs: 10, Bytes: 1000}, Unreferenced: reclaim.Count{Blobs: 2, Bytes: 200}, Missing: 1,
		UnreferencedBlobs: []reclaim.FoundBlob{
			{Name: strings.Repeat("0a", 16), Size: 150, Modified: time.Unix(1_790_000_000, 0)},
			{Name: strings.Repeat("0c", 16), Size: 50, Modified: time.Unix(1_790_000_000, 0)},
		},
		MissingBlobs: []reclaim.MissingBlob{{
			AccountID: account.ID{1}, AccountName: "user@example.com", Folder: "Sent\nItems", UID: 7, Blob: strings.Repeat("0b", 16),
		}},
	}, nil)
	var tour strings.Builder
	show := func(line string) {
		r := c.run(line)
		fmt.Fprintf(&tour, "$ carbonio %s\n%s%s-> %d\n\n", line, r.out, r.errors, r.code)
	}
	for _, line := range []string{
		"powerstore doCheckBlobs volume blobs",
		"--sync powerstore doCheckBlobs",
		"--sync powerstore docheckblobs volume blobs remove true older_than_hours 24",
		"--json --sync powerstore doCheckBlobs volume local",
	} {
		show(line)
	}
	c.Mailstores[0].FindBlobs(reclaim.Report{Problems: []string{"mbox2.example.com does not say which blobs it needs: it does not answer"}}, nil)
	show("--sync powerstore doCheckBlobs volume blobs remove true")
	golden(t, "blobs.txt", redacted(tour.String()))
	for _, test := range []struct{ line, want string }{
		{"powerstore doCheckBlobs volume none", "none"},
		{"powerstore doCheckBlobs remove perhaps", "true or false"},
		{"powerstore doCheckBlobs older_than_hours 23", "want 24 to"},
		{"powerstore doCheckBlobs older_than_hours x", "older_than_hours"},
		{"powerstore getBlobReport 7f0e9b52-0d5c-4f55-9d3c-52d8c1a1f7aa", "keeps no report"},
		{"powerstore getBlobReport x", "not the id"},
	} {
		c.fails(test.line, test.want)
	}
}
