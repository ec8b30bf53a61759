package metadata

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"time"
)

// conn is one pinned connection with its prepared statements. One goroutine at a time uses it.
//
// Statements never get a context that can end: an interrupt in the middle would leave the connection's transaction in a
// state that is hard to tell. Callers look at their context between statements and between rows.
type conn struct {
	sql      *sql.Conn
	dialect  dialect
	prepared map[string]*statement
	puts     map[putKey]*statement

	durability Durability // of the transaction begun last
	begun      bool
	harm       harm   // the worst that any error did
	mark       string // by which the server finds the connection, if the dialect gave it one
}

type statement struct {
	stmt *sql.Stmt
	busy bool // its rows are being read; another use of the same text needs another statement
}

type putKey struct {
	table *table
	rows  int
	add   bool // rows that are there already are not replaced
}

// connectMax bounds how long a server may take to let us in.
const connectMax = 5 * time.Second

// errNoConnection is of the class of lost connections.
var errNoConnection = fmt.Errorf("there was no connection in time: %w", os.ErrDeadlineExceeded)

func (s *Store) connect(ctx context.Context, pool *sql.DB) (*conn, error) {
	bound, cancel := context.WithTimeoutCause(ctx, connectMax, errNoConnection)
	defer cancel()
	c, err := pool.Conn(bound)
	if err != nil {
		if ctx.Err() == nil && bound.Err() != nil {
			err = errNoConnection
		}
		_, err = s.dialect.explain(err)
		return nil, err
	}
	return &conn{sql: c, dialect: s.dialect, prepared: map[string]*statement{}, puts: map[putKey]*statement{}}, nil
}

// close closes the connection itself: what it held of a transaction is rolled back.
func (c *conn) close() error {
	if c == nil {
		return nil
	}
	for _, s := range c.prepared {
		_ = s.stmt.Close()
	}
	for _, s := range c.puts {
		_ = s.stmt.Close()
	}
	// Raw with ErrBadConn keeps the pool from handing this connection out again.
	err := c.sql.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) {
		return nil
	}
	return errors.Join(err, c.sql.Close())
}

func (c *conn) fail(err error) error {
	harm, explained := c.dialect.explain(err)
	c.harm = max(c.harm, harm)
	return explained
}

func (c *conn) prepare(query string) (*statement, error) {
	if s := c.prepared[query]; s != nil {
		return s, nil
	}
	stmt, err := c.sql.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, c.fail(err)
	}
	s := &statement{stmt: stmt}
	c.prepared[query] = s
	return s, nil
}

// script runs statements that are not worth preparing.
func (c *conn) script(text string) error {
	_, err := c.sql.ExecContext(context.Background(), text)
	return c.fail(err)
}

// exec runs a statement without rows and says how many rows it changed. Integers among args are int64.
func (c *conn) exec(query string, args ...any) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	return c.run(s, args)
}

func (c *conn) run(s *statement, args []any) (int64, error) {
	result, err := s.stmt.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, c.fail(err)
	}
	n, err := result.RowsAffected()
	return n, c.fail(err)
}

// putRowsMax is how many rows one statement puts; its powers of four below serve what is left over.
const putRowsMax = 64

// put puts rows, all their values one after the other in the order key, columns. Those with the same key are replaced.
func (c *conn) put(t *table, values []any) error { return c.insert(t, values, false, c.dialect.upsert) }

// add is put where a row with the same key is an error.
func (c *conn) add(t *table, values []any) error { return c.insert(t, values, true, insertion) }

func (c *conn) insert(t *table, values []any, add bool, text func(*table, int) string) error {
	width := t.width()
	for rows := putRowsMax; len(values) > 0; {
		if len(values) < rows*width || rows > 1 && !c.fits(values[:rows*width]) {
			rows /= 4
			continue
		}
		key := putKey{t, rows, add}
		s := c.puts[key]
		if s == nil {
			stmt, err := c.sql.PrepareContext(context.Background(), text(t, rows))
			if err != nil {
				return c.fail(err)
			}
			s = &statement{stmt: stmt}
			c.puts[key] = s
		}
		if _, err := c.run(s, values[:rows*width]); err != nil {
			return err
		}
		values = values[rows*width:]
	}
	return nil
}

// fits reports whether the engine takes so many bytes in one statement.
func (c *conn) fits(values []any) bool {
	most := c.dialect.traits().putBytes
	if most == 0 {
		return true
	}
	for _, v := range values {
		if b, ok := v.([]byte); ok {
			most -= len(b)
		}
	}
	return most >= 0
}

// cursor reads the rows of a query. It must be closed.
type cursor struct {
	c    *conn
	rows *sql.Rows
	from *statement
	own  bool // the statement was prepared for this cursor alone
}

func (c *conn) query(query string, args ...any) (*cursor, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	own := s.busy
	if own {
		stmt, err := c.sql.PrepareContext(context.Background(), query)
		if err != nil {
			return nil, c.fail(err)
		}
		s = &statement{stmt: stmt}
	}
	s.busy = true
	cur := &cursor{c: c, from: s, own: own}
	if cur.rows, err = s.stmt.QueryContext(context.Background(), args...); err != nil {
		return nil, errors.Join(c.fail(err), cur.close())
	}
	return cur, nil
}

func (r *cursor) next() bool { return r.rows.Next() }

func (r *cursor) scan(dest ...any) error { return r.c.fail(r.rows.Scan(dest...)) }

// close gives the statement free and says whether reading ended by an error.
func (r *cursor) close() error {
	var errs []error
	if r.rows != nil {
		errs = append(errs, r.rows.Err(), r.rows.Close())
	}
	r.from.busy = false
	if r.own {
		errs = append(errs, r.from.stmt.Close())
	}
	return r.c.fail(errors.Join(errs...))
}

// one reads at most one row and says whether there was one.
func (c *conn) one(query string, args []any, dest ...any) (found bool, err error) {
	cur, err := c.query(query, args...)
	if err != nil {
		return false, err
	}
	if cur.next() {
		found = true
		err = cur.scan(dest...)
	}
	err = firstOf(err, cur.close())
	return found && err == nil, err
}
