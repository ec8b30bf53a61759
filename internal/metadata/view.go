package metadata

import (
	"context"
	"errors"
	"sync"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// viewsMax is how many Views read at the same time; further ones wait. Each may hold a page cache of readerCacheBytes.
const viewsMax = 64

// staleWithin is how soon a connection that has ended says so. One that takes longer says that the server is in trouble, and
// another connection would only have its caller wait twice.
const staleWithin = time.Second

// idleViewsMax is how many connections stay open while nobody reads by them.
const idleViewsMax = 16

// View is one consistent snapshot of the database. It must not be kept, nor used by several goroutines at once.
type View struct {
	store *Store
	c     *conn           // nil: the snapshot begins with the first question that what is known does not answer
	ctx   context.Context // nil inside a Tx: it is not interrupted half way
	over  bool

	hot    map[int64]*hot // what is known of mailboxes in this snapshot
	tx     *txState       // inside a Tx
	failed error          // inside a Tx the first failure, which undoes the Tx; else why the snapshot did not begin

	deliveries map[askedDelivery]*mailbox.Delivery // asked for; nil: there is none
}

// View runs fn on a snapshot that holds all that was committed when it was called. Many Views run in parallel, none waits
// for a writer, but a View that lasts keeps the write-ahead log from being cut back. fn must not call View itself: when
// all snapshots are taken, the inner call would wait for the outer.
func (s *Store) View(ctx context.Context, fn func(*View) error) error {
	v := &View{store: s, ctx: ctx}
	if v.begin(); v.failed != nil {
		return v.failed
	}
	return v.run(fn)
}

// ErrMoved says that the rows of a mailbox are not at the sequence any more that a ViewAt was of.
var ErrMoved = errors.New("the mailbox has moved on")

// ViewAt is View for who believes that a mailbox's rows are at a sequence. If they were when they were last written, its snapshot
// begins only with the first question that cannot be answered by what is known of them, most often never. It fails with ErrMoved if
// they were altered meanwhile; whoever is not told so must not take it that they were not.
func (s *Store) ViewAt(ctx context.Context, mailboxID int64, sequence mailbox.Sequence, fn func(*View) error) error {
	known := s.hot.get(mailboxID)
	if known == nil || !known.current || known.header.Sequence != sequence {
		return s.View(ctx, fn)
	}
	if err := s.views.mayBegin(ctx); err != nil {
		return err
	}
	k := *known
	k.learned = false
	v := &View{store: s, ctx: ctx, hot: map[int64]*hot{mailboxID: &k}}
	return v.run(fn)
}

// begin begins the snapshot, which must be one of the rows that are known.
func (v *View) begin() {
	if v.c, v.failed = v.store.views.take(v.ctx); v.failed != nil {
		return
	}
	for id, k := range v.hot {
		header, err := v.readHeader(id)
		if err == nil && header != k.header || fault.Is(err, fault.NotFound) {
			err = ErrMoved
		}
		v.failed = firstOf(v.failed, err)
	}
}

// run runs fn, and ends the snapshot if there is one. After a panic its connection is closed.
func (v *View) run(fn func(*View) error) (err error) {
	sound := false
	defer func() {
		v.over = true
		if v.c != nil {
			v.store.views.give(v.c, sound)
		}
	}()
	err = fn(v)
	if v.c == nil {
		return firstOf(v.failed, err)
	}
	_, end := v.c.exec("COMMIT")
	if sound = end == nil; sound && v.failed == nil {
		v.publish()
	}
	return firstOf(v.failed, err, end)
}

// viewPool keeps the connections that Views read by. They are opened as they are needed.
type viewPool struct {
	store *Store
	slots chan struct{} // capacity viewsMax: one token a View

	mu   sync.Mutex
	idle []*conn
}

func (p *viewPool) open(s *Store) { p.store, p.slots = s, make(chan struct{}, viewsMax) }

// take gives a connection on which a snapshot has begun.
func (p *viewPool) take(ctx context.Context) (*conn, error) {
	if err := p.mayBegin(ctx); err != nil {
		return nil, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, interrupted(ctx)
	case <-p.store.closing:
		return nil, errClosed()
	}
	c, err := p.begin(ctx)
	if err != nil {
		<-p.slots
	}
	return c, err
}

func (p *viewPool) mayBegin(ctx context.Context) error {
	if p.store.isClosing() {
		return errClosed()
	}
	if lost := p.store.lost.Load(); lost != nil {
		return lost
	}
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	return nil
}

// begin begins a snapshot on a connection that is idle, or on a new one. If an idle one turns out to have ended, the server
// was restarted, perhaps, and the others have ended with it.
func (p *viewPool) begin(ctx context.Context) (*conn, error) {
	if c := p.pop(); c != nil {
		asked := time.Now()
		err := p.snapshot(ctx, c)
		if err == nil {
			return c, nil
		}
		p.drop(c)
		if c.harm != undone || time.Since(asked) > staleWithin {
			return nil, err
		}
		for c := p.pop(); c != nil; c = p.pop() {
			p.drop(c)
		}
	}
	c, err := p.store.connect(ctx, p.store.readers)
	if err != nil {
		return nil, err
	}
	if err := p.snapshot(ctx, c); err != nil {
		p.drop(c)
		return nil, err
	}
	return c, nil
}

func (p *viewPool) snapshot(ctx context.Context, c *conn) error {
	if err := p.store.gate.enter(ctx, p.store.closing); err != nil {
		return err
	}
	defer p.store.gate.leave()
	return p.store.dialect.snapshot(c)
}

func (p *viewPool) drop(c *conn) {
	if err := c.close(); err != nil {
		p.store.logger.Warn("a connection to the mailstore's database did not close cleanly", "error", err)
	}
}

func (p *viewPool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

// give takes a connection back; one that is not sound, after a panic or a failure, is closed.
func (p *viewPool) give(c *conn, sound bool) {
	if !sound || !p.keep(c) {
		p.drop(c)
	}
	<-p.slots
}

func (p *viewPool) keep(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) >= idleViewsMax {
		return false
	}
	p.idle = append(p.idle, c)
	return true
}

// drain waits for all Views. No further one begins, for the store is closing.
func (p *viewPool) drain() {
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
}

func (p *viewPool) close() error {
	var errs []error
	for c := p.pop(); c != nil; c = p.pop() {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

// firstOf is the first error there is.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// ready says why a View or Tx may not ask the database, nil if it may: its snapshot has begun, and what is due was written.
func (v *View) ready() error {
	if err := v.usable(); err != nil {
		return err
	}
	if v.c == nil {
		v.begin()
		return v.failed
	}
	return v.flush()
}

// usable says why a View or Tx may not be asked any more, nil if it may.
func (v *View) usable() error {
	if v.over {
		return fault.New(fault.Internal, "a database snapshot was used after its end")
	}
	if v.ctx != nil && v.ctx.Err() != nil {
		return interrupted(v.ctx)
	}
	return v.failed
}

// note remembers inside a Tx that something failed. The engine may have undone the whole transaction then; a further
// statement would be a transaction of its own.
func (v *View) note(err error) error {
	if v.ctx == nil {
		v.failed = firstOf(v.failed, err)
	}
	return err
}

// one is conn.one for callers from outside.
func (v *View) one(query string, args []any, dest ...any) (bool, error) {
	if err := v.ready(); err != nil {
		return false, err
	}
	found, err := v.c.one(query, args, dest...)
	return found, v.note(err)
}

// rowsBetweenChecks is how many rows are read before the context is looked at again.
const rowsBetweenChecks = 1024

// each runs a query and calls row for each of its rows until row says stop. row may ask the same View other questions.
func (v *View) each(query string, args []any, row func(*cursor) (more bool, err error)) error {
	if err := v.ready(); err != nil {
		return err
	}
	cur, err := v.c.query(query, args...)
	if err != nil {
		return v.note(err)
	}
	closed := false
	defer func() { // after a panic of the caller's function too
		if !closed {
			_ = cur.close()
		}
	}()
	for n := 1; cur.next(); n++ {
		more, err := row(cur)
		if err != nil || !more {
			closed = true
			return v.note(firstOf(err, cur.close()))
		}
		if n%rowsBetweenChecks == 0 {
			if err := v.usable(); err != nil {
				return err
			}
		}
	}
	closed = true
	return v.note(cur.close())
}
