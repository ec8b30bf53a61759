package metadata

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	codes "modernc.org/sqlite/lib"

	"mailreplica/internal/fault"
	engine "mailreplica/internal/sqlite"
)

const (
	databaseName = "metadata.db"

	writerCacheBytes = 32 << 20
	readerCacheBytes = 2 << 20
	walKeptBytes     = 64 << 20 // what a write-ahead log that grew larger is cut back to
	busyWaitMillis   = 250      // only checkpoints ever wait: nobody else writes

	applicationID = 0x4d526d64 // "MRmd" in the file's header
)

// sqlite is the dialect of SQLite. Its database is a file in dir.
type sqlite struct {
	dir  string
	lock *os.File // nil until it is claimed
}

func newSQLite(dir string) *sqlite { return &sqlite{dir: dir} }

func (d *sqlite) claim(context.Context, *Store) (err error) {
	d.lock, err = lockDirectory(d.dir)
	return err
}

func (d *sqlite) release() error {
	if d.lock == nil {
		return nil
	}
	return d.lock.Close()
}

func (d *sqlite) open(a access) (pool, error) {
	path, err := filepath.Abs(filepath.Join(d.dir, databaseName))
	if err != nil {
		return nil, fault.Wrap(fault.DatabaseUnavailable, err, "the database's directory has no path")
	}
	// Statements are undone from memory, not from files.
	pragmas := fmt.Sprintf("PRAGMA busy_timeout = %d; PRAGMA temp_store = memory;", busyWaitMillis)
	if a != reading {
		// For wal_autocheckpoint see checkpoint.go.
		pragmas += fmt.Sprintf(`PRAGMA journal_mode = wal; PRAGMA synchronous = normal; PRAGMA wal_autocheckpoint = 0;
			PRAGMA journal_size_limit = %d; PRAGMA cache_size = -%d;`, walKeptBytes, writerCacheBytes>>10)
	} else {
		pragmas += fmt.Sprintf("PRAGMA query_only = 1; PRAGMA cache_size = -%d;", readerCacheBytes>>10)
	}
	return sqlitePool{path, pragmas, a != reading}, nil
}

func (*sqlite) migrations() string { return "migrations/sqlite" }

func (*sqlite) version(c *conn) (int, error) {
	var tables, version int64
	const count = "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'"
	if _, err := c.one(count, nil, &tables); err != nil {
		return 0, err
	}
	if tables > 0 {
		_, err := c.one("SELECT version FROM schema_version", nil, &version)
		return int(version), err
	}
	if _, err := c.one("SELECT count(*) FROM sqlite_schema", nil, &tables); err != nil {
		return 0, err
	}
	if tables > 0 {
		return 0, fault.New(fault.DatabaseUnavailable, "%s is not a mailstore's database", databaseName).
			WithHint("another program made it: give the mailstore a data directory of its own")
	}
	return 0, c.script(fmt.Sprintf(`BEGIN IMMEDIATE; PRAGMA application_id = %d;
		CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
		INSERT INTO schema_version VALUES (0); COMMIT`, applicationID))
}

// check looks at the tables that are small and that everything else depends on. A check of all rows reads the whole file.
func (*sqlite) check(c *conn) error {
	for _, name := range []string{"mailbox", "stream_position", "setting", "removal"} {
		var verdict string
		if _, err := c.one("PRAGMA quick_check('"+name+"')", nil, &verdict); err != nil {
			return err
		}
		if verdict != "ok" {
			return fault.New(fault.DatabaseUnavailable, "the database is damaged: %s", verdict).
				WithHint(anewHint)
		}
	}
	return nil
}

// begin sets how the commit will be synced before the transaction begins: inside one it cannot be set any more.
func (*sqlite) begin(c *conn, d Durability) error {
	if d != c.durability || !c.begun {
		level := "normal"
		if d == Fsynced {
			level = "full"
		}
		if err := c.script("PRAGMA synchronous = " + level); err != nil {
			return err
		}
		c.durability, c.begun = d, true
	}
	_, err := c.exec("BEGIN IMMEDIATE")
	return err
}

func (*sqlite) commit(c *conn) error {
	_, err := c.exec("COMMIT")
	return err
}

// settle knows: what SQLite does not say to have committed it rolls back with the connection.
func (*sqlite) settle(context.Context, *Store, *conn) (committed bool, err error) { return false, nil }

func (*sqlite) snapshot(c *conn) error {
	_, err := c.exec("BEGIN")
	return err
}

// migrate is one transaction.
func (d *sqlite) migrate(c *conn, text string, version int) error {
	if err := d.begin(c, Fsynced); err != nil {
		return err
	}
	if err := c.script(text); err != nil {
		return err
	}
	if _, err := c.exec("UPDATE schema_version SET version = ?", int64(version)); err != nil {
		return err
	}
	return d.commit(c)
}

func (*sqlite) upsert(t *table, rows int) string {
	text := insertion(t, rows) + " ON CONFLICT (" + strings.Join(t.key, ", ") + ") DO "
	if len(t.columns) == 0 {
		return text + "NOTHING"
	}
	for i, column := range t.altered() {
		text += []string{"UPDATE SET ", ", "}[min(i, 1)] + column + " = excluded." + column
	}
	return text
}

func (*sqlite) deleteSome(t *table) string {
	key := strings.Join(t.key, ", ")
	return "DELETE FROM " + t.name + " WHERE (" + key + ") IN (SELECT " + key + " FROM " + t.name +
		" WHERE mailbox_id = ? LIMIT ?)"
}

func (*sqlite) traits() traits { return traits{streams: true, removesRows: 1} }

func (*sqlite) after(key []string) string {
	if len(key) == 1 {
		return key[0] + " > ?"
	}
	return "(" + strings.Join(key, ", ") + ") > (?" + strings.Repeat(", ?", len(key)-1) + ")"
}

func (*sqlite) afterValues(key []any) []any { return key }

// by is not needed: no condition leaves SQLite a choice.
func (*sqlite) by(string) string { return "" }

func (*sqlite) explain(err error) (harm, error) {
	var e *engine.Error
	switch {
	case err == nil:
		return harmless, nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return harmless, fault.Wrap(fault.Interrupted, err, "interrupted")
	case !errors.As(err, &e):
		return harmless, fault.Wrap(fault.DatabaseUnavailable, err, "the mailstore's database failed")
	}
	switch e.Code & 0xff {
	case codes.SQLITE_FULL:
		return harmless, fault.Wrap(fault.DatabaseUnavailable, err, "the mailstore's database is full")
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return harmless, fault.Wrap(fault.DatabaseUnavailable, err, "the mailstore's database is damaged").WithHint(anewHint)
	case codes.SQLITE_CONSTRAINT, codes.SQLITE_ERROR, codes.SQLITE_MISUSE, codes.SQLITE_RANGE, codes.SQLITE_MISMATCH,
		codes.SQLITE_TOOBIG:
		return harmless, fault.Wrap(fault.Internal, err, "the mailstore's database refused a statement")
	case codes.SQLITE_INTERRUPT:
		return harmless, fault.Wrap(fault.Interrupted, err, "interrupted")
	}
	h := harmless
	if e.Code == codes.SQLITE_IOERR_FSYNC || e.Code == codes.SQLITE_IOERR_DIR_FSYNC {
		h = unsynced
	}
	return h, fault.Wrap(fault.DatabaseUnavailable, err, "the mailstore's database cannot be read or written")
}
