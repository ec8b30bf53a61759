package metadata

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// What tests do to a database that its users cannot.

// LimitPages lets the database grow to so many pages and no further, as a full disk would, until the connection is given up.
func LimitPages(tx *Tx, pages string) error { return tx.c.script("PRAGMA max_page_count = " + pages) }

// Forge alters the folders of a mailbox behind the back of what is known of them.
func Forge(tx *Tx, mailboxID int64) error {
	_, err := tx.exec("UPDATE folder SET uid_next = uid_next + 1 WHERE mailbox_id = ?", mailboxID)
	return err
}

// Synced reports whether the transaction's commit will be fsynced.
func Synced(tx *Tx) bool {
	var level int64
	_, err := tx.c.one("PRAGMA synchronous", nil, &level)
	return err == nil && level == 2
}

// Break runs a statement that fails, and forgets that it did: what a function does that ignores an error.
func Break(tx *Tx) error {
	_, err := tx.exec("INSERT INTO setting (name, content) VALUES (NULL, NULL)")
	return err
}

// Leftovers is how many rows of removed mailboxes there are still, in all tables.
func Leftovers(v *View) (int64, error) {
	var total int64
	for _, t := range tablesOf(v.c.dialect) {
		var n int64
		query := "SELECT count(*) FROM " + t.name + " WHERE mailbox_id NOT IN (SELECT mailbox_id FROM mailbox)"
		if _, err := v.one(query, nil, &n); err != nil {
			return 0, err
		}
		total += n
	}
	var n int64
	_, err := v.one("SELECT count(*) FROM removal", nil, &n)
	return total + n, err
}

// Schema is the schema as the engine has it.
func Schema(v *View) (string, error) {
	query := "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name"
	if _, ok := v.c.dialect.(*mariaDB); ok { // not SHOW CREATE TABLE, which each release words differently
		query = `SELECT concat('TABLE ', table_name, ' ', engine, ' ', row_format, ' ', table_collation)
			FROM information_schema.tables WHERE table_schema = database()
		UNION SELECT concat('COLUMN ', table_name, '.', lpad(ordinal_position, 2, '0'), ' ', column_name, ' ', column_type,
			if(is_nullable = 'NO', ' NOT NULL ', ' '), extra)
			FROM information_schema.columns WHERE table_schema = database()
		UNION SELECT concat('INDEX ', table_name, '.', index_name, ' ', seq_in_index, ' ', column_name,
			if(non_unique, '', ' UNIQUE'))
			FROM information_schema.statistics WHERE table_schema = database()
		ORDER BY 1`
	}
	all, err := collect(v, query, nil, func(cur *cursor) (string, error) {
		var text string
		err := cur.scan(&text)
		return strings.TrimSpace(text), err
	})
	return strings.Join(all, ";\n") + ";\n", err
}

// LimitWAL has the write-ahead log copied and begun anew much sooner than usual. It is called inside an Update of s.
func LimitWAL(s *Store, pages int64) { s.wal.pages, s.wal.restartPages = pages/8, pages }

// Queries are statements that would be slow without an index, each with the parameters it has.
func (s *Store) Queries() map[string]string {
	return map[string]string{
		"folder by name":    selectFolder + " AND name = ?",
		"message":           oneMessage,
		"messages":          s.along(selectMessages),
		"scan messages":     s.along(scanMessages),
		"changed messages":  s.along(changedMessages),
		"tombstones":        s.along(selectTombstones),
		"scan tombstones":   s.along(scanTombstones),
		"references":        countReferences,
		"shared contents":   s.along(sharedContents),
		"oldest deliveries": oldestDeliveries,
		"remove some":       s.dialect.deleteSome(messages),
		"due":               dueDiscarded(s.dialect),
		"content blobs":     contentBlobs,
		"discarded blobs":   discardedBlobs,
	}
}

// along is the text of an ordered query.
func (s *Store) along(o ordered) string {
	text := o.text(s.dialect)
	if !s.dialect.traits().streams {
		text += " LIMIT ?"
	}
	return text
}

// Plan is how the engine carries out a statement, with parameters of 1 if none are given.
func Plan(v *View, query string, args ...any) (steps []string, err error) {
	for len(args) < strings.Count(query, "?") {
		args = append(args, int64(1))
	}
	if _, ok := v.c.dialect.(*mariaDB); ok {
		return collect(v, "EXPLAIN "+query, args, func(cur *cursor) (string, error) {
			columns := make([]sql.NullString, 10)
			dest := make([]any, len(columns))
			for i := range columns {
				dest[i] = &columns[i]
			}
			err := cur.scan(dest...)
			return fmt.Sprintf("%s: %s key %s length %s; %s", columns[2].String, columns[3].String, columns[5].String,
				columns[6].String, columns[9].String), err
		})
	}
	return collect(v, "EXPLAIN QUERY PLAN "+query, args, func(cur *cursor) (step string, err error) {
		var id, parent, unused int64
		err = cur.scan(&id, &parent, &unused, &step)
		return step, err
	})
}

// Lose is what a failed fsync does: the transaction is gone, and nobody knows what else is.
func Lose(tx *Tx) error {
	tx.c.harm = unsynced
	_, err := tx.exec("ROLLBACK")
	return err
}

// ConnectionID is the server's number of a transaction's connection.
func ConnectionID(tx *Tx) (id int64) {
	_, _ = tx.c.one("SELECT CONNECTION_ID()", nil, &id)
	return id
}

// LockConnectionID is the server's number of the connection that holds the lock of a database.
func LockConnectionID(t testing.TB, s *Store) (id int64) {
	t.Helper()
	d := s.dialect.(*mariaDB)
	err := s.View(t.Context(), func(v *View) error {
		_, err := v.one("SELECT IS_USED_LOCK(?)", []any{d.lockName()}, &id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// HasSnapshot reports whether a View has begun its snapshot.
func HasSnapshot(v *View) bool { return v.c != nil }
