package sqlite_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"mailreplica/internal/sim/disk"
	"mailreplica/internal/sim/disk/disktest"
	"mailreplica/internal/sqlite"
)

// A page cache of a few pages has the engine write frames before a transaction ends, read them again and write them anew.
const gathered = `PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = %s; PRAGMA cache_size = %d`

func gathering(t *testing.T, path, synchronous string, cachePages int) *sqlite.Conn {
	t.Helper()
	c := connect(t, path)
	script(t, c, fmt.Sprintf(gathered, synchronous, cachePages))
	if err := c.GatherWrites(); err != nil {
		t.Fatal(err)
	}
	return c
}

// rows is what a table holds: the size of each value, and its first byte.
type rows map[int64][2]int

const someTable = "CREATE TABLE some (n INTEGER PRIMARY KEY, b BLOB NOT NULL) STRICT"

func read(t *testing.T, c *sqlite.Conn) rows {
	t.Helper()
	s := prepare(t, c, "SELECT n, b FROM some")
	defer s.Close()
	found := rows{}
	for {
		more, err := s.Step()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return found
		}
		b := s.Bytes(1)
		found[s.Int64(0)] = [2]int{len(b), int(b[0])}
	}
}

// found are the rows of a database that somebody else left, which must be whole.
func found(t *testing.T, path string) rows {
	t.Helper()
	c, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	check := prepare(t, c, "PRAGMA integrity_check")
	step(t, check, true)
	if verdict := string(check.Bytes(0)); verdict != "ok" {
		t.Errorf("the database is damaged: %s", verdict)
	}
	check.Close()
	return read(t, c)
}

// change changes some rows, and parts of it are undone. It returns the rows of then, unless a statement failed.
func change(c *sqlite.Conn, before rows, random *rand.Rand) (after rows, err error) {
	after = maps.Clone(before)
	undo := maps.Clone(after)
	do := func(format string, args ...any) {
		if err == nil {
			err = c.Script(fmt.Sprintf(format, args...))
		}
	}
	do("BEGIN IMMEDIATE; SAVEPOINT one")
	for range 1 + random.IntN(20) {
		n, size, first := int64(random.IntN(60)), 1+random.IntN(9000), random.IntN(256)
		switch random.IntN(10) {
		case 0:
			do("ROLLBACK TO one")
			after = maps.Clone(undo)
		case 1:
			do("RELEASE one; SAVEPOINT one")
			undo = maps.Clone(after)
		case 2:
			do("DELETE FROM some WHERE n = %d", n)
			delete(after, n)
		default:
			do("INSERT OR REPLACE INTO some VALUES (%d, CAST(x'%02x' || zeroblob(%d) AS BLOB))", n, first, size-1)
			after[n] = [2]int{size, first}
		}
	}
	return after, err
}

// TestGatherWrites has two connections change a table in turn, or undo what they did, and compares what others see: a
// connection that reads, and whoever finds the files after a kill at that moment.
func TestGatherWrites(t *testing.T) {
	if err := disk.Install(); err != nil { // it syncs nothing, which would take long
		t.Fatal(err)
	}
	for _, cachePages := range []int{5, 2000} {
		for _, synchronous := range []string{"normal", "full"} {
			t.Run(fmt.Sprintf("%s/%d", synchronous, cachePages), func(t *testing.T) {
				random := rand.New(rand.NewPCG(1, uint64(cachePages)))
				path := filepath.Join(t.TempDir(), "some.db")
				writers := []*sqlite.Conn{gathering(t, path, synchronous, cachePages), gathering(t, path, synchronous, cachePages)}
				script(t, writers[0], someTable)
				reader := connect(t, path)
				want := rows{}
				compare := func(when string) {
					t.Helper()
					if got := read(t, reader); !maps.Equal(got, want) {
						t.Fatalf("%s a reader sees %v, want %v", when, got, want)
					}
					killed := filepath.Join(t.TempDir(), "some.db")
					for _, end := range []string{"", "-wal"} {
						copyFile(t, path+end, killed+end)
					}
					if got := found(t, killed); !maps.Equal(got, want) {
						t.Fatalf("killed %s: %v, want %v", when, got, want)
					}
				}
				for range 30 {
					c := writers[random.IntN(2)]
					after, err := change(c, want, random)
					if err != nil {
						t.Fatal(err)
					}
					compare("within a transaction")
					if random.IntN(3) == 0 {
						script(t, c, "ROLLBACK")
						compare("after it was undone")
						continue
					}
					script(t, c, "COMMIT")
					want = after
					compare("after its commit")
					if random.IntN(5) == 0 {
						script(t, writers[random.IntN(2)], "PRAGMA wal_checkpoint(restart)")
						compare("after a checkpoint")
					}
				}
			})
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// watched is a gathering connection to a new database on a disk that a test decides about.
func watched(t *testing.T, synchronous string, cachePages int) (*sqlite.Conn, *disk.Disk, string) {
	t.Helper()
	d, folder := disktest.Mount(t)
	path := filepath.Join(folder, "some.db")
	c := gathering(t, path, synchronous, cachePages)
	script(t, c, someTable)
	return c, d, path
}

// left are the rows that are left after a kill, or a loss of power.
func left(t *testing.T, d *disk.Disk, path string, power bool) rows {
	t.Helper()
	folder := t.TempDir()
	if err := d.Leave(folder, power, rand.New(rand.NewPCG(4, 4))); err != nil {
		t.Fatal(err)
	}
	return found(t, filepath.Join(folder, filepath.Base(path)))
}

// The pages of a transaction are one write, and those of a large one few.
func TestGatherWritesAtOnce(t *testing.T) {
	for pages, writes := range map[int]int{20: 1, 200: 13} {
		c, d, path := watched(t, "normal", 2000)
		want := rows{}
		script(t, c, "BEGIN")
		for n := range pages - 10 { // the tree has some, too
			script(t, c, fmt.Sprintf("INSERT INTO some VALUES (%d, zeroblob(4000))", n))
			want[int64(n)] = [2]int{4000, 0}
		}
		d.KillAfter(writes+1, nil)
		script(t, c, "COMMIT")
		if got := c.LogPages(); got < int64(pages-10) || got > int64(pages+10) {
			t.Errorf("the log has %d pages after a transaction of about %d", got, pages)
		}
		if got := left(t, d, path, false); !maps.Equal(got, want) {
			t.Errorf("%d pages: found %v", pages, got)
		}
	}
}

// TestGatherWritesKilled has the disk fail for good at each write and sync of some transactions. Of the transaction in which that is
// noticed nothing is there, or all of it if the sync failed; those before it are there.
func TestGatherWritesKilled(t *testing.T) {
	for _, cachePages := range []int{5, 2000} {
		for n, over := 1, false; !over; n++ {
			random := rand.New(rand.NewPCG(2, 2))
			c, d, path := watched(t, "full", cachePages)
			d.KillAfter(n, nil)
			want, inDoubt := rows{}, rows(nil)
			if over = true; n > 1000 {
				t.Fatal("no transaction succeeds")
			}
			for range 8 {
				after, err := change(c, want, random)
				if err == nil {
					err = c.Script("COMMIT")
				}
				var e *sqlite.Error
				if errors.As(err, &e) && e.Code == 1034 { // SQLITE_IOERR_FSYNC
					inDoubt = after
				}
				if over = err == nil; !over {
					break
				}
				want = after
			}
			for _, power := range []bool{false, true} {
				if got := left(t, d, path, power); !maps.Equal(got, want) && (inDoubt == nil || !maps.Equal(got, inDoubt)) {
					t.Fatalf("the disk failed at write %d: %v, want %v (power lost: %t)", n, got, want, power)
				}
			}
		}
	}
}

// A disk without room fails the transaction, which changes nothing; once there is room again the connection goes on.
func TestGatherWritesFull(t *testing.T) {
	for _, cachePages := range []int{5, 2000} {
		random := rand.New(rand.NewPCG(3, 3))
		c, d, path := watched(t, "normal", cachePages)
		reader := connect(t, path)
		want, failed := rows{}, 0
		for range 40 {
			full := random.IntN(2) == 0
			d.Fill(full)
			after, err := change(c, want, random)
			if err == nil {
				err = c.Script("COMMIT")
			}
			d.Fill(false)
			switch {
			case err == nil && full && !maps.Equal(after, want):
				t.Fatal("a full disk took a transaction")
			case err == nil:
				want = after
			default:
				failed++
				_ = c.Script("ROLLBACK") // if the engine has not done so
			}
			for who, other := range map[string]*sqlite.Conn{"the writer": c, "a reader": reader} {
				if got := read(t, other); !maps.Equal(got, want) {
					t.Fatalf("%s sees %v, want %v", who, got, want)
				}
			}
		}
		if failed == 0 {
			t.Error("no transaction failed")
		}
	}
}

// A database with another journal is refused.
func TestGatherWritesNeedsTheLog(t *testing.T) {
	c, _ := open(t)
	if err := c.GatherWrites(); err == nil {
		t.Error("a database without a write-ahead log was taken")
	}
}
