package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// This file is all that knows SQLite's dialect, beside migrations/sqlite. It is what another engine must give: a
// transaction that keeps other writers out from its start, one that reads a single state, and the class of an error.

// dialect names the folder of migrations.
const dialect = "sqlite"

// countSchemaVersionTables finds out whether a database is empty.
const countSchemaVersionTables = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_version'"

// sqliteBusyTimeout is how long SQLite itself waits for another process's transaction; runs of it are repeated until
// the store's own limit.
const sqliteBusyTimeout = 500 * time.Millisecond

// openSQLite opens an existing file. Every commit reaches the disk if sync is set, and the last few may be lost with
// the machine (never with the process) if it is not.
func openSQLite(ctx context.Context, path string, sync bool) (*sql.DB, error) {
	synchronous := "NORMAL"
	if sync {
		synchronous = "FULL"
	}
	query := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", sqliteBusyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(" + synchronous + ")",
		"foreign_keys(ON)",
	}}
	dsn := (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connectionsMax)
	db.SetMaxIdleConns(connectionsMax)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// connectionsMax is how many connections a store has: one writes, the others read.
const connectionsMax = 5

// beginWrite starts a transaction that keeps every other writer out.
func beginWrite(ctx context.Context, db *sql.DB) (*sql.Tx, error) { return db.BeginTx(ctx, nil) }

// beginRead starts a transaction that reads one state.
func beginRead(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	return db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
}

// isContention reports whether err says that others hold a lock, so that the same may succeed later.
func isContention(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return true
	}
	return false
}

// isEngineDefect reports whether err is about a statement of ours, not about the file or the disk.
func isEngineDefect(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE,
		sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG:
		return true
	}
	return false
}
