// Package sqlitetest puts values into rows of an SQLite database that no program wrote there, as a bad disk or a careless hand does. It is for
// tests of what readers make of them.
package sqlitetest

import (
	"database/sql"
	"fmt"
	"slices"
	"testing"

	_ "modernc.org/sqlite" // the driver
)

// Column is a column of a table.
type Column struct{ Table, Name string }

// Damage is a database whose rows are damaged, and mended again.
type Damage struct {
	Columns []Column // of all its tables, in order
	raw     *sql.DB
	tables  map[string]bool
}

// NewDamage keeps the rows of a database as they are beside its tables, and takes from these what the engine would insist on: the words of
// loose in their definitions. The tables named in except are not damaged.
func NewDamage(t testing.TB, path string, loose []string, except ...string) *Damage {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	must(t, err)
	t.Cleanup(func() { raw.Close() })
	raw.SetMaxOpenConns(1)
	d := &Damage{raw: raw, tables: map[string]bool{}}
	const tables = "type = 'table' AND name NOT LIKE 'sqlite%'"
	text := "sql"
	for _, word := range loose {
		text = "replace(" + text + ", '" + word + "', '')"
	}
	var version int
	must(t, raw.QueryRow("PRAGMA schema_version").Scan(&version))
	d.do(t, "PRAGMA writable_schema = ON")
	d.do(t, "UPDATE sqlite_schema SET sql = "+text+" WHERE "+tables+" AND name <> 'schema_version'")
	d.do(t, fmt.Sprintf("PRAGMA schema_version = %d", version+1))
	d.do(t, "PRAGMA writable_schema = OFF")
	found, err := raw.Query("SELECT m.name, c.name FROM (SELECT name FROM sqlite_schema WHERE " + tables + ") m, pragma_table_info(m.name) c ORDER BY 1, 2")
	must(t, err)
	for found.Next() {
		var c Column
		must(t, found.Scan(&c.Table, &c.Name))
		if slices.Contains(except, c.Table) {
			continue
		}
		d.Columns = append(d.Columns, c)
		d.tables[c.Table] = true
	}
	must(t, found.Err())
	for table := range d.tables {
		d.do(t, "CREATE TABLE kept_"+table+" AS SELECT * FROM "+table)
	}
	return d
}

// Put makes all rows what they were, but for one value: of those rows that where, a condition, is of. It says no to a key that cannot be, or is
// there twice.
func (d *Damage) Put(t testing.TB, at Column, value any, where string) bool {
	t.Helper()
	tx, err := d.raw.Begin()
	must(t, err)
	defer tx.Rollback()
	for table := range d.tables {
		_, err := tx.Exec("DELETE FROM " + table)
		must(t, err)
		_, err = tx.Exec("INSERT INTO " + table + " SELECT * FROM kept_" + table)
		must(t, err)
	}
	if _, err := tx.Exec("UPDATE "+at.Table+" SET "+at.Name+" = ? WHERE "+where, value); err != nil {
		return false
	}
	must(t, tx.Commit())
	return true
}

func (d *Damage) do(t testing.TB, text string) {
	t.Helper()
	_, err := d.raw.Exec(text)
	must(t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
