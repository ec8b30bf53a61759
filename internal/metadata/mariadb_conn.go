package metadata

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// serverPool is a server's connections.
type serverPool struct{ *sql.DB }

func (p serverPool) connect(ctx context.Context) (link, error) {
	c, err := p.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return serverLink{c}, nil
}

type serverLink struct{ *sql.Conn }

func (l serverLink) script(text string) error {
	_, err := l.ExecContext(context.Background(), text)
	return err
}

// close has the pool not hand this connection out again, which Raw with ErrBadConn does.
func (l serverLink) close() error {
	err := l.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) {
		return nil
	}
	return errors.Join(err, l.Close())
}

func (l serverLink) prepare(query string) (prepared, error) {
	s, err := l.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	return &serverStatement{stmt: s}, nil
}

type serverStatement struct {
	stmt *sql.Stmt
	rows *sql.Rows
	args []any
}

func (s *serverStatement) bind(args []value) []any {
	s.args = s.args[:0]
	for i := range args {
		switch a := &args[i]; a.kind {
		case isNumber:
			s.args = append(s.args, a.number)
		case isText:
			s.args = append(s.args, string(a.bytes))
		default:
			s.args = append(s.args, notNil(a.bytes))
		}
	}
	return s.args
}

func (s *serverStatement) exec(args []value) (int64, error) {
	result, err := s.stmt.ExecContext(context.Background(), s.bind(args)...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s *serverStatement) query(args []value) (err error) {
	s.rows, err = s.stmt.QueryContext(context.Background(), s.bind(args)...)
	return err
}

func (s *serverStatement) next() (bool, error) { return s.rows.Next(), nil }

func (s *serverStatement) scan(dest []any) error { return s.rows.Scan(dest...) }

func (s *serverStatement) done() error {
	if s.rows == nil {
		return nil
	}
	err := errors.Join(s.rows.Err(), s.rows.Close())
	s.rows = nil
	return err
}

func (s *serverStatement) close() error { return s.stmt.Close() }

// notNil is b, but never the nil slice, which would be written as NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
