package metadata_test

import (
	"fmt"
	"log/slog"
	"os"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// childVariable names the part that this binary plays when a test runs it as a child process.
const childVariable = "METADATA_TEST_CHILD"

func TestMain(m *testing.M) {
	switch part := os.Getenv(childVariable); part {
	case "":
		os.Exit(m.Run())
	case "writer":
		writeForEver(os.Args[1])
	case "full":
		fillTheDisk(os.Args[1])
	default:
		fmt.Fprintln(os.Stderr, "no such part:", part)
		os.Exit(2)
	}
}

func open(t testing.TB, dir string) *metadata.Store {
	t.Helper()
	s, err := metadata.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func update(t testing.TB, s *metadata.Store, fn func(*metadata.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), metadata.Lazy, fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func view(t testing.TB, s *metadata.Store, fn func(*metadata.View) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

// create makes a mailbox with an INBOX.
func create(t testing.TB, s *metadata.Store) (id int64, c *protocol.Copy) {
	t.Helper()
	c = protocol.NewLocal(account.NewID(), "mbox1.example.com")
	update(t, s, func(tx *metadata.Tx) (err error) {
		id, err = tx.CreateMailbox(c)
		return err
	})
	return id, c
}

func value(t testing.TB, s *metadata.Store, key string) (text string, found bool) {
	t.Helper()
	view(t, s, func(v *metadata.View) error {
		b, ok, err := v.Value(key)
		text, found = string(b), ok
		return err
	})
	return text, found
}

func set(key, text string) func(*metadata.Tx) error {
	return func(tx *metadata.Tx) error { return tx.SetValue(key, []byte(text)) }
}

func wantKind(t testing.TB, err error, want fault.Kind) {
	t.Helper()
	if !fault.Is(err, want) {
		t.Errorf("got error %v (kind %v), want kind %v", err, fault.KindOf(err), want)
	}
}

func folderDelta(folders ...mailbox.Folder) mailbox.Delta {
	d := mailbox.Delta{Header: mailbox.EmptyHeader(), Folders: map[mailbox.ItemID]*mailbox.Folder{}}
	for _, f := range folders {
		d.Folders[f.ID] = &f
	}
	return d
}
