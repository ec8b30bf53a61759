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
	errNotDirectory = errors.New("it holds no directory")
	errNewerSchema  = errors.New("it was written by a newer version of this program")
)

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// seed writes the rows that a new database starts with. insert is the word for it.
func seed(ctx context.Context, tx *sql.Tx, insert string) error {
	for _, counter := range []string{counterVersion, counterPruned} {
		if _, err := tx.ExecContext(ctx, insert+" INTO counters (name, value) VALUES (?, 0)", counter); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, insert+" INTO meta (name, value) VALUES (?, ?)", metaDirectoryID, newID())
	return err
}
