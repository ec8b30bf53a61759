package reclaim_test

import (
	"testing"
	"time"

	"mailreplica/internal/reclaim"
)

func TestPatientClock(t *testing.T) {
	const (
		hour  = time.Hour
		day   = 24 * hour
		grace = 7 * day
	)
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	type step struct {
		wall   time.Duration // the machine's clock, since noon
		uptime time.Duration
		want   time.Duration
	}
	for name, x := range map[string]struct {
		stored time.Duration // 0: nothing
		steps  []step
	}{
		"as it should":         {0, []step{{0, 0, 0}, {hour, hour, hour}, {10 * day, 10 * day, 10 * day}}},
		"jumps ahead":          {0, []step{{0, 0, 0}, {30 * day, hour, 2 * hour}, {30*day + day, hour + day, 2*hour + 2*day}}},
		"stays ahead":          {0, []step{{0, 0, 0}, {365 * day, hour, 2 * hour}, {365 * day, hour + grace - 1, 2*hour + 2*grace - 2}, {366 * day, hour + grace, 366 * day}}},
		"jumps there and back": {0, []step{{0, 0, 0}, {365 * day, hour, 2 * hour}, {2 * hour, 2 * hour, 2 * hour}, {365 * day, grace, 2*grace - 2*hour}}},
		"goes back":            {0, []step{{0, 0, 0}, {-day, hour, -day}, {-day + hour, 2 * hour, -day + hour}}},
		"back and right again": {0, []step{{0, 0, 0}, {-day, hour, -day}, {2 * hour, 2 * hour, -day + 2*hour}}},
		"was off":              {-3 * day, []step{{0, 0, -3 * day}, {day, day, -day}, {2 * day, 2 * day, day}, {3 * day, 3 * day, 3 * day}}},
		"was off for a year":   {-365 * day, []step{{0, 0, -365 * day}, {grace, grace, grace}}},
		"was ahead before":     {365 * day, []step{{0, 0, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			var c reclaim.PatientClock
			stored := time.Time{}
			if x.stored != 0 {
				stored = noon.Add(x.stored)
			}
			for i, s := range x.steps {
				if got := c.Now(noon.Add(s.wall), s.uptime, grace, stored).Sub(noon); got != s.want {
					t.Errorf("step %d: got %s after noon, want %s", i, got, s.want)
				}
			}
		})
	}
}
