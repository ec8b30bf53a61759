package main

import "slices"

// agree checks that all copies accept the same.
func (w *world) agree(i int, c *copyOf, r record) {
	at := [2]int{r.epoch, r.seq}
	if was, known := w.accepted[r.account][at]; known && was != r.id {
		w.broken("a%d: two records are accepted at e%d s%d: id%d and id%d", r.account, r.epoch, r.seq, was, r.id)
	}
	w.accepted[r.account][at] = r.id
}

// fences checks that one Fence alone begins an epoch, and that its mailstore has what it takes over, unless its disk or the log was lost.
func (w *world) fences(r record) {
	at := [2]int{r.epoch, nobody}
	was, known := w.accepted[r.account][at]
	if known && was != r.id {
		w.broken("a%d: two Fences begin e%d: id%d and id%d", r.account, r.epoch, was, r.id)
	}
	w.accepted[r.account][at] = r.id
	c := w.ms[r.target].now.copies[r.account]
	if !known && !w.trimmed && !w.lostDisk[r.target] && (c == nil || c.condition != complete && c.condition != catching) {
		w.broken("a%d: M%d becomes the primary, and has no copy", r.account, r.target)
	}
}

// answer tells a client that its change is done.
func (w *world) answer(i int, c *copyOf, r record) {
	a := r.account
	if w.directory[a].deleted {
		w.broken("a%d: M%d answers after the account's end", a, i)
	}
	if r.mail != 0 {
		w.say("  M%d answers a%d mail%d uid%d e%d s%d", i, a, r.mail, r.uid, c.epoch, r.seq)
		for _, k := range w.acks[a] {
			if k.validity == c.validity && k.uid == r.uid && k.mail != r.mail && !w.lossy[a] {
				w.broken("a%d: UID %d is mail%d and mail%d", a, r.uid, k.mail, r.mail)
			}
			if k.epoch == c.epoch && k.by != i {
				w.broken("a%d: M%d and M%d answer in epoch %d", a, k.by, i, c.epoch)
			}
		}
		w.acks[a] = append(w.acks[a], acked{mail: r.mail, validity: c.validity, uid: r.uid, blob: r.blob, epoch: c.epoch, by: i, unsure: w.asked[a][r.uid]})
	}
	for k := range w.acks[a] {
		if r.takes != 0 && w.acks[a][k].uid == r.takes {
			w.acks[a][k].expunged = true
		}
	}
}

// shows checks that a copy holds all that was answered by an epoch, and nothing that was expunged.
func (w *world) shows(i, a, epoch int, c *copyOf, what string) {
	if w.lossy[a] {
		return
	}
	for _, k := range w.acks[a] {
		m, there := c.messages[k.uid]
		switch {
		case k.epoch > epoch:
		case k.expunged && there && m.mail == k.mail:
			w.broken("a%d: %s M%d shows mail%d, whose removal was answered", a, what, i, k.mail)
		case !k.expunged && !k.unsure && (!there || m.mail != k.mail):
			w.broken("a%d: %s M%d misses mail%d uid%d, which M%d answered in e%d", a, what, i, k.mail, k.uid, k.by, k.epoch)
		}
	}
	count := map[int]int{}
	for _, m := range c.messages {
		if count[m.mail]++; count[m.mail] > 1 {
			w.broken("a%d: %s M%d shows mail%d twice", a, what, i, m.mail)
		}
	}
}

// look checks what must hold after every step.
func (w *world) look() {
	for a := range accounts {
		for i, m := range w.ms {
			c := m.now.copies[a]
			if c == nil || !m.up {
				continue
			}
			if w.serves(i, a) && c.mode != opening && w.isNewest(i, a) {
				w.shows(i, a, c.epoch-1, c, "the primary")
			}
			left := c.mode != local && c.members[i] != w.joined[a][i] // it has still to read that it counts no more
			if c.condition == complete && !w.lossy[a] && !left && (c.primary != i || w.serves(i, a) && w.isNewest(i, a)) {
				for uid, one := range c.messages {
					if !w.volume[one.blob] && one.blob != 0 {
						w.broken("a%d: M%d refers to blob%d by uid%d, and it is gone", a, i, one.blob, uid)
					}
				}
			}
		}
	}
}

// isNewest reports whether no copy is of a later epoch.
func (w *world) isNewest(i, a int) bool {
	for _, m := range w.ms {
		if c := m.now.copies[a]; c != nil && c.epoch > w.ms[i].now.copies[a].epoch {
			return false
		}
	}
	return true
}

const roundsMax = 150 // until everything must be settled

// finish makes everything whole, lets everybody do what is left to do, and checks that nothing is missing.
func (w *world) finish() {
	for i, m := range w.ms {
		m.cut = false
		w.restart(i)
	}
	for a := range w.directory {
		w.directory[a].paused = false
	}
	for quiet, round := 0, 0; quiet < 3 && round < roundsMax; quiet, round = quiet+1, round+1 {
		before := w.events
		w.log = append(w.log, w.network...)
		w.network = nil
		for i := range w.ms {
			for w.read(i) {
			}
			w.ms[i].knows = w.directory
			for a := range accounts {
				w.repeat(i, a)
				w.reconcile(i, a)
				w.give(i, a)
				w.load(i, a)
				w.catchUp(i, a, len(w.log))
			}
		}
		for a := range accounts { // an administrator helps out where a disk was lost
			if d := w.directory[a]; !d.deleted && w.ms[d.home].now.copies[a] == nil {
				w.promote(w.fitWith(d.home, a, d.deleting), a, d.deleting)
			}
		}
		if w.violation != "" {
			return
		}
		if w.events > before || len(w.network) > 0 || !w.isSettled() {
			quiet = 0
		}
	}
	for a := range accounts {
		w.final(a)
	}
}

func (w *world) isSettled() bool {
	return !slices.ContainsFunc(w.ms[:], func(m *mailstore) bool { return m.pending != [accounts]*flight{} || m.position < len(w.log) })
}

func (w *world) final(a int) {
	d := w.directory[a]
	if d.deleting && !d.deleted && !w.trimmed {
		w.broken("a%d: its deletion does not end", a)
	}
	if d.deleted {
		for i, m := range w.ms {
			if c := m.now.copies[a]; c != nil {
				w.broken("a%d is deleted, and M%d has a copy: condition %d mode %d", a, i, c.condition, c.mode)
			}
		}
		return
	}
	home := nobody
	for i := range w.ms {
		if w.serves(i, a) && w.isNewest(i, a) {
			home = i
		}
	}
	if home == nobody {
		if !w.trimmed {
			w.broken("a%d: nobody serves it", a)
		}
		return
	}
	c := w.ms[home].now.copies[a]
	w.shows(home, a, c.epoch, c, "in the end the primary")
	for i, m := range w.ms {
		o := m.now.copies[a]
		if o == nil || o.condition != complete || i == home {
			continue
		}
		if o.epoch != c.epoch || o.rows != c.rows || len(o.messages) != len(c.messages) {
			w.broken("a%d: the copies on M%d and M%d differ in the end: e%d s%d %v, e%d s%d %v", a, home, i, c.epoch, c.rows, c.messages, o.epoch,
				o.rows, o.messages)
		}
		w.shows(i, a, c.epoch, o, "in the end the copy")
	}
}
