package sim

import "time"

// exactly makes all that the Go runtime chooses follow from a seed: which case of a select is taken, where a map is begun, how long a
// goroutine runs. It can do so only where the program was built for that, by package exact, which puts another file in the place of
// this one; it reports whether it could.
func exactly(uint64) bool { return false }

// patiently lets time pass from now on while goroutines wait for a mutex, in a program that was built for exact runs; it reports whether it
// does. A wait for what never comes is no standstill then, so that it is asked for only where something takes time under a mutex.
func patiently() bool { return false }

// clock is what a machine's goroutines read the time from. It can be set, as that of a machine can: durations do not depend on it. The
// first of all, 0, is right. Without a program that was built for exact runs all are right, always.
type clock int32

// wear has the goroutine that calls it, and all that it begins from then on, go by the clock.
func (c clock) wear() {}

// set makes the clock wrong.
func (c clock) set(time.Duration) {}
