package directory_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailreplica/internal/directory"
)

// Released migrations are never changed: databases out there were made by them. testdata/schema keeps a copy of each.
func TestMigrationsAreFrozen(t *testing.T) {
	numbers := map[string]int{}
	for _, dialect := range []string{"sqlite", "mariadb"} {
		frozen := must1(filepath.Glob("testdata/schema/" + dialect + "/*.sql"))(t)
		now := must1(filepath.Glob("migrations/" + dialect + "/*.sql"))(t)
		if len(frozen) == 0 || len(frozen) != len(now) {
			t.Fatalf("%d migrations, %d frozen copies: copy a new one to testdata/schema/%s", len(now), len(frozen), dialect)
		}
		for _, path := range frozen {
			want := must1(os.ReadFile(path))(t)
			got, err := os.ReadFile(strings.Replace(path, "testdata/schema", "migrations", 1))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s was changed (%v): add a new migration instead", path, err)
			}
			numbers[filepath.Base(path)]++
		}
	}
	for name, dialects := range numbers {
		if dialects != 2 {
			t.Errorf("%s is in one dialect only: both have the same numbers", name)
		}
	}
}

// A directory of every released schema is brought to the newest when it is opened, and keeps its rows.
func TestReleasedSchemasOpen(t *testing.T) { onEngines(t, testReleasedSchemasOpen) }

func testReleasedSchemasOpen(t *testing.T, r rig) {
	released := must1(filepath.Glob("testdata/rows/" + r.name + "/*.sql"))(t)
	schemas := must1(filepath.Glob("testdata/schema/" + r.name + "/*.sql"))(t)
	if len(released) == 0 {
		t.Fatal("no rows of a released schema")
	}
	for _, rows := range released {
		opts := r.empty(t)
		var db *sql.DB
		if opts.MariaDB != nil {
			execute(t, raw(t, opts.MariaDB), "DROP DATABASE "+opts.MariaDB.Database) // an earlier test's tables
			must(t, server.CreateDatabase(t.Context(), opts.MariaDB.Database))
			db = raw(t, opts.MariaDB)
		} else {
			must(t, os.MkdirAll(filepath.Dir(opts.Path), 0o700))
			must(t, os.WriteFile(opts.Path, nil, 0o600))
			db = must1(sql.Open("sqlite", "file:"+opts.Path))(t)
		}
		number := strings.TrimSuffix(filepath.Base(rows), ".sql")
		for _, script := range append(schemas, rows) {
			if filepath.Base(script)[:len(number)] <= number {
				run := string(must1(os.ReadFile(script))(t))
				for statement := range strings.SplitSeq(run, ";\n") {
					if strings.TrimSpace(statement) != "" {
						execute(t, db, statement)
					}
				}
			}
		}
		if r.name == sqlite.name {
			must(t, db.Close())
		}
		checkReleased(t, opts, number)
	}
}

func checkReleased(t *testing.T, opts directory.Options, number string) {
	t.Helper()
	ctx := t.Context()
	d := must1(directory.Open(opts))(t)
	defer d.Close()
	a := must1(directory.AccountByName(ctx, d, "old@example.com"))(t)
	if a.MailHost != mbox1 || a.Epoch != 7 || a.Stream != 3 || !a.GlobalAdmin {
		t.Errorf("account %+v", a)
	}
	if got, want := replicasOf(t, d, a.ID), mbox2+" 10 available removing=false; "; got != want {
		t.Errorf("replicas %s, want %s", got, want)
	}
	if all := must1(d.Operations(ctx, directory.OperationFilter{}))(t); len(all) != 1 || all[0].State != directory.Successful {
		t.Errorf("operations %+v", all)
	}
	if all := must1(d.Notifications(ctx, 0))(t); len(all) != 1 || all[0].Operation == "" {
		t.Errorf("notifications %+v", all)
	}
	changes := must1(d.Since(ctx, 0))(t)
	if len(changes.Deleted) != 1 || len(changes.Mailstores) != 2 || len(changes.Config) != 1 || len(changes.Removed) != 1 {
		t.Errorf("changes %+v", changes)
	}
	if number < "0004" {
		return
	}
	if len(changes.Volumes) != 2 || len(changes.Buckets) != 1 || changes.Buckets[0].Secret != "secret" {
		t.Errorf("volumes %+v of %v", changes.Volumes, changes.Buckets)
	}
	items := must1(d.OperationItems(ctx, "5f0c1d3e-0000-4000-8000-000000000001", directory.ItemFilter{}))(t)
	if len(items) != 1 || items[0].Parameter != "8" {
		t.Errorf("items %+v", items)
	}
}

// A copy that an older program followed lacks the rows which that one did not know: it is copied in full.
func TestCopyOfAnOlderProgram(t *testing.T) {
	p, ctx := sqlite.newPlatform(t), t.Context()
	must(t, p.directory.CreateVolume(ctx, folder(mbox1, "v", "/v", false)))
	must(t, p.follower.Poll(ctx))
	must(t, p.copy.Close())
	db := must1(sql.Open("sqlite", "file:"+p.copyPath))(t)
	execute(t, db, "DELETE FROM volumes")
	execute(t, db, "UPDATE meta SET value = '2' WHERE name = 'copied_schema'")
	must(t, db.Close())
	p.open(t)
	if p.copy.Version() == 0 {
		t.Error("the copy is not to be used while the directory is away")
	}
	must(t, p.follower.Poll(ctx))
	if len(p.copy.AllVolumes()) != 1 {
		t.Error("what the older program did not know is not in the copy")
	}
	before := must1(p.directory.Version(ctx))(t)
	must(t, p.directory.SetConfig(ctx, "c", "1"))
	must(t, p.follower.Poll(ctx))
	if page := must1(p.directory.Since(ctx, before))(t); page.Full || p.copy.Version() != page.Through {
		t.Errorf("the copy has version %d after %+v", p.copy.Version(), page)
	}
}
