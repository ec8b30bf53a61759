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

	"mailreplica/internal/complaint"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/pause"
)

const (
	applyRetryPause    = 200 * time.Millisecond // after a batch that the database did not take
	connectRetryPause  = 500 * time.Millisecond // between attempts to reach the brokers
	identityCheckEvery = 30 * time.Second       // rule 12: a recreated topic gives no error, only silence
)

// Agent is the part of a mailstore that reads streams and has their events applied. It serves the write path as its
// mailstore.Streams. Brokers may come, go and change while it runs.
//
// Lock order: following, then a stream's applying, then an account's locks; mu is the last one.
type Agent struct {
	m      *mailstore.Mailstore
	store  *metadata.Store
	logger *slog.Logger
	silent *complaint.Complaint // about the brokers
	frames frames

	measures Measures

	following sync.Mutex // held while it is decided from where a stream is read

	mu       sync.Mutex
	log      *eventlog.Log
	reader   *eventlog.Reader
	identity eventlog.Identity // of the log in use, or of the last one that was
	lost     chan error        // of the session: why it cannot go on; has room for one
	streams  map[int32]*stream // every stream that was ever read, for its applying outlives a session
	progress chan struct{}     // closed and replaced whenever a stream moves on
	stop     context.CancelFunc
	stopped  chan struct{}
	making   int // copies that are being made, for which streams remember what they have read
}

// stream is one partition that the live reader follows. All but applying is guarded by the agent's mu; next, recent and followed
// change only while applying is held, too.
type stream struct {
	number   int32
	applying sync.Mutex // held while a batch is applied, and while a copy is handed over
	followed bool
	next     int64 // offset that the live reader judges next
	recent   recent
	target   int64 // end of the stream when it was followed (rule 8)
	caughtUp bool  // target was reached once in this process, on this log: brokers that are away do not end that
}

// NewAgent makes an agent that reads nothing yet.
func NewAgent(m *mailstore.Mailstore, store *metadata.Store, logger *slog.Logger) *Agent {
	return &Agent{m: m, store: store, logger: logger, silent: complaint.New(logger), frames: newFrames(), streams: map[int32]*stream{}, progress: make(chan struct{})}
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
	g.moved()
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
		g.silent.Say("the event log cannot be used; writes to replicated accounts wait", err)
		_ = pause.For(ctx, connectRetryPause) // the loop looks
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
	lost := g.use(log, reader, identity)
	if err := g.followAll(ctx, log, identity); err != nil {
		return err
	}
	g.logger.Info("reading the event log", "cluster", identity.ClusterID)
	g.silent.Over("the event log can be used again")
	g.warn(ctx, log)
	ticker := time.NewTicker(identityCheckEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case err := <-lost:
			return err
		case <-ctx.Done():
			return nil
		}
		now, err := log.Identity(ctx)
		if errors.Is(err, eventlog.ErrTopicGone) {
			return err
		}
		if err == nil && (now.ClusterID != identity.ClusterID || now.TopicID != identity.TopicID) {
			return fault.New(fault.LogUnavailable, "the event log's topic or cluster is another one than before")
		}
		switch {
		case err == nil:
			g.silent.Over("the event log can be used again")
		case ctx.Err() == nil:
			g.silent.Say("the event log does not answer; writes to replicated accounts wait", err)
		}
	}
}

// warn tells of settings of the brokers that are unsafe.
func (g *Agent) warn(ctx context.Context, log *eventlog.Log) {
	warnings, err := log.Check(ctx)
	if err != nil {
		g.logger.Warn("the brokers' settings could not be checked", "error", err)
	}
	for _, w := range warnings {
		g.logger.Warn("a setting of the brokers is unsafe", "setting", w.Setting, "value", w.Value, "want", w.Want, "why", w.Why, "mend", w.Mend)
	}
}

// use makes a log the one in use. What was caught up with on another log counts no more.
func (g *Agent) use(log *eventlog.Log, reader *eventlog.Reader, identity eventlog.Identity) <-chan error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.identity.ClusterID != identity.ClusterID || g.identity.TopicID != identity.TopicID {
		for _, s := range g.streams {
			s.caughtUp = false
		}
	}
	g.log, g.reader, g.identity, g.lost = log, reader, identity, make(chan error, 1)
	g.moved()
	return g.lost
}

// disconnect ends the use of the log, when no handler is running any more.
func (g *Agent) disconnect() {
	g.following.Lock() // who is about to follow a stream does so before, and is undone
	defer g.following.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log, g.reader = nil, nil
	for _, s := range g.streams {
		s.followed = false
	}
	g.moved()
}

// moved tells those who wait for a stream. The caller holds mu.
func (g *Agent) moved() {
	close(g.progress)
	g.progress = make(chan struct{})
}
