package replica

import (
	"context"
	"errors"

	"mailreplica/internal/complaint"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/pause"
	"mailreplica/internal/protocol"
)

// livesIn reports whether the log decides, or is about to, for a copy that lies in a stream of the given log.
func livesIn(c *protocol.Copy, id eventlog.Identity, number int32) bool {
	return c.Mode != protocol.Local && c.Stream.Partition == number && sameLog(c.Stream, id)
}

func sameLog(s protocol.Stream, id eventlog.Identity) bool {
	return s.ClusterID == id.ClusterID && s.TopicID == id.TopicID
}

// followAll begins to read every stream that a copy on this mailstore lives in. Copies of another cluster are left alone: they
// neither serve nor write until the brokers are set back; those of a topic that was made anew have lost their log.
func (g *Agent) followAll(ctx context.Context, log *eventlog.Log, id eventlog.Identity) error {
	wanted := map[int32]bool{}
	foreign := 0
	for _, a := range g.m.All() {
		switch c := a.Copy(); {
		case c.Mode == protocol.Local || c.Stream.Partition < 0:
		case sameLog(c.Stream, id):
			wanted[c.Stream.Partition] = true
		case c.Stream.ClusterID != id.ClusterID:
			foreign++
		default:
			if err := a.MissPosition(ctx); err != nil {
				return err
			}
		}
	}
	if foreign > 0 {
		g.logger.Error("the brokers are another cluster than the one that some accounts are logged on; those take no changes",
			"cluster", id.ClusterID, "accounts", foreign, "hint", "set global brokers back to the cluster that holds the replicas")
	}
	numbers := make([]int32, 0, len(wanted))
	for number := range wanted {
		numbers = append(numbers, number)
	}
	bounds, err := log.Bounds(ctx, numbers)
	if err != nil {
		return err
	}
	for number, b := range bounds {
		if err := g.follow(ctx, log, number, b, false); err != nil {
			return err
		}
	}
	return nil
}

// follow begins to read one stream at its stored position, unless it is read already. A position that the stream does not hold
// is a gap for every copy in it (rule 2), and so is one that the brokers have said is gone; the live reader then goes on at
// the end, for copies to come. A stream that no copy lives in is read from its end too: an old position of it is of no use.
func (g *Agent) follow(ctx context.Context, log *eventlog.Log, number int32, b eventlog.Bounds, gone bool) error {
	g.following.Lock()
	defer g.following.Unlock()
	s, id, err := g.stream(log, number)
	if err != nil || s.followed && !gone {
		return err
	}
	stored, known, err := g.position(ctx, id, number)
	if err != nil {
		return err
	}
	from, leaderEpoch := b.End, int32(-1)
	lost := gone || known && (stored.Offset < b.Start || stored.Offset > b.End)
	switch {
	case !g.isLivedIn(id, number):
	case lost:
		g.logger.Error("the event log does not hold this mailstore's position", "stream", number,
			"position", stored.Offset, "start", b.Start, "end", b.End)
		if err := g.missed(ctx, id, number); err != nil {
			return err
		}
	case known:
		from, leaderEpoch = stored.Offset, stored.LeaderEpoch
	}
	if !known || from != stored.Offset {
		err := g.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error {
			return tx.SetPosition(positionAt(id, number, from, leaderEpoch))
		})
		if err != nil {
			return err
		}
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.log != log {
		return errChanged()
	}
	s.followed, s.next, s.target, s.recent = true, from, b.End, recent{}
	s.caughtUp = s.caughtUp && !lost || s.next >= s.target
	g.reader.Follow(number, from, leaderEpoch)
	g.moved()
	return nil
}

func errChanged() error {
	return fault.New(fault.LogUnavailable, "the brokers were changed meanwhile")
}

// stream is the stream of a number, made when it is asked for first.
func (g *Agent) stream(log *eventlog.Log, number int32) (*stream, eventlog.Identity, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.log != log || log == nil {
		return nil, g.identity, errChanged()
	}
	s := g.streams[number]
	if s == nil {
		s = &stream{number: number}
		g.streams[number] = s
	}
	return s, g.identity, nil
}

func (g *Agent) isLivedIn(id eventlog.Identity, number int32) bool {
	for _, a := range g.m.All() {
		if livesIn(a.Copy(), id, number) {
			return true
		}
	}
	return false
}

func positionAt(id eventlog.Identity, number int32, offset int64, leaderEpoch int32) metadata.Position {
	return metadata.Position{
		ClusterID: id.ClusterID, TopicID: id.TopicID, Stream: number, Offset: offset, LeaderEpoch: leaderEpoch,
	}
}

func (g *Agent) position(ctx context.Context, id eventlog.Identity, number int32) (p metadata.Position, known bool, err error) {
	err = g.store.View(ctx, func(v *metadata.View) error {
		all, err := v.Positions()
		for _, candidate := range all {
			if candidate.Stream == number && candidate.ClusterID == id.ClusterID && candidate.TopicID == id.TopicID {
				p, known = candidate, true
			}
		}
		return err
	})
	return p, known, err
}

// missed makes every copy of a stream a gap. A copy that is catching up reads by itself, from a position of its own.
func (g *Agent) missed(ctx context.Context, id eventlog.Identity, number int32) error {
	for _, a := range g.m.All() {
		if c := a.Copy(); livesIn(c, id, number) && c.Condition != protocol.CatchingUp {
			if err := a.MissPosition(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// handle applies one batch of one stream. A batch that the database does not take is given again for as long as it
// takes: nothing of the stream is skipped.
func (g *Agent) handle(ctx context.Context, b eventlog.Batch) {
	if b.Err != nil {
		g.handleError(ctx, b)
		return
	}
	g.mu.Lock()
	s, id := g.streams[b.Stream], g.identity
	g.mu.Unlock()
	trouble := complaint.New(g.logger)
	for {
		err := g.applyNext(ctx, s, id, b.Entries)
		if err == nil {
			trouble.Over("events are applied again", "stream", b.Stream)
			return
		}
		if ctx.Err() != nil {
			return
		}
		trouble.Say("events cannot be applied; trying again", err, "stream", b.Stream)
		if pause.For(ctx, applyRetryPause) != nil {
			return
		}
	}
}

// applyNext applies what of a batch follows on what was judged. Between two attempts the stream is given free: a copy may be handed
// over meanwhile, and is judged for then, or the stream be moved.
func (g *Agent) applyNext(ctx context.Context, s *stream, id eventlog.Identity, entries []eventlog.Entry) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	entries = g.continues(s, entries)
	if len(entries) == 0 {
		return nil
	}
	last := entries[len(entries)-1]
	if err := g.m.ApplyLive(ctx, positionAt(id, s.number, last.Offset+1, last.LeaderEpoch), entries); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s.next = last.Offset + 1
	if g.making > 0 {
		s.recent.add(entries)
	} else {
		s.recent = recent{}
	}
	s.caughtUp = s.caughtUp || s.next >= s.target
	g.moved()
	return nil
}

// continues gives the entries of a batch that follow on what was judged. A batch that was fetched for an earlier position of
// the stream, before it was moved, does not: it would leave a hole that nobody notices.
func (g *Agent) continues(s *stream, entries []eventlog.Entry) []eventlog.Entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(entries) > 0 && entries[0].Offset < s.next {
		entries = entries[1:]
	}
	if !s.followed || len(entries) > 0 && entries[0].Offset != s.next {
		return nil
	}
	return entries
}

// handleError is for a stream that the reader follows no more. A position that is gone is a gap, whatever the bounds of the
// stream: the brokers may have cut the log off and written it anew. A topic that is gone, be it for one stream only, ends the
// session: the next one finds out what has become of it.
func (g *Agent) handleError(ctx context.Context, b eventlog.Batch) {
	g.logger.Error("a stream cannot be read", "stream", b.Stream, "error", b.Err, "hint", fault.HintOf(b.Err))
	g.mu.Lock()
	log, lost := g.log, g.lost
	g.mu.Unlock()
	switch {
	case errors.Is(b.Err, eventlog.ErrTopicGone):
		select {
		case lost <- b.Err:
		default: // it ends already
		}
	case errors.Is(b.Err, eventlog.ErrOffsetGone):
		for ctx.Err() == nil {
			bounds, err := log.Bounds(ctx, []int32{b.Stream})
			if err == nil {
				err = g.follow(ctx, log, b.Stream, bounds[b.Stream], true)
			}
			if err == nil {
				return
			}
			_ = pause.For(ctx, connectRetryPause) // as above
		}
	}
}

// handOver lets the live reader judge records for a copy from now on, if the copy has caught up with it; else it says how
// far the copy has to go, and gives what is missing if the stream remembers it. No batch is applied meanwhile, and the stream is
// not moved, so the two cannot miss each other.
func (g *Agent) handOver(ctx context.Context, a *mailstore.Account, read int64) (handed bool, next int64, missing []eventlog.Entry, err error) {
	where := a.Copy().Stream
	g.mu.Lock()
	s := g.streams[where.Partition]
	g.mu.Unlock()
	if s == nil {
		return false, 0, nil, errNotRead(where)
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	g.mu.Lock()
	next, id := s.next, g.identity
	readable := s.followed && sameLog(where, id)
	missing = s.recent.since(read)
	g.mu.Unlock()
	if !readable {
		return false, 0, nil, errNotRead(where)
	}
	if next > read {
		return false, next, missing, nil
	}
	return true, next, nil, a.GoLive(ctx, positionAt(id, where.Partition, next, -1))
}

// remember has streams remember what they read, until forget is called, for a copy that is about to be made.
func (g *Agent) remember() (forget func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.making++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.making--
	}
}

func errNotRead(s protocol.Stream) error {
	return fault.New(fault.LogUnavailable, "stream %d is not read at present", s.Partition)
}
