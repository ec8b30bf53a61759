// Package replica owns the replica's life on a mailstore (design section 5): the agent that reads streams and has events
// applied, the snapshot by which a copy begins, the catch-up that follows it, and the loop that makes this mailstore's
// copies what the directory wishes.
//
// It decides nothing about records: package protocol judges them, and package mailstore writes what was accepted.
package replica

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

const (
	applyRetryPause    = 200 * time.Millisecond // after a batch that the database did not take
	connectRetryPause  = 500 * time.Millisecond // between attempts to reach the brokers
	identityCheckEvery = 30 * time.Second       // rule 12: a recreated topic gives no error, only silence
)

// Agent is the part of a mailstore that reads streams and has their events applied. It serves the write path as its
// mailstore.Streams. Brokers may come, go and change while it runs.
//
// Lock order: a stream's applying, then mu.
type Agent struct {
	m      *mailstore.Mailstore
	store  *metadata.Store
	logger *slog.Logger

	mu       sync.Mutex
	log      *eventlog.Log
	reader   *eventlog.Reader
	identity eventlog.Identity
	streams  map[int32]*stream
	progress chan struct{} // closed and replaced whenever a stream moves on
	stop     context.CancelFunc
	stopped  chan struct{}
}

// stream is one partition that the live reader follows. next and target are guarded by the agent's mu.
type stream struct {
	number   int32
	applying sync.Mutex // held while a batch is applied, and while a copy is handed over
	next     int64      // offset that the live reader judges next
	target   int64      // end of the stream when it was followed first (rule 8)
}

// NewAgent makes an agent that reads nothing yet.
func NewAgent(m *mailstore.Mailstore, store *metadata.Store, logger *slog.Logger) *Agent {
	return &Agent{m: m, store: store, logger: logger, streams: map[int32]*stream{}, progress: make(chan struct{})}
}

// Connect makes the agent use the given brokers from now on, without waiting for them: it goes on trying until they
// answer or Connect is called again. No brokers end the use of the log.
func (g *Agent) Connect(config eventlog.Config) {
	g.Close()
	if len(config.Brokers) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	g.mu.Lock()
	g.stop, g.stopped = cancel, stopped
	g.mu.Unlock()
	go func() {
		defer close(stopped)
		g.keepConnected(ctx, config)
	}()
}

// Close ends the use of the log. What is in doubt stays in doubt; streams are read anew at the next Connect.
func (g *Agent) Close() {
	g.mu.Lock()
	stop, stopped := g.stop, g.stopped
	g.stop = nil
	g.mu.Unlock()
	if stop == nil {
		return
	}
	stop()
	<-stopped
}

func (g *Agent) keepConnected(ctx context.Context, config eventlog.Config) {
	for ctx.Err() == nil {
		err := g.session(ctx, config)
		g.disconnect()
		if ctx.Err() != nil {
			return
		}
		g.logger.Error("the event log cannot be used; writes to replicated accounts wait", "error", err, "hint", fault.HintOf(err))
		pause(ctx, connectRetryPause)
	}
}

// session is one use of the log, from opening it until the context ends or the log turns out to be another one.
func (g *Agent) session(ctx context.Context, config eventlog.Config) error {
	log, err := eventlog.Open(ctx, config)
	if err != nil {
		return err
	}
	defer log.Close()
	identity, err := log.Identity(ctx)
	if err != nil {
		return err
	}
	reader := log.NewReader(g.handle)
	defer reader.Close()
	g.mu.Lock()
	g.log, g.reader, g.identity = log, reader, identity
	g.mu.Unlock()
	if err := g.followAll(ctx, log, reader, identity); err != nil {
		return err
	}
	g.logger.Info("reading the event log", "cluster", identity.ClusterID, "streams", len(g.numbers()))
	for pause(ctx, identityCheckEvery) {
		now, err := log.Identity(ctx)
		if err == nil && (now.ClusterID != identity.ClusterID || now.TopicID != identity.TopicID) {
			return fault.New(fault.LogUnavailable, "the event log's topic or cluster is another one than before")
		}
	}
	return nil
}

func (g *Agent) disconnect() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log, g.reader = nil, nil
	g.streams = map[int32]*stream{}
}

// followAll begins to read every stream that a copy on this mailstore lives in.
func (g *Agent) followAll(ctx context.Context, log *eventlog.Log, reader *eventlog.Reader, id eventlog.Identity) error {
	wanted := map[int32]bool{}
	for _, a := range g.m.All() {
		c := a.Copy()
		if c.Mode == protocol.Local || c.Stream.Partition < 0 {
			continue
		}
		if c.Stream.ClusterID != id.ClusterID {
			return fault.New(fault.LogUnavailable, "the brokers are another cluster (%s) than the one that account %s is logged on (%s)",
				id.ClusterID, a.ID(), c.Stream.ClusterID).WithHint("set global brokers back to the cluster that holds the replicas")
		}
		if c.Stream.TopicID != id.TopicID {
			if err := a.MissPosition(ctx); err != nil {
				return err
			}
			continue
		}
		wanted[c.Stream.Partition] = true
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
		if err := g.follow(ctx, reader, id, number, b); err != nil {
			return err
		}
	}
	return nil
}

// follow begins to read one stream at its stored position. A position that the stream does not hold is a gap for every copy
// in it (rule 2); the live reader then goes on at the end, for copies to come.
func (g *Agent) follow(ctx context.Context, reader *eventlog.Reader, id eventlog.Identity, number int32, b eventlog.Bounds) error {
	stored, known, err := g.position(ctx, id, number)
	if err != nil {
		return err
	}
	from, leaderEpoch := b.End, int32(-1)
	switch {
	case known && stored.Offset >= b.Start && stored.Offset <= b.End:
		from, leaderEpoch = stored.Offset, stored.LeaderEpoch
	case known:
		g.logger.Error("the event log does not hold this mailstore's position", "stream", number,
			"position", stored.Offset, "start", b.Start, "end", b.End)
		if err := g.missed(ctx, number); err != nil {
			return err
		}
		fallthrough
	default:
		if err := g.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error {
			return tx.SetPosition(positionAt(id, number, from, leaderEpoch))
		}); err != nil {
			return err
		}
	}
	g.mu.Lock()
	if g.reader != reader {
		g.mu.Unlock()
		return fault.New(fault.LogUnavailable, "the brokers were changed meanwhile")
	}
	g.streams[number] = &stream{number: number, next: from, target: b.End}
	g.moved()
	g.mu.Unlock()
	reader.Follow(number, from, leaderEpoch)
	return nil
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

// missed makes every copy of a stream a gap.
func (g *Agent) missed(ctx context.Context, number int32) error {
	for _, a := range g.m.All() {
		if a.Copy().Stream.Partition == number {
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
	if s == nil {
		return
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	last := b.Entries[len(b.Entries)-1]
	position := positionAt(id, b.Stream, last.Offset+1, last.LeaderEpoch)
	for {
		err := g.m.ApplyLive(ctx, position, b.Entries)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		g.logger.Error("events cannot be applied; trying again", "stream", b.Stream, "error", err, "hint", fault.HintOf(err))
		if !pause(ctx, applyRetryPause) {
			return
		}
	}
	g.mu.Lock()
	s.next = last.Offset + 1
	g.moved()
	g.mu.Unlock()
}

func (g *Agent) handleError(ctx context.Context, b eventlog.Batch) {
	g.logger.Error("a stream cannot be read", "stream", b.Stream, "error", b.Err, "hint", fault.HintOf(b.Err))
	if !errors.Is(b.Err, eventlog.ErrOffsetGone) {
		return // the identity check, or the next connection, finds out what has become of the topic
	}
	g.mu.Lock()
	log, reader, id := g.log, g.reader, g.identity
	g.mu.Unlock()
	if log == nil {
		return
	}
	for ctx.Err() == nil {
		bounds, err := log.Bounds(ctx, []int32{b.Stream})
		if err == nil {
			err = g.follow(ctx, reader, id, b.Stream, bounds[b.Stream])
		}
		if err == nil {
			return
		}
		pause(ctx, connectRetryPause)
	}
}

// moved tells those who wait for a stream. The caller holds mu.
func (g *Agent) moved() {
	close(g.progress)
	g.progress = make(chan struct{})
}

func (g *Agent) numbers() []int32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	numbers := make([]int32, 0, len(g.streams))
	for number := range g.streams {
		numbers = append(numbers, number)
	}
	return numbers
}

// pause waits; it reports false if the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
