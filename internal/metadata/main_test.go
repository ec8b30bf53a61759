package metadata_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"

	"mailreplica/internal/account"
	mariadbengine "mailreplica/internal/engine/mariadb"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailbox/mailboxtest"
	"mailreplica/internal/mariadb"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// childVariable names the part that this binary plays when a test runs it as a child process.
const childVariable = "METADATA_TEST_CHILD"

func TestMain(m *testing.M) {
	switch part := os.Getenv(childVariable); part {
	case "":
		os.Exit(runTests(m))
	case "writer":
		writeForEver(os.Args[1:])
	case "full":
		fillTheDisk(os.Args[1])
	default:
		fmt.Fprintln(os.Stderr, "no such part:", part)
		os.Exit(2)
	}
}

var onDisk = flag.Bool("disk", false, "MariaDB's data on disk, for benchmarks")

// server is the MariaDB that all tests share. Each has a database of its own.
var server *mariadbengine.Server

func runTests(m *testing.M) int {
	mailboxtest.CheckMemory()
	memory := "/dev/shm" // where there is one: every commit is fsynced, and no test here cuts the power
	if _, err := os.Stat(memory); err != nil || *onDisk {
		memory = ""
	}
	folder, err := os.MkdirTemp(memory, "metadata")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	if server, err = mariadbengine.Start(context.Background(), mariadbengine.Options{Folder: folder}); err != nil {
		fmt.Fprintln(os.Stderr, err, fault.HintOf(err))
		return 1
	}
	defer server.Close()
	return m.Run()
}

// place is where a database lies: in a directory, or on the server.
type place struct {
	dir    string
	config *mariadb.Config
}

func (p place) tryOpen(t testing.TB, logger *slog.Logger) (*metadata.Store, error) {
	if p.config == nil {
		return metadata.Open(t.Context(), p.dir, logger)
	}
	return metadata.OpenMariaDB(t.Context(), *p.config, logger)
}

func (p place) open(t testing.TB) *metadata.Store {
	t.Helper()
	s, err := p.tryOpen(t, slog.New(slog.DiscardHandler))
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

// engines are those that every test runs over that does not look into one of them.
var engines = []struct {
	name  string
	place func(testing.TB) place
}{{"sqlite", inSQLite}, {"mariadb", inMariaDB}}

func inSQLite(t testing.TB) place { return place{dir: t.TempDir()} }

var databases atomic.Int64

func inMariaDB(t testing.TB) place {
	t.Helper()
	name := fmt.Sprintf("test%d", databases.Add(1))
	if err := server.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	const password = "not a secret" // a user who may do no more than what the documentation says
	err := server.Execute(t.Context(), fmt.Sprintf("CREATE USER %s@'127.0.0.1' IDENTIFIED BY '%s'", name, password),
		fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON %[1]s.* TO %[1]s@'127.0.0.1'", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the store was closed
		ctx := context.WithoutCancel(t.Context())
		if err := server.Execute(ctx, "DROP DATABASE "+name, fmt.Sprintf("DROP USER %s@'127.0.0.1'", name)); err != nil {
			t.Error(err)
		}
	})
	return place{config: &mariadb.Config{Address: server.Address(), Database: name, User: name, Password: password}}
}

func onEach(t *testing.T, test func(*testing.T, place)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, e.place(t)) })
	}
}

func open(t testing.TB, dir string) *metadata.Store {
	t.Helper()
	return place{dir: dir}.open(t)
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
