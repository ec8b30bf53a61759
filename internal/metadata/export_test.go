package metadata

import "strings"

// What tests do to a database that its users cannot.

// LimitPages lets the database grow to so many pages and no further, as a full disk would, until the connection is given up.
func LimitPages(tx *Tx, pages string) error { return tx.c.script("PRAGMA max_page_count = " + pages) }

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
	for _, t := range mailboxTables {
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
	var b strings.Builder
	err := v.each("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name", nil,
		func(cur *cursor) (bool, error) {
			var text string
			err := cur.scan(&text)
			b.WriteString(text + ";\n")
			return true, err
		})
	return b.String(), err
}
