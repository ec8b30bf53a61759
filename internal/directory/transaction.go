package directory

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/pause"
)

// read runs f in a transaction that reads one state. f may run several times.
func (s *store) read(ctx context.Context, f func(*query) error) error {
	return s.reading(ctx, func(ctx context.Context, db *sql.DB) error {
		tx, err := s.engine.beginRead(ctx, db)
		if err != nil {
			return err
		}
		defer tx.Rollback() // nothing was written
		return f(&query{ctx: ctx, sql: tx, store: s})
	})
}

func (s *store) reading(ctx context.Context, f func(context.Context, *sql.DB) error) error {
	err := s.ask(ctx, s.readTimeout, func(ctx context.Context) error {
		db, err := s.handle(ctx)
		if err != nil {
			return err
		}
		return f(ctx, db)
	})
	if err != nil && ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, err, "interrupted")
	}
	return s.fail(err)
}

// readToCopy is read for what is copied elsewhere, and must last.
func (s *store) readToCopy(ctx context.Context, f func(*query) error) error {
	return s.reading(ctx, func(ctx context.Context, db *sql.DB) error {
		tx, settle, err := s.engine.beginCopy(ctx, db)
		if err != nil {
			return err
		}
		defer tx.Rollback() // of no effect after a commit
		if err := f(&query{ctx: ctx, sql: tx, store: s}); err != nil {
			return err
		}
		return settle()
	})
}

// handle gives the open database.
func (s *store) handle(ctx context.Context) (db *sql.DB, err error) {
	err = s.exclusively(ctx, func() (err error) {
		db, err = s.engine.handle(ctx, s.now())
		return err
	})
	return db, err
}

// retry repeats f while others are in its way, until the limit, and a few times where the connection was lost.
func (s *store) retry(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	lost := 0
	for wait := time.Millisecond; ; wait = min(2*wait, retryPauseMax) {
		err := f(ctx)
		if err == nil {
			return nil
		}
		switch s.engine.class(err) {
		case errAgain:
		case errLost:
			if lost++; lost >= lostAttemptsMax {
				return err
			}
		default:
			return err
		}
		if pause.For(ctx, wait) != nil {
			return err
		}
	}
}

// fail gives err its kind. What carries one already keeps it.
func (s *store) fail(err error) error {
	var known *fault.Error
	var broken *damaged
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &broken):
		return fault.New(s.unavailable, "%s: %s", s.what, broken).WithHint("%s", s.howMended())
	case errors.Is(err, errNotDirectory):
		return fault.Wrap(s.unavailable, err, "%s is not a Mailreplica directory", s.engine.place())
	case errors.Is(err, errNewerSchema):
		return fault.Wrap(s.unavailable, err, "%s was written by a newer version", s.engine.place()).
			WithHint("upgrade this mailstore")
	}
	return s.engine.explain(s.unavailable, s.what, err)
}

// howMended says what to do about damaged rows.
func (s *store) howMended() string {
	if s.unavailable == fault.DatabaseUnavailable {
		return "stop the mailstore and delete " + s.engine.place() + ": the copy is made anew"
	}
	return "correct the row in " + s.engine.place() + ", or restore the directory from a backup"
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
