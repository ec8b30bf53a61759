package main

import "slices"

// What is here aims at moments that a walk hardly ever comes to by itself: each is a schedule of a few steps, of those that a walk takes
// too, for one account, and strikes where a rule alone keeps it from doing harm. Most walks have a few of them in between.

// aimsMax bounds how many schedules one walk follows.
const aimsMax = 4

var aims = []func(*world, int){
	(*world).fenceInPause, (*world).fenceOfAnotherJoin, (*world).resumeComesLate, (*world).fenceWhileCatching, (*world).copyLosesPower,
	(*world).deleteLosesToFence,
}

// aim follows one of the schedules, if an account is as it has to be.
func (w *world) aim() {
	aims[w.random.IntN(len(aims))](w, w.random.IntN(accounts))
}

// pair is a serving primary that the log decides for, and a member with a complete copy, when all faults have ended and everything has
// been read.
func (w *world) pair(a int) (home, member int, found bool) {
	if home = w.calm(a); home == nobody {
		return
	}
	for n := 0; n < 2; n++ { // what is missing of a copy
		w.reconcile(home, a)
		w.arrives(a)
		for i := range w.ms {
			w.give(i, a)
			w.arrives(a)
			w.load(i, a)
			w.catchUp(i, a, len(w.log))
		}
	}
	if c := w.ms[home].now.copies[a]; !w.serves(home, a) || c.mode != logged || len(c.journal) > 0 || w.ms[home].pending[a] != nil {
		return
	}
	member = w.fit(home, a)
	return home, member, member != home
}

// calm ends all faults for a moment and gives the primary of an account, if there is one that serves.
func (w *world) calm(a int) (home int) {
	for i, m := range w.ms {
		m.cut = false
		w.restart(i)
	}
	w.arrives(a)
	for _, m := range w.ms {
		m.knows = w.directory
	}
	if w.directory[a].deleting || w.directory[a].paused {
		return nobody
	}
	return w.primaryOr(nobody, a)
}

// everyoneReads has every mailstore that runs read to the end of the log.
func (w *world) everyoneReads() {
	for i := range w.ms {
		for w.read(i) {
		}
	}
}

// keep has what was appended last stay under way, and reports whether it is what was to be.
func (w *world) keep(k kind, a int) (r record, kept bool) {
	i := slices.IndexFunc(w.network, func(r record) bool { return r.kind == k && r.account == a })
	if i < 0 {
		return r, false
	}
	r = w.network[i]
	w.network = slices.Delete(w.network, i, i+1)
	return r, true
}

// arrive has a record reach the log.
func (w *world) arrive(r record) {
	w.log = append(w.log, r)
	w.say("log %d: %v", len(w.log)-1, r)
}

// arrives has whatever is under way of an account reach the log, in its order, and everybody read it.
func (w *world) arrives(a int) {
	for _, r := range w.network {
		if r.account == a {
			w.arrive(r)
		}
	}
	w.network = slices.DeleteFunc(w.network, func(r record) bool { return r.account == a })
	w.everyoneReads()
}

// lateFence has a member append a Fence that stays under way.
func (w *world) lateFence(member, a int) (record, bool) {
	w.promote(member, a, false)
	return w.keep(fence, a)
}

// wish changes a wish, and has the primary do what follows.
func (w *world) wish(home, a int, change func(*wishes)) {
	change(&w.directory[a])
	w.say("wishes for a%d: %+v", a, w.directory[a])
	w.ms[home].knows = w.directory
	w.reconcile(home, a)
}

// fenceInPause: a Fence arrives in a pause, and is read once more after it.
func (w *world) fenceInPause(a int) {
	home, member, found := w.pair(a)
	if !found || !w.pauses {
		return
	}
	late, kept := w.lateFence(member, a)
	if !kept {
		return
	}
	w.wish(home, a, func(d *wishes) { d.paused = true })
	w.arrives(a)
	w.deliver(home, a)
	w.arrive(late)
	w.everyoneReads()
	for n := 0; n < 4; n++ { // the journal, and the Resume
		w.wish(home, a, func(d *wishes) { d.paused = false })
		w.arrives(a)
	}
	i := w.random.IntN(stores)
	w.crash(i, w.one(2))
	w.restart(i)
	w.everyoneReads()
}

// fenceOfAnotherJoin: a Fence arrives when its mailstore has left and joined again.
func (w *world) fenceOfAnotherJoin(a int) {
	home, member, found := w.pair(a)
	if !found {
		return
	}
	late, kept := w.lateFence(member, a)
	if !kept {
		return
	}
	w.wish(home, a, func(d *wishes) { d.removing[member] = true })
	w.arrives(a)
	w.wish(home, a, func(d *wishes) { d.replicas[member], d.removing[member] = true, false })
	w.ms[member].knows = w.directory
	w.give(member, a)
	w.arrives(a)
	if w.one(2) {
		w.give(member, a)
	}
	w.arrive(late)
	w.everyoneReads()
}

// resumeComesLate: a home dies with its Resume under way, and takes a mail before that arrives.
func (w *world) resumeComesLate(a int) {
	home, _, found := w.pair(a)
	if !found || !w.pauses {
		return
	}
	w.wish(home, a, func(d *wishes) { d.paused = true })
	w.arrives(a)
	w.wish(home, a, func(d *wishes) { d.paused = false })
	late, kept := w.keep(resume, a)
	if !kept {
		return
	}
	w.crash(home, w.one(2))
	w.restart(home)
	w.everyoneReads()
	w.deliver(home, a)
	w.arrive(late)
	w.everyoneReads()
}

// fenceWhileCatching: a mailstore that has loaded a copy, and has not caught up, is asked to take over while its next attempt begins.
func (w *world) fenceWhileCatching(a int) {
	home, _, found := w.pair(a)
	if !found {
		return
	}
	i := (home + 1 + w.random.IntN(stores-1)) % stores
	w.wish(home, a, func(d *wishes) { d.removing[i] = true })
	w.arrives(a)
	w.wish(home, a, func(d *wishes) { d.replicas[i], d.removing[i] = true, false })
	w.ms[i].knows = w.directory
	w.give(i, a)
	w.arrives(a)
	w.give(i, a)
	w.load(i, a)
	w.deliver(home, a)
	w.promote(i, a, false)
	if w.one(2) {
		w.crash(i, true)
		w.restart(i)
	}
	w.arrives(a)
}

// copyLosesPower: a copy has just been handed over; its mailstore loses power, and the home its disk.
func (w *world) copyLosesPower(a int) {
	home := w.calm(a)
	if home == nobody || w.trimmed {
		return
	}
	i := (home + 1 + w.random.IntN(stores-1)) % stores
	w.store(i)
	w.sync(i)
	w.wish(home, a, func(d *wishes) {
		*d = wishes{home: d.home, epoch: d.epoch}
		d.replicas[i] = true
	})
	w.ms[i].knows = w.directory
	for n := 0; n < 4 && (w.ms[i].now.copies[a] == nil || w.ms[i].now.copies[a].condition != complete); n++ {
		w.reconcile(home, a)
		w.give(i, a)
		w.arrives(a)
		w.load(i, a)
		w.catchUp(i, a, len(w.log))
	}
	w.loseDisk(home)
	w.crash(i, true)
}

// deleteLosesToFence: the primary ends an account with a Delete, and a Fence is in the log before it.
func (w *world) deleteLosesToFence(a int) {
	home, member, found := w.pair(a)
	if !found || !w.one(4) {
		return // an account that is gone has nothing left to show
	}
	late, kept := w.lateFence(member, a)
	if !kept {
		return
	}
	w.wish(home, a, func(d *wishes) { d.deleting = true })
	w.arrive(late)
	w.arrives(a)
}
