package metadata

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// pool hands out connections of one sort.
type pool interface {
	connect(context.Context) (link, error)
	Close() error
}

// link is one connection to an engine. One goroutine at a time uses it, and the statements that it prepared.
//
// Statements never get a context that can end: an interrupt in the middle would leave the connection's transaction in a
// state that is hard to tell. Callers look at their context between statements and between rows.
type link interface {
	prepare(query string) (prepared, error)
	// script runs statements that are not worth preparing.
	script(text string) error
	// close ends the connection: what it held of a transaction is rolled back. Its statements have been closed.
	close() error
}

// prepared is a statement that stays prepared.
type prepared interface {
	// exec runs it and says how many rows it changed.
	exec(args []value) (int64, error)
	// query begins to read its rows, which done ends, whatever came between.
	query(args []value) error
	next() (bool, error)
	scan(dest []any) error
	done() error
	close() error
}

// value is a parameter of a statement.
type value struct {
	kind   kind
	number int64
	bytes  []byte
}

type kind uint8

const (
	isNumber kind = iota
	isBytes
	isText
)

func number[N ~int64 | ~int32 | ~int16 | ~uint64 | ~uint32 | ~uint16 | ~uint8 | ~int](n N) value {
	return value{number: int64(n)}
}

// raw is bytes: no bytes, and never NULL, if there are none.
func raw(b []byte) value { return value{kind: isBytes, bytes: b} }

func letters[S ~string](s S) value { return value{kind: isBytes, bytes: []byte(s)} }

// valueOf is for parameters of statements that are not run often.
func valueOf(arg any) value {
	switch a := arg.(type) {
	case int64:
		return number(a)
	case int:
		return number(a)
	case []byte:
		return raw(a)
	case string:
		return value{kind: isText, bytes: []byte(a)}
	}
	panic(fmt.Sprintf("a %T is no parameter of a statement", arg))
}

// conn is one pinned connection with its prepared statements. One goroutine at a time uses it.
type conn struct {
	link     link
	dialect  dialect
	prepared map[string]*statement
	together map[together]*statement
	args     []value // of the statement that is run

	durability Durability // of the transaction begun last
	begun      bool
	harm       harm   // the worst that any error did
	mark       string // by which the server finds the connection, if the dialect gave it one
}

type statement struct {
	prepared
	busy   bool // its rows are being read; another use of the same text needs another statement
	cursor cursor
}

// together is what a statement does to so many rows of a table.
type together struct {
	does  doing
	table *table
	rows  int
}

type doing uint8

const (
	putting doing = iota
	adding
	removing
)

// connectMax bounds how long a server may take to let us in.
const connectMax = 5 * time.Second

// errNoConnection is of the class of lost connections.
var errNoConnection = fmt.Errorf("there was no connection in time: %w", os.ErrDeadlineExceeded)

func (s *Store) connect(ctx context.Context, p pool) (*conn, error) {
	bound, cancel := context.WithTimeoutCause(ctx, connectMax, errNoConnection)
	defer cancel()
	l, err := p.connect(bound)
	if err != nil {
		if ctx.Err() == nil && bound.Err() != nil {
			err = errNoConnection
		}
		_, err = s.dialect.explain(err)
		return nil, err
	}
	return &conn{link: l, dialect: s.dialect, prepared: map[string]*statement{}, together: map[together]*statement{}}, nil
}

// close closes the connection itself: what it held of a transaction is rolled back.
func (c *conn) close() error {
	if c == nil {
		return nil
	}
	for _, s := range c.prepared {
		_ = s.close()
	}
	for _, s := range c.together {
		_ = s.close()
	}
	return c.link.close()
}

func (c *conn) fail(err error) error {
	if err == nil {
		return nil
	}
	harm, explained := c.dialect.explain(err)
	c.harm = max(c.harm, harm)
	return explained
}

func (c *conn) prepare(query string) (*statement, error) {
	if s := c.prepared[query]; s != nil {
		return s, nil
	}
	s, err := c.link.prepare(query)
	if err != nil {
		return nil, c.fail(err)
	}
	c.prepared[query] = &statement{prepared: s}
	return c.prepared[query], nil
}

// script runs statements that are not worth preparing.
func (c *conn) script(text string) error { return c.fail(c.link.script(text)) }

// exec runs a statement without rows and says how many rows it changed. Integers among args are int64.
func (c *conn) exec(query string, args ...any) (int64, error) { return c.run(query, c.valuesOf(args)) }

func (c *conn) run(query string, args []value) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	n, err := s.exec(args)
	return n, c.fail(err)
}

// valuesOf are good until the next statement is run.
func (c *conn) valuesOf(args []any) []value {
	c.args = c.args[:0]
	for _, a := range args {
		c.args = append(c.args, valueOf(a))
	}
	return c.args
}

// putRowsMax is how many rows one statement puts; its powers of four below serve what is left over.
const putRowsMax = 64

// put puts rows, all their values one after the other in the order key, columns. Those with the same key are replaced.
func (c *conn) put(t *table, values []value) error {
	return c.inPortions(putting, t, values, t.width(), putRowsMax, c.dialect.upsert)
}

// add is put where a row with the same key is an error.
func (c *conn) add(t *table, values []value) error {
	return c.inPortions(adding, t, values, t.width(), putRowsMax, insertion)
}

// remove deletes rows by their keys, all their values one after the other.
func (c *conn) remove(t *table, keys []value) error {
	return c.inPortions(removing, t, keys, len(t.key), c.dialect.traits().removesRows, removal)
}

// inPortions does something to rows, width values each, as many with one statement as there are and the engine takes, and most at most.
func (c *conn) inPortions(does doing, t *table, values []value, width, most int, text func(*table, int) string) error {
	for rows := most; len(values) > 0; {
		if len(values) < rows*width || rows > 1 && !c.fits(values[:rows*width]) {
			rows /= 4
			continue
		}
		s, err := c.prepareTogether(together{does, t, rows}, text)
		if err == nil {
			_, err = s.exec(values[:rows*width])
		}
		if err != nil {
			return c.fail(err)
		}
		values = values[rows*width:]
	}
	return nil
}

// removal is the statement that deletes so many rows by their keys.
func removal(t *table, rows int) string {
	one := strings.Join(t.key, " = ? AND ") + " = ?"
	if rows > 1 {
		one = "(" + one + ")" + strings.Repeat(" OR ("+one+")", rows-1)
	}
	return "DELETE FROM " + t.name + " WHERE " + one
}

// prepareTogether gives a statement that was prepared before or is now.
func (c *conn) prepareTogether(key together, text func(*table, int) string) (*statement, error) {
	if s := c.together[key]; s != nil {
		return s, nil
	}
	p, err := c.link.prepare(text(key.table, key.rows))
	if err != nil {
		return nil, err
	}
	c.together[key] = &statement{prepared: p}
	return c.together[key], nil
}

// fits reports whether the engine takes so many bytes in one statement.
func (c *conn) fits(values []value) bool {
	most := c.dialect.traits().putBytes
	if most == 0 {
		return true
	}
	for i := range values {
		most -= len(values[i].bytes)
	}
	return most >= 0
}

// cursor reads the rows of a query. It must be closed.
type cursor struct {
	c    *conn
	from *statement
	own  bool // the statement was prepared for this cursor alone
	err  error
}

func (c *conn) query(query string, args ...any) (*cursor, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	own := s.busy
	if own {
		p, err := c.link.prepare(query)
		if err != nil {
			return nil, c.fail(err)
		}
		s = &statement{prepared: p}
	}
	s.busy = true
	s.cursor = cursor{c: c, from: s, own: own}
	if err := s.query(c.valuesOf(args)); err != nil {
		return nil, firstOf(c.fail(err), s.cursor.close())
	}
	return &s.cursor, nil
}

func (r *cursor) next() bool {
	more, err := r.from.next()
	r.err = firstOf(r.err, err)
	return more && err == nil
}

func (r *cursor) scan(dest ...any) error { return r.c.fail(r.from.scan(dest)) }

// close gives the statement free and says whether reading ended by an error.
func (r *cursor) close() error {
	err := firstOf(r.err, r.from.done())
	r.from.busy = false
	if r.own {
		err = firstOf(err, r.from.close())
	}
	return r.c.fail(err)
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
