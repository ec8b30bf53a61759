package directory

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations
var migrationFiles embed.FS

// migration is one step of the schema. A step that was released is never changed; a test keeps a copy of each.
type migration struct {
	number int
	name   string
	text   string
}

// migrations gives the steps of a dialect in order, numbered from 1 without a hole.
func migrations(dialect string) ([]migration, error) {
	folder := path.Join("migrations", dialect)
	entries, err := fs.ReadDir(migrationFiles, folder)
	if err != nil {
		return nil, err
	}
	var steps []migration
	for _, entry := range entries { // in the order of names
		digits, _, _ := strings.Cut(entry.Name(), "_")
		number, err := strconv.Atoi(digits)
		if err != nil || number != len(steps)+1 {
			return nil, fmt.Errorf("migration %s does not follow number %d", entry.Name(), len(steps))
		}
		text, err := fs.ReadFile(migrationFiles, path.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		steps = append(steps, migration{number: number, name: entry.Name(), text: string(text)})
	}
	return steps, nil
}

var (
	errNotDirectory = errors.New("the file holds no directory")
	errNewerSchema  = errors.New("the file was written by a newer version of this program")
)

// migrate brings the database to the newest schema. Several processes may do so at once: each looks again inside the
// transaction that keeps the others out. An empty database is refused unless create is set.
func migrate(ctx context.Context, db *sql.DB, create bool, now time.Time) error {
	steps, err := migrations(dialect)
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	if version == 0 && !create {
		return errNotDirectory
	}
	if version > len(steps) {
		return errNewerSchema
	}
	for version < len(steps) {
		if version, err = migrateOne(ctx, db, steps, now); err != nil {
			return err
		}
	}
	return nil
}

// migrateOne takes the next step, if another process has not, and gives the version it left.
func migrateOne(ctx context.Context, db *sql.DB, steps []migration, now time.Time) (int, error) {
	tx, err := beginWrite(ctx, db)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	version, err := schemaVersion(ctx, tx)
	if err != nil {
		return 0, err
	}
	if version >= len(steps) {
		return version, nil
	}
	step := steps[version]
	if step.number == 1 {
		if _, err := tx.ExecContext(ctx,
			"CREATE TABLE schema_version (version INTEGER NOT NULL, applied_at INTEGER NOT NULL)"); err != nil {
			return 0, err
		}
	}
	if _, err := tx.ExecContext(ctx, step.text); err != nil {
		return 0, fmt.Errorf("migration %s: %w", step.name, err)
	}
	if step.number == 1 {
		if err := seed(ctx, tx); err != nil {
			return 0, err
		}
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO schema_version (version, applied_at) VALUES (?, ?)",
		step.number, millis(now)); err != nil {
		return 0, err
	}
	return step.number, tx.Commit()
}

// seed writes the rows that a new database starts with.
func seed(ctx context.Context, tx *sql.Tx) error {
	for _, counter := range []string{counterVersion, counterPruned} {
		if _, err := tx.ExecContext(ctx, "INSERT INTO counters (name, value) VALUES (?, 0)", counter); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES (?, ?)", metaDirectoryID, newID())
	return err
}

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaVersion is the number of the last step taken; 0 is an empty database.
func schemaVersion(ctx context.Context, q rowQuerier) (int, error) {
	var tables, version int
	err := q.QueryRowContext(ctx, countSchemaVersionTables).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	err = q.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&version)
	return version, err
}
