package protocol_test

import (
	"flag"
	"strings"
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/protocol"
)

var (
	walkSeed  = flag.Uint64("seed", 0, "replay the walk of one seed, with its history")
	walksMax  = flag.Uint64("walks", 1500, "how many walks to take, from seed 1")
	walkSteps = flag.Int("steps", 400, "steps of a walk before it ends")
)

// TestWalk takes random walks over the rules as they are. A failure prints its seed; replay it with
//
//	go test ./internal/protocol -run TestWalk -seed N
func TestWalk(t *testing.T) {
	if *walkSeed != 0 {
		w := walk(*walkSeed, nothing, true)
		t.Log(strings.Join(w.check.trace, "\n"))
		if w.check.violation != "" {
			t.Errorf("seed %d: %s", *walkSeed, w.check.violation)
		}
		return
	}
	acks, promoted, leaps, deletes := 0, 0, 0, 0
	for seed := uint64(1); seed <= *walksMax; seed++ {
		w := walk(seed, nothing, false)
		if w.check.violation != "" {
			t.Errorf("seed %d: %s", seed, w.check.violation)
		}
		promoted += w.check.promoted
		for a := range accountsCount {
			acks += len(w.check.acks[a])
			leaps += len(w.check.leaps[a])
			if w.check.deleted[a] > 0 {
				deletes++
			}
		}
	}
	t.Logf("%d walks: %d acknowledgements, %d promotions, %d losses accepted, %d accounts deleted", *walksMax, acks, promoted, leaps, deletes)
}

// walk takes one random walk to its end.
func walk(seed uint64, without rules, tracing bool) *world {
	w := newWorld(seed, without, tracing)
	w.swarm()
	w.prologue()
	for n := 0; n < *walkSteps && w.check.violation == ""; n++ {
		w.step()
	}
	w.finish()
	return w
}

// action is one thing that can happen: to store j, or to the account's likely home i.
type action struct {
	weight int
	varies bool // its weight differs from walk to walk
	do     func(w *world, i, j, a int)
}

// swarm draws the weights of a walk: some things happen often in it and others hardly at all, so that walks differ.
func (w *world) swarm() {
	for _, x := range actions {
		weight := x.weight
		if x.varies {
			weight = max(1, weight*[...]int{1, 4, 4, 16}[w.random.IntN(4)]/4)
		}
		w.weights = append(w.weights, weight)
		w.total += w.weights[len(w.weights)-1]
	}
}

// step does one thing that can happen.
func (w *world) step() {
	i, j, a := w.random.IntN(storesCount), w.random.IntN(storesCount), w.random.IntN(accountsCount)
	if !w.chance(4) {
		i = w.likelyHome(i, a)
	}
	at := w.random.IntN(w.total)
	for n, weight := range w.weights {
		if at -= weight; at < 0 {
			actions[n].do(w, i, j, a)
			break
		}
	}
	w.check.serving(w, i, a)
	w.check.serving(w, j, a)
}

var actions = [...]action{
	{300, false, func(w *world, i, j, a int) {
		for range 1 + w.random.IntN(8) {
			w.read(j)
		}
	}},
	{140, true, func(w *world, i, j, a int) { w.deliver(i, a, 0) }},
	{100, true, func(w *world, i, j, a int) { w.network() }},
	{50, true, func(w *world, i, j, a int) { w.repeat(i, a); w.repeat(j, a) }},
	{15, true, func(w *world, i, j, a int) { w.crash(j, w.chance(2)) }},
	{15, true, func(w *world, i, j, a int) { w.crash(i, w.chance(2)) }},
	{100, false, func(w *world, i, j, a int) { w.restart(j) }},
	{30, true, func(w *world, i, j, a int) { w.storePosition(j) }},
	{15, true, func(w *world, i, j, a int) { w.checkpoint(j) }},
	{15, true, func(w *world, i, j, a int) { w.reconnect(j) }},
	{10, false, func(w *world, i, j, a int) { w.stores[j].cut = !w.stores[j].cut }},
	{40, true, func(w *world, i, j, a int) { w.fence(j, a, w.chance(6)) }},
	{40, true, func(w *world, i, j, a int) { w.membership(i, j, a) }},
	{40, true, func(w *world, i, j, a int) { w.pause(i, a) }},
	{15, true, func(w *world, i, j, a int) { w.cancelOpening(j, a) }},
	{15, true, func(w *world, i, j, a int) { w.withdraw(i, a) }},
	{30, true, func(w *world, i, j, a int) { w.copies(i, j, a) }},
	{40, true, func(w *world, i, j, a int) {
		for range 1 + w.random.IntN(8) {
			w.readOn(j, a)
		}
	}},
	{1, false, func(w *world, i, j, a int) { w.remove(i, a) }},
	{5, true, func(w *world, i, j, a int) { w.trim() }},
}

// checkpoint is a database that fsyncs by itself.
func (w *world) checkpoint(i int) {
	if s := w.stores[i]; s.up {
		s.fsync()
	}
}

// likelyHome is a store that may serve the account, or i.
func (w *world) likelyHome(i, a int) int {
	for n := range storesCount {
		if k := (i + n) % storesCount; w.mayServe(k, a) {
			return k
		}
	}
	return i
}

// network delivers, repeats or loses some of what is under way, mostly in order.
func (w *world) network() {
	for n := 1 + w.random.IntN(3); n > 0 && len(w.net) > 0; n-- {
		k := 0
		if w.chance(4) {
			k = w.random.IntN(len(w.net))
		}
		r := w.net[k]
		fate := w.random.IntN(8)
		if fate != 0 {
			w.log = append(w.log, r)
			w.trace("log[%d] %s", len(w.log)-1, w.describe(r))
		}
		if fate != 1 {
			w.net = append(w.net[:k:k], w.net[k+1:]...)
		}
	}
}

func (w *world) membership(i, j, a int) {
	m := w.mailbox(i, a)
	if m == nil || i == j {
		return
	}
	if !m.copy.IsOpen() {
		w.open(i, a)
		return
	}
	_, member := m.copy.Members[storeName(j)]
	switch other := w.stores[j].db.mailboxes[a]; {
	case member && w.chance(4):
		w.control(i, a, event.Leave, storeName(j))
	case !member, other == nil, other.copy.Condition != protocol.Complete, w.chance(6):
		w.control(i, a, event.Join, storeName(j))
	}
}

func (w *world) pause(i, a int) {
	m := w.mailbox(i, a)
	switch {
	case m == nil:
	case m.copy.Mode == protocol.Log && w.chance(3):
		w.control(i, a, event.Pause, "")
	default:
		w.resume(i, a)
	}
}

// copies gives a snapshot to whoever waits for one, or ends a transfer.
func (w *world) copies(i, j, a int) {
	if len(w.transfers) > 0 && w.chance(2) {
		w.load(w.random.IntN(len(w.transfers)))
		return
	}
	if w.chance(4) {
		w.takeSnapshot(i, j, a)
	}
	for k := range storesCount {
		w.takeSnapshot(k, i, a)
	}
}

func (w *world) remove(i, a int) {
	if w.chance(3) {
		w.control(i, a, event.Delete, "")
	}
}

func (w *world) trim() {
	if w.trims && len(w.log) > w.start+6 && w.chance(2) {
		w.start += 1 + w.random.IntN(5)
		w.trace("the log is trimmed to %d", w.start)
	}
}

// prologue makes replicas, as most walks want some.
func (w *world) prologue() {
	for a := range accountsCount {
		home := w.likelyHome(0, a)
		for range w.random.IntN(3) {
			w.deliver(home, a, 0)
		}
		if w.chance(4) {
			continue
		}
		w.open(home, a)
		w.quieten()
		for j := range storesCount {
			if j == home || w.chance(5) {
				continue
			}
			w.control(home, a, event.Join, storeName(j))
			w.quieten()
			w.takeSnapshot(j, home, a)
			w.quieten()
		}
	}
}

// quieten lets everything come to rest: what is under way arrives, everybody reads and catches up.
func (w *world) quieten() {
	for moved := true; moved && w.check.violation == ""; {
		moved = len(w.net) > 0 || len(w.transfers) > 0
		w.log = append(w.log, w.net...)
		w.net = nil
		for len(w.transfers) > 0 {
			w.load(0)
		}
		for i := range storesCount {
			for w.read(i) {
				moved = true
			}
			for a := range accountsCount {
				for w.readOn(i, a) {
					moved = true
				}
			}
		}
	}
}
