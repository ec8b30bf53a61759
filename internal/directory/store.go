package directory

import (
	"context"
	"sync/atomic"
	"time"

	"mailreplica/internal/fault"
)

// Names of rows in the tables counters and meta.
const (
	counterVersion  = "version"      // of the last transaction that changed a copied row
	counterPruned   = "pruned"       // version of the last row of the table removed that was pruned
	metaDirectoryID = "directory_id" // of the directory; in a copy, of the one it was made from
	metaConfirmedAt = "confirmed_at" // of a copy: when it last was known to equal the directory
	// of a copy: number of the schema that the program had which last copied all of the directory
	metaCopiedSchema = "copied_schema"
)

const (
	writeTimeoutDefault = 10 * time.Second
	readTimeoutDefault  = 5 * time.Second
	retryPauseMax       = 50 * time.Millisecond // between attempts at a lock, beyond what the engine waits itself
)

// store is one database of the directory's schema: the directory, or a mailstore's copy of it.
type store struct {
	engine       engine
	what         string           // in messages
	unavailable  fault.Kind       // of a database that cannot be read or written
	clock        func() time.Time // nil: the database's, or else the machine's
	writeTimeout time.Duration
	readTimeout  time.Duration

	opening chan struct{} // holds one thing while the engine is opened or closed, for a wait that a context can end
	shut    bool          // guarded by opening

	writes  writeQueue
	silence silence

	follower atomic.Pointer[Copy] // of a directory: the copy that this process makes of it; nil: none
}

func newStore(e engine, what string, unavailable fault.Kind, opts Options) *store {
	s := &store{
		engine: e, what: what, unavailable: unavailable, opening: make(chan struct{}, 1),
		clock: opts.Now, writeTimeout: opts.WriteTimeout, readTimeout: opts.ReadTimeout,
	}
	if s.writeTimeout <= 0 {
		s.writeTimeout = writeTimeoutDefault
	}
	if s.readTimeout <= 0 {
		s.readTimeout = readTimeoutDefault
	}
	return s
}

// now is the time by the clock given, or by the machine's.
func (s *store) now() time.Time {
	if s.clock != nil {
		return s.clock()
	}
	return time.Now()
}

// exclusively runs f while no other runs. It waits no longer than ctx lasts: a server that says nothing holds up whoever
// opens it, and must not hold up those behind for longer than their own limits.
func (s *store) exclusively(ctx context.Context, f func() error) error {
	select {
	case s.opening <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.opening }()
	if s.shut {
		return fault.New(fault.Interrupted, "%s is closed", s.what)
	}
	return f()
}

// create makes the database unless it is there.
func (s *store) create(ctx context.Context) error {
	return s.fail(s.retry(ctx, s.writeTimeout, func(ctx context.Context) error {
		return s.exclusively(ctx, func() error { return s.engine.create(ctx, s.now()) })
	}))
}

func (s *store) close() error {
	s.writes.finish()
	s.opening <- struct{}{}
	defer func() { <-s.opening }()
	s.shut = true
	if err := s.engine.close(); err != nil {
		return fault.Wrap(s.unavailable, err, "cannot close %s", s.what)
	}
	return nil
}
