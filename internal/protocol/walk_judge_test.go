package protocol_test

import (
	"mailreplica/internal/event"
	"mailreplica/internal/protocol"
)

// read moves a store's live reader by one record; false if there is none.
func (w *world) read(i int) bool {
	s := w.stores[i]
	if !s.up || s.cut {
		return false
	}
	if s.position < w.start {
		w.trace("%s finds its position %d trimmed", short(s.name), s.position)
		for _, m := range s.db.mailboxes {
			if m != nil && !w.without.has(ignoreMissedPosition) {
				m.copy.MissPosition()
			}
		}
		s.position = w.start
	}
	if s.position >= len(w.log) {
		s.caughtUp = true
		return false
	}
	r, at := w.log[s.position], s.position
	s.position++
	a := accountIndex(r.Account)
	if m := s.db.mailboxes[a]; m != nil && m.copy.Condition != protocol.CatchingUp {
		w.judge(i, a, r, at)
	}
	if s.position >= s.target {
		s.caughtUp = true
	}
	return true
}

// judge gives one record to one copy, and writes what it decides together with the copy.
func (w *world) judge(i, a int, r event.Record, at int) {
	s := w.stores[i]
	m := s.db.mailboxes[a]
	before := m.copy.Clone()
	v := w.verdict(m, r, at)
	if v.Outcome == protocol.Accepted || v.Outcome == protocol.Lost {
		w.trace("%s at %d: %s: outcome %d, then %s", short(s.name), at, w.describe(r), v.Outcome, w.describeCopy(m.copy))
	}
	if v.Outcome == protocol.Lost && !w.trims {
		w.check.fail("gap: nothing was trimmed and yet a%d on %s has missed something", a, short(s.name))
	}
	if v.Outcome == protocol.Accepted {
		w.write(i, a, m, v)
	}
	w.settle(i, a, m.copy, v)
	if v.Outcome == protocol.Accepted {
		w.check.accepted(a, before, m, v)
		w.check.serving(w, i, a)
	}
}

// write does what a database does with an accepted record.
func (w *world) write(i, a int, m *mailboxModel, v protocol.Verdict) {
	s := w.stores[i]
	switch {
	case v.Left || v.Deleted:
		s.db.mailboxes[a] = nil
	case v.FromJournal:
		if len(m.journal) == 0 || m.journal[0][0].ID != v.Record.ID {
			w.check.fail("journal: another transaction than its first was read back: a%d on %s", a, short(s.name))
			m.copy.Condition = protocol.Diverged
			break
		}
		m.journal = m.journal[1:]
	case m.copy.Condition == protocol.Diverged:
		m.journal = nil // exported
	case v.Leap && !w.without.has(leap):
		m.rows.validity++
	case v.Record.Kind == event.Change:
		e, ok := decodeEffect(v.Record.Payload)
		if !ok || !m.rows.apply(e) {
			w.check.fail("rows: a change contradicts them: a%d on %s", a, short(s.name))
			m.copy.Condition = protocol.Diverged
		}
	}
	if v.Durable && !w.without.has(modeWithoutFsync) {
		s.fsync()
	}
}

// settle answers the waiter of the transaction in flight.
func (w *world) settle(i, a int, c *protocol.Copy, v protocol.Verdict) {
	s := w.stores[i]
	p := s.pending[a]
	if p == nil {
		return
	}
	settled, won := p.Settle(c, v)
	first := p.Records[0]
	if w.without.has(answerBySequence) && v.Outcome == protocol.Accepted && first.Kind.Sequenced() &&
		v.Record.Epoch == first.Epoch && v.Record.Sequence == first.Sequence {
		settled, won = true, true
	}
	if v.Left || v.Deleted {
		settled = true
	}
	if !settled {
		return
	}
	s.pending[a] = nil
	w.trace("%s: %s is settled, won %v", short(s.name), w.describe(first), won)
	switch {
	case won && p.effect != nil:
		validity := uint32(0)
		if m := s.db.mailboxes[a]; m != nil {
			validity = m.rows.validity
		}
		w.check.acknowledge(ack{account: a, effect: *p.effect, validity: validity, epoch: first.Epoch, by: i, id: first.ID})
	case won && first.Kind == event.Join:
		w.attempts[a][storeIndex(first.Mailstore)] = first.ID
	case won && first.Kind == event.Delete:
		w.check.deleted[a] = first.Epoch
	case !won && p.effect != nil && !p.effect.expunge && c.Condition == protocol.Complete:
		w.deliver(i, a, p.effect.message) // computed anew
	}
}

// verdict judges, as the rules say or without one of them.
func (w *world) verdict(m *mailboxModel, r event.Record, at int) protocol.Verdict {
	c := m.copy
	before, given := c.Clone(), r
	w.spoil(m, &r)
	v := c.Judge(r, int64(at))
	if w.without.has(ignoreGaps) && v.Outcome == protocol.Lost { // judged as if nothing were missing
		*c = *before
		if c.Epoch = r.Epoch; r.Kind.Sequenced() {
			c.Sequence, c.HeadID = r.Sequence-1, r.Previous
		} else {
			c.Epoch--
		}
		v = c.Judge(r, int64(at))
	}
	switch {
	case w.without.has(acceptAfterClose) && v.Outcome != protocol.Accepted:
		c.Mode = before.Mode
	case w.without.has(mixParts) && v.Outcome == protocol.Buffered && r.Part == 1:
		w.check.openPart[m] = r.ID
	case w.without.has(keepJournal) && c.Condition == protocol.Diverged:
		c.Condition, c.Journal, m.journal = protocol.Complete, 0, nil
		c.Committed, c.CommittedID = c.Sequence, c.HeadID
	case w.without.has(ignoreOwnJoin) && v.Outcome == protocol.Accepted && r.Kind == event.Join && c.Condition == protocol.Initialising:
		c.Condition = protocol.Complete
	case w.without.has(ignoreLeave) && v.Left:
		v.Left = false
	case w.without.has(ignoreDelete) && v.Deleted && !c.IsPrimary():
		v.Deleted = false
	}
	v.Record.AcceptLoss = v.Outcome == protocol.Accepted && given.AcceptLoss
	return v
}

// spoil alters a copy or what it is given to judge, so that a rule is without effect.
func (w *world) spoil(m *mailboxModel, r *event.Record) {
	c := m.copy
	join, member := c.Members[r.Mailstore]
	switch {
	case w.without.has(ignorePrevious) && r.Epoch == c.Epoch && r.Sequence == c.Sequence+1:
		r.Previous = c.HeadID
	case w.without.has(judgeTwice):
		c.NextOffset = 0
	case w.without.has(anyJoin) && r.Kind == event.Fence && member:
		r.Join = join
	case w.without.has(anyMailstoreFences) && r.Kind == event.Fence && !member && r.Epoch == c.Epoch+1 && c.IsOpen():
		c.Members[r.Mailstore] = r.Join
	case w.without.has(fencePaused):
		r.AcceptLoss = r.AcceptLoss || r.Kind == event.Fence
	case w.without.has(mixParts) && r.Part > 1 && w.check.openPart[m] != (event.ID{}):
		r.ID = w.check.openPart[m]
	case w.without.has(acceptAfterClose) && c.Mode == protocol.Local && c.Stream.Partition >= 0:
		c.Mode = protocol.Log
	}
}
