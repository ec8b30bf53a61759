package sim

import "time"

// brokersClock is the clock of the broker's machine. Each mailstore has one of its own.
const brokersClock clock = 1

func (m *mailstore) clock() clock { return brokersClock + 1 + clock(m.index) }

// steps are by how much clocks are set, about. Each is many grace periods of blobs less or more than a run lasts.
var steps = []time.Duration{2 * time.Second, time.Minute, time.Hour, 24 * time.Hour, 31 * 24 * time.Hour}

// brokersStepMax is less than the retention: brokers whose clock is ahead by more remove records that copies have yet to read, which no
// mailstore can help.
const brokersStepMax = 24 * time.Hour

// turnClock sets the clock of a machine wrong, ahead or back. Some are put right after a while, others are as they are until they are set
// again, or the run ends.
func (n *nemesis) turnClock() {
	wrong := time.Duration(n.random.ExpFloat64() * float64(steps[n.random.IntN(len(steps))]))
	if n.random.IntN(2) == 0 {
		wrong = -wrong
	}
	set, name := brokersClock.set, brokerName
	if i := n.random.IntN(len(n.stores) + 1); i < len(n.stores) {
		m := n.stores[i]
		set, name = m.setClock, m.name
	} else {
		wrong = max(-brokersStepMax, min(wrong, brokersStepMax))
	}
	n.trace.add("nemesis", "sets the clock of %s wrong by %s", name, wrong)
	set(wrong)
	if n.random.IntN(2) == 0 {
		n.later(func() { set(0) })
	}
}

func (m *mailstore) setClock(wrong time.Duration) {
	m.wrong.Store(int64(wrong))
	m.clock().set(wrong)
}

const (
	hastyPace    = 600 // hours are seconds for the clock of a grace period
	reclaimEvery = 3 * time.Second
)

// hasty is a mailstore's clock, running fast, so that grace periods end within a run.
type hasty struct {
	begun time.Time
	store *mailstore
}

// Now implements reclaim.Clock.
func (h hasty) Now() (wall time.Time, uptime time.Duration) {
	origin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where virtual time begins
	passed, wrong := time.Since(h.store.cluster.trace.begun), time.Duration(h.store.wrong.Load())
	return origin.Add(hastyPace*passed + wrong), hastyPace * time.Since(h.begun)
}
