package protocol_test

import (
	"fmt"
	"hash/maphash"
	"strings"

	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/protocol"
)

// checker remembers what clients and readers have seen, and says what must never be.
type checker struct {
	tracing   bool
	trace     []string
	violation string

	acks      [accountsCount][]ack
	expunges  map[int]bool // messages whose expunge was asked for: they may be gone
	names     map[uidName]int
	primaries map[reign]int // who acknowledges
	decided   map[slot]event.ID
	fences    map[reign]event.ID
	states    map[event.ID]state
	published map[event.ID]bool       // journalled transactions that are in the log
	leaps     [accountsCount][]uint64 // epochs that began with a loss that the operator accepted
	deleted   [accountsCount]uint64   // epochs of Deletes that were acknowledged
	ended     [accountsCount]bool     // Deletes that were accepted by anybody
	seen      []int                   // by message: the number of the inspection that last saw it
	inspected int

	numbers  map[event.ID]int           // of ids, for the trace
	openPart map[*mailboxModel]event.ID // for the rule that parts are kept apart by id
	promoted int
}

// ack is what a client was told.
type ack struct {
	effect
	account  int
	validity uint32
	epoch    uint64
	by       int
	id       event.ID
	journal  bool
}

type (
	uidName struct {
		account       int
		validity, uid uint32
	}
	reign struct {
		account int
		epoch   uint64
	}
	slot struct {
		reign
		sequence mailbox.Sequence
	}
	// state is all that two copies with the same head have in common.
	state struct {
		epoch          uint64
		sequence       mailbox.Sequence
		mode           protocol.Mode
		primary        string
		members, rows  uint64
		messages, next uint32
	}
)

func newChecker(tracing bool) *checker {
	return &checker{
		tracing: tracing, expunges: map[int]bool{}, names: map[uidName]int{}, primaries: map[reign]int{},
		decided: map[slot]event.ID{}, fences: map[reign]event.ID{}, states: map[event.ID]state{},
		published: map[event.ID]bool{}, numbers: map[event.ID]int{}, openPart: map[*mailboxModel]event.ID{},
	}
}

// fail records the first violation. The text up to the colon is its class.
func (c *checker) fail(format string, args ...any) {
	if c.violation == "" {
		c.violation = fmt.Sprintf(format, args...)
		c.trace = append(c.trace, "VIOLATION "+c.violation)
	}
}

func (c *checker) class() string {
	class, _, _ := strings.Cut(c.violation, ":")
	return class
}

func (c *checker) number(id event.ID) int {
	if id == (event.ID{}) {
		return 0
	}
	if c.numbers[id] == 0 {
		c.numbers[id] = len(c.numbers) + 1
	}
	return c.numbers[id]
}

// expunging says that a client asked for a message to be expunged.
func (c *checker) expunging(message int) { c.expunges[message] = true }

// acknowledge says that a client was told OK.
func (c *checker) acknowledge(a ack) {
	if c.tracing {
		c.trace = append(c.trace, fmt.Sprintf("  OK a%d %+v epoch %d by %s", a.account, a.effect, a.epoch, short(storeName(a.by))))
	}
	if d := c.deleted[a.account]; d > 0 && a.epoch >= d {
		c.fail("revived: a%d is deleted and %s acknowledges", a.account, short(storeName(a.by)))
	}
	r := reign{a.account, a.epoch}
	if by, known := c.primaries[r]; known && by != a.by {
		c.fail("two primaries: %s and %s acknowledge in epoch %d of a%d", short(storeName(by)), short(storeName(a.by)), a.epoch, a.account)
	}
	c.primaries[r] = a.by
	if !a.expunge {
		c.name(a.account, a.validity, row{uid: a.uid, message: a.message})
	}
	c.acks[a.account] = append(c.acks[a.account], a)
}

// name says that a client has seen a message under a UID.
func (c *checker) name(account int, validity uint32, r row) {
	n := uidName{account, validity, r.uid}
	if message, known := c.names[n]; known && message != r.message {
		c.fail("UID reused: UID %d of a%d, validity %d, was message %d and is message %d", r.uid, account, validity, message, r.message)
	}
	c.names[n] = r.message
}

// accepted compares what one copy accepted with what every other did.
func (c *checker) accepted(a int, before *protocol.Copy, m *mailboxModel, v protocol.Verdict) {
	r := v.Record
	if r.Kind.Sequenced() {
		if r.Previous != before.HeadID {
			c.fail("base: id%d was computed on id%d and is accepted on id%d", c.number(r.ID), c.number(r.Previous), c.number(before.HeadID))
		}
		c.same(c.decided, slot{reign{a, r.Epoch}, r.Sequence}, r.ID)
	} else if id, known := c.fences[reign{a, r.Epoch}]; known && id != r.ID {
		c.fail("judged differently: epoch %d of a%d begins with id%d and with id%d", r.Epoch, a, c.number(id), c.number(r.ID))
	} else {
		c.fences[reign{a, r.Epoch}] = r.ID
	}
	c.published[r.ID] = true
	c.ended[a] = c.ended[a] || v.Deleted
	if r.Kind == event.Fence && r.Mailstore == m.copy.Self {
		c.promoted++
	}
	if v.Leap && r.AcceptLoss {
		c.leaps[a] = append(c.leaps[a], r.Epoch)
	}
	copy := m.copy
	if v.Left || v.Deleted || copy.Condition == protocol.Diverged || copy.Condition == protocol.Initialising || copy.Journal > 0 {
		return
	}
	if copy.Committed != copy.Sequence || copy.CommittedID != copy.HeadID {
		c.fail("heads: no journal, and yet the database of a%d is at %d and the log at %d", a, copy.Committed, copy.Sequence)
	}
	now := stateOf(m)
	if then, known := c.states[r.ID]; known && then != now {
		c.fail("copies differ: of a%d at id%d: %+v and %+v", a, c.number(r.ID), then, now)
	}
	c.states[r.ID] = now
}

func (c *checker) same(decided map[slot]event.ID, s slot, id event.ID) {
	if other, known := decided[s]; known && other != id {
		c.fail("judged differently: sequence %d of epoch %d of a%d is id%d and id%d", s.sequence, s.epoch, s.account, c.number(other), c.number(id))
	}
	decided[s] = id
}

var hashSeed = maphash.MakeSeed()

func stateOf(m *mailboxModel) state {
	c := m.copy
	s := state{
		epoch: c.Epoch, sequence: c.Sequence, mode: c.Mode, primary: c.Primary, messages: uint32(len(m.rows.list)), next: m.rows.next,
		rows: uint64(m.rows.validity),
	}
	for name, join := range c.Members {
		s.members += maphash.Comparable(hashSeed, struct {
			name string
			join event.ID
		}{name, join})
	}
	for _, r := range m.rows.list {
		s.rows += maphash.Comparable(hashSeed, r)
	}
	return s
}

// serving checks a copy that may serve: it shows all that was acknowledged up to its epoch, once, and nobody else serves in
// its epoch.
func (c *checker) serving(w *world, i, a int) {
	if !w.mayServe(i, a) {
		return
	}
	m := w.mailbox(i, a)
	for j := range w.stores {
		if j != i && w.mayServe(j, a) && w.mailbox(j, a).copy.Epoch == m.copy.Epoch {
			c.fail("two primaries: %s and %s serve a%d in epoch %d", short(storeName(i)), short(storeName(j)), a, m.copy.Epoch)
		}
	}
	c.inspected++
	for _, r := range m.rows.list {
		c.name(a, m.rows.validity, r)
		for len(c.seen) <= r.message {
			c.seen = append(c.seen, 0)
		}
		if c.seen[r.message] == c.inspected {
			c.fail("twice: message %d of a%d on %s", r.message, a, short(storeName(i)))
		}
		c.seen[r.message] = c.inspected
	}
	for _, k := range c.acks[a] {
		if k.epoch > m.copy.Epoch || c.lossAccepted(k, m.copy.Epoch) {
			continue
		}
		r, found := m.rows.find(k.uid)
		switch {
		case !found || r.message != k.message:
			c.fail("lost: message %d of a%d, UID %d, acknowledged in epoch %d, on %s in epoch %d", k.message, a, k.uid, k.epoch,
				short(storeName(i)), m.copy.Epoch)
		case k.expunge && !r.gone:
			c.fail("expunge lost: message %d of a%d, UID %d, on %s", k.message, a, k.uid, short(storeName(i)))
		case r.gone && !c.expunges[k.message]:
			c.fail("lost: message %d of a%d was expunged by nobody", k.message, a)
		case k.validity > m.rows.validity:
			c.fail("UIDVALIDITY: of a%d went back from %d to %d", a, k.validity, m.rows.validity)
		}
	}
}

// lossAccepted reports whether an operator accepted that what was acknowledged may be lost: it was journalled and not in the
// log when a Fence that accepts loss deposed its mailstore.
func (c *checker) lossAccepted(k ack, epoch uint64) bool {
	if !k.journal || c.published[k.id] {
		return false
	}
	for _, leap := range c.leaps[k.account] {
		if k.epoch < leap && leap <= epoch {
			return true
		}
	}
	return false
}
