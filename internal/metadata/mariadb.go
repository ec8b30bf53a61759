package metadata

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
)

const (
	mariaDBName = "the mailstore's database"

	// What one statement does at most, so that the server answers it quickly. The largest row is about as large as a summary.
	mariaDBPutBytes    = 4 << 20
	mariaDBDeleteRows  = 5_000
	mariaDBValueBytes  = 4 << 20
	mariaDBPacketBytes = 16 << 20

	mariaDBConnections = viewsMax + 4 // the writer, the watch, settling, and one to spare

	snapshotIdleMax = 6 * time.Hour

	alterTimeout = 6 * time.Hour // for a change of the schema, which may copy a table
)

// mariaDB is the dialect of MariaDB. Whose database it is says mariadb_owner.go.
type mariaDB struct {
	config mariadb.Config
	owner  owner
}

func newMariaDB(c mariadb.Config) *mariaDB { return &mariaDB{config: c} }

func (d *mariaDB) open(a access) (pool, error) {
	// A snapshot is what repeatable reads are of. Writers see the rows as of the moment at which they hold the owner's row.
	options := mariadb.Options{Isolation: mariadb.RepeatableRead}
	switch a {
	case altering:
		options.AnswerTimeout = alterTimeout
	case reading: // whoever reads may take its time between two questions
		options.IdleTransactionMax = snapshotIdleMax
	}
	db, err := mariadb.Open(d.config, options)
	if err != nil {
		return nil, err
	}
	return serverPool{db}, nil
}

func (*mariaDB) migrations() string { return "migrations/mariadb" }

func (*mariaDB) version(c *conn) (int, error) {
	var version int64
	_, err := c.one("SELECT version FROM schema_version", nil, &version)
	return int(version), err
}

// migrate runs a file statement by statement: each commits by itself, and is harmless if it was carried out already.
func (d *mariaDB) migrate(c *conn, text string, version int) error {
	for _, statement := range statementsOf(text) {
		if err := c.script(statement); err != nil {
			return err
		}
	}
	return c.script(fmt.Sprintf("UPDATE schema_version SET version = %d", version))
}

// statementsOf are the statements of a migration. A statement ends with a semicolon at the end of a line.
func statementsOf(text string) []string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "--")
		kept.WriteString(strings.TrimRight(code, " \n") + "\n")
	}
	var all []string
	for statement := range strings.SplitSeq(kept.String(), ";\n") {
		if statement = strings.TrimSpace(statement); statement != "" {
			all = append(all, statement)
		}
	}
	return all
}

// check has nothing to look at: InnoDB checks each page that it reads, and the server was looked at by claim.
func (*mariaDB) check(*conn) error { return nil }

func (*mariaDB) traits() traits {
	return traits{syncsAlways: true, putBytes: mariaDBPutBytes, removesRows: removeRowsMax, deleteRows: mariaDBDeleteRows, valueBytes: mariaDBValueBytes}
}

// snapshot begins before the first question: a snapshot is of the moment at which the View began.
func (*mariaDB) snapshot(c *conn) error {
	_, err := c.exec("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
	return err
}

func (d *mariaDB) upsert(t *table, rows int) string {
	text := insertion(t, rows) + " ON DUPLICATE KEY UPDATE "
	if len(t.columns) == 0 {
		return text + t.key[0] + " = " + t.key[0]
	}
	for i, column := range t.altered() {
		value := "VALUES(" + column + ")"
		if column == t.unique {
			// Any unique key leads here, and the row found by this one may be another than the key's: that is refused, as NULL.
			value = fmt.Sprintf("IF(%[1]s = VALUES(%[1]s), %[2]s, NULL)", t.key[len(t.key)-1], value)
		}
		text += []string{"", ", "}[min(i, 1)] + column + " = " + value
	}
	return text
}

func (*mariaDB) deleteSome(t *table) string {
	return "DELETE FROM " + t.name + " WHERE mailbox_id = ? ORDER BY " + strings.Join(t.key, ", ") + " LIMIT ?"
}

// after spells the comparison of rows out: MariaDB finds no place in an index by (a, b) > (?, ?), but by ranges of these.
func (*mariaDB) after(key []string) string {
	var ranges []string
	for n := len(key); n > 0; n-- {
		ranges = append(ranges, strings.Join(append(append([]string(nil), key[:n-1]...), ""), " = ? AND ")+key[n-1]+" > ?")
	}
	return "(" + strings.Join(ranges, " OR ") + ")"
}

func (*mariaDB) afterValues(key []any) []any {
	var values []any
	for n := len(key); n > 0; n-- {
		values = append(values, key[:n]...)
	}
	return values
}

func (*mariaDB) by(index string) string { return " FORCE INDEX (" + index + ")" }

func (*mariaDB) explain(err error) (harm, error) {
	if err == nil {
		return harmless, nil
	}
	if errors.Is(err, errNoConnection) {
		return undone, fault.Wrap(fault.DatabaseUnavailable, err, "%s does not answer", mariaDBName).
			WithHint("check that MariaDB runs and that it can be reached")
	}
	var ours *fault.Error
	if errors.As(err, &ours) {
		return harmless, err
	}
	h := harmless
	switch mariadb.ClassOf(err) {
	case mariadb.Again, mariadb.Lost, mariadb.Interrupted:
		h = undone
	}
	return h, mariadb.Explain(fault.DatabaseUnavailable, mariaDBName, err)
}
