package directory_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
)

// raw opens a directory's database beside it.
func raw(t testing.TB, c *mariadb.Config) *sql.DB {
	t.Helper()
	db := must1(mariadb.Open(*c, mariadb.Options{}))(t)
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t testing.TB, q interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, statement string, args ...any) {
	t.Helper()
	must1(q.ExecContext(context.Background(), statement, args...))(t)
}

// An empty database is no directory, and one of something else does not become one.
func TestDatabaseIsNotTakenForADirectory(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	execute(t, raw(t, opts.MariaDB), "DROP DATABASE "+opts.MariaDB.Database) // an earlier test's tables
	must(t, server.CreateDatabase(ctx, opts.MariaDB.Database))
	d := must1(directory.Open(opts))(t)
	defer d.Close()
	wantKind(t, d.Ping(ctx), fault.DirectoryUnavailable)
	_, err := d.CreateAccount(ctx, directory.NewAccount{Name: "a@x"})
	wantKind(t, err, fault.DirectoryUnavailable)
	db := raw(t, opts.MariaDB)
	if tables := countTables(t, db); tables != 0 {
		t.Errorf("%d tables were made", tables)
	}
	execute(t, db, "CREATE TABLE schema_version (version INT)")
	execute(t, db, "INSERT INTO schema_version VALUES (3)")
	wantKind(t, d.Ping(ctx), fault.DirectoryUnavailable)
	_, err = directory.Create(ctx, opts)
	wantKind(t, err, fault.Invalid)
	if hint := fault.HintOf(err); !strings.Contains(hint, "CREATE DATABASE") || countTables(t, db) != 1 {
		t.Errorf("hint %q, %d tables", hint, countTables(t, db))
	}
	execute(t, db, "DROP TABLE schema_version")
	made := must1(directory.Create(ctx, opts))(t)
	defer made.Close()
	must(t, d.Ping(ctx))
	first := must1(d.Identity(ctx))(t)
	again := must1(directory.Create(ctx, opts))(t) // leaves what is there
	defer again.Close()
	if second := must1(again.Identity(ctx))(t); second != first || first == "" {
		t.Errorf("identities %q and %q", first, second)
	}
	execute(t, db, "DROP DATABASE "+opts.MariaDB.Database)
	wantKind(t, d.Ping(ctx), fault.DirectoryUnavailable)
	must(t, server.CreateDatabase(ctx, opts.MariaDB.Database))
	wantKind(t, d.Ping(ctx), fault.DirectoryUnavailable)
	wantKind(t, d.SetConfig(ctx, "c", "1"), fault.DirectoryUnavailable)
	must1(directory.Create(ctx, opts))(t).Close()
	must(t, d.SetConfig(ctx, "c", "1"))
}

func countTables(t testing.TB, db *sql.DB) (n int) {
	t.Helper()
	must(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()").Scan(&n))
	return n
}

// Making a directory that broke off is finished by the next one that makes it.
func TestCreationThatBrokeOff(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	made := must1(directory.Create(ctx, opts))(t)
	db := raw(t, opts.MariaDB)
	for _, undo := range []string{"DELETE FROM directory_schema WHERE version > 1", "DELETE FROM directory_schema",
		"DROP TABLE accounts", "DELETE FROM meta", "DELETE FROM counters"} {
		must(t, made.Close())
		execute(t, db, undo)
		made = must1(directory.Create(ctx, opts))(t)
		if undo == "DROP TABLE accounts" || strings.HasPrefix(undo, "DELETE FROM directory_schema ") {
			continue // not a state of a creation that broke off; the next undoes more
		}
		execute(t, db, "DELETE FROM directory_schema")
		made.Close()
		made = must1(directory.Create(ctx, opts))(t)
		must(t, made.SetConfig(ctx, "c", "1"))
	}
	must(t, made.Close())
}

func TestServersThatAreRefused(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	must1(directory.Create(ctx, opts))(t).Close()
	for _, c := range []struct {
		name   string
		change func(*mariadb.Config)
		hint   string
	}{
		{"wrong password", func(c *mariadb.Config) { c.Password = server.Password() + "x" }, "password"},
		{"unknown database", func(c *mariadb.Config) { c.Database = "nowhere" }, "CREATE DATABASE"},
		{"nobody listens", func(c *mariadb.Config) { c.Address = "127.0.0.1:1" }, "MariaDB runs"},
		{"no socket", func(c *mariadb.Config) { c.Address = "/nowhere/mariadb.sock" }, "MariaDB runs"},
	} {
		config := *opts.MariaDB
		c.change(&config)
		d := must1(directory.Open(directory.Options{MariaDB: &config}))(t)
		err := d.Ping(ctx)
		wantKind(t, err, fault.DirectoryUnavailable)
		if !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%s: hint %q, want %q", c.name, fault.HintOf(err), c.hint)
		}
		err2 := d.SetConfig(ctx, "c", "1")
		wantKind(t, err2, fault.DirectoryUnavailable)
		secrets(t, fmt.Sprint(err, err2, fault.Message(err), fault.HintOf(err), fmt.Sprintf("%+v %#v", config, config)))
		must(t, d.Close())
	}
	for _, change := range []func(*directory.Options){
		func(o *directory.Options) { o.Path = "/directory.db" },
		func(o *directory.Options) { o.MariaDB.User = "" },
		func(o *directory.Options) { o.MariaDB.Database = "" },
		func(o *directory.Options) { o.MariaDB.Address = "" },
	} {
		config := *opts.MariaDB
		wrong := directory.Options{MariaDB: &config}
		change(&wrong)
		_, err := directory.Open(wrong)
		wantKind(t, err, fault.Invalid)
	}
}

// A server with a setting under which a promise could not be kept is refused, and taken when it is mended.
func TestSettingsThatAreRefused(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	must1(directory.Create(ctx, opts))(t).Close()
	for _, c := range []struct{ setting, bad, good string }{
		{"max_allowed_packet", "1048576", "67108864"},
		{"innodb_flush_log_at_trx_commit", "2", "1"},
		{"read_only", "ON", "OFF"},
	} {
		must(t, server.Execute(ctx, "SET GLOBAL "+c.setting+" = "+c.bad))
		d := must1(directory.Open(opts))(t)
		err := d.Ping(ctx)
		must(t, server.Execute(ctx, "SET GLOBAL "+c.setting+" = "+c.good))
		wantKind(t, err, fault.DirectoryUnavailable)
		if !strings.Contains(fault.HintOf(err), c.setting) {
			t.Errorf("%s: %v, hint %q", c.setting, err, fault.HintOf(err))
		}
		must(t, d.Ping(ctx))
		must(t, d.Close())
	}
}

// The answer to a COMMIT is lost: what became of it is found out, and nothing is done twice or taken for another's.
func TestCommitWithoutAnAnswer(t *testing.T) {
	for _, c := range []struct {
		name string
		on   func(told func()) (cut bool)
	}{
		{"the server was told", func(told func()) bool { told(); return true }},
		{"the server was not told", func(func()) bool { return true }},
		{"the server is told later", func(told func()) bool { time.AfterFunc(200*time.Millisecond, told); return true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, ctx := maria.newPlatform(t), t.Context()
			before := must1(p.directory.Version(ctx))(t)
			var once sync.Once
			p.way.see(func(said []byte, tell func()) (cut bool) {
				if bytes.Contains(said, []byte("COMMIT")) {
					once.Do(func() { cut = c.on(tell) })
				}
				return cut
			})
			a := newAccount(t, p.directory, "a@x", mbox1)
			if got := must1(p.directory.Account(ctx, a.ID))(t); got != a || a.Version != before+1 {
				t.Errorf("got %+v, want %+v of version %d", got, a, before+1)
			}
			if after := must1(p.directory.Version(ctx))(t); after != before+1 {
				t.Errorf("version %d, want %d", after, before+1)
			}
		})
	}
}

// A connection that ends within a transaction undoes it; it is done anew.
func TestKilledConnection(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	d := maria.newDirectory(t, opts)
	must(t, d.CreateVolume(ctx, folder(mbox1, "v", "/v", false)))
	before := must1(d.Version(ctx))(t)
	runs := 0
	must(t, d.UpdateVolume(ctx, mbox1, "v", func(v *directory.Volume) error {
		if runs++; runs == 1 {
			killConnections(t, opts.MariaDB.Database)
		}
		v.Path += "/w"
		return nil
	}))
	all := must1(d.Volumes(ctx))(t)
	if after := must1(d.Version(ctx))(t); runs != 2 || after != before+1 || all[0].Path != "/v/w" {
		t.Errorf("%d runs, version %d after %d, %+v", runs, after, before, all)
	}
	killConnections(t, opts.MariaDB.Database) // those that are idle
	must(t, d.Ping(ctx))
}

func killConnections(t testing.TB, database string) {
	t.Helper()
	db := raw(t, &mariadb.Config{Address: server.Address(), Database: "mysql", User: server.User(), Password: server.Password()})
	found, err := db.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE db = ?", database)
	must(t, err)
	var ids []int
	for found.Next() {
		var id int
		must(t, found.Scan(&id))
		ids = append(ids, id)
	}
	must(t, found.Close())
	for _, id := range ids {
		if _, err := db.ExecContext(t.Context(), fmt.Sprint("KILL ", id)); err != nil && !strings.Contains(err.Error(), "Unknown thread") {
			t.Fatal(err)
		}
	}
}

// Another transaction takes locks in another order: the directory's is the victim, and is done anew.
func TestDeadlockIsRepeated(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	d := maria.newDirectory(t, opts)
	must(t, d.CreateVolume(ctx, folder(mbox1, "v", "/v", false)))
	other := must1(raw(t, opts.MariaDB).BeginTx(ctx, nil))(t)
	execute(t, other, "UPDATE volumes SET path = '/x' WHERE name = 'v'")
	for i := range 100 { // the one of two that has done less is the victim
		execute(t, other, "INSERT INTO config VALUES (?, '', 0)", fmt.Sprint("c", i))
	}
	blocked := make(chan error, 1)
	runs := 0
	must(t, d.UpdateVolume(ctx, mbox1, "v", func(v *directory.Volume) error {
		if runs++; runs == 1 {
			go func() {
				var value int
				err := other.QueryRowContext(ctx, "SELECT value FROM counters WHERE name = 'version' FOR UPDATE").Scan(&value)
				if err == nil {
					err = other.Commit()
				}
				blocked <- err
			}()
		}
		v.Path += "/w"
		return nil
	}))
	must(t, <-blocked)
	if all := must1(d.Volumes(ctx))(t); runs < 2 || all[0].Path != "/x/w" {
		t.Errorf("%d runs, %+v", runs, all)
	}
}

// A mailstore that freezes within a transaction does not hold the others up for long.
func TestFrozenWriterLosesItsLock(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	frozen := maria.newDirectory(t, opts)
	must(t, frozen.CreateVolume(ctx, folder(mbox1, "v", "/v", false)))
	d := must1(directory.Open(opts))(t)
	defer d.Close()
	runs, thaw, done := 0, make(chan struct{}), make(chan error, 1)
	holds := make(chan struct{})
	go func() {
		done <- frozen.UpdateVolume(context.Background(), mbox1, "v", func(v *directory.Volume) error {
			if runs++; runs == 1 {
				close(holds)
				<-thaw
			}
			v.Path += "/w"
			return nil
		})
	}()
	<-holds
	start := time.Now()
	must(t, d.SetConfig(ctx, "c", "1"))
	if took := time.Since(start); took > directory.IncarnationLiveFor {
		t.Errorf("others waited %v", took)
	}
	close(thaw)
	must(t, <-done)
	if all := must1(d.Volumes(ctx))(t); runs != 2 || all[0].Path != "/v/w" {
		t.Errorf("%d runs, %+v", runs, all)
	}
}

// The server's clock says who is alive: those of the mailstores may differ.
func TestServersClock(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	opts.Now = nil
	d := maria.newDirectory(t, opts)
	m := must1(d.Mailstore(ctx, mbox1))(t)
	if off := time.Since(m.SeenAt).Abs(); off > time.Minute {
		t.Errorf("seen at %v, which is %v away", m.SeenAt, off)
	}
}

// And it says what is old: a mailstore whose clock is ahead takes nobody's fresh operation away.
func TestPruneByAClockThatIsAhead(t *testing.T) {
	opts, now := maria.empty(t), time.Now()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(now.Add(2 * directory.OperationsKeptFor)))
		opts.Now = nil
		d, ctx := must1(directory.Create(t.Context(), opts))(t), t.Context()
		defer d.Close()
		one := must1(d.CreateOperation(ctx, directory.Operation{Type: "fresh", Host: mbox1}, nil))(t)
		_, _, err := d.FinishOperation(ctx, one.ID, directory.Successful, "", silent)
		must(t, err)
		must(t, d.Prune(ctx))
		must1(d.Operation(ctx, one.ID))(t)
	})
}

// What is no text, or differs only for bytes, is kept and kept apart.
func TestNamesAreKeptApart(t *testing.T) { onEngines(t, testNamesAreKeptApart) }

func testNamesAreKeptApart(t *testing.T, r rig) {
	p, ctx := r.newPlatform(t), t.Context()
	names := []string{"a", "A", "a ", " a", "a\t", "ä", "a\u0308", "ß", "ss", "\xff", "\xff\xfe", "'; --", `\'`, `\`, "%", "?", "a\n", "😀"}
	for i, name := range names {
		must(t, p.directory.SetConfig(ctx, name, fmt.Sprint(i, name)))
	}
	must(t, p.follower.Poll(ctx))
	all := must1(p.directory.AllConfig(ctx))(t)
	for i, name := range names {
		want := fmt.Sprint(i, name)
		got, _, err := p.directory.GetConfig(ctx, name)
		copied, _ := p.copy.Config(name)
		if err != nil || got != want || all[name] != want || copied != want {
			t.Errorf("%q: got %q, %q, %q, want %q, %v", name, got, all[name], copied, want, err)
		}
	}
	if len(all) != len(names) {
		t.Errorf("%d settings, want %d", len(all), len(names))
	}
	for _, name := range names {
		must(t, p.directory.UnsetConfig(ctx, name))
	}
	must(t, p.follower.Poll(ctx))
	for _, name := range names {
		if _, set := p.copy.Config(name); set {
			t.Errorf("%q is still in the copy", name)
		}
	}
}
