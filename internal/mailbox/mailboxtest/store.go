// Package mailboxtest owns what every mailbox's engine is tested with: random transactions, a comparison of all rows
// through every way to read them, and a suite that drives an engine and the model in memory side by side. It knows the
// ports of package mailbox only.
package mailboxtest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"mailreplica/internal/mailbox"
)

// Store is an engine under test: it holds one mailbox, which has no rows and sequence 0 at first.
type Store interface {
	mailbox.Scanner
	Write(mailbox.Delta) error
}

// Reopener is a Store that can be closed and opened again; the suite goes on with what Reopen gives.
type Reopener interface {
	Reopen(t testing.TB) Store
}

const (
	transactions  = 200
	compareEvery  = 8
	manyMessages  = 2_000
	nearlyLastUID = 1<<32 - 12
)

// Run drives the engine and the model through the same transactions and compares all that can be read.
func Run(t *testing.T, name string, open func(t testing.TB) Store) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Run("random", func(t *testing.T) { runRandom(t, seedOf(name), open) })
		t.Run("many", func(t *testing.T) { runMany(t, open) })
		t.Run("edges", func(t *testing.T) { runEdges(t, open) })
	})
}

func seedOf(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}

// pair is an engine's source and replica, with the model of both.
type pair struct {
	t               testing.TB
	rng             *rand.Rand
	source, replica Store
	model           *mailbox.Memory
}

func newPair(t testing.TB, seed uint64, open func(t testing.TB) Store) *pair {
	t.Helper()
	p := &pair{t: t, rng: rand.New(rand.NewPCG(seed, 1)), source: open(t), replica: open(t), model: mailbox.NewMemory()}
	p.commit(func(d *mailbox.Draft) error { return d.InitialFolders() })
	return p
}

// commit computes a transaction on the source and on the model, which must decide alike, and applies it everywhere.
func (p *pair) commit(operate func(*mailbox.Draft) error) {
	p.t.Helper()
	draft := p.draft(p.source, operate)
	p.write(draft, p.draft(p.model, operate))
}

func (p *pair) draft(base mailbox.Reader, operate func(*mailbox.Draft) error) *mailbox.Draft {
	p.t.Helper()
	d, err := mailbox.NewDraft(base, time.Unix(1_790_000_000+int64(p.sequence()), 0))
	p.check("NewDraft", err)
	p.check("operation", operate(d))
	return d
}

func (p *pair) check(what string, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

func (p *pair) write(draft, modelDraft *mailbox.Draft) {
	p.t.Helper()
	change, err := draft.Change()
	p.check("Change on the source", err)
	modelChange, err := modelDraft.Change()
	p.check("Change on the model", err)
	if got, want := fmt.Sprint(change), fmt.Sprint(modelChange); got != want {
		p.t.Fatalf("the source decides otherwise than the model:\n got %s\nwant %s", got, want)
	}
	next := p.model.Clone()
	p.check("write the model", next.Write(modelDraft.Delta()))
	if p.rng.IntN(compareEvery) == 0 {
		Compare(p.t, p.rng, draft, next)
	}
	delta, err := mailbox.Apply(p.replica, draft.Sequence(), change)
	p.check("Apply on the replica", err)
	p.check("write the source", p.source.Write(draft.Delta()))
	p.check("write the replica", p.replica.Write(delta))
	p.model = next
}

// whole gives every copy the rows that a function computes from each.
func (p *pair) whole(compute func(mailbox.Reader) (mailbox.Delta, error)) {
	p.t.Helper()
	for _, s := range []Store{p.source, p.replica, p.model} {
		delta, err := compute(s)
		p.check("compute", err)
		p.check("write", s.Write(delta))
	}
}

func (p *pair) compare() {
	p.t.Helper()
	Compare(p.t, p.rng, p.source, p.model)
	Compare(p.t, p.rng, p.replica, p.model)
	if p.t.Failed() {
		p.t.FailNow()
	}
}

func (p *pair) reopen() {
	if r, ok := p.source.(Reopener); ok {
		p.source = r.Reopen(p.t)
	}
	if r, ok := p.replica.(Reopener); ok {
		p.replica = r.Reopen(p.t)
	}
}

func (p *pair) sequence() mailbox.Sequence {
	p.t.Helper()
	h, err := p.model.Header()
	p.check("Header", err)
	return h.Sequence
}

func runRandom(t *testing.T, seed uint64, open func(t testing.TB) Store) {
	p := newPair(t, seed, open)
	for i := range transactions {
		switch {
		case i%50 == 49:
			p.reopen()
		case i%70 == 69:
			sequence := p.sequence() + 1<<32
			p.whole(func(r mailbox.Reader) (mailbox.Delta, error) { return mailbox.Leap(r, sequence) })
		case i%20 == 19:
			sequence := p.sequence() + 1
			p.whole(func(r mailbox.Reader) (mailbox.Delta, error) { return mailbox.Touch(r, sequence) })
		default:
			p.randomTransaction(i, seed+uint64(i))
		}
		if i%compareEvery == 0 {
			p.compare()
		}
	}
	p.compare()
}

func (p *pair) randomTransaction(i int, seed uint64) {
	p.t.Helper()
	compute := func(base mailbox.Reader) *mailbox.Draft {
		d, operations, err := RandomDraft(rand.New(rand.NewPCG(seed, 2)), base)
		if err != nil {
			p.t.Fatalf("transaction %d of seed %d: %v after %q", i, seed, err, operations)
		}
		return d
	}
	draft := compute(p.source)
	if draft.Empty() {
		return
	}
	p.write(draft, compute(p.model))
}
