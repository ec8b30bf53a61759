package metadata

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"reflect"

	engine "mailreplica/internal/sqlite"
)

// sqlitePool opens connections to a file.
type sqlitePool struct {
	path    string
	pragmas string // run first
	writes  bool
}

func (p sqlitePool) connect(context.Context) (link, error) {
	c, err := engine.Open(p.path)
	if err != nil {
		return nil, err
	}
	l := sqliteLink{c}
	err = l.script(p.pragmas)
	if err == nil && p.writes {
		err = c.GatherWrites()
	}
	if err != nil {
		return nil, firstOf(err, l.close())
	}
	return l, nil
}

func (sqlitePool) Close() error { return nil }

type sqliteLink struct{ c *engine.Conn }

func (l sqliteLink) script(text string) error { return l.c.Script(text) }
func (l sqliteLink) close() error             { return l.c.Close() }

func (l sqliteLink) prepare(query string) (prepared, error) {
	s, err := l.c.Prepare(query)
	if err != nil {
		return nil, err
	}
	return &sqliteStatement{c: l.c, s: s}, nil
}

type sqliteStatement struct {
	c *engine.Conn
	s *engine.Stmt
}

func (s *sqliteStatement) bind(args []value) error {
	if len(args) != s.s.Params() {
		return fmt.Errorf("a statement has %d parameters and got %d", s.s.Params(), len(args))
	}
	bytes := 0
	for i := range args {
		bytes += len(args[i].bytes)
	}
	s.s.Reserve(bytes)
	for i := range args {
		if args[i].kind == isNumber {
			s.s.BindInt64(i+1, args[i].number)
		} else {
			s.s.BindBlob(i+1, args[i].bytes)
		}
	}
	return nil
}

func (s *sqliteStatement) exec(args []value) (int64, error) {
	if err := s.bind(args); err != nil {
		return 0, err
	}
	defer s.s.Reset()
	for {
		more, err := s.s.Step()
		if err != nil {
			return 0, err
		}
		if !more {
			return s.c.Changes(), nil
		}
	}
}

func (s *sqliteStatement) query(args []value) error { return s.bind(args) }
func (s *sqliteStatement) next() (bool, error)      { return s.s.Step() }

func (s *sqliteStatement) done() error {
	s.s.Reset()
	return nil
}

func (s *sqliteStatement) close() error {
	s.s.Close()
	return nil
}

func (s *sqliteStatement) scan(dest []any) error {
	for i, d := range dest {
		if !s.column(i, d) {
			return fmt.Errorf("column %d does not fit a %T", i, d)
		}
	}
	return nil
}

// column reads a column into what d points to. It says no to a number that does not fit.
func (s *sqliteStatement) column(i int, d any) bool {
	switch d := d.(type) {
	case *int64:
		*d = s.s.Int64(i)
	case *[]byte:
		*d = append([]byte{}, s.s.Bytes(i)...)
	case *sql.RawBytes:
		*d = append((*d)[:0], s.s.Bytes(i)...)
	case *string:
		*d = string(s.s.Bytes(i))
	case *uint32:
		n := s.s.Int64(i)
		*d = uint32(n)
		return n >= 0 && n <= math.MaxUint32
	case *int32:
		n := s.s.Int64(i)
		*d = int32(n)
		return n >= math.MinInt32 && n <= math.MaxInt32
	default:
		return fits(reflect.ValueOf(d).Elem(), s.s.Int64(i))
	}
	return true
}

// fits sets a number of any type, if it can hold n.
func fits(v reflect.Value, n int64) bool {
	switch {
	case v.CanInt() && !v.OverflowInt(n):
		v.SetInt(n)
	case v.CanUint() && n >= 0 && !v.OverflowUint(uint64(n)):
		v.SetUint(uint64(n))
	default:
		return false
	}
	return true
}
