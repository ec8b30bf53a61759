package directory

import (
	"context"
	"sync"
	"time"

	"mailreplica/internal/fault"
)

// silence remembers that a database says nothing: a server that stands still, or that is cut off without a word. While it lasts one
// caller at a time asks, and waits; all others are told at once, for they would wait one after another. The follower asks all the
// time, so that the end of the silence is soon known.
type silence struct {
	mu     sync.Mutex
	since  time.Time // of the first request that was not answered; zero: the database answers
	asking bool      // somebody asks, though it is silent
}

// ask makes a request of a database, and minds whether it answers.
func (s *store) ask(ctx context.Context, limit time.Duration, request func(context.Context) error) error {
	over, err := s.enter()
	if err != nil {
		return err
	}
	begun := time.Now()
	err = s.retry(ctx, limit, request)
	over(s.answered(ctx, begun, err), begun)
	return err
}

// silent is what those are told who would wait behind the one who asks.
func (s *store) silent() error {
	s.silence.mu.Lock()
	defer s.silence.mu.Unlock()
	return s.toldAtOnce()
}

// toldAtOnce is silent for who holds the lock.
func (s *store) toldAtOnce() error {
	if s.silence.since.IsZero() || !s.silence.asking {
		return nil
	}
	return fault.New(s.unavailable, "%s has not answered for %s", s.what, time.Since(s.silence.since).Round(time.Second))
}

// enter begins a request; over is told what came of it.
func (s *store) enter() (over func(answer, time.Time), err error) {
	q := &s.silence
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := s.toldAtOnce(); err != nil {
		return nil, err
	}
	asks := !q.since.IsZero()
	q.asking = asks
	return func(a answer, begun time.Time) {
		q.mu.Lock()
		defer q.mu.Unlock()
		if asks {
			q.asking = false
		}
		switch {
		case a == answered:
			q.since = time.Time{}
		case a == notAnswered && q.since.IsZero():
			q.since = begun
		}
	}, nil
}

// answer is what a request says of the database.
type answer int

const (
	answered answer = iota
	notAnswered
	gaveUp // the caller went away: nothing is known
)

func (s *store) answered(ctx context.Context, begun time.Time, err error) answer {
	if err == nil {
		return answered
	}
	switch s.engine.class(err) {
	case errStatement, errAgain:
		return answered
	}
	switch {
	case fault.KindOf(err) != fault.Internal && fault.KindOf(err) != s.unavailable:
		return answered // an answer that the caller does not like
	case ctx.Err() != nil:
		return gaveUp
	case time.Since(begun) >= s.readTimeout/2:
		return notAnswered
	}
	return answered // one that cannot be reached at all says so sooner, and to everybody
}
