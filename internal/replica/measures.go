package replica

import (
	"slices"
	"time"

	"mailreplica/internal/measure"
)

// Measures are what an agent counts.
type Measures struct {
	Appended measure.Durations // from the appending of a record until the brokers have confirmed it
	Appends  measure.Outcomes  // of records; one that failed is in doubt, and is appended again
}

// Measures are counted on while the agent is used.
func (g *Agent) Measures() *Measures { return &g.measures }

func (m *Measures) count(err error, begun time.Time) {
	m.Appends.Add(err)
	if err == nil {
		m.Appended.Since(begun)
	}
}

// StreamStatus is how far the live reader is in a stream.
type StreamStatus struct {
	Number       int32
	Applied, End int64         // the offsets of the next record to be applied, and of the next to be appended
	Behind       time.Duration // how old the first record is that is not applied, by the brokers' clock; 0: all that is known are
}

// Streams gives the streams that are read. It asks nobody: brokers that are away are as they were when they were last heard of.
func (g *Agent) Streams() []StreamStatus {
	g.mu.Lock()
	reader := g.reader
	var all []StreamStatus
	for number, s := range g.streams {
		if s.followed {
			all = append(all, StreamStatus{Number: number})
		}
	}
	g.mu.Unlock()
	for i := range all {
		s := &all[i]
		ahead := reader.Ahead(s.Number) // first: what is applied meanwhile must not seem to lag
		g.mu.Lock()
		s.Applied = g.streams[s.Number].next
		g.mu.Unlock()
		s.End = max(ahead.End, s.Applied)
		if s.End > s.Applied && !ahead.Since.IsZero() {
			s.Behind = max(0, time.Since(ahead.Since))
		}
	}
	slices.SortFunc(all, func(a, b StreamStatus) int { return int(a.Number - b.Number) })
	return all
}
