package metadata

import "database/sql"

// access is what a connection is for.
type access int

const (
	reading access = iota
	writing
)

// dialect is all that differs between SQL engines. Everything else in this package is SQL that SQLite and MariaDB both
// understand and mean alike.
type dialect interface {
	// open makes a pool of connections; it need not reach the database yet.
	open(access) (*sql.DB, error)
	// migrations is the folder of this engine's migrations.
	migrations() string
	// version is the schema's version, 0 for an empty database. It refuses a database that is not ours.
	version(*conn) (int, error)
	// check is what of the database can be checked in little time.
	check(*conn) error

	// begin begins a transaction that may write and whose commit is as durable as asked.
	begin(*conn, Durability) error
	// upsert is the statement that puts rows of a table, replacing those with the same key.
	upsert(t *table, rows int) string
	// deleteSome is the statement that deletes at most some rows of a mailbox; its parameters are the mailbox and the limit.
	deleteSome(t *table) string
	// streams reports whether other statements may be run on a connection while the rows of one are read.
	streams() bool
	// after is the condition that a row's key follows another's, column by column; afterValues are its parameters.
	after(key []string) string
	afterValues(key []any) []any
	// explain turns an engine's error into one with a kind; lost is true if what the engine committed so far may not
	// survive a power loss any more, so that nothing further may be promised.
	explain(error) (err error, lost bool)
}

// table describes rows that are put and deleted by key. The first column is mailbox_id everywhere.
type table struct {
	name    string
	key     []string
	columns []string // the others
}

func (t *table) width() int { return len(t.key) + len(t.columns) }
