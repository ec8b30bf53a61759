package reclaim

import "time"

// PatientClock is the clock that grace periods end by.
type PatientClock struct{ clock patientClock }

// Now moves it on.
func (c *PatientClock) Now(wall time.Time, uptime, grace time.Duration, stored time.Time) time.Time {
	return c.clock.now(wall, uptime, grace, stored)
}
