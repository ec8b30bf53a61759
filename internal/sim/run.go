package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/node"
	"mailreplica/internal/sim/check"
)

const (
	faultyDefault  = 45 * time.Second
	calmedSec      = 10              // that clients go on when all is mended
	operationMax   = 3 * time.Minute // longer than any of a client's waits
	idleConnsClose = 5 * time.Minute // connections that are kept go within that
	breatheEvery   = time.Second

	collectEvery = 16 // rests, in an exact run
)

// Report is what became of a run.
type Report struct {
	Problems         []string
	Trace            string
	Ops, Done, Views int
	Lives            int
	Virtual          time.Duration
	Steps            int // of the search for an order
	GivenUp          int // accounts of which none was found within its bound
}

// Run simulates one cluster. It must be called inside of a synctest bubble. live may be nil.
func Run(ctx context.Context, o Options, live io.Writer) (r Report, err error) {
	if o.Exact && !exactly(o.Seed) {
		return r, errors.New("this program was not built for exact runs: go run ./internal/sim/exact")
	}
	shape := o.of("shape")
	if o.Faulty == 0 {
		o.Faulty = faultyDefault
	}
	if o.Streams == 0 {
		o.Streams = 1 + shape.Int32N(3)
	}
	begun := time.Now()
	c, err := newCluster(ctx, o)
	if err != nil {
		return r, err
	}
	c.trace.live = live
	if err := c.populate(ctx); err != nil {
		c.close()
		return r, fmt.Errorf("%w\n%s", err, c.trace.text())
	}
	var clients []*client
	var working sync.WaitGroup
	for i := range len(c.accounts) * (1 + shape.IntN(4)) {
		client := newClient(c, i, c.accounts[i%len(c.accounts)])
		clients = append(clients, client)
		working.Go(func() { client.run(ctx) })
	}
	strangers := c.strangers()
	for _, s := range strangers {
		working.Go(func() { s.run(ctx) })
	}
	n := newNemesis(c)
	if o.Scenario == nil {
		n.run(ctx, o.Faulty)
	} else if err := n.play(ctx, *o.Scenario); err != nil {
		c.problem("%v", err)
	}
	n.mend(ctx)
	for i := 0; i < calmedSec && !c.isBroken(); i++ {
		n.sleep(time.Second)
		n.tidy(ctx, true)
		c.breathe()
	}
	close(c.stopped)
	c.await(&working)
	n.settle(ctx)
	if !c.isBroken() {
		for _, client := range clients {
			working.Go(func() { client.finish(ctx) })
		}
		for _, s := range strangers {
			working.Go(func() { s.finish(ctx) })
		}
		c.await(&working)
		n.settle(ctx)
		c.audit(ctx)
		n.auditPlans(ctx)
	}
	c.close()
	for range int(idleConnsClose / breatheEvery) {
		time.Sleep(breatheEvery)
		c.breathe()
	}
	c.problems = append(c.problems, c.trace.alarm...)
	c.problems = append(c.problems, c.history.Check()...)
	c.problems = append(c.problems, c.history.Unended(operationMax)...)
	for _, l := range c.history.Linearize() {
		r.Steps += l.Steps
		if l.Gave {
			r.GivenUp++
		}
		if l.Problem != "" {
			c.problems = append(c.problems, l.Problem)
		}
	}
	r.Problems, r.Trace, r.Virtual = c.problems, c.trace.text(), time.Since(begun)
	r.Ops, r.Done, r.Views = c.history.Counts()
	for _, m := range c.stores {
		r.Lives += m.lives
	}
	return r, nil
}

// isBroken reports whether something has gone wrong already: then the run ends soon, with that.
func (c *cluster) isBroken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.problems) > 0 || c.trace.isAlarmed()
}

// await waits for goroutines.
func (c *cluster) await(all *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	for {
		timer := time.NewTimer(breatheEvery)
		select {
		case <-done:
			timer.Stop()
			return
		case <-timer.C:
			c.breathe()
		}
	}
}

// breathe lets everything come to rest. In an exact run memory is collected then, and at no other time: a collection that went on
// beside the cluster would change who runs when.
func (c *cluster) breathe() {
	synctest.Wait()
	if !c.options.Exact {
		return
	}
	if c.rests++; c.rests%collectEvery == 0 { // how much memory is in use differs a little from run to run
		runtime.GC()
	}
}

func (c *cluster) nodeOf(name string) *node.Node { return c.storeOf(name).life.Load().node.Load() }

func (c *cluster) storeOf(name string) *mailstore {
	for _, m := range c.stores {
		if m.name == name {
			return m
		}
	}
	return nil
}

// audit compares all copies, row by row, and looks for every body.
func (c *cluster) audit(ctx context.Context) {
	for _, id := range c.accounts {
		var first *check.View
		for _, m := range c.stores {
			l := m.life.Load()
			if l == nil || l.node.Load() == nil {
				continue
			}
			stored := l.node.Load().Mailstore()
			if _, held := stored.Account(id); !held {
				continue
			}
			var v *check.View
			err := stored.Snapshot(ctx, id, func(row metadata.Mailbox, rows mailbox.Scanner) (err error) {
				if v, err = check.Read(rows, nil); err != nil {
					return err
				}
				digest, err := mailbox.FullDigest(rows)
				if err == nil && digest != v.Digest {
					c.problem("the digest of %s on %s is not that of its rows", id, m.name)
				}
				return err
			})
			if err != nil {
				c.problem("the copy of %s on %s cannot be read: %v", id, m.name, err)
				continue
			}
			v.Account, v.Mailstore, v.Started, v.Begun, v.Ended, v.Settled = id, m.name, l.begun, time.Now(), time.Now(), true
			c.history.Saw(v)
			if first == nil {
				first = v
			} else if why := check.Differ(first, v); why != "" {
				c.problem("the copies of %s on %s and %s differ: %s", id, first.Mailstore, v.Mailstore, why)
			}
			c.auditBodies(ctx, m, v)
		}
		if first == nil {
			c.problem("account %s has no copy at all", id)
		}
	}
}

func (c *cluster) auditBodies(ctx context.Context, m *mailstore, v *check.View) {
	stored := m.life.Load().node.Load().Mailstore()
	for _, r := range v.Rows {
		b, err := stored.OpenBody(ctx, mailbox.Content{Volume: volumeName, Blob: r.Blob})
		if err != nil {
			c.problem("the body of UID %d of folder %d of %s, blob %s, cannot be read: %v", r.UID, r.Folder, v.Account, r.Blob, err)
			continue
		}
		text := make([]byte, b.Size())
		_, err = b.ReadAt(text, 0)
		want := (&mail{number: c.history.Delivery(r.Blob)}).body()
		if err != nil && err != io.EOF || !strings.HasSuffix(string(text), want) { // a frontend puts a line before it
			c.problem("the body of UID %d of folder %d of %s, blob %s, is %q, want %q, %v", r.UID, r.Folder, v.Account, r.Blob, text, want, err)
		}
		_ = b.Close()
	}
}
