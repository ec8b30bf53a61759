package directory

import (
	"context"
	"database/sql"
	"time"
)

// query is a transaction that reads.
type query struct {
	ctx   context.Context
	sql   *sql.Tx
	lock  string // what a SELECT ends with whose rows are written after it
	again seen   // nil: none is prepared

	store *store // of one that only reads
}

// seen are the statements of one transaction. One that comes again is prepared, for parsing it costs more than most of them do.
type seen map[string]*sql.Stmt

// prepared is a statement that has come before in this transaction, nil the first time. It ends with the transaction.
func (q *query) prepared(text string) (*sql.Stmt, error) {
	if q.again == nil {
		return nil, nil
	}
	known, came := q.again[text]
	if came && known == nil {
		var err error
		if known, err = q.sql.PrepareContext(q.ctx, text); err != nil {
			return nil, err
		}
	}
	q.again[text] = known
	return known, nil
}

func (q *query) query(text string, args []any) (*sql.Rows, error) {
	switch stmt, err := q.prepared(text); {
	case err != nil:
		return nil, err
	case stmt != nil:
		return stmt.QueryContext(q.ctx, args...)
	}
	return q.sql.QueryContext(q.ctx, text, args...)
}

// tx is one caller's part of a transaction that writes.
type tx struct {
	query
	now     time.Time
	version int64
}

// next is the number that every row written by this caller gets: one more than any other's, so that those who follow
// see it whole or not at all.
func (t *tx) next() (int64, error) {
	if t.version != 0 {
		return t.version, nil
	}
	if _, err := t.exec("UPDATE counters SET value = value + 1 WHERE name = ?", counterVersion); err != nil {
		return 0, err
	}
	version, err := t.counter(counterVersion)
	if err != nil {
		return 0, err
	}
	t.version = version
	return version, nil
}

// exec runs a statement and gives the number of rows it met.
func (t *tx) exec(text string, args ...any) (int64, error) {
	stmt, err := t.prepared(text)
	if err != nil {
		return 0, err
	}
	var result sql.Result
	if stmt != nil {
		result, err = stmt.ExecContext(t.ctx, args...)
	} else {
		result, err = t.sql.ExecContext(t.ctx, text, args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// put updates the row that a statement names, or inserts it where there is none: the upserts of the engines differ.
func (t *tx) put(update string, updateArgs []any, insert string, insertArgs []any) error {
	rows, err := t.exec(update, updateArgs...)
	if err != nil || rows > 0 {
		return err
	}
	_, err = t.exec(insert, insertArgs...)
	return err
}

// skew is how far this machine's clock is before the one that stamps rows.
func (q *query) skew() (time.Duration, error) {
	ask := q.store.engine.serverTime()
	if ask == "" || q.store.clock != nil {
		return 0, nil
	}
	var ms int64
	_, err := q.row(ask, nil, &ms)
	return q.store.now().Sub(fromMillis(ms)), err
}

func (q *query) counter(name string) (int64, error) {
	var value int64
	found, err := q.row("SELECT value FROM counters WHERE name = ?", []any{name}, &value)
	if err != nil {
		return 0, err
	}
	return value, sound("counter", name, claim{"value", found && value >= 0})
}

func (q *query) meta(name string) (string, error) {
	var value string
	_, err := q.row("SELECT value FROM meta WHERE name = ?", []any{name}, &value)
	return value, err
}

func (t *tx) setMeta(name, value string) error {
	return t.put("UPDATE meta SET value = ? WHERE name = ?", []any{value, name},
		"INSERT INTO meta (name, value) VALUES (?, ?)", []any{name, value})
}

// row reads one row into dest, and reports whether there is one.
func (q *query) row(text string, args []any, dest ...any) (bool, error) {
	found, err := q.query(text, args)
	if err != nil {
		return false, err
	}
	defer found.Close()
	if !found.Next() {
		return false, found.Err()
	}
	if err := found.Scan(dest...); err != nil {
		return false, err
	}
	return true, found.Close()
}

// count reads one number.
func (q *query) count(text string, args ...any) (int, error) {
	var n int
	_, err := q.row(text, args, &n)
	return n, err
}

// scanner is a row that can be read: *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// rows reads every row of a statement with scan.
func rows[T any](q *query, scan func(scanner) (T, error), text string, args ...any) ([]T, error) {
	found, err := q.query(text, args)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []T
	for found.Next() {
		one, err := scan(found)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, found.Err()
}
