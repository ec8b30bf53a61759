package metadata

// Tx is a View that may write: it sees what it wrote. It must not be kept, nor used by several goroutines at once, and its
// rows must not be written while they are iterated over. Once a method has failed all others fail too, and what the function
// did is undone whatever it returns; Exists of CreateMailbox is no such failure.
type Tx struct {
	View

	removed bool // a mailbox: its rows wait for the sweep
	unsure  bool // the savepoint could not be undone
}

// exec runs a statement and says how many rows it changed.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	if err := tx.ready(); err != nil {
		return 0, err
	}
	n, err := tx.c.exec(query, args...)
	return n, tx.note(err)
}

// put puts rows of a table that has no rows of a change, replacing those with the same key: what is due may be written later.
func (tx *Tx) put(t *table, values []value) error {
	if err := tx.usable(); err != nil || len(values) == 0 {
		return err
	}
	return tx.note(tx.c.put(t, values))
}
