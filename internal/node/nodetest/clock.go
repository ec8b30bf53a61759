package nodetest

import (
	"sync/atomic"
	"time"
)

// Clock is the machine's clock, moved on by a test as if time had passed.
type Clock struct {
	begun time.Time
	ahead atomic.Int64
}

// Now implements reclaim.Clock.
func (c *Clock) Now() (wall time.Time, uptime time.Duration) {
	ahead := time.Duration(c.ahead.Load())
	now := time.Now()
	return now.Round(0).Add(ahead), now.Sub(c.begun) + ahead
}

// Advance lets time pass.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }
