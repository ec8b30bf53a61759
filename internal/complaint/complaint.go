// Package complaint tells an operator of what is wrong for long: at once, then ever less often, and once more when it is over. It
// knows neither what is wrong nor who is told.
package complaint

import (
	"log/slog"
	"sync"
	"time"

	"mailreplica/internal/fault"
)

const (
	firstSilence = 10 * time.Second // after it was told for the first time; doubled each time
	mostSilence  = 10 * time.Minute
)

// Complaint is about one thing that may be wrong. Its methods may be called by many goroutines.
type Complaint struct {
	logger *slog.Logger

	mu      sync.Mutex
	begun   time.Time // the zero time: nothing is wrong
	told    time.Time
	silence time.Duration
}

// New makes a complaint about what is not wrong yet.
func New(logger *slog.Logger) *Complaint { return &Complaint{logger: logger} }

// Say says that it is wrong, or wrong still: err is why, with its hint.
func (c *Complaint) Say(text string, err error, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	args = append(args, "error", err, "hint", fault.HintOf(err))
	switch {
	case c.begun.IsZero():
		c.begun, c.silence = now, firstSilence
	case now.Sub(c.told) < c.silence:
		return
	default:
		c.silence = min(2*c.silence, mostSilence)
		args = append(args, "for", now.Sub(c.begun).Round(time.Second))
	}
	c.told = now
	c.logger.Error(text, args...)
}

// Over says that it is wrong no more, if it was.
func (c *Complaint) Over(text string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun.IsZero() {
		return
	}
	c.logger.Info(text, append(args, "after", time.Since(c.begun).Round(time.Second))...)
	c.begun = time.Time{}
}
