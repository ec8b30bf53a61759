package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

const (
	stores   = 3
	accounts = 2
	nobody   = -1
)

type kind int

const (
	change kind = iota
	open
	fence
	join
	leave
	pause
	resume
	end
)

var kinds = [...]string{"Change", "Open", "Fence", "Join", "Leave", "Pause", "Resume", "Delete"}

// record is one record of the log.
type record struct {
	kind        kind
	account     int
	epoch, seq  int
	id, prev    int
	writer      int
	target      int // who opens, fences, joins or leaves
	join        int // the Join that a Fence names
	loss        bool
	part, parts int

	mail, uid, blob int // a delivery; 0: none
	takes           int // UID that is expunged; 0: none
	reclaims        int // blob that is gone; 0: none

	slow bool // it stays under way for long
}

func (r record) String() string {
	return fmt.Sprintf("%s{a%d e%d s%d id%d after %d by M%d target M%d join%d loss %v part %d/%d mail%d uid%d blob%d takes%d reclaims%d}",
		kinds[r.kind], r.account, r.epoch, r.seq, r.id, r.prev, r.writer, r.target, r.join, r.loss, r.part, r.parts, r.mail, r.uid, r.blob,
		r.takes, r.reclaims)
}

type condition int

const (
	loading condition = iota
	catching
	complete
	gap
	diverged
)

type mode int

const (
	local mode = iota
	opening
	logged
	paused
	resuming
)

type message struct{ mail, blob int }

// copyOf is one mailstore's copy of one account.
type copyOf struct {
	condition  condition
	mode       mode
	epoch      int
	primary    int
	members    map[int]int // with the last Join of each
	seq, head  int         // of what was judged
	next       int         // offsets below are not judged again
	rows       int         // sequence of the rows
	rowsID     int
	journal    []record
	validity   int
	uidNext    int
	messages   map[int]message
	discarded  map[int]int // blobs that nothing refers to any more, with the sequence since which
	parts      []record    // not durable
	partsAt    int
	partsAfter int
}

func (c *copyOf) clone() *copyOf {
	if c == nil {
		return nil
	}
	d := *c
	d.members, d.messages, d.discarded = maps.Clone(c.members), maps.Clone(c.messages), maps.Clone(c.discarded)
	d.journal, d.parts = slices.Clone(c.journal), nil
	return &d
}

func (c *copyOf) isOpen() bool   { return c.mode == logged || c.isPaused() }
func (c *copyOf) isPaused() bool { return c.mode == paused || c.mode == resuming }

// database is what a mailstore keeps. A loss of power takes back what was not synced.
type database struct {
	copies   [accounts]*copyOf
	position int
	ended    [accounts]bool
}

func (d *database) clone() *database {
	e := &database{position: d.position, ended: d.ended}
	for a, c := range d.copies {
		e.copies[a] = c.clone()
	}
	return e
}

// wishes are what the directory says of an account.
type wishes struct {
	home, epoch int
	replicas    [stores]bool
	removing    [stores]bool
	paused      bool
	deleting    bool
	deleted     bool
}

// flight is a transaction that is under way.
type flight struct {
	records []record
	gaveUp  bool // the client was told a temporary failure
}

type mailstore struct {
	up, cut  bool
	now      *database // as processes see it
	disk     *database // as it is after a loss of power
	position int       // what the reader reads next
	target   int       // the end of the log when the process started
	caughtUp bool
	pending  [accounts]*flight
	given    [accounts]*snapshot // under way to this mailstore
	asked    [accounts]int       // the Join of the attempt at a copy that it began last
	knows    [accounts]wishes    // its copy of the directory
}

// snapshot is a copy under way.
type snapshot struct {
	copy *copyOf
}

type acked struct {
	mail, validity, uid int
	blob                int
	epoch, by           int
	expunged            bool
	unsure              bool // an expunge of it was not answered
}

type world struct {
	rules
	random    *rand.Rand
	log       []record
	start     int // of what the log still holds
	network   []record
	ms        [stores]*mailstore
	directory [accounts]wishes
	volume    map[int]bool

	acks      [accounts][]acked
	asked     [accounts]map[int]bool   // UIDs that somebody has asked to expunge
	accepted  [accounts]map[[2]int]int // by epoch and sequence: the id
	lossy     [accounts]bool           // an administrator has accepted loss
	ids       int
	joined    [accounts][stores]int // the last Join or Leave of each that anybody has read
	lostDisk  [stores]bool
	trimmed   bool
	promoted  int
	seed      uint64
	events    int
	told      bool // keep the trace
	trace     []string
	violation string
}

func (w *world) say(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) broken(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
		w.say("BROKEN: %s", w.violation)
	}
}

func (w *world) id() int { w.ids++; return w.ids }

func (w *world) one(n int) bool { return w.random.IntN(n) == 0 }

func newWorld(r rules, seed uint64, told bool) *world {
	w := &world{rules: r, told: told, random: rand.New(rand.NewPCG(seed, 7)), volume: map[int]bool{}}
	for a := range accounts {
		w.directory[a] = wishes{home: w.random.IntN(stores), epoch: 1}
		for i := range stores {
			w.directory[a].replicas[i] = i != w.directory[a].home && !w.one(4)
		}
		w.accepted[a], w.asked[a] = map[[2]int]int{}, map[int]bool{}
	}
	for i := range w.ms {
		w.ms[i] = &mailstore{up: true, caughtUp: true, now: &database{}, knows: w.directory}
	}
	for a, d := range w.directory {
		w.ms[d.home].now.copies[a] = &copyOf{
			condition: complete, epoch: 1, primary: d.home, members: map[int]int{}, uidNext: 1, validity: 1, messages: map[int]message{},
			discarded: map[int]int{},
		}
	}
	for _, m := range w.ms {
		m.disk = m.now.clone()
	}
	return w
}

// sync makes durable what a mailstore has written. It is one file: what came before goes with it.
func (w *world) sync(i int) { w.ms[i].disk = w.ms[i].now.clone() }

// serves reports whether a mailstore answers clients of an account.
func (w *world) serves(i, a int) bool {
	m := w.ms[i]
	c := m.now.copies[a]
	return m.up && c != nil && c.condition == complete && c.primary == i && (c.mode == local || m.caughtUp || !w.readFirst) &&
		!(m.knows[a].home != i && m.knows[a].epoch >= c.epoch)
}

// send appends records, some day. Some of those about an account itself take their time, for it is they that must not come late.
func (w *world) send(records ...record) {
	for _, r := range records {
		r.slow = r.kind != change && w.one(3)
		w.network = append(w.network, r)
	}
}
