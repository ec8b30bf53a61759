package metadata_test

import (
	"strings"
	"testing"

	"mailreplica/internal/metadata"
)

// TestPlans has every statement find its rows by an index, and those that read whole folders read them in order.
func TestPlans(t *testing.T) {
	s := inSQLite(t).open(t)
	uses := map[string]string{
		"changed messages": "PRIMARY KEY", "tombstones": "PRIMARY KEY",
		"scan messages": "(mailbox_id=? AND (folder_id,uid)>(?,?))", "scan tombstones": "(mailbox_id=? AND (folder_id,uid)>(?,?))",
		"messages": "uid>? AND uid<?", "references": "message_content", "oldest deliveries": "delivery_seq",
		"due": "discarded_time", "content blobs": "(mailbox_id=? AND content_id>?)", "discarded blobs": "(mailbox_id=? AND content_id>?)",
		"folder by name": "folder_name", "message": "uid=?", "remove some": "(mailbox_id=? AND folder_id=? AND uid=?)",
	}
	view(t, s, func(v *metadata.View) error {
		for name, query := range s.Queries() {
			steps, err := metadata.Plan(v, query)
			plan := strings.Join(steps, "\n")
			if err != nil || strings.Contains(plan, "SCAN message") || strings.Contains(plan, "SCAN tombstone") ||
				strings.Contains(plan, "SCAN delivery") || strings.Contains(plan, "TEMP B-TREE FOR ORDER BY") ||
				!strings.Contains(plan, uses[name]) {
				t.Errorf("%s: got plan (%v)\n%s\nwant it to use %q", name, err, plan, uses[name])
			}
		}
		return nil
	})
}
