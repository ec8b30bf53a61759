package directory

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// migrateSQLite brings the database to the newest schema. Several processes may do so at once: each looks again inside the
// transaction that keeps the others out. An empty database is refused unless create is set.
func migrateSQLite(ctx context.Context, db *sql.DB, create bool, now time.Time) error {
	steps, err := migrations("sqlite")
	if err != nil {
		return err
	}
	version, err := schemaVersionSQLite(ctx, db)
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
		if version, err = migrateOneSQLite(ctx, db, steps, now); err != nil {
			return err
		}
	}
	return nil
}

// migrateOneSQLite takes the next step, if another process has not, and gives the version it left.
func migrateOneSQLite(ctx context.Context, db *sql.DB, steps []migration, now time.Time) (int, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	version, err := schemaVersionSQLite(ctx, tx)
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
		if err := seed(ctx, tx, "INSERT"); err != nil {
			return 0, err
		}
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO schema_version (version, applied_at) VALUES (?, ?)",
		step.number, millis(now)); err != nil {
		return 0, err
	}
	return step.number, tx.Commit()
}

// schemaVersionSQLite is the number of the last step taken; 0 is an empty database.
func schemaVersionSQLite(ctx context.Context, q rowQuerier) (int, error) {
	var tables, version int
	err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_version'").Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	err = q.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&version)
	return version, err
}
