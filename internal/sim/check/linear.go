package check

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
)

// stepsMax bounds the search for an order of one account's operations: a state of the model is kept for every step.
const stepsMax = 30_000

// Linear is what the search for one order of an account's operations came to.
type Linear struct {
	Account account.ID
	Steps   int
	Gave    bool   // it was given up: no order was found within the bound
	Problem string // there is none
}

// Linearize looks, for every account, for one order of all that its clients were answered, in which a mailbox gives these answers,
// and in which each lies between its question and itself. It knows nothing of epochs, copies or mailstores; sequences are an answer
// like any other.
//
// A view, and the answer that there was nothing to do, may be of a past: a primary that was deposed and could not know goes on
// showing what it has. Each counts as asked when its mailstore last had to know better. Of an operation without an answer those
// consequences are ordered that somebody saw, one by one; and so of one whose answer did not tell its sequence.
func (h *History) Linearize() (all []Linear) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range slices.SortedFunc(maps.Keys(h.ops), func(a, b account.ID) int { return cmp.Compare(a.String(), b.String()) }) {
		if h.lossy[id] {
			continue
		}
		c := &checker{history: h, id: id, ops: h.ops[id], views: h.views[id]}
		all = append(all, c.linearize())
	}
	return all
}

func (c *checker) linearize() Linear {
	steps := c.steps()
	result := Linear{Account: c.id}
	mail := func(blob string) int { return c.history.bodies[blob] }
	model := porcupine.Model{
		Init: func() any { return c.empty() },
		Step: func(state, input, _ any) (bool, any) {
			if result.Gave {
				return false, state
			}
			next, err := state.(*box).do(input.(step), mail)
			if err != nil {
				return false, state
			}
			if result.Steps++; result.Steps > stepsMax {
				result.Gave = true
			}
			return true, next
		},
		Equal: func(a, b any) bool { return a.(*box).is(b.(*box)) },
		Hash:  func(state any) uint64 { return state.(*box).hash },
	}
	answer, info := porcupine.CheckOperationsVerbose(model, steps, 0)
	if answer == porcupine.Illegal && !result.Gave {
		result.Problem = fmt.Sprintf("account %s: no order explains all answers: %s", c.id, c.furthest(steps, info, mail))
	}
	return result
}

// is compares all: the same steps in another order may leave something else.
func (b *box) is(other *box) bool {
	return b.hash == other.hash && b.sequence == other.sequence && b.shown == other.shown && maps.Equal(b.mails, other.mails) &&
		maps.EqualFunc(b.folders, other.folders, (*folder).is)
}

func (f *folder) is(other *folder) bool {
	return f == other || f.name == other.name && f.next == other.next && maps.EqualFunc(f.rows, other.rows, (*row).is)
}

func (r *row) is(other *row) bool {
	return r == other || r.blob == other.blob && r.vague == other.vague && slices.Equal(r.keywords, other.keywords)
}

// furthest tells of the longest order that was found, and of what fits nowhere after it.
func (c *checker) furthest(steps []porcupine.Operation, info porcupine.LinearizationInfo, mail func(string) int) string {
	var longest []int
	for _, all := range info.PartialLinearizations()[0] {
		if len(all) > len(longest) || len(all) == len(longest) && slices.Compare(all, longest) < 0 { // of a seed always the same
			longest = all
		}
	}
	state, done := c.empty(), map[int]bool{}
	for _, i := range longest {
		done[i] = true
		if next, err := state.do(steps[i].Input.(step), mail); err == nil {
			state = next
		}
	}
	text := fmt.Sprintf("%d of %d were ordered", len(longest), len(steps))
	var left []int
	for i := range steps {
		if !done[i] {
			left = append(left, i)
		}
	}
	sort.Slice(left, func(x, y int) bool { return steps[left[x]].Return < steps[left[y]].Return })
	for _, i := range left[:min(3, len(left))] {
		_, err := state.do(steps[i].Input.(step), mail)
		text += fmt.Sprintf("\n\t%s: %v", steps[i].Input.(step), err)
	}
	return text
}

// String is one line.
func (s step) String() string {
	switch e := s.effect; {
	case s.op != nil:
		return s.op.String()
	case s.view != nil:
		return s.view.String()
	case e.appears != nil:
		return fmt.Sprintf("UID %d of folder %d comes without an answer", e.appears.UID, e.appears.Folder)
	case e.vanishes != nil:
		return fmt.Sprintf("UID %d of folder %d goes without an answer", e.vanishes.UID, e.vanishes.Folder)
	case e.keyword != nil:
		return fmt.Sprintf("keyword %s comes without an answer", e.keyword.Keyword)
	}
	return fmt.Sprintf("folder %d is called %q without an answer", s.effect.folder, s.effect.name)
}

// empty is the mailbox as it is made: it has the folders that nobody makes.
func (c *checker) empty() *box {
	b := &box{folders: map[mailbox.ItemID]*folder{}, mails: map[int]bool{}}
	for _, v := range c.views {
		for id, f := range v.Folders {
			if id <= initialFolders {
				b.folders[id] = &folder{name: f.Name, next: 1, rows: map[mailbox.UID]*row{}}
			}
		}
	}
	return b
}

// initialFolders are the folders of a new mailbox: they have the first ids, and clients neither rename nor remove them.
const initialFolders = 5

// steps are the operations of the search, with the times between which each happens.
func (c *checker) steps() (all []porcupine.Operation) {
	add := func(s step, begun, ended time.Time) {
		all = append(all, porcupine.Operation{Input: s, Call: begun.UnixNano(), Return: ended.UnixNano()})
	}
	var views []*View
	for _, v := range c.views {
		if v.Served {
			views = append(views, v)
			add(step{view: v}, c.knew(v.Mailstore, v.Started, v.Begun), v.Ended)
		}
	}
	for _, o := range c.ops {
		switch {
		case o.Outcome != Done || o.Timed:
		case o.Sequence == 0 && o.Delivery > 0 && c.mayBeRepeat(o): // of an attempt without an answer, which nobody may ever see
		case o.Sequence == 0:
			add(step{op: o}, c.knew(o.Mailstore, o.Started, o.Begun), o.Ended)
		default:
			add(step{op: o}, o.Begun, o.Ended)
		}
	}
	u := &unanswered{checker: c, views: views}
	u.find(add)
	return all
}

// mayBeRepeat reports whether an attempt to deliver the mail of an operation was not answered.
func (c *checker) mayBeRepeat(o *Op) bool {
	return slices.ContainsFunc(c.ops, func(other *Op) bool {
		return other.Delivery == o.Delivery && other.isVague() && !other.Begun.After(o.Ended)
	})
}

// knew is since when a mailstore may have shown a past at most: what was answered before that it had to know.
func (c *checker) knew(mailstore string, started, begun time.Time) time.Time {
	since := started
	for _, t := range c.history.taken {
		if t.Account == c.id && t.Mailstore == mailstore && t.At.Before(begun) && t.At.After(since) {
			since = t.At
		}
	}
	for _, o := range c.ops {
		if o.Outcome == Done && o.Mailstore == mailstore && o.Sequence > 0 && o.Ended.Before(begun) && o.Ended.After(since) {
			since = o.Ended
		}
	}
	if since.Before(begun) {
		since = since.Add(1) // after what it had to know, not beside it
	}
	return since
}

// unanswered finds what operations without an answer are seen to have done.
type unanswered struct {
	*checker
	views []*View
	made  map[Place]*Op // by an operation with an answer
}

var errNobody = errors.New("nobody asked for it")

// earliest is when the first of the operations without an answer was asked for that may explain something.
func (u *unanswered) earliest(explains func(*Op) bool) (time.Time, error) {
	first, found := time.Time{}, false
	for _, o := range u.ops {
		if o.isVague() && explains(o) && (!found || o.Begun.Before(first)) {
			first, found = o.Begun, true
		}
	}
	if !found {
		return first, errNobody // another check tells of that
	}
	return first, nil
}

// find adds an effect for each consequence.
func (u *unanswered) find(add func(step, time.Time, time.Time)) {
	u.made = map[Place]*Op{}
	folders := map[string]bool{} // names that operations with an answer gave
	keywords := map[string]bool{}
	for _, o := range u.ops {
		if o.Outcome == Done && !o.Timed {
			for _, m := range o.Made {
				u.made[m.Place] = o
			}
			folders[o.Name], keywords[o.Keyword] = true, true
		}
	}
	by := func(e *effect, until time.Time, explains func(*Op) bool) {
		if begun, err := u.earliest(explains); err == nil {
			add(step{effect: e}, begun, until)
		}
	}
	appeared, named, marked := map[Place]bool{}, map[string]bool{}, map[string]bool{}
	for _, v := range slices.SortedFunc(slices.Values(u.views), func(a, b *View) int { return a.Ended.Compare(b.Ended) }) {
		for _, r := range sorted(v) {
			if u.made[r.Place] == nil && !appeared[r.Place] {
				appeared[r.Place] = true
				n := u.history.bodies[r.Blob]
				by(&effect{appears: &Made{Place: r.Place, Blob: r.Blob}}, v.Ended, func(o *Op) bool { return o.concerns(n, u.history.bodies) })
			}
			for _, k := range r.Keywords {
				if keywords[k] || marked[k] {
					continue
				}
				marked[k] = true
				for _, o := range u.ops {
					if o.Keyword == k {
						by(&effect{keyword: o}, v.Ended, func(other *Op) bool { return other == o })
					}
				}
			}
		}
		for _, id := range slices.Sorted(maps.Keys(v.Folders)) {
			f := v.Folders[id]
			if id > initialFolders && !folders[f.Name] && !named[f.Name] {
				named[f.Name] = true
				by(&effect{folder: id, name: f.Name}, v.Ended, func(o *Op) bool { return o.Name == f.Name })
			}
		}
	}
	u.losses(by)
}

func sorted(v *View) []Row {
	return slices.SortedFunc(maps.Values(v.Rows), func(a, b Row) int { return cmp.Or(cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.UID, b.UID)) })
}

// concerns reports whether an operation may make another message of a mail.
func (o *Op) concerns(mail int, bodies map[string]int) bool {
	return mail != 0 && (o.Delivery == mail || slices.ContainsFunc(o.Copies, func(m Made) bool { return bodies[m.Blob] == mail }))
}

// losses finds messages and folders that are gone though no answer says so.
func (u *unanswered) losses(by func(*effect, time.Time, func(*Op) bool)) {
	since := map[Place]mailbox.Sequence{} // at which a place is certain to have been taken
	folders := map[mailbox.ItemID]mailbox.Sequence{}
	first := func(seen map[Place]mailbox.Sequence, p Place, s mailbox.Sequence) {
		if was, known := seen[p]; !known || s < was {
			seen[p] = s
		}
	}
	for _, o := range u.ops {
		if o.Outcome == Done && o.Sequence > 0 {
			for _, m := range o.Made {
				first(since, m.Place, o.Sequence)
			}
			if o.Folder != 0 {
				folders[o.Folder] = min(o.Sequence, cmp.Or(folders[o.Folder], math.MaxUint64))
			}
		}
	}
	for _, v := range u.views {
		for p := range v.Rows {
			first(since, p, v.Sequence)
		}
		for id := range v.Folders {
			folders[id] = min(v.Sequence, cmp.Or(folders[id], math.MaxUint64))
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(since), func(a, b Place) int { return cmp.Or(cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.UID, b.UID)) }) {
		takes := func(o *Op) bool { return o.Drops == p.Folder || slices.Contains(o.Takes, p) }
		until := u.toldGone(p, takes)
		v := u.firstWithout(since[p], func(v *View) bool { _, there := v.Rows[p]; return there }, takes)
		if v != nil && (until.IsZero() || v.Ended.Before(until)) {
			until = v.Ended
		}
		if !until.IsZero() {
			by(&effect{vanishes: &p}, until, takes)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(folders)) {
		s := folders[id]
		if v := u.firstWithout(s, func(v *View) bool { _, there := v.Folders[id]; return there }, func(o *Op) bool { return o.Drops == id }); v != nil {
			by(&effect{folder: id}, v.Ended, func(o *Op) bool { return o.Drops == id })
		}
	}
}

// toldGone is when somebody was first told that a message is not there, though no operation with an answer took it by then; zero if nobody was.
func (u *unanswered) toldGone(p Place, takes func(*Op) bool) (until time.Time) {
	for _, o := range u.ops {
		says := slices.Contains(o.Missing, p) || o.Sequence == 0 && slices.Contains(slices.Concat(o.Takes, o.Marks), p)
		if o.Outcome != Done || o.Timed || !says || !until.IsZero() && !o.Ended.Before(until) {
			continue
		}
		if !slices.ContainsFunc(u.ops, func(other *Op) bool {
			return other.Outcome == Done && other.Sequence > 0 && takes(other) && other.Begun.Before(o.Ended)
		}) {
			until = o.Ended
		}
	}
	return until
}

// firstWithout is the first view of a sequence or later in which something is not, though no operation with an answer took it by
// then; nil if there is none.
func (u *unanswered) firstWithout(since mailbox.Sequence, there func(*View) bool, takes func(*Op) bool) (first *View) {
	taken := mailbox.Sequence(math.MaxUint64)
	for _, o := range u.ops {
		if o.Outcome == Done && o.Sequence > 0 && takes(o) {
			taken = min(taken, o.Sequence)
		}
	}
	for _, v := range u.views {
		if v.Sequence >= since && v.Sequence < taken && !there(v) && (first == nil || v.Ended.Before(first.Ended)) {
			first = v
		}
	}
	return first
}
