package main

import "slices"

// step has one thing happen.
func (w *world) step() {
	i, a := w.random.IntN(stores), w.random.IntN(accounts)
	m := w.ms[i]
	switch x := w.random.IntN(100); {
	case x < 26:
		for n := 1 + w.random.IntN(8); n > 0; n-- {
			w.read(i)
		}
	case x < 35:
		w.deliver(w.primaryOr(i, a), a)
	case x < 38:
		w.expunge(w.primaryOr(i, a), a)
	case x < 41:
		w.reclaim(w.primaryOr(i, a), a)
	case x < 58:
		w.travel()
	case x < 61:
		w.repeat(i, a)
	case x < 63:
		w.crash(i, w.one(2))
	case x < 69:
		w.restart(i)
	case x < 71 && m.up:
		w.store(i)
	case x < 72 && m.up:
		w.sync(i)
	case x < 73:
		m.cut = !m.cut && w.one(2)
	case x < 76:
		m.knows = w.directory
	case x < 83:
		w.everywhere(w.reconcile)
	case x < 86:
		i = w.fit(i, a)
		for w.readFirst && w.read(i) {
		}
		w.promote(i, a, w.pauses && w.one(4))
	case x < 90:
		w.everywhere(w.give)
	case x < 93:
		w.everywhere(w.load)
	case x < 96:
		w.everywhere(func(i, a int) { w.catchUp(i, a, 1+w.random.IntN(5)) })
	case x < 98:
		w.administrate(i, a)
	case x < 99:
		w.loseDisk(i)
	default:
		w.trim()
	}
}

// everywhere does something for every account on every mailstore, or for some of them.
func (w *world) everywhere(do func(i, a int)) {
	for i := range w.ms {
		for a := range accounts {
			if !w.one(3) {
				do(i, a)
			}
		}
	}
}

// fit is a mailstore that may fence, if there is one.
func (w *world) fit(i, a int) int { return w.fitWith(i, a, false) }

func (w *world) fitWith(i, a int, loss bool) int {
	for k := range w.ms {
		at := (i + k) % stores
		if c := w.ms[at].now.copies[a]; c != nil && w.mayFence(at, c, loss) {
			return at
		}
	}
	return i
}

func (w *world) primaryOr(i, a int) int {
	for k := range w.ms {
		if w.serves(k, a) {
			return k
		}
	}
	return i
}

// read has the live reader judge the next record; it reports whether there was one.
func (w *world) read(i int) bool {
	m := w.ms[i]
	if !m.up || m.cut {
		return false
	}
	if m.position < w.start {
		for a, c := range m.now.copies {
			if c != nil && c.mode != local && c.condition != catching {
				w.miss(i, c, record{account: a})
				m.pending[a] = nil
			}
		}
		m.position = w.start
	}
	if m.position < len(w.log) {
		r := w.log[m.position]
		if c := m.now.copies[r.account]; c != nil && c.condition != catching {
			w.judge(i, r, m.position)
		}
		m.position++
		m.caughtUp = m.caughtUp || m.position >= m.target
		if w.one(4) {
			w.store(i)
		}
		return true
	}
	m.caughtUp = true
	return false
}

// store stores the reader's position, with the rows.
func (w *world) store(i int) {
	m := w.ms[i]
	p := m.position
	for _, c := range m.now.copies {
		if c != nil && len(c.parts) > 0 && w.positionBeforeParts {
			p = min(p, c.partsAt)
		}
	}
	m.now.position = p
}

func (w *world) travel() {
	for n := 1 + w.random.IntN(3); n > 0 && len(w.network) > 0; n-- {
		k := 0
		if w.one(4) {
			k = w.random.IntN(len(w.network))
		}
		r := w.network[k]
		if r.slow && !w.one(12) {
			if k = w.random.IntN(len(w.network)); w.network[k].slow {
				continue
			}
			r = w.network[k]
		}
		switch w.random.IntN(8) {
		case 0:
			w.say("lost: %v", r)
		case 1:
			w.log = append(w.log, r)
			w.say("log %d: %v, and once more under way", len(w.log)-1, r)
			continue
		default:
			w.log = append(w.log, r)
			w.say("log %d: %v", len(w.log)-1, r)
		}
		w.network = slices.Delete(w.network, k, k+1)
	}
}

// begin makes the next record of an account.
func (c *copyOf) begin(w *world, i, a int, k kind) record {
	return record{kind: k, account: a, epoch: c.epoch, seq: c.rows + 1, id: w.id(), prev: c.rowsID, writer: i, target: i, part: 1, parts: 1}
}

// commit decides a change where it is decided now.
func (w *world) commit(i, a int, r record) {
	m := w.ms[i]
	c := m.now.copies[a]
	switch c.mode {
	case local:
		w.write(i, c, r)
		c.seq, c.head = c.rows, c.rowsID
		w.sync(i)
		w.answer(i, c, r)
	case paused:
		c.journal = append(c.journal, r)
		w.write(i, c, r)
		if w.syncJournal {
			w.sync(i)
		}
		w.answer(i, c, r)
	case logged:
		p := &flight{records: []record{r}}
		if r.mail != 0 && w.one(4) {
			r.parts = 2
			second := r
			second.part = 2
			p.records = []record{r, second}
		}
		m.pending[a] = p
		w.send(p.records...)
	}
	w.say("M%d does %v in mode %d", i, r, c.mode)
}

// mayWrite reports whether a mailstore takes changes of an account now.
func (w *world) mayWrite(i, a int) bool {
	if !w.serves(i, a) || w.ms[i].pending[a] != nil {
		return false
	}
	c := w.ms[i].now.copies[a]
	return c.mode == local || c.mode == paused || c.mode == logged && len(c.journal) == 0
}

func (w *world) deliver(i, a int) {
	if !w.mayWrite(i, a) || w.directory[a].deleting {
		return
	}
	c := w.ms[i].now.copies[a]
	r := c.begin(w, i, a, change)
	r.mail, r.uid, r.blob = w.id(), c.uidNext, w.id()
	w.volume[r.blob] = true
	if w.one(20) {
		return // it died before it named the body
	}
	w.commit(i, a, r)
	if !w.keepDoubtful && c.mode == logged && w.one(3) { // the frontend gives up, and takes the body with it
		w.dropBlob(r, "in doubt")
	}
}

func (w *world) expunge(i, a int) {
	if !w.mayWrite(i, a) || w.directory[a].deleting {
		return
	}
	c := w.ms[i].now.copies[a]
	r := c.begin(w, i, a, change)
	for uid := range c.uidNext {
		if _, there := c.messages[uid]; there && (r.takes == 0 || w.one(3)) {
			r.takes = uid
		}
	}
	if r.takes != 0 {
		w.asked[a][r.takes] = true
		for k := range w.acks[a] { // from now on it may be gone
			w.acks[a][k].unsure = w.acks[a][k].unsure || w.acks[a][k].uid == r.takes
		}
		w.commit(i, a, r)
	}
}

// reclaim removes a blob that no copy can refer to any more.
func (w *world) reclaim(i, a int) {
	if !w.mayWrite(i, a) || w.ms[i].now.copies[a].mode == paused {
		return
	}
	m := w.ms[i]
	c := m.now.copies[a]
	if d := m.knows[a]; d.home != i || d.epoch > c.epoch || d.deleting {
		return
	}
	blob := 0
	for b := range w.ids {
		if _, listed := c.discarded[b]; listed {
			blob = b
			break
		}
	}
	if blob == 0 {
		return
	}
	for k, other := range w.ms {
		_, member := c.members[k]
		if k == i || !member && !m.knows[a].replicas[k] {
			continue
		}
		if !w.askBeforeReclaim {
			continue
		}
		if !other.up || other.cut || m.cut {
			return
		}
		o := other.disk.copies[a]
		if o == nil && !member {
			continue
		}
		if o == nil || o.epoch != c.epoch || o.primary != i || o.condition != complete || o.rows < c.discarded[blob] {
			return
		}
	}
	delete(w.volume, blob)
	w.say("M%d removes blob%d of a%d", i, blob, a)
	r := c.begin(w, i, a, change)
	r.reclaims = blob
	w.commit(i, a, r)
}

// repeat appends again what is in doubt.
func (w *world) repeat(i, a int) {
	m := w.ms[i]
	if p := m.pending[a]; p != nil && m.up && !m.cut {
		if p.records[0].kind == fence {
			m.pending[a] = nil // it ends with its caller
			return
		}
		p.gaveUp = true
		w.send(p.records...)
		w.say("M%d repeats %v", i, p.records[0])
	}
}

func (w *world) crash(i int, power bool) {
	m := w.ms[i]
	if !m.up {
		return
	}
	m.up, m.pending, m.given, m.asked = false, [accounts]*flight{}, [accounts]*snapshot{}, [accounts]int{}
	if power {
		m.now = m.disk.clone()
	}
	m.now = m.now.clone() // parts are forgotten
	w.say("M%d dies, power %v", i, power)
}

func (w *world) restart(i int) {
	m := w.ms[i]
	if m.up {
		return
	}
	m.up, m.caughtUp, m.position, m.target = true, false, m.now.position, len(w.log)
	if !w.readOn {
		m.position = len(w.log)
	}
	w.say("M%d starts at %d of %d", i, m.position, m.target)
}

// control appends a record about the account itself.
func (w *world) control(i, a int, k kind, target int) {
	c := w.ms[i].now.copies[a]
	if !w.mayWrite(i, a) || c.mode != logged {
		return
	}
	r := c.begin(w, i, a, k)
	r.target = target
	w.ms[i].pending[a] = &flight{records: []record{r}}
	w.send(r)
	w.say("M%d appends %v", i, r)
}

// promote asks a mailstore to take an account over.
func (w *world) promote(i, a int, loss bool) {
	m := w.ms[i]
	c := m.now.copies[a]
	if !m.up || m.cut || c == nil || m.pending[a] != nil || !w.mayFence(i, c, loss) || m.position < len(w.log) && w.readFirst {
		return
	}
	r := record{kind: fence, account: a, epoch: c.epoch + 1, id: w.id(), writer: i, target: i, join: c.members[i], loss: loss && c.isPaused(), part: 1, parts: 1}
	w.lossy[a] = w.lossy[a] || r.loss
	m.pending[a] = &flight{records: []record{r}}
	w.send(r)
	w.say("M%d appends %v", i, r)
}

// give begins to make a copy: it asks the home for a snapshot, which lets it join first.
func (w *world) give(i, a int) {
	m := w.ms[i]
	d := m.knows[a]
	if c := m.now.copies[a]; !m.up || m.cut || m.given[a] != nil || !d.replicas[i] || d.removing[i] || d.deleting || m.now.ended[a] ||
		c != nil && (c.condition == complete || c.condition == catching || c.primary == i && c.condition != diverged && c.condition != gap) {
		return
	}
	h := d.home
	if h == i || w.ms[h].cut || !w.serves(h, a) || w.ms[h].pending[a] != nil {
		return
	}
	c := w.ms[h].now.copies[a]
	switch named, member := c.members[i]; {
	case c.mode == local || c.mode == opening:
		w.begin(h, a)
		return
	case c.isPaused() && w.noSnapshotInPause || !c.isOpen():
		return
	case !member || named != m.asked[a]: // an attempt begins with a Join of its own
		if w.control(h, a, join, i); w.ms[h].pending[a] != nil {
			m.asked[a] = w.ms[h].pending[a].records[0].id
		}
		return
	}
	m.asked[a] = 0
	taken := c.clone()
	taken.condition, taken.mode, taken.journal, taken.next = catching, logged, nil, c.next
	taken.seq, taken.head = taken.rows, taken.rowsID
	m.given[a] = &snapshot{copy: taken}
	w.say("M%d gives a snapshot of a%d to M%d, s%d", h, a, i, taken.seq)
}

// load writes a snapshot, and makes it durable.
func (w *world) load(i, a int) {
	m := w.ms[i]
	s := m.given[a]
	if s == nil || !m.up {
		return
	}
	m.given[a] = nil
	if c := m.now.copies[a]; c != nil && c.primary == i && c.condition == complete || w.one(6) { // the primary is never overwritten; it breaks off
		return
	}
	m.now.copies[a] = s.copy
	m.pending[a] = nil
	if w.syncLoaded {
		w.sync(i)
	}
	w.say("M%d has loaded a%d at s%d, to read on from %d", i, a, s.copy.seq, s.copy.next)
}

// catchUp reads on towards the live reader, and hands the copy over when it has met it.
func (w *world) catchUp(i, a, most int) {
	m := w.ms[i]
	c := m.now.copies[a]
	if !m.up || m.cut || c == nil || c.condition != catching {
		return
	}
	if c.next < w.start {
		w.miss(i, c, record{account: a})
		return
	}
	at := c.next
	if len(c.parts) > 0 {
		at = max(at, c.partsAfter)
	}
	for ; at < min(m.position, len(w.log)) && most > 0; at++ {
		if w.log[at].account != a {
			continue
		}
		most--
		if w.judge(i, w.log[at], at); m.now.copies[a] != c || c.condition != catching {
			return
		}
	}
	if at < min(m.position, len(w.log)) && w.meetReader {
		return
	}
	c.condition = complete
	if len(c.parts) > 0 {
		m.now.position = min(m.now.position, c.partsAt)
	}
	if w.syncLoaded {
		w.sync(i)
	}
	w.directory[a].replicas[i] = w.directory[a].replicas[i] || w.directory[a].home != i
	w.say("M%d hands a%d over at s%d", i, a, c.seq)
}
