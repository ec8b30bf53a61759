package metadata

import (
	"context"
	"slices"
	"strings"
)

// access is what a connection is for.
type access int

const (
	reading access = iota
	writing
	altering // the schema, which may take long
	watching // whose database it is
)

// harm is what an error did beyond its own statement.
type harm int

const (
	harmless harm = iota
	undone        // the transaction is gone: nothing of it was committed, and the same may succeed if it is done again
	unsynced      // what was committed so far may not survive a loss of power any more: nothing further may be promised
)

// dialect is all that differs between SQL engines. Everything else in this package is SQL that SQLite and MariaDB both
// understand and mean alike.
type dialect interface {
	// open makes a pool of connections; it need not reach the database yet.
	open(access) (pool, error)
	// claim makes this process the only one that uses the database, as far as the engine's own means go.
	claim(context.Context, *Store) error
	// release ends what claim began.
	release() error
	// migrations is the folder of this engine's migrations.
	migrations() string
	// version is the schema's version, 0 for an empty database. It refuses a database that is not ours.
	version(*conn) (int, error)
	// migrate runs one migration and stores the version that it leads to.
	migrate(c *conn, text string, version int) error
	// check is what of the database can be checked in little time.
	check(*conn) error

	// begin begins a transaction that may write and whose commit is as durable as asked.
	begin(*conn, Durability) error
	// commit commits it.
	commit(*conn) error
	// settle finds out what became of a commit that failed, and does not guess: an error means that it is not known yet. It
	// is called until it succeeds, before anything else is done with the database.
	settle(context.Context, *Store, *conn) (committed bool, err error)
	// snapshot begins a transaction that reads one state of the database.
	snapshot(*conn) error
	// traits are what the Store has to mind.
	traits() traits

	// upsert is the statement that puts rows of a table, replacing those with the same key.
	upsert(t *table, rows int) string
	// deleteSome is the statement that deletes at most some rows of a mailbox; its parameters are the mailbox and the limit.
	deleteSome(t *table) string
	// after is the condition that a row's key follows another's, column by column; afterValues are its parameters.
	after(key []string) string
	afterValues(key []any) []any
	// by is put behind a table's name: rows are to be found by that index, whatever the engine expects it to cost. "" where the
	// engine needs no such word.
	by(index string) string
	// explain turns an engine's error into one with a kind.
	explain(error) (harm, error)
}

// traits are what differs between engines in how they go about statements and commits.
type traits struct {
	streams     bool  // other statements may be run on a connection while the rows of one are read
	syncsAlways bool  // every commit is fsynced
	putBytes    int   // of the values of one statement that puts several rows; 0: any
	deleteRows  int64 // by one statement; 0: any
	removesRows int   // by their keys, with one statement; a power of four
	valueBytes  int   // of one value; 0: any. Journals go on in another table
}

// table describes rows that are put and deleted by key. The first column is mailbox_id everywhere.
type table struct {
	name    string
	key     []string
	columns []string // the others
	unique  string   // one of them that has a unique index with mailbox_id, if any
	fixed   []string // those of the others that never change while a row is there
}

// altered are the columns that an upsert sets in a row that is there. What it leaves alone costs no index anything.
func (t *table) altered() []string {
	return slices.DeleteFunc(slices.Clone(t.columns), func(column string) bool { return slices.Contains(t.fixed, column) })
}

// insertion is the statement that inserts rows.
func insertion(t *table, rows int) string {
	row := "(?" + strings.Repeat(", ?", t.width()-1) + ")"
	return "INSERT INTO " + t.name + " (" + strings.Join(slices.Concat(t.key, t.columns), ", ") + ") VALUES " +
		row + strings.Repeat(", "+row, rows-1)
}

func (t *table) width() int { return len(t.key) + len(t.columns) }
