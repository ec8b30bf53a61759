package metadata_test

import (
	"strings"
	"testing"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

// TestMariaDBPlans is TestPlans on tables with many rows, for MariaDB weighs what it would cost.
func TestMariaDBPlans(t *testing.T) {
	s := inMariaDB(t).open(t)
	id, _ := create(t, s)
	d := newDelivery()
	for range 10 {
		update(t, s, func(tx *metadata.Tx) error {
			delta := d.delta(1000)
			for _, row := range delta.Messages { // whose contents ascend as their UIDs do
				key, m := row.Key, row.Row
				delta.Tombstones = append(delta.Tombstones, mailbox.Touched[mailbox.MessageKey, mailbox.Tombstone]{
					Key: key, Row: &mailbox.Tombstone{FolderID: key.FolderID, UID: key.UID, Sequence: m.ModSeq},
				})
				delta.Discarded = append(delta.Discarded, mailbox.Touched[mailbox.ItemID, mailbox.Discarded]{
					Key: m.ContentID, Row: &mailbox.Discarded{ContentID: m.ContentID, Sequence: m.ModSeq, At: m.InternalDate},
				})
			}
			return tx.Write(id, delta)
		})
	}
	for name, c := range map[string]struct {
		args []any
		key  string
	}{
		"folder by name":    {[]any{id, []byte("INBOX")}, "folder_name"},
		"message":           {[]any{id, 1, 77}, "PRIMARY"},
		"messages":          {[]any{id, 1, 9999, 0, 64}, "PRIMARY"},
		"scan messages":     {[]any{id, 1, 5000, 1, 4096}, "PRIMARY"},
		"changed messages":  {[]any{id, 1, 0, 0, 64}, "PRIMARY"},
		"tombstones":        {[]any{id, 1, 0, 0, 64}, "PRIMARY"},
		"scan tombstones":   {[]any{id, 1, 5000, 1, 4096}, "PRIMARY"},
		"references":        {[]any{id, 2000}, "message_content"},
		"oldest deliveries": {[]any{id, 10}, "delivery_seq"},
		"due":               {[]any{1_790_000_500, 1 << 40, 1_790_000_500, id, 1000, 1_790_000_500, id, 1_790_000_500, 100}, "discarded_time"},
		"content blobs":     {[]any{id, 500, []byte("primary"), 100}, "PRIMARY"},
		"discarded blobs":   {[]any{id, 500, []byte("primary"), 100}, "PRIMARY"},
	} {
		view(t, s, func(v *metadata.View) error {
			query, known := s.Queries()[name]
			if !known {
				t.Fatalf("there is no statement %q", name)
			}
			steps, err := metadata.Plan(v, query, c.args...)
			plan := strings.Join(steps, "\n")
			if err != nil || !strings.Contains(plan, "key "+c.key+" ") || strings.Contains(plan, "Using filesort") {
				t.Errorf("%s: got plan (%v)\n%s\nwant it to use %s, and not to sort", name, err, plan, c.key)
			}
			return nil
		})
	}
}
