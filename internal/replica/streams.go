package replica

import (
	"context"
	"time"

	"mailreplica/internal/event"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/protocol"
)

// Append implements mailstore.Streams. A record is appended to the log that its account's copy lies in, or not at all (rule 12).
func (g *Agent) Append(number int32, key, value []byte, done func(error)) {
	begun := time.Now()
	g.append(number, key, value, func(err error) {
		g.measures.count(err, begun)
		done(err)
	})
}

func (g *Agent) append(number int32, key, value []byte, done func(error)) {
	g.mu.Lock()
	log, id := g.log, g.identity
	g.mu.Unlock()
	if log == nil {
		done(errNoBrokers())
		return
	}
	account, ok := event.ParseKey(key)
	if a, held := g.m.Account(account); !ok || !held || !sameLog(a.Copy().Stream, id) {
		done(fault.New(fault.LogUnavailable, "the account's records do not lie in the event log in use"))
		return
	}
	log.Append(number, key, value, done)
}

// errNoBrokers says all the reasons that there are: the agent is not told why it is not connected.
func errNoBrokers() error {
	return fault.New(fault.LogUnavailable, "no event log is in use: the brokers do not answer, none are configured, or the agent is stopped").
		WithHint("MailReplica getServices with --host says which; MailReplica test asks the brokers")
}

// Confirm asks the brokers afresh: whether they answer, whether the log is the one that is meant (the check of every half minute may
// be behind), and for the end of the stream, which is then read.
func (g *Agent) Confirm(ctx context.Context, stream protocol.Stream) error {
	log := g.Log()
	if log == nil {
		return errNoBrokers()
	}
	now, err := log.Identity(ctx)
	if err != nil {
		return err
	}
	if !sameLog(stream, now) || !g.Holds(stream) {
		return errChanged()
	}
	return g.ReadToEnd(ctx, []int32{stream.Partition})
}

// Follow implements mailstore.Streams.
func (g *Agent) Follow(ctx context.Context, number int32) error {
	g.mu.Lock()
	log, s := g.log, g.streams[number]
	followed := s != nil && s.followed
	g.mu.Unlock()
	if log == nil {
		return errNoBrokers()
	}
	if followed {
		return nil
	}
	bounds, err := log.Bounds(ctx, []int32{number})
	if err != nil {
		return err
	}
	return g.follow(ctx, log, number, bounds[number], false)
}

// CaughtUp implements mailstore.Streams (rule 8). It stays true while brokers are away.
func (g *Agent) CaughtUp(number int32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.streams[number]
	return s != nil && s.caughtUp
}

// Holds reports whether a copy's records lie in the log in use, or the one that was last (rule 12).
func (g *Agent) Holds(stream protocol.Stream) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return sameLog(stream, g.identity)
}

// ReadToEnd returns when the live reader has read the streams to the ends that they had when it was called (rule 9). While
// the brokers are being looked for, it waits for them: after a start, what was left unfinished is taken up before they have
// answered.
func (g *Agent) ReadToEnd(ctx context.Context, numbers []int32) error {
	log, err := g.opened(ctx)
	if err != nil {
		return err
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

// opened gives the log in use, once there is one.
func (g *Agent) opened(ctx context.Context) (*eventlog.Log, error) {
	for {
		g.mu.Lock()
		log, configured, progress := g.log, g.stop != nil, g.progress
		g.mu.Unlock()
		if log != nil {
			return log, nil
		}
		if !configured {
			return nil, errNoBrokers()
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return nil, errNoBrokers()
		}
	}
}

func (g *Agent) behind(bounds map[int32]eventlog.Bounds) (bool, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for number, b := range bounds {
		if s := g.streams[number]; s == nil || !s.followed || s.next < b.End {
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
