package main

import "slices"

// reconcile has a mailstore take the next step that the directory wishes for.
func (w *world) reconcile(i, a int) {
	m := w.ms[i]
	if !m.up || w.directory[a].deleted && m.now.copies[a] == nil {
		return
	}
	c := m.now.copies[a]
	if w.directory[a].deleting && m.now.ended[a] {
		w.directory[a].deleted = true
		return
	}
	d := m.knows[a]
	switch {
	case c == nil && d.deleting:
		w.endLost(i, a)
	case c == nil:
	case d.deleted:
		m.now.copies[a] = nil
		w.sync(i)
	case c.primary == i && c.condition == complete:
		w.lead(i, a, c, d)
	case c.condition == complete && c.epoch > w.directory[a].epoch: // the primary does not tell
		w.tell(a, c)
	case c.condition != complete && c.condition != catching && c.primary != i && !d.replicas[i] && d.home != i && m.given[a] == nil:
		m.now.copies[a] = nil
		w.sync(i)
	}
}

// endLost is for an account that is being deleted, of which a mailstore holds nothing: the home ends it when nobody is wished to hold a
// copy, and nobody else is waited for who holds none.
func (w *world) endLost(i, a int) {
	d := &w.directory[a]
	switch {
	case d.home != i && w.ms[i].given[a] == nil:
		d.removing[i] = d.replicas[i]
	case d.home == i:
		wanted := false
		for k := range w.ms {
			wanted = wanted || k != i && d.replicas[k] && !d.removing[k]
		}
		d.deleted = !wanted
	}
}

func (w *world) tell(a int, c *copyOf) {
	d := &w.directory[a]
	if d.epoch >= c.epoch || d.deleted {
		return
	}
	for k := range c.members {
		d.replicas[k] = d.replicas[k] || k == d.home
	}
	d.home, d.epoch, d.replicas[c.primary], d.removing[c.primary] = c.primary, c.epoch, false, false
	w.say("the directory knows of M%d, e%d, for a%d", c.primary, c.epoch, a)
}

// lead is what a primary has to do.
func (w *world) lead(i, a int, c *copyOf, d wishes) {
	if c.epoch > d.epoch {
		w.tell(a, c)
		w.ms[i].knows[a] = w.directory[a]
		return
	}
	if c.mode == opening {
		w.begin(i, a)
		return
	}
	if d.home != i || !w.serves(i, a) || w.ms[i].pending[a] != nil {
		return
	}
	fresh := &w.directory[a]
	switch {
	case fresh.deleting:
		w.delete(i, a, c)
	case c.mode == logged && len(c.journal) == 0 && w.leaves(i, a, c, fresh):
	case c.mode == logged && d.paused:
		w.control(i, a, pause, i)
	case c.mode == paused && !d.paused, c.mode == resuming:
		w.publish(i, a, c)
	}
}

func (w *world) delete(i, a int, c *copyOf) {
	switch {
	case c.mode == local:
		w.ms[i].now.copies[a], w.ms[i].now.ended[a] = nil, true
		w.sync(i)
		w.directory[a].deleted = true
	case c.isPaused():
		w.publish(i, a, c)
	default:
		w.control(i, a, end, i)
		if !w.deleteByRecord {
			w.directory[a].deleted = true
		}
	}
}

// leaves appends the Leave of a member that nobody wishes for.
func (w *world) leaves(i, a int, c *copyOf, d *wishes) bool {
	for k := range w.ms {
		_, member := c.members[k]
		if k == i || d.replicas[k] && !d.removing[k] {
			continue
		}
		if member || d.removing[k] && len(c.members) == 1 {
			w.control(i, a, leave, k)
			return true
		}
		d.replicas[k], d.removing[k] = false, false
	}
	if len(c.members) == 1 && d.replicas == [stores]bool{} {
		w.control(i, a, leave, (i+1)%stores)
		return true
	}
	return false
}

// begin notes that an account is being opened, and opens it.
func (w *world) begin(i, a int) {
	m := w.ms[i]
	c := m.now.copies[a]
	if !w.serves(i, a) || m.pending[a] != nil || c.isOpen() {
		return
	}
	if c.mode == opening && w.one(8) { // the log does not confirm: it goes on by itself, in the epoch of the Open
		c.mode, c.epoch = local, c.epoch+1
		w.sync(i)
		w.say("M%d gives up opening a%d", i, a)
		return
	}
	c.mode = opening
	c.next = 0
	if w.noteOpening {
		w.sync(i)
	}
	r := record{kind: open, account: a, epoch: c.epoch + 1, seq: c.seq, id: w.id(), writer: i, target: i, part: 1, parts: 1}
	m.pending[a] = &flight{records: []record{r}}
	w.send(r)
	w.say("M%d appends %v", i, r)
}

// publish appends the oldest transaction of the journal, or the Resume when none is left.
func (w *world) publish(i, a int, c *copyOf) {
	m := w.ms[i]
	if m.pending[a] != nil {
		return
	}
	if len(c.journal) > 0 && !w.dropJournal {
		m.pending[a] = &flight{records: c.journal[:1:1], gaveUp: true}
		w.send(c.journal[0])
		return
	}
	if w.noteResuming {
		c.mode = resuming
		w.sync(i)
	}
	r := c.begin(w, i, a, resume)
	m.pending[a] = &flight{records: []record{r}}
	w.send(r)
	w.say("M%d appends %v", i, r)
}

// administrate changes a wish.
func (w *world) administrate(i, a int) {
	d := &w.directory[a]
	if d.deleted {
		return
	}
	switch x := w.random.IntN(20); {
	case x < 11 && i != d.home:
		d.replicas[i], d.removing[i] = true, false
	case x < 14 && d.replicas[i]:
		d.removing[i] = true
	case x < 17 && w.pauses:
		d.paused = !d.paused
	case x == 19 && w.one(3):
		d.deleting = true
	default:
		return
	}
	w.say("wishes for a%d: %+v", a, *d)
}

// loseDisk takes all that a mailstore has, where the promise covers that.
func (w *world) loseDisk(i int) {
	m := w.ms[i]
	if w.trimmed || !w.disks {
		return
	}
	for _, r := range slices.Concat(w.network, w.log) {
		if c := m.now.copies[r.account]; (r.kind == leave || r.kind == join) && c != nil && r.epoch == c.epoch && r.seq > c.seq {
			return // another copy is about to count no more
		}
	}
	for a, c := range m.disk.copies {
		if c == nil && m.now.copies[a] == nil || w.directory[a].deleting {
			continue // nothing of what is being deleted must be kept
		}
		covered := false
		for k, other := range w.ms {
			o := other.now.copies[a]
			covered = covered || k != i && o != nil && o.condition == complete && o.mode == logged && o.members[k] != 0 && o.members[k] == w.joined[a][k]
		}
		if c := m.now.copies[a]; !covered || c != nil && c.primary == i && (c.mode != logged || len(c.journal) > 0) {
			return
		}
	}
	w.crash(i, true)
	m.now, m.disk = &database{}, &database{}
	w.lostDisk[i] = true
	w.say("M%d loses its disk", i)
}

func (w *world) trim() {
	if w.trims && len(w.log) > w.start+8 && w.one(3) {
		w.start += 1 + w.random.IntN(5)
		w.trimmed = true
		w.say("the log begins at %d", w.start)
	}
}
