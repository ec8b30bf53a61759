package complaint

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Thin gives a logger for a part that repeats its warnings without end: each text is told at once, then ever less often, with how many
// were left out. What is no warning is told as it comes.
func Thin(logger *slog.Logger) *slog.Logger {
	return slog.New(thin{logger.Handler(), &lines{told: map[string]*line{}}})
}

// linesMax bounds the texts that are remembered; beyond it they are forgotten, and told anew.
const linesMax = 1_000

// lines are the texts that were told.
type lines struct {
	mu   sync.Mutex
	told map[string]*line
}

type line struct {
	at      time.Time
	silence time.Duration
	leftOut int
}

// thin is the handler of such a logger.
type thin struct {
	slog.Handler
	lines *lines
}

// Handle implements slog.Handler.
func (t thin) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		leftOut, now := t.lines.due(r.Message, r.Time)
		if !now {
			return nil
		}
		if leftOut > 0 {
			r.AddAttrs(slog.Int("leftOut", leftOut))
		}
	}
	return t.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (t thin) WithAttrs(attrs []slog.Attr) slog.Handler {
	return thin{t.Handler.WithAttrs(attrs), t.lines}
}

// WithGroup implements slog.Handler.
func (t thin) WithGroup(name string) slog.Handler { return thin{t.Handler.WithGroup(name), t.lines} }

// due says whether a text is told now, and how many of it were not since it was told last. After a silence that nobody broke, it
// is news again.
func (l *lines) due(text string, at time.Time) (leftOut int, now bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.told[text]
	switch {
	case one == nil:
		if len(l.told) >= linesMax {
			clear(l.told)
		}
		one = &line{silence: firstSilence}
		l.told[text] = one
	case at.Sub(one.at) < one.silence:
		one.leftOut++
		return 0, false
	case at.Sub(one.at) > 2*one.silence && one.leftOut == 0:
		one.silence = firstSilence
	default:
		one.silence = min(2*one.silence, mostSilence)
	}
	leftOut, one.leftOut, one.at = one.leftOut, 0, at
	return leftOut, true
}
