package disk_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"mailreplica/internal/sim/disk/disktest"
)

func open(t *testing.T, folder string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "some.db")+"?_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(0)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func count(t *testing.T, folder string) (n int) {
	t.Helper()
	if err := open(t, folder).QueryRow("SELECT count(*) FROM some").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// What was synced survives a loss of power, what was only written survives a kill.
func TestLeave(t *testing.T) {
	d, folder := disktest.Mount(t)
	db := open(t, folder)
	run(t, db, "PRAGMA synchronous = full", "CREATE TABLE some (n INTEGER)", "INSERT INTO some VALUES (1)")
	run(t, db, "PRAGMA synchronous = normal", "INSERT INTO some VALUES (2)", "INSERT INTO some VALUES (3)")
	random := rand.New(rand.NewPCG(1, 1))
	seen := map[int]bool{}
	for i := range 30 {
		after := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := d.Leave(after, true, random); err != nil {
			t.Fatal(err)
		}
		seen[count(t, after)] = true
	}
	if !seen[1] || !seen[2] && !seen[3] || len(seen) > 3 || seen[0] {
		t.Errorf("rows after losses of power: %v, want 1 and more", seen)
	}
	killed := filepath.Join(t.TempDir(), "killed")
	if err := d.Leave(killed, false, random); err != nil {
		t.Fatal(err)
	}
	if got := count(t, killed); got != 3 {
		t.Errorf("rows after a kill: %d, want 3", got)
	}
}

// A disk that fails at a write keeps what was written before, and takes nothing more.
func TestKillAfter(t *testing.T) {
	d, folder := disktest.Mount(t)
	db := open(t, folder)
	run(t, db, "CREATE TABLE some (n INTEGER)", "INSERT INTO some VALUES (1)")
	told := 0
	d.KillAfter(2, func() { told++ })
	if _, err := db.Exec("INSERT INTO some VALUES (2)"); err == nil {
		t.Error("a dead disk takes a write")
	}
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
	after := filepath.Join(t.TempDir(), "after")
	if err := d.Leave(after, false, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	if got := count(t, after); got != 1 {
		t.Errorf("%d rows, want 1", got)
	}
}
