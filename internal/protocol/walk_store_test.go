package protocol_test

import (
	"mailreplica/internal/event"
	"mailreplica/internal/protocol"
)

// What a mailstore does with its copies: how package mailstore and package replica are meant to use the rules.

var stream = protocol.Stream{ClusterID: "cluster", Partition: 0}

// caughtUp is what a store passes to MayServe.
func (w *world) caughtUp(i int) bool { return w.stores[i].caughtUp || w.without.has(serveBeforeEnd) }

func (w *world) mayServe(i, a int) bool {
	m := w.mailbox(i, a)
	return m != nil && m.copy.MayServe(w.caughtUp(i)) == nil
}

// deliver makes a transaction of the account's primary out of one effect, by whoever commits in the copy's mode.
func (w *world) deliver(i, a int, message int) {
	m := w.mailbox(i, a)
	if m == nil || m.copy.MayWrite(w.caughtUp(i)) != nil || w.stores[i].pending[a] != nil {
		return
	}
	e := effect{uid: m.rows.next, message: message}
	if message == 0 {
		if e = w.choose(m); e.message == 0 {
			w.messages++
			e.message = w.messages
		}
	}
	record := m.copy.Next(event.Change)
	record.Payload = e.encode()
	if m.copy.Mode == protocol.Log {
		w.append(i, a, &pending{
			Pending: protocol.Pending{Records: parts(record, record.Payload, 1+max(0, w.random.IntN(6)-3))}, effect: &e,
		})
		return
	}
	paused := m.copy.Mode == protocol.Paused
	if paused {
		m.journal = append(m.journal, parts(record, record.Payload, 1+max(0, w.random.IntN(4)-2)))
	}
	m.rows.apply(e)
	m.copy.Advance(record.Sequence, record.ID)
	if !w.without.has(localWithoutFsync) && !paused || !w.without.has(journalWithoutFsync) && paused {
		w.stores[i].fsync()
	}
	w.trace("%s commits %s %s", short(w.stores[i].name), m.copy.Mode, w.describe(record))
	w.check.acknowledge(ack{account: a, effect: e, validity: m.rows.validity, epoch: record.Epoch, by: i, id: record.ID, journal: paused})
}

// choose picks what a client does: it delivers a message (the zero effect but for its UID), or expunges one.
func (w *world) choose(m *mailboxModel) effect {
	e := effect{uid: m.rows.next}
	if len(m.rows.list) == 0 || !w.chance(5) {
		return e
	}
	r := m.rows.list[w.random.IntN(len(m.rows.list))]
	if r.gone {
		return e
	}
	w.check.expunging(r.message)
	return effect{uid: r.uid, message: r.message, expunge: true}
}

// append puts a transaction in flight.
func (w *world) append(i, a int, p *pending) {
	w.stores[i].pending[a] = p
	w.trace("%s appends %s in %d", short(w.stores[i].name), w.describe(p.Records[0]), len(p.Records))
	w.send(p.Records)
}

// repeat appends again what is in doubt (rule 4).
func (w *world) repeat(i, a int) {
	s := w.stores[i]
	p := s.pending[a]
	if p == nil || !s.up {
		return
	}
	if w.without.has(oneInFlight) {
		s.pending[a] = nil
		w.trace("%s takes a time-out for a refusal", short(s.name))
		if p.effect != nil && !p.effect.expunge {
			w.deliver(i, a, p.effect.message)
		}
		return
	}
	w.trace("%s repeats %s", short(s.name), w.describe(p.Records[0]))
	if p.instead != nil {
		w.send(p.instead)
		return
	}
	w.send(p.Records)
}

// withdraw is for a change that the brokers do not take, though an append of it may be under way: a change that does nothing is
// appended in its place, and one of the two takes the sequence.
func (w *world) withdraw(i, a int) {
	m, p := w.mailbox(i, a), w.stores[i].pending[a]
	if m == nil || p == nil || p.effect == nil || p.instead != nil || m.copy.MayWrite(w.caughtUp(i)) != nil {
		return
	}
	record := m.copy.Next(event.Change)
	record.Payload = effect{}.encode()
	p.instead = []event.Record{record}
	w.trace("%s appends %s instead", short(w.stores[i].name), w.describe(record))
	w.send(p.instead)
}

// open makes the log decide for an account.
func (w *world) open(i, a int) {
	m, s := w.mailbox(i, a), w.stores[i]
	if m == nil || s.pending[a] != nil || s.cut {
		return
	}
	record, err := m.copy.BeginOpening(stream)
	if err != nil {
		return
	}
	if !w.without.has(openingWithoutFsync) {
		s.fsync()
	}
	w.append(i, a, &pending{Pending: protocol.Pending{Records: []event.Record{record}}})
}

// cancelOpening lets the account commit by itself again, while its Open may be anywhere.
func (w *world) cancelOpening(i, a int) {
	m, s := w.mailbox(i, a), w.stores[i]
	if m == nil || m.copy.CancelOpening() != nil {
		return
	}
	if w.without.has(cancelWithinEpoch) {
		m.copy.Epoch--
	}
	w.trace("%s cancels the opening of a%d", short(s.name), a)
	s.fsync()
	w.settle(i, a, m.copy, protocol.Verdict{})
}

// control appends a record about the account itself.
func (w *world) control(i, a int, kind event.Kind, of string) {
	m := w.mailbox(i, a)
	if m == nil || w.stores[i].pending[a] != nil {
		return
	}
	if m.copy.MayControl(w.caughtUp(i)) != nil && (!w.without.has(controlWhilePaused) || m.copy.Mode != protocol.Paused ||
		m.copy.MayWrite(w.caughtUp(i)) != nil || m.copy.Journal > 0) {
		return
	}
	record := m.copy.Next(kind)
	record.Mailstore = of
	w.append(i, a, &pending{Pending: protocol.Pending{Records: []event.Record{record}}})
}

// resume publishes the journal one transaction after another, then ends the pause (rule 11).
func (w *world) resume(i, a int) {
	m, s := w.mailbox(i, a), w.stores[i]
	if m == nil || !m.copy.IsPaused() || m.copy.MayServe(w.caughtUp(i)) != nil || s.pending[a] != nil {
		return
	}
	if m.copy.Journal > 0 {
		w.append(i, a, &pending{Pending: protocol.Pending{Records: m.journal[0]}})
		return
	}
	record, err := m.copy.BeginResuming()
	if err != nil {
		w.check.fail("resume: %v", err)
		return
	}
	if w.without.has(resumingUnmarked) {
		m.copy.Mode = protocol.Paused
	} else if !w.without.has(resumingWithoutFsync) {
		s.fsync()
	}
	w.append(i, a, &pending{Pending: protocol.Pending{Records: []event.Record{record}}})
}

// fence appends the record by which a replica takes over (rule 9).
func (w *world) fence(i, a int, acceptLoss bool) {
	m, s := w.mailbox(i, a), w.stores[i]
	if m == nil || s.cut || s.pending[a] != nil || s.position < len(w.log) && !w.without.has(fenceBeforeEnd) {
		return
	}
	c := m.copy
	record, err := c.FenceRecord("", acceptLoss || w.without.has(fencePaused))
	if err == nil && w.without.has(fencePaused) {
		record.AcceptLoss = false
	}
	if err != nil {
		if !w.without.has(fenceIncomplete) || c.Condition == protocol.Complete || c.IsPrimary() || c.Members[s.name] == (event.ID{}) {
			return
		}
		record = event.Record{
			Kind: event.Fence, Account: c.Account, Epoch: c.Epoch + 1, ID: event.NewID(), Writer: s.name, Mailstore: s.name,
			Join: c.Members[s.name], Part: 1, Parts: 1,
		}
	}
	w.append(i, a, &pending{Pending: protocol.Pending{Records: []event.Record{record}}})
}

// crash ends a mailstore's process, with its memory; a power loss takes what was not fsynced.
func (w *world) crash(i int, power bool) {
	s := w.stores[i]
	if !s.up {
		return
	}
	s.up = false
	if power {
		s.db = s.disk.clone()
	}
	s.pending = [accountsCount]*pending{}
	for _, m := range s.db.mailboxes {
		if m != nil {
			m.copy = reload(m.copy)
		}
	}
	kept := w.transfers[:0]
	for _, t := range w.transfers {
		if t.to != i {
			kept = append(kept, t)
		}
	}
	w.transfers = kept
	w.trace("%s crashes, power lost %v, reader at %d, stored %d", short(s.name), power, s.position, s.db.position)
}

func (w *world) restart(i int) {
	s := w.stores[i]
	if s.up {
		return
	}
	s.up, s.caughtUp, s.target, s.position = true, false, len(w.log), s.db.position
	if w.without.has(positionOutside) {
		s.position = s.outside
	}
	for a, m := range s.db.mailboxes {
		if m != nil {
			s.catchUp[a] = int(m.copy.NextOffset)
		}
	}
	w.trace("%s restarts, reads from %d", short(s.name), s.position)
}

// reconnect has the live reader begin again from its stored position, in the same process: what is in memory stays there.
func (w *world) reconnect(i int) {
	s := w.stores[i]
	if !s.up || w.without.has(positionOutside) {
		return
	}
	w.trace("%s reads again from %d, was at %d", short(s.name), s.db.position, s.position)
	s.position = s.db.position
}

// storePosition stores the live reader's position, lazily, but never past the first part of an open transaction.
func (w *world) storePosition(i int) {
	s := w.stores[i]
	if !s.up {
		return
	}
	position := s.position
	for _, m := range s.db.mailboxes {
		if m == nil || w.without.has(positionPastParts) {
			continue
		}
		if first, open := m.copy.OpenTransaction(); open {
			position = min(position, int(first))
		}
	}
	s.db.position, s.outside = position, position
}

// takeSnapshot begins an attempt at a copy on store i from what store j has.
func (w *world) takeSnapshot(i, j, a int) {
	source := w.mailbox(j, a)
	if i == j || source == nil || !w.stores[i].up {
		return
	}
	join := w.attempts[a][i]
	if w.without.has(reuseJoin) {
		join = source.copy.Members[w.stores[i].name]
	}
	if w.without.has(snapshotBeforeJoin) {
		join = event.NewID()
	}
	if join == (event.ID{}) || source.copy.Members[w.stores[i].name] != join && !w.without.has(snapshotBeforeJoin) {
		return
	}
	refused := source.copy.MayGiveSnapshot()
	if w.without.has(snapshotWhilePaused) && source.copy.Condition == protocol.Complete && source.copy.IsOpen() {
		refused = nil
	}
	if refused != nil || !w.makeRoom(i, a, source.copy) {
		return
	}
	w.attempts[a][i] = event.ID{}
	w.transfers = append(w.transfers, &transfer{account: a, to: i, from: *source.clone()})
	w.trace("%s sends %s a snapshot of a%d: %s", short(w.stores[j].name), short(w.stores[i].name), a, w.describeCopy(source.copy))
	if w.without.has(snapshotOffsetLater) {
		for range w.random.IntN(4) {
			w.read(j)
		}
		w.transfers[len(w.transfers)-1].from.copy.NextOffset = int64(w.stores[j].position)
	}
}

// makeRoom removes what store i holds of an account, so that a snapshot can be loaded; never a primary that a later epoch
// has not deposed.
func (w *world) makeRoom(i, a int, source *protocol.Copy) bool {
	s := w.stores[i]
	for _, t := range w.transfers {
		if t.to == i && t.account == a {
			return false
		}
	}
	if m := s.db.mailboxes[a]; m != nil && !w.without.has(overwritePrimary) {
		if m.copy.IsPrimary() && m.copy.GiveWay(source.Primary, source.Epoch) != nil {
			return false
		}
	}
	s.pending[a] = nil
	s.db.mailboxes[a] = &mailboxModel{copy: &protocol.Copy{Account: source.Account, Self: s.name, Primary: source.Primary}}
	return true
}

// load ends a transfer: the rows are there, fsynced, and the copy catches up from the snapshot's own offset.
func (w *world) load(n int) {
	t := w.transfers[n]
	w.transfers = append(w.transfers[:n:n], w.transfers[n+1:]...)
	s, c := w.stores[t.to], t.from.copy
	s.db.mailboxes[t.account] = &mailboxModel{
		copy: &protocol.Copy{
			Account: c.Account, Self: s.name, Condition: protocol.CatchingUp, Mode: protocol.Log, Epoch: c.Epoch, Primary: c.Primary,
			Members: c.Members, Stream: c.Stream, Sequence: c.Sequence, HeadID: c.HeadID, NextOffset: c.NextOffset,
			Committed: c.Sequence, CommittedID: c.HeadID,
		},
		rows: t.from.rows,
	}
	s.catchUp[t.account] = int(c.NextOffset)
	if !w.without.has(loadWithoutFsync) {
		s.fsync()
	}
	w.trace("%s has loaded a snapshot of a%d: %s", short(s.name), t.account, w.describeCopy(s.db.mailboxes[t.account].copy))
}

// readOn moves a copy that catches up by one record, or hands it over to the live reader where it has met it.
func (w *world) readOn(i, a int) bool {
	s, m := w.stores[i], w.mailbox(i, a)
	if m == nil || s.cut || m.copy.Condition != protocol.CatchingUp {
		return false
	}
	at := s.catchUp[a]
	switch {
	case at < w.start && !w.without.has(ignoreMissedPosition):
		m.copy.MissPosition()
		w.trace("%s's copy of a%d finds its position %d trimmed", short(s.name), a, at)
		return true
	case at < w.start:
		s.catchUp[a] = w.start
		return true
	case at < s.position:
		s.catchUp[a]++
		if accountIndex(w.log[at].Account) == a {
			w.judge(i, a, w.log[at], at)
		}
		return true
	}
	m.copy.Condition = protocol.Complete
	if first, open := m.copy.OpenTransaction(); open && !w.without.has(handOverPastParts) {
		s.db.position = min(s.db.position, int(first))
	}
	w.trace("%s's copy of a%d is complete: %s", short(s.name), a, w.describeCopy(m.copy))
	return true
}
