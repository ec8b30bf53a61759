package replica

import (
	"context"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
)

// Append implements mailstore.Streams.
func (g *Agent) Append(number int32, key, value []byte, done func(error)) {
	g.mu.Lock()
	log := g.log
	g.mu.Unlock()
	if log == nil {
		done(fault.New(fault.LogUnavailable, "the brokers cannot be reached"))
		return
	}
	log.Append(number, key, value, done)
}

// Follow implements mailstore.Streams.
func (g *Agent) Follow(ctx context.Context, number int32) error {
	g.mu.Lock()
	log, reader, id, followed := g.log, g.reader, g.identity, g.streams[number] != nil
	g.mu.Unlock()
	if followed {
		return nil
	}
	if log == nil {
		return fault.New(fault.LogUnavailable, "the brokers cannot be reached, or none are configured")
	}
	bounds, err := log.Bounds(ctx, []int32{number})
	if err != nil {
		return err
	}
	return g.follow(ctx, reader, id, number, bounds[number])
}

// CaughtUp implements mailstore.Streams (rule 8).
func (g *Agent) CaughtUp(number int32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.streams[number]
	return s != nil && s.next >= s.target
}

// ReadToEnd returns when the live reader has read the streams to the ends that they had when it was called (rule 9).
func (g *Agent) ReadToEnd(ctx context.Context, numbers []int32) error {
	g.mu.Lock()
	log := g.log
	g.mu.Unlock()
	if log == nil {
		return fault.New(fault.LogUnavailable, "the brokers cannot be reached, or none are configured")
	}
	for _, number := range numbers {
		if err := g.Follow(ctx, number); err != nil {
			return err
		}
	}
	bounds, err := log.Bounds(ctx, numbers)
	if err != nil {
		return err
	}
	for {
		behind, progress := g.behind(bounds)
		if !behind {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return fault.Wrap(fault.LogUnavailable, ctx.Err(), "the streams could not be read to their ends in time")
		}
	}
}

func (g *Agent) behind(bounds map[int32]eventlog.Bounds) (bool, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for number, b := range bounds {
		if s := g.streams[number]; s == nil || s.next < b.End {
			return true, g.progress
		}
	}
	return false, g.progress
}

// Log is the event log in use, nil while there is none.
func (g *Agent) Log() *eventlog.Log {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log
}

// Identity is the identity of the log in use; ok is false while there is none.
func (g *Agent) Identity() (id eventlog.Identity, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.identity, g.log != nil
}

// LastContact is when the brokers answered last; zero while no log is in use.
func (g *Agent) LastContact() time.Time {
	if log := g.Log(); log != nil {
		return log.LastContact()
	}
	return time.Time{}
}

// next is the offset that the live reader judges next; ok is false while it does not follow the stream.
func (g *Agent) next(number int32) (offset int64, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.streams[number]
	if s == nil {
		return 0, false
	}
	return s.next, true
}

// handOver lets the live reader judge records for a copy from now on, if the copy has caught up with it; else it says how
// far the copy has to go. No batch is applied meanwhile, so the two cannot miss each other.
func (g *Agent) handOver(ctx context.Context, a *mailstore.Account, read int64) (handed bool, next int64, err error) {
	number := a.Copy().Stream.Partition
	g.mu.Lock()
	s := g.streams[number]
	g.mu.Unlock()
	if s == nil {
		return false, 0, fault.New(fault.LogUnavailable, "stream %d is not read at present", number)
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	if next, _ = g.next(number); next > read {
		return false, next, nil
	}
	return true, next, a.GoLive(ctx)
}
