package sqlite_test

import (
	"bytes"
	"errors"
	"math"
	"path/filepath"
	"testing"

	"mailreplica/internal/sqlite"
)

func open(t *testing.T) (*sqlite.Conn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "some database?.db") // a name, and no URI
	return connect(t, path), path
}

func connect(t *testing.T, path string) *sqlite.Conn {
	t.Helper()
	c, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

func script(t *testing.T, c *sqlite.Conn, text string) {
	t.Helper()
	if err := c.Script(text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func prepare(t *testing.T, c *sqlite.Conn, text string) *sqlite.Stmt {
	t.Helper()
	s, err := c.Prepare(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func step(t *testing.T, s *sqlite.Stmt, want bool) {
	t.Helper()
	if row, err := s.Step(); err != nil || row != want {
		t.Fatalf("Step: %t, %v; want %t", row, err, want)
	}
}

// Values come back as they were given, whatever their size, by the same statement again and again.
func TestValues(t *testing.T) {
	c, _ := open(t)
	script(t, c, "CREATE TABLE some (n INTEGER NOT NULL, b BLOB NOT NULL, more BLOB) STRICT")
	insert := prepare(t, c, "INSERT INTO some VALUES (?, ?, ?)")
	defer insert.Close()
	read := prepare(t, c, "SELECT n, b, more, 'text' FROM some WHERE n = ?")
	defer read.Close()
	if insert.Params() != 3 || read.Columns() != 4 {
		t.Errorf("%d parameters, %d columns", insert.Params(), read.Columns())
	}
	for i, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 5} {
		b, more := bytes.Repeat([]byte{byte(i), 0}, i*i*i*500), bytes.Repeat([]byte{7}, i)
		insert.Reserve(len(b) + len(more))
		insert.BindInt64(1, n)
		insert.BindBlob(2, b)
		insert.BindBlob(3, more)
		step(t, insert, false)
		insert.Reset()
		if got := c.Changes(); got != 1 {
			t.Errorf("%d rows changed", got)
		}
		read.Reserve(0)
		read.BindInt64(1, n)
		step(t, read, true)
		if read.Int64(0) != n || !bytes.Equal(read.Bytes(1), b) || !bytes.Equal(read.Bytes(2), more) || string(read.Bytes(3)) != "text" {
			t.Errorf("row %d came back otherwise", i)
		}
		if read.IsNull(1) || read.IsNull(2) {
			t.Errorf("row %d: empty bytes became NULL", i)
		}
		step(t, read, false)
		read.Reset()
	}
	script(t, c, "INSERT INTO some VALUES (77, x'', NULL)")
	read.BindInt64(1, 77)
	step(t, read, true)
	if !read.IsNull(2) || read.Bytes(2) != nil {
		t.Error("NULL is not NULL")
	}
	read.Reset()
}

// What does not fit the room that was reserved is an error, and not memory of something else.
func TestValuesBeyondTheReserve(t *testing.T) {
	c, _ := open(t)
	s := prepare(t, c, "SELECT ?")
	defer s.Close()
	s.Reserve(10)
	s.BindBlob(1, make([]byte, 11))
	if _, err := s.Step(); err == nil {
		t.Error("a value without room was taken")
	}
	s.Reset()
	s.Reserve(11)
	s.BindBlob(1, make([]byte, 11))
	step(t, s, true)
	s.Reset()
	s.BindInt64(2, 1)
	if _, err := s.Step(); err == nil {
		t.Error("a parameter that is not there was bound")
	}
	s.Reset()
}

func TestRefusals(t *testing.T) {
	c, path := open(t)
	script(t, c, "CREATE TABLE some (n INTEGER PRIMARY KEY)")
	for _, text := range []string{"", "-- nothing", "SELECT 1; SELECT 2", "SELECT", `SELECT "no column"`, "SELECT * FROM other"} {
		if _, err := c.Prepare(text); err == nil {
			t.Errorf("%q was prepared", text)
		}
	}
	if err := c.Script("INSERT INTO some VALUES (1); nonsense"); err == nil {
		t.Error("nonsense was run")
	}
	insert := prepare(t, c, "INSERT INTO some VALUES (?)")
	defer insert.Close()
	insert.BindInt64(1, 1)
	_, err := insert.Step()
	var e *sqlite.Error
	if !errors.As(err, &e) || e.Code != 1555 { // SQLITE_CONSTRAINT_PRIMARYKEY
		t.Errorf("got %v for a row that is there", err)
	}
	insert.Reset()
	insert.BindInt64(1, 2)
	step(t, insert, false) // a failure does not stick to the statement
	insert.Reset()

	other := connect(t, path)
	script(t, c, "BEGIN IMMEDIATE")
	if err := other.Script("BEGIN IMMEDIATE"); !errors.As(err, &e) || e.Code != 5 {
		t.Errorf("got %v for a database that is busy", err)
	}
	script(t, c, "COMMIT")
	if _, err := sqlite.Open(filepath.Join(path, "below")); err == nil {
		t.Error("a file below a file was opened")
	}
}

// Close undoes what was begun, even in the middle of a reading, and may be called again.
func TestClose(t *testing.T) {
	c, path := open(t)
	script(t, c, "PRAGMA journal_mode = wal; CREATE TABLE some (n INTEGER); INSERT INTO some VALUES (1), (2)")
	other := connect(t, path)
	script(t, other, "BEGIN IMMEDIATE; INSERT INTO some VALUES (3)")
	step(t, prepare(t, other, "SELECT n FROM some"), true)
	for range 2 {
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
	count := prepare(t, c, "SELECT count(*) FROM some")
	defer count.Close()
	step(t, count, true)
	if got := count.Int64(0); got != 2 {
		t.Errorf("%d rows, want 2", got)
	}
	count.Reset()
	script(t, c, "INSERT INTO some VALUES (3)") // no lock was left
}
