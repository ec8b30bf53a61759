package directory_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"mailreplica/internal/directory"
	engine "mailreplica/internal/engine/mariadb"
	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
)

// server is one MariaDB server for all tests; each has a database of its own.
var server *engine.Server

var databases atomic.Int64

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		if err := child(role); err != nil {
			fmt.Fprintln(os.Stderr, role, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "directory")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	if server, err = engine.Start(context.Background(), engine.Options{Folder: folder}); err != nil {
		fmt.Fprintln(os.Stderr, err, fault.HintOf(err))
		return 1
	}
	defer server.Close()
	return m.Run()
}

// rig is a kind of database that a test is run on.
type rig struct {
	name string
	// empty gives a place that holds no directory yet.
	empty func(t testing.TB) directory.Options
}

var sqlite = rig{"sqlite", func(t testing.TB) directory.Options {
	return directory.Options{Path: filepath.Join(t.TempDir(), "shared", "directory.db")}
}}

var maria = rig{"mariadb", func(t testing.TB) directory.Options {
	return directory.Options{MariaDB: emptyDatabase(t, server)}
}}

// onEngines runs a test on every kind of database.
func onEngines(t *testing.T, test func(*testing.T, rig)) {
	t.Helper()
	for _, r := range []rig{sqlite, maria} {
		t.Run(r.name, func(t *testing.T) { test(t, r) })
	}
}

// spare are databases that earlier tests have left, without rows: making tables is the slowest thing that a test does.
var spare = make(chan string, 64)

func emptyDatabase(t testing.TB, s *engine.Server) *mariadb.Config {
	t.Helper()
	var name string
	select {
	case name = <-spare:
	default:
		name = fmt.Sprint("d", databases.Add(1))
		must(t, s.CreateDatabase(t.Context(), name))
	}
	c := mariadb.Config{Address: s.Address(), Database: name, User: s.User(), Password: s.Password()}
	t.Cleanup(func() {
		if ctx := context.Background(); wipe(ctx, &c) && len(spare) < cap(spare) {
			spare <- name
		} else if err := s.Execute(ctx, "DROP DATABASE IF EXISTS "+name); err != nil {
			t.Error(err)
		}
	})
	place := c // which the test may change
	return &place
}

// wipe takes a few rows out of each table, and reports whether those were all.
func wipe(ctx context.Context, c *mariadb.Config) bool {
	const rowsMax = 500
	db, err := mariadb.Open(*c, mariadb.Options{})
	if err != nil {
		return false
	}
	defer db.Close()
	for _, table := range []string{"directory_schema", "meta", "counters", "writers", "config", "mailstores", "accounts", "deleted_accounts",
		"replicas", "removed", "operations", "operation_items", "notifications", "buckets", "volumes"} {
		done, err := db.ExecContext(ctx, fmt.Sprintf("DELETE FROM %s LIMIT %d", table, rowsMax))
		if err != nil {
			return false
		}
		if n, err := done.RowsAffected(); err != nil || n == rowsMax {
			return false
		}
	}
	return true
}

// at gives options their place.
func (r rig) at(t testing.TB, opts directory.Options) directory.Options {
	t.Helper()
	if opts.Path == "" && opts.MariaDB == nil {
		place := r.empty(t)
		opts.Path, opts.MariaDB = place.Path, place.MariaDB
	}
	return opts
}

// newDirectory makes a directory that knows three mailstores.
func (r rig) newDirectory(t testing.TB, opts directory.Options) *directory.Directory {
	t.Helper()
	d, err := directory.Create(t.Context(), r.at(t, opts))
	must(t, err)
	t.Cleanup(func() { d.Close() })
	for _, fqdn := range []string{mbox1, mbox2, mbox3} {
		must(t, d.RegisterMailstore(t.Context(), mailstore(fqdn)))
	}
	return d
}

// platform is a directory with one mailstore's copy of it.
type platform struct {
	opts      directory.Options
	copyPath  string
	clock     *clock
	way       *way // to the server; nil for a file
	directory *directory.Directory
	copy      *directory.Copy
	follower  *directory.Follower
}

func (r rig) newPlatform(t testing.TB) *platform {
	t.Helper()
	p := &platform{clock: newClock(), opts: r.empty(t), copyPath: filepath.Join(t.TempDir(), "copy.db")}
	p.opts.Now = p.clock.Now
	if p.opts.MariaDB != nil {
		p.way = newWay(t, p.opts.MariaDB.Address)
		p.opts.MariaDB.Address = p.way.address
	}
	p.directory = r.newDirectory(t, p.opts)
	p.open(t)
	return p
}

// open opens the copy, as a mailstore does that starts.
func (p *platform) open(t testing.TB) {
	t.Helper()
	copied, err := directory.OpenCopy(t.Context(), p.copyPath, directory.Options{Now: p.clock.Now})
	must(t, err)
	t.Cleanup(func() { copied.Close() })
	p.copy = copied
	p.follower = directory.NewFollower(directory.FollowerConfig{Directory: p.directory, Copy: copied})
}

// takeAway moves the directory's files elsewhere, as a disk that is gone, or cuts the way to the server.
func (p *platform) takeAway(t testing.TB) (putBack func()) {
	t.Helper()
	if p.way != nil {
		p.way.cut()
		return func() { must(t, p.way.mend()) }
	}
	away := filepath.Dir(p.opts.Path) + ".away"
	must(t, os.Rename(filepath.Dir(p.opts.Path), away))
	return func() {
		t.Helper()
		must(t, os.Rename(away, filepath.Dir(p.opts.Path)))
	}
}

// replace puts an empty place where the directory is.
func (p *platform) replace(t testing.TB) {
	t.Helper()
	if p.way == nil {
		p.takeAway(t)
		return
	}
	name := p.opts.MariaDB.Database
	must(t, server.Execute(t.Context(), "DROP DATABASE "+name))
	must(t, server.CreateDatabase(t.Context(), name))
}

// secrets fails the test if a text holds the server's password.
func secrets(t testing.TB, text string) {
	t.Helper()
	if strings.Contains(text, server.Password()) {
		t.Errorf("the password is in %q", text)
	}
}
