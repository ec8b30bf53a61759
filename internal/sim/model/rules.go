package main

// judge has a mailstore's copy of an account judge one record.
func (w *world) judge(i int, r record, at int) {
	m := w.ms[i]
	c := m.now.copies[r.account]
	if c == nil || c.condition != complete && c.condition != catching || at < c.next && w.judgeOnce || len(c.parts) > 0 && at < c.partsAfter {
		return
	}
	switch r.kind {
	case open:
		w.judgeOpen(i, c, r, at)
	case fence:
		w.judgeFence(i, c, r, at)
	default:
		w.judgeSequenced(i, c, r, at)
	}
	w.settle(i, r.account, r)
}

func (w *world) miss(i int, c *copyOf, r record) {
	w.say("M%d has missed something of a%d at e%d s%d: %v", i, r.account, c.epoch, c.seq, r)
	c.condition, c.parts = gap, nil
}

func (c *copyOf) accept(r record, at int) {
	c.head, c.rowsID, c.next, c.parts = r.id, r.id, at+1, nil
}

func (w *world) judgeOpen(i int, c *copyOf, r record, at int) {
	switch {
	case r.epoch <= c.epoch:
	case r.epoch > c.epoch+1 || c.mode != opening || r.target != i || r.seq != c.seq:
		w.miss(i, c, r)
	default:
		c.epoch, c.mode, c.primary, c.members = r.epoch, logged, i, map[int]int{i: r.id}
		w.joined[r.account][i] = max(w.joined[r.account][i], r.id)
		c.accept(r, at)
		w.sync(i)
		w.say("M%d reads %v", i, r)
	}
}

func (w *world) judgeFence(i int, c *copyOf, r record, at int) {
	if r.epoch <= c.epoch {
		return
	}
	if r.epoch > c.epoch+1 {
		w.miss(i, c, r)
		return
	}
	named, member := c.members[r.target]
	if !c.isOpen() || !member || w.fenceNamesJoin && named != r.join || w.noFenceInPause && c.isPaused() && !r.loss {
		return
	}
	wasPaused := c.isPaused()
	w.say("M%d accepts %v", i, r)
	w.fences(r)
	c.epoch, c.primary, c.mode = r.epoch, r.target, logged
	c.accept(r, at)
	if len(c.journal) > 0 {
		c.condition = diverged
		return
	}
	if wasPaused {
		c.seq += 1_000
		c.rows, c.validity = c.seq, c.validity+1
	}
	if r.target == i {
		w.sync(i)
		if c.condition == complete {
			w.promoted++
		}
	}
}

func (w *world) judgeSequenced(i int, c *copyOf, r record, at int) {
	switch {
	case r.epoch > c.epoch || r.epoch == c.epoch && r.seq > c.seq+1:
		w.miss(i, c, r)
		return
	case r.epoch < c.epoch || r.seq <= c.seq || !c.isOpen():
		return
	case r.prev != c.head:
		w.miss(i, c, r)
		return
	}
	if r.parts > 1 && !w.gather(c, r, at) {
		return
	}
	c.seq = r.seq
	if len(c.journal) > 0 && r.seq <= c.rows {
		if c.journal[0].id != r.id {
			c.condition = diverged
			return
		}
		c.journal = c.journal[1:]
		c.head, c.next, c.parts = r.id, at+1, nil
	} else {
		c.accept(r, at)
		w.write(i, c, r)
	}
	w.agree(i, c, r)
	w.consequences(i, c, r)
}

// gather reports whether all parts of a transaction are there.
func (w *world) gather(c *copyOf, r record, at int) bool {
	same := len(c.parts) > 0 && (c.parts[0].id == r.id || !w.partsByID)
	if r.part == 1 {
		if !same {
			c.parts, c.partsAt, c.partsAfter = []record{r}, at, at+1
		}
		return false
	}
	if !same || r.part != len(c.parts)+1 {
		return false
	}
	if c.parts[0].id != r.id {
		w.broken("parts of two transactions are one: %v and %v", c.parts[0], r)
	}
	c.parts, c.partsAfter = append(c.parts, r), at+1
	return r.part == r.parts
}

// write does to the rows what a record says.
func (w *world) write(i int, c *copyOf, r record) {
	c.rows, c.rowsID = r.seq, r.id
	if r.mail != 0 {
		if was, taken := c.messages[r.uid]; taken && was.mail != r.mail {
			c.condition = diverged
		}
		c.messages[r.uid], c.uidNext = message{r.mail, r.blob}, max(c.uidNext, r.uid+1)
	}
	if was, there := c.messages[r.takes]; r.takes != 0 && there {
		delete(c.messages, r.takes)
		c.discarded[was.blob] = r.seq
	}
	if r.reclaims != 0 {
		delete(c.discarded, r.reclaims)
	}
}

func (w *world) consequences(i int, c *copyOf, r record) {
	m := w.ms[i]
	if r.kind == join || r.kind == leave {
		w.joined[r.account][r.target] = max(w.joined[r.account][r.target], r.id)
	}
	switch r.kind {
	case join:
		c.members[r.target] = r.id
		if r.target == i && c.primary != i { // a new attempt
			c.condition = loading
		}
	case leave:
		delete(c.members, r.target)
		if r.target == i {
			m.now.copies[r.account] = nil
		} else if len(c.members) == 1 && c.primary == i {
			c.mode = local
			w.sync(i)
		}
	case pause:
		c.mode = paused
		w.sync(i)
	case resume:
		c.mode = logged
		w.sync(i)
	case end:
		m.now.copies[r.account], m.now.ended[r.account] = nil, true
		w.sync(i)
	}
}

// settle ends what a mailstore has under way, if what was read decides it.
func (w *world) settle(i, a int, r record) {
	m := w.ms[i]
	p := m.pending[a]
	if p == nil {
		return
	}
	c, first := m.now.copies[a], p.records[0]
	won := first.id == r.id
	if !w.answerOwn {
		won = won || first.epoch == r.epoch && first.seq == r.seq && c != nil && c.seq >= first.seq
	}
	switch {
	case c == nil:
		m.pending[a] = nil
		return
	case won && c.condition == complete && (c.head == r.id || first.kind == change && c.seq >= first.seq):
		m.pending[a] = nil
		if !p.gaveUp {
			w.answer(i, c, first)
		} else {
			w.later(a, first)
		}
		return
	case c.condition != complete:
	case first.kind == open || first.kind == fence:
		if c.epoch < first.epoch && (first.kind == open || w.mayFence(i, c, first.loss)) {
			return
		}
	case c.epoch <= first.epoch && c.seq < first.seq && c.isOpen():
		return
	}
	m.pending[a] = nil
	if first.blob != 0 && c.condition == complete { // it will never be
		w.dropBlob(first, "refused")
	}
}

// later is for a change that came to be after its client was told a temporary failure.
func (w *world) later(a int, r record) {
	for k := range w.acks[a] {
		if r.takes != 0 && w.acks[a][k].uid == r.takes {
			w.acks[a][k].unsure = true
		}
	}
}

func (w *world) dropBlob(r record, why string) {
	delete(w.volume, r.blob)
	w.say("blob%d goes, for its change was %s", r.blob, why)
}

func (w *world) mayFence(i int, c *copyOf, loss bool) bool {
	_, member := c.members[i]
	return (c.condition == complete || !w.fenceComplete && c.condition != loading) && c.primary != i && c.isOpen() && member && (!c.isPaused() || loss)
}
