package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
)

// problemsMax bounds what is reported of one account.
const problemsMax = 20

// Check says everything that is wrong with a history, nil if nothing is.
func (h *History) Check() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var problems []string
	var ids []account.ID
	for id := range h.ops {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b account.ID) int { return cmp.Compare(a.String(), b.String()) })
	for _, id := range ids {
		c := &checker{history: h, id: id, ops: h.ops[id], views: h.views[id]}
		c.epochs()
		if h.lossy[id] {
			problems = append(problems, c.problems...)
			continue
		}
		c.order()
		c.sightings()
		c.uids()
		c.growth()
		for _, v := range c.views {
			c.ledger(v)
			if v.Only != 0 {
				continue
			}
			c.origin(v)
			c.folders(v)
		}
		problems = append(problems, c.problems...)
	}
	return problems
}

// checker checks one account.
type checker struct {
	history  *History
	id       account.ID
	ops      []*Op
	views    []*View
	problems []string
}

func (c *checker) fail(format string, args ...any) {
	if len(c.problems) < problemsMax {
		c.problems = append(c.problems, fmt.Sprintf("account %s: ", c.id)+fmt.Sprintf(format, args...))
	}
}

// order checks that the sequences of acknowledged changes are an order in which each could have happened: what was acknowledged
// before another was asked for comes before it, and no two mailstores acknowledged the same transaction.
func (c *checker) order() {
	by := map[mailbox.Sequence]*Op{}
	var done []*Op
	for _, o := range c.ops {
		if o.Outcome != Done || o.Sequence == 0 {
			continue
		}
		done = append(done, o)
		if first := by[o.Sequence]; first == nil {
			by[o.Sequence] = o
		} else if first.Mailstore != o.Mailstore && first.Mailstore != "" && o.Mailstore != "" {
			c.fail("two mailstores acknowledged sequence %d:\n\t%s\n\t%s", o.Sequence, first, o)
		}
	}
	ended := slices.SortedFunc(slices.Values(done), func(a, b *Op) int { return a.Ended.Compare(b.Ended) })
	begun := slices.SortedFunc(slices.Values(done), func(a, b *Op) int { return a.Begun.Compare(b.Begun) })
	var highest *Op
	for _, o := range begun {
		for len(ended) > 0 && ended[0].Ended.Before(o.Begun) {
			if highest == nil || ended[0].Sequence > highest.Sequence {
				highest = ended[0]
			}
			ended = ended[1:]
		}
		if highest != nil && o.Sequence <= highest.Sequence {
			c.fail("a change was acknowledged in the past of one that was acknowledged before it was asked for:\n\t%s\n\t%s", o, highest)
		}
	}
}

// epochs checks that one mailstore alone acknowledges in an epoch.
func (c *checker) epochs() {
	by := map[uint64]*Op{}
	for _, o := range c.ops {
		if o.Outcome != Done || o.Epoch == 0 {
			continue
		}
		if first := by[o.Epoch]; first == nil {
			by[o.Epoch] = o
		} else if first.Mailstore != o.Mailstore {
			c.fail("two mailstores acknowledged in epoch %d:\n\t%s\n\t%s", o.Epoch, first, o)
		}
	}
}

// sightings checks that views of one sequence are equal, and that none is of a past that its mailstore had to know was over: of
// before what it acknowledged itself, what anybody had been told before its process started, or what anybody had been told before
// it said that it was the primary.
func (c *checker) sightings() {
	digests := map[mailbox.Sequence]*View{}
	for _, v := range c.views {
		if v.Sequence == 0 || v.Only != 0 {
			continue
		}
		if first := digests[v.Sequence]; first == nil {
			digests[v.Sequence] = v
		} else if first.Digest != v.Digest {
			c.fail("two mailboxes at sequence %d:\n\t%s\n\t%s", v.Sequence, first, v)
		}
		if !v.Served {
			continue
		}
		since := v.Started
		for _, t := range c.history.taken {
			if t.Account == c.id && t.Mailstore == v.Mailstore && t.At.Before(v.Begun) && t.At.After(since) {
				since = t.At
			}
		}
		for _, o := range c.ops {
			known := o.Ended.Before(since) || o.Mailstore == v.Mailstore && o.Ended.Before(v.Begun)
			if o.Outcome == Done && known && o.Sequence > v.Sequence {
				c.fail("a view of the past:\n\t%s\n\t%s (the mailstore knew, or had to, since %s)", v, o, clock(since))
				break
			}
		}
	}
}

// uids checks that a UID of a folder stands for one message for ever, that later ones are higher, and that UIDVALIDITY stays.
func (c *checker) uids() {
	validity := map[mailbox.ItemID]uint32{}
	holds := map[Place]string{}
	is := func(p Place, blob string, where any) {
		if blob == "" {
			return
		}
		if was, known := holds[p]; known && was != blob {
			c.fail("UID %d of folder %d was mail %d and is mail %d: %s", p.UID, p.Folder, c.history.bodies[was], c.history.bodies[blob], where)
		}
		holds[p] = blob
	}
	for _, v := range c.views {
		for _, f := range v.Folders {
			if was, known := validity[f.ID]; known && was != f.UIDValidity {
				c.fail("UIDVALIDITY of folder %s was %d: %s", f.Name, was, v)
			}
			validity[f.ID] = f.UIDValidity
		}
		for p, r := range v.Rows {
			is(p, r.Blob, v)
			if f := v.Folders[p.Folder]; p.UID >= f.UIDNext {
				c.fail("UID %d of folder %s is not below UIDNEXT %d: %s", p.UID, f.Name, f.UIDNext, v)
			}
		}
	}
	type given struct {
		sequence mailbox.Sequence
		Made
	}
	byFolder := map[mailbox.ItemID][]given{}
	for _, o := range c.ops {
		for _, m := range o.Made {
			is(m.Place, m.Blob, o)
			if o.Timed {
				continue // growth looks at these
			}
			byFolder[m.Folder] = append(byFolder[m.Folder], given{o.Sequence, m})
		}
	}
	for folder, all := range byFolder {
		slices.SortFunc(all, func(a, b given) int {
			return cmp.Or(cmp.Compare(a.sequence, b.sequence), cmp.Compare(a.UID, b.UID))
		})
		for i := 1; i < len(all); i++ {
			if all[i].UID <= all[i-1].UID {
				c.fail("folder %d gave UID %d at sequence %d and UID %d at sequence %d", folder, all[i-1].UID, all[i-1].sequence,
					all[i].UID, all[i].sequence)
			}
		}
	}
}

// growth checks that a UID is higher than all that were given in its folder before it was asked for.
func (c *checker) growth() {
	type given struct {
		op *Op
		Made
	}
	byFolder := map[mailbox.ItemID][]given{}
	for _, o := range c.ops {
		for _, m := range o.Made {
			if o.Outcome == Done {
				byFolder[m.Folder] = append(byFolder[m.Folder], given{o, m})
			}
		}
	}
	for folder, all := range byFolder {
		ended := slices.SortedFunc(slices.Values(all), func(a, b given) int { return a.op.Ended.Compare(b.op.Ended) })
		slices.SortFunc(all, func(a, b given) int { return a.op.Begun.Compare(b.op.Begun) })
		var highest given
		for _, g := range all {
			for len(ended) > 0 && ended[0].op.Ended.Before(g.op.Begun) {
				if ended[0].UID > highest.UID {
					highest = ended[0]
				}
				ended = ended[1:]
			}
			if g.UID <= highest.UID {
				c.fail("folder %d gave UID %d, and later UID %d:\n\t%s\n\t%s", folder, highest.UID, g.UID, highest.op, g.op)
			}
		}
	}
}

// may reports whether an operation may have happened by the time of a view.
func (o *Op) may(v *View) bool {
	switch o.Outcome {
	case Done:
		if o.Timed {
			return !o.Begun.After(v.Ended)
		}
		return o.Sequence > 0 && o.Sequence <= v.Sequence
	case Unknown:
		return !o.Begun.After(v.Ended)
	}
	return false
}

// must reports whether an operation has happened by the time of a view.
func (o *Op) must(v *View) bool {
	if o.Timed {
		return o.Outcome == Done && (v.Settled && o.Ended.Before(v.Begun) || o.By > 0 && o.By <= v.Sequence)
	}
	return o.Outcome == Done && o.Sequence > 0 && o.Sequence <= v.Sequence
}

// ledger checks that everything acknowledged shows.
func (c *checker) ledger(v *View) {
	for _, o := range c.ops {
		if !o.must(v) {
			continue
		}
		if o.Timed && o.Delivery > 0 && len(o.Made) == 0 && v.Only == 0 && !c.holds(o.Delivery, v) {
			c.fail("an acknowledged mail is missing, mail %d:\n\t%s\n\t%s\n%s", o.Delivery, o, v, c.lifeOf(o.Delivery))
		}
		for _, m := range o.Made {
			if row, there := v.Rows[m.Place]; !there && v.covers(m.Folder) && !c.mayBeGone(m.Place, v) {
				c.fail("an acknowledged message is missing, UID %d of folder %d:\n\t%s\n\t%s", m.UID, m.Folder, o, v)
			} else if there && m.Blob != "" && row.Blob != "" && row.Blob != m.Blob {
				c.fail("UID %d of folder %d is another message:\n\t%s\n\t%s", m.UID, m.Folder, o, v)
			}
		}
		for _, p := range slices.Concat(o.Takes, o.Missing) {
			if _, there := v.Rows[p]; there {
				c.fail("a message whose removal was acknowledged is there, UID %d of folder %d:\n\t%s\n\t%s", p.UID, p.Folder, o, v)
			}
		}
		for _, p := range o.Marks {
			if row, there := v.Rows[p]; there && !slices.Contains(row.Keywords, o.Keyword) {
				c.fail("an acknowledged keyword %s is missing from UID %d of folder %d:\n\t%s\n\t%s", o.Keyword, p.UID, p.Folder, o, v)
			}
		}
	}
}

// holds reports whether a mail whose place is not known shows, or may have been removed, by anyone whom a view showed it.
func (c *checker) holds(mail int, v *View) bool {
	for _, r := range v.Rows {
		if c.history.bodies[r.Blob] == mail {
			return true
		}
	}
	if slices.ContainsFunc(c.ops, func(o *Op) bool { return slices.Contains(o.Mails, mail) && o.may(v) }) {
		return true
	}
	for _, seen := range c.views {
		for p, r := range seen.Rows {
			if c.history.bodies[r.Blob] == mail && c.mayBeGone(p, v) {
				return true
			}
		}
	}
	return false
}

func (c *checker) mayBeGone(p Place, v *View) bool {
	for _, o := range c.ops {
		if o.may(v) && (o.Drops == p.Folder || slices.Contains(o.Takes, p)) {
			return true
		}
	}
	return false
}

// origin checks that everything there was asked for, and no more often than it was.
func (c *checker) origin(v *View) {
	answered := map[Place]bool{}
	unsure := map[int]int{}   // how many more messages of a mail there may be
	doubt := map[int]bool{}   // an attempt to deliver the mail was not answered, or not with its place
	certain := map[int]bool{} // an attempt was answered with the message it made
	keywords := map[string]bool{}
	for _, o := range c.ops {
		if !o.may(v) {
			continue
		}
		if o.Keyword != "" {
			keywords[o.Keyword] = true
		}
		for _, m := range o.Made {
			answered[m.Place] = true
		}
		if o.Delivery > 0 {
			certain[o.Delivery] = certain[o.Delivery] || len(o.Made) > 0
			doubt[o.Delivery] = doubt[o.Delivery] || o.Outcome == Unknown || o.Timed
		}
		if o.Outcome == Unknown {
			for _, m := range o.Copies {
				unsure[c.history.bodies[m.Blob]]++
			}
		}
	}
	for mail := range doubt {
		if doubt[mail] && !certain[mail] {
			unsure[mail]++
		}
	}
	for p, r := range v.Rows {
		mail := c.history.bodies[r.Blob]
		if mail == 0 {
			c.fail("UID %d of folder %d is no mail that was sent, blob %s: %s", p.UID, p.Folder, r.Blob, v)
			continue
		}
		for _, keyword := range r.Keywords {
			if !keywords[keyword] {
				c.fail("UID %d of folder %d has keyword %s that nobody gave: %s", p.UID, p.Folder, keyword, v)
			}
		}
		if answered[p] {
			continue
		}
		if unsure[mail]--; unsure[mail] < 0 {
			c.fail("mail %d is there once more than it may be, UID %d of folder %d: %s\n%s", mail, p.UID, p.Folder, v, c.lifeOf(mail))
		}
	}
}

// lifeOf lists what was done with a mail.
func (c *checker) lifeOf(mail int) (text string) {
	for _, o := range c.ops {
		concerned := o.Delivery == mail
		for _, m := range append(slices.Clone(o.Made), o.Copies...) {
			concerned = concerned || c.history.bodies[m.Blob] == mail
		}
		if concerned {
			text += fmt.Sprintf("\t%s made %v of %v\n", o, o.Made, o.Copies)
		}
	}
	return text
}

// folders checks that folders are there and have the names that were asked for.
func (c *checker) folders(v *View) {
	for _, o := range c.ops {
		if o.Folder == 0 || !o.must(v) {
			continue
		}
		f, there := v.Folders[o.Folder]
		if !there {
			if !c.mayBeDropped(o.Folder, v) {
				c.fail("a folder is missing, %s:\n\t%s\n\t%s", o.Name, o, v)
			}
			continue
		}
		if f.Name != o.Name && !c.mayBeNamed(f, o, v) {
			c.fail("a folder is called %s, not %s:\n\t%s\n\t%s", f.Name, o.Name, o, v)
		}
	}
	for _, o := range c.ops {
		if o.Drops != 0 && o.must(v) {
			if f, there := v.Folders[o.Drops]; there {
				c.fail("a folder whose removal was acknowledged is there, %s:\n\t%s\n\t%s", f.Name, o, v)
			}
		}
	}
}

func (c *checker) mayBeDropped(id mailbox.ItemID, v *View) bool {
	return slices.ContainsFunc(c.ops, func(o *Op) bool { return o.Drops == id && o.may(v) })
}

// mayBeNamed reports whether another operation that may have come after one explains a folder's name.
func (c *checker) mayBeNamed(f Folder, after *Op, v *View) bool {
	return slices.ContainsFunc(c.ops, func(o *Op) bool {
		later := o.Outcome == Unknown || o.Sequence >= after.Sequence
		if o.Timed {
			later = !o.Ended.Before(after.Begun)
		}
		return o.Folder == f.ID && o.Name == f.Name && o.may(v) && later
	})
}

// Unended says which operations took longer than they may.
func (h *History) Unended(longest time.Duration) (problems []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, all := range h.ops {
		for _, o := range all {
			if o.Ended.Sub(o.Begun) > longest {
				problems = append(problems, fmt.Sprintf("account %s: an operation took %s: %s", o.Account, o.Ended.Sub(o.Begun), o))
			}
		}
	}
	return problems
}
