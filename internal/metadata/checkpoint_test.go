package metadata_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mailreplica/internal/metadata"
)

// TestWALDoesNotGrow writes many times what the write-ahead log may hold, while readers come and go.
func TestWALDoesNotGrow(t *testing.T) {
	const limit, page = 400, 4096
	dir := t.TempDir()
	s := open(t, dir)
	update(t, s, func(*metadata.Tx) error { metadata.LimitWAL(s, limit); return nil })
	round := 0
	write := func(n int) (pages int64) { // ten pages each; the log's file never shrinks to less than it may keep
		for i := range n {
			round++ // pages that stay as they are are not written
			content := bytes.Repeat([]byte(fmt.Sprintf("%08d", round)), 5_000)
			update(t, s, func(tx *metadata.Tx) error { return tx.SetValue(fmt.Sprint(i%20), content) })
			if i%10 == 0 {
				value(t, s, "0")
			}
		}
		wal, err := os.Stat(filepath.Join(dir, "metadata.db-wal"))
		if err != nil {
			t.Fatal(err)
		}
		return wal.Size() / page
	}
	if got := write(400); got > 2*limit+100 {
		t.Errorf("the write-ahead log has %d pages of 4000 written, want at most about %d", got, 2*limit)
	}
	// A reader that holds its snapshot keeps the log, and sees what it saw, for as long as it likes.
	var held int64
	view(t, s, func(v *metadata.View) error {
		before, _, err := v.Value("3")
		if err != nil {
			return err
		}
		update(t, s, set("3", "changed"))
		if held = write(200); held < 2000 {
			t.Errorf("the write-ahead log has only %d pages under a reader: where are those it reads?", held)
		}
		after, _, err := v.Value("3")
		if len(after) != len(before) {
			t.Errorf("a snapshot showed %d bytes, then %d", len(before), len(after))
		}
		return err
	})
	if got := write(400); got > held+2*limit+100 {
		t.Errorf("the write-ahead log has %d pages after the reader went, when it had %d: it does not begin anew", got, held)
	}
}
