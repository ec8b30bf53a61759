package protocol_test

import (
	"mailreplica/internal/protocol"
)

const roundsMax = 40

// finish heals everything, and asks for what must be so at last: every transaction in flight is settled, somebody serves
// every account, every pause can end, and every replica can be promoted with nothing lost.
func (w *world) finish() {
	for i, s := range w.stores {
		s.cut = false
		w.restart(i)
	}
	w.settleAll()
	for a := range accountsCount {
		if w.check.violation == "" {
			w.finishAccount(a)
		}
	}
}

// settleAll repeats what is in doubt until nothing is.
func (w *world) settleAll() {
	for range roundsMax {
		w.quieten()
		waiting := false
		for i, s := range w.stores {
			for a := range accountsCount {
				if s.pending[a] != nil {
					waiting = true
					w.repeat(i, a)
				}
			}
		}
		if !waiting || w.check.violation != "" {
			return
		}
	}
	for _, s := range w.stores {
		for _, p := range s.pending {
			if p != nil {
				w.check.fail("never settled: %s of %s", p.Records[0].Kind, short(s.name))
			}
		}
	}
}

func (w *world) finishAccount(a int) {
	home := w.home(a)
	if w.check.ended[a] {
		for i := range storesCount {
			if m := w.mailbox(i, a); m != nil && (m.copy.Condition == protocol.Complete || m.copy.Condition == protocol.CatchingUp) {
				w.check.fail("revived: a%d is deleted and %s holds %s", a, short(storeName(i)), w.describeCopy(m.copy))
			}
		}
		return
	}
	if home < 0 && !w.trims {
		w.check.fail("nobody: no store serves a%d", a)
	}
	if home < 0 {
		for i := range storesCount {
			w.promote(i, a)
		}
		home = w.home(a)
	}
	if home < 0 { // what was trimmed was needed by all
		return
	}
	w.endPause(home, a)
	w.deliver(home, a, 0)
	w.settleAll()
	w.check.serving(w, home, a)
	for i := range storesCount {
		if m := w.mailbox(i, a); m != nil && m.copy.MayFence(false) == nil && w.check.violation == "" {
			w.promote(i, a)
			if w.home(a) != i {
				w.check.fail("promotion: %s was complete and may not serve a%d: %s", short(storeName(i)), a, w.describeCopy(m.copy))
			}
		}
	}
}

// home is the store that serves an account, -1 if nobody does.
func (w *world) home(a int) int {
	home := -1
	for i := range storesCount {
		if w.mayServe(i, a) && (home < 0 || w.mailbox(i, a).copy.Epoch > w.mailbox(home, a).copy.Epoch) {
			home = i
		}
	}
	return home
}

func (w *world) promote(i, a int) {
	w.fence(i, a, false)
	w.settleAll()
	w.check.serving(w, i, a)
}

// endPause ends what is half done: an opening, a pause.
func (w *world) endPause(home, a int) {
	for range roundsMax + 2*w.messages { // a journal has no more than its messages and their expunges
		m := w.mailbox(home, a)
		switch {
		case m == nil || w.check.violation != "":
			return
		case m.copy.Mode == protocol.Opening:
			w.open(home, a)
		case m.copy.IsPaused():
			w.resume(home, a)
		default:
			return
		}
		w.settleAll()
	}
	w.check.fail("pause: a%d does not come out of %s", a, w.mailbox(home, a).copy.Mode)
}
