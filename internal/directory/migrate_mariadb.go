package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"mailreplica/internal/fault"
)

// schemaTableMariaDB says which steps were taken. Its name is the directory's own: a mailstore's database is no directory.
const schemaTableMariaDB = "directory_schema"

// migrateMariaDB brings the database to the newest schema. MariaDB commits each statement about tables by itself, so the
// statements are such that they can be repeated after a break, and run by several processes at once; a step counts as
// taken when its row is there. A database without any is refused unless create is set, and then must have no tables of
// others.
func migrateMariaDB(ctx context.Context, db *sql.DB, create bool, now time.Time) error {
	steps, err := migrations("mariadb")
	if err != nil {
		return err
	}
	version, err := schemaVersionMariaDB(ctx, db)
	if err != nil {
		return err
	}
	if version == 0 && !create {
		return errNotDirectory
	}
	if version > len(steps) {
		return errNewerSchema
	}
	if version == 0 {
		if err := beginSchema(ctx, db); err != nil {
			return err
		}
	}
	for _, step := range steps[version:] {
		if err := migrateOneMariaDB(ctx, db, step, now); err != nil {
			return err
		}
	}
	return nil
}

// beginSchema makes the table of the steps taken, the first of all.
func beginSchema(ctx context.Context, db *sql.DB) error {
	own, err := countTables(ctx, db, " AND table_name = ?", schemaTableMariaDB)
	if err != nil {
		return err
	}
	all, err := countTables(ctx, db, "")
	if err != nil {
		return err
	}
	if own == 0 && all > 0 {
		return fault.New(fault.Invalid, "the database has %s of something else", plural(all, "table")).
			WithHint("give the directory an empty database of its own: as root, CREATE DATABASE, and GRANT ALL ON it")
	}
	_, err = db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+schemaTableMariaDB+
		" (version INT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL) ENGINE=InnoDB")
	return err
}

func countTables(ctx context.Context, q rowQuerier, condition string, args ...any) (n int, err error) {
	err = q.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()"+condition, args...).Scan(&n)
	return n, err
}

func migrateOneMariaDB(ctx context.Context, db *sql.DB, step migration, now time.Time) error {
	for _, statement := range statements(step.text) {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("migration %s: %w", step.name, err)
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after a commit
	if step.number == 1 {
		if err := seed(ctx, tx, "INSERT IGNORE"); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "INSERT IGNORE INTO "+schemaTableMariaDB+" (version, applied_at) VALUES (?, ?)",
		step.number, millis(now)); err != nil {
		return err
	}
	return tx.Commit()
}

// statements are those of a migration: each ends with a semicolon at the end of a line. Comments stand on lines of their own.
func statements(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "--") {
			lines = append(lines, line)
		}
	}
	var all []string
	for statement := range strings.SplitSeq(strings.Join(lines, ""), ";\n") {
		if statement = strings.TrimSpace(statement); statement != "" {
			all = append(all, statement)
		}
	}
	return all
}

// schemaVersionMariaDB is the number of the last step taken; 0 is a database that is no directory.
func schemaVersionMariaDB(ctx context.Context, q rowQuerier) (version int, err error) {
	err = q.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM "+schemaTableMariaDB).Scan(&version)
	if isMissingTable(err) {
		return 0, nil
	}
	return version, err
}

// isMissingTable reports whether a statement named a table that is not there: the database is not the one it was.
func isMissingTable(err error) bool {
	const noSuchTable = 1146
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == noSuchTable
}
