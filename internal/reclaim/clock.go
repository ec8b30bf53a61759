package reclaim

import "time"

// Clock tells the time: by the machine's clock, which may jump, and how long the process has been running, which does not.
type Clock interface {
	Now() (wall time.Time, uptime time.Duration)
}

// machineClock is the machine's own. Go's monotonic reading serves as the uptime.
type machineClock struct{ begun time.Time }

func (c machineClock) Now() (wall time.Time, uptime time.Duration) {
	now := time.Now()
	return now.Round(0), now.Sub(c.begun)
}

// patientClock follows the machine's clock, but twice as fast as time passes at most. So a clock that jumps ahead, for instance
// because it was set wrong, shortens a grace period by half of it at most; and what ended too early for the one clock has not
// ended for the other. A machine that was off for long is behind at first and catches up while it runs. After a whole grace
// period of running the machine's clock is believed in any case: it was the earlier time that was wrong.
type patientClock struct {
	at     time.Time
	uptime time.Duration
	begun  bool

	ahead bool          // the machine's clock is
	since time.Duration // uptime at which that was first seen
}

// now moves the clock on. stored is what it showed when an earlier process had it last, zero if none had; it is looked at once.
func (c *patientClock) now(wall time.Time, uptime, grace time.Duration, stored time.Time) time.Time {
	if !c.begun {
		c.begun, c.at, c.uptime = true, wall, uptime
		if !stored.IsZero() {
			c.at = stored
		}
	}
	c.at = c.at.Add(2 * (uptime - c.uptime))
	c.uptime = uptime
	if !wall.After(c.at) {
		c.at, c.ahead = wall, false
		return c.at
	}
	if !c.ahead {
		c.ahead, c.since = true, uptime
	}
	if uptime-c.since >= grace {
		c.at, c.ahead = wall, false
	}
	return c.at
}
