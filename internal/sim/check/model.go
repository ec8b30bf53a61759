package check

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"mailreplica/internal/mailbox"
)

// box is the state of the model of one mailbox: what its clients can see of it. It is never altered; a step makes another.
type box struct {
	sequence mailbox.Sequence // of the last change
	shown    mailbox.Sequence // up to which views have shown everything
	folders  map[mailbox.ItemID]*folder
	mails    map[int]bool // that were ever delivered
	hash     uint64       // of all that was done, in any order
}

type folder struct {
	name string
	next mailbox.UID
	rows map[mailbox.UID]*row
}

type row struct {
	blob     string
	keywords []string // sorted
	vague    bool     // it was made by an operation without an answer, perhaps with keywords
}

// step is what the model is given: one of these, with an answer in it.
type step struct {
	op     *Op
	view   *View
	effect *effect
}

// effect is one consequence of an operation that got no answer, as somebody saw it later.
type effect struct {
	appears  *Made
	vanishes *Place
	keyword  *Op // that marks
	folder   mailbox.ItemID
	name     string // that the folder gets; empty: it goes
}

// alter is a copy of the mailbox, with copies of some of its folders.
func (b *box) alter(ids ...mailbox.ItemID) *box {
	c := *b
	c.folders = maps.Clone(b.folders)
	for _, id := range ids {
		if f := c.folders[id]; f != nil {
			c.folders[id] = &folder{f.name, f.next, maps.Clone(f.rows)}
		}
	}
	return &c
}

func (b *box) note(format string, args ...any) {
	h := fnv.New64a()
	fmt.Fprintf(h, format, args...)
	b.hash += h.Sum64() // a sum, so that two orders of the same changes are one state
}

func (b *box) has(p Place) bool {
	f := b.folders[p.Folder]
	return f != nil && f.rows[p.UID] != nil
}

// do carries a step out. The error says how the answer contradicts the state.
func (b *box) do(s step, mail func(blob string) int) (*box, error) {
	switch {
	case s.view != nil:
		return b.show(s.view)
	case s.effect != nil:
		return b.take(s.effect, mail)
	case s.op.Sequence == 0:
		return b, b.nothing(s.op)
	}
	return b.change(s.op, mail)
}

// nothing checks an answer that says that there was nothing to do.
func (b *box) nothing(o *Op) error {
	if o.Delivery > 0 && !b.mails[o.Delivery] {
		return fmt.Errorf("mail %d is called a repeat, and was never delivered", o.Delivery)
	}
	for _, p := range o.Takes {
		if b.has(p) {
			return fmt.Errorf("UID %d of folder %d is there, and was not removed", p.UID, p.Folder)
		}
	}
	for _, p := range o.Marks {
		if f := b.folders[p.Folder]; f != nil && f.rows[p.UID] != nil {
			return fmt.Errorf("UID %d of folder %d is there, and was not marked", p.UID, p.Folder)
		}
	}
	return nil
}

func (b *box) change(o *Op, mail func(string) int) (*box, error) {
	if o.Sequence < b.sequence || o.Sequence <= b.shown {
		return nil, fmt.Errorf("sequence %d after %d, of which %d were shown", o.Sequence, b.sequence, b.shown)
	}
	var ids []mailbox.ItemID
	for _, m := range o.Made {
		ids = append(ids, m.Folder)
	}
	for _, p := range slices.Concat(o.Takes, o.Marks) {
		ids = append(ids, p.Folder)
	}
	c := b.alter(ids...)
	c.sequence = o.Sequence
	c.note("%d %s", o.Sequence, o.Kind)
	for _, m := range o.Made {
		if err := c.add(o, m, mail); err != nil {
			return nil, err
		}
	}
	c.remove(o.Takes)
	for _, p := range o.Missing {
		if b.has(p) {
			return nil, fmt.Errorf("UID %d of folder %d is there, and was not removed", p.UID, p.Folder)
		}
	}
	for _, p := range o.Marks {
		c.mark(p, o.Keyword)
	}
	return c, c.fold(o)
}

func (b *box) fold(o *Op) error {
	switch {
	case o.Drops != 0 && b.folders[o.Drops] == nil:
		return fmt.Errorf("folder %d is not there to be removed", o.Drops)
	case o.Drops != 0:
		delete(b.folders, o.Drops)
	case o.Folder != 0 && o.Makes && b.folders[o.Folder] != nil:
		return fmt.Errorf("folder %d is there already", o.Folder)
	case o.Folder != 0 && !o.Makes && b.folders[o.Folder] == nil:
		return fmt.Errorf("folder %d is not there to be renamed", o.Folder)
	case o.Folder != 0:
		b.rename(o.Folder, o.Name)
	}
	return nil
}

func (b *box) rename(id mailbox.ItemID, name string) {
	f := folder{next: 1, rows: map[mailbox.UID]*row{}}
	if was := b.folders[id]; was != nil {
		f = *was
	}
	f.name = name
	b.folders[id] = &f
}

// add puts a message where an answer says that it was put.
func (b *box) add(o *Op, m Made, mail func(string) int) error {
	f := b.folders[m.Folder]
	if f == nil {
		return fmt.Errorf("folder %d is not there to take a message", m.Folder)
	}
	if m.UID < f.next {
		return fmt.Errorf("UID %d of folder %d is given, and the next one is %d", m.UID, m.Folder, f.next)
	}
	made := row{blob: m.Blob}
	if m.From != (Place{}) {
		if !b.has(m.From) {
			return fmt.Errorf("UID %d of folder %d is not there to be copied", m.From.UID, m.From.Folder)
		}
		made = *b.folders[m.From.Folder].rows[m.From.UID]
	}
	if o.Delivery > 0 && b.mails[o.Delivery] {
		return fmt.Errorf("mail %d is delivered a second time", o.Delivery)
	}
	if made.blob != m.Blob {
		return fmt.Errorf("UID %d of folder %d is a copy of another message", m.UID, m.Folder)
	}
	b.put(m.Place, &made, mail)
	return nil
}

func (b *box) put(p Place, r *row, mail func(string) int) {
	f := b.folders[p.Folder]
	f.rows[p.UID] = r
	f.next = max(f.next, p.UID+1)
	if n := mail(r.blob); !b.mails[n] {
		b.mails = maps.Clone(b.mails)
		b.mails[n] = true
	}
}

func (b *box) remove(places []Place) {
	for _, p := range places {
		if f := b.folders[p.Folder]; f != nil {
			delete(f.rows, p.UID)
		}
	}
}

func (b *box) mark(p Place, keyword string) {
	if !b.has(p) {
		return
	}
	r := *b.folders[p.Folder].rows[p.UID]
	if at, found := slices.BinarySearch(r.keywords, keyword); !found {
		r.keywords = slices.Insert(slices.Clone(r.keywords), at, keyword)
	}
	b.folders[p.Folder].rows[p.UID] = &r
}

// take has a consequence of an operation without an answer happen.
func (b *box) take(e *effect, mail func(string) int) (*box, error) {
	var c *box
	switch {
	case e.appears != nil && b.folders[e.appears.Folder] == nil:
		return nil, fmt.Errorf("folder %d is not there to take a message", e.appears.Folder)
	case e.appears != nil:
		c = b.alter(e.appears.Folder)
		c.put(e.appears.Place, &row{blob: e.appears.Blob, vague: true}, mail)
		c.note("appears %v", e.appears.Place)
	case e.vanishes != nil:
		c = b.alter(e.vanishes.Folder)
		c.remove([]Place{*e.vanishes})
		c.note("vanishes %v", *e.vanishes)
	case e.keyword != nil:
		var ids []mailbox.ItemID
		for _, p := range e.keyword.Marks {
			ids = append(ids, p.Folder)
		}
		c = b.alter(ids...)
		for _, p := range e.keyword.Marks {
			c.mark(p, e.keyword.Keyword)
		}
		c.note("keyword %s", e.keyword.Keyword)
	case e.name != "":
		c = b.alter()
		c.rename(e.folder, e.name)
		c.note("folder %d %s", e.folder, e.name)
	default:
		c = b.alter()
		delete(c.folders, e.folder)
		c.note("folder %d goes", e.folder)
	}
	return c, nil
}

// show checks a view against the state.
func (b *box) show(v *View) (*box, error) {
	if v.Sequence < max(b.sequence, b.shown) {
		return nil, fmt.Errorf("a view of sequence %d after a change of %d and a view of %d", v.Sequence, b.sequence, b.shown)
	}
	if len(v.Folders) != len(b.folders) {
		return nil, fmt.Errorf("%d folders, not %d", len(v.Folders), len(b.folders))
	}
	rows := 0
	for id, f := range b.folders {
		if seen, there := v.Folders[id]; !there || seen.Name != f.name {
			return nil, fmt.Errorf("folder %d is called %q, not %q", id, seen.Name, f.name)
		}
		rows += len(f.rows)
	}
	if rows != len(v.Rows) {
		return nil, fmt.Errorf("%d messages, not %d: %v are not shown", len(v.Rows), rows, b.hidden(v))
	}
	for p, seen := range v.Rows {
		if !b.has(p) {
			return nil, fmt.Errorf("UID %d of folder %d is not there", p.UID, p.Folder)
		}
		if is := b.folders[p.Folder].rows[p.UID]; !is.looks(seen) {
			return nil, fmt.Errorf("UID %d of folder %d has blob %s and keywords %v, not %s and %v", p.UID, p.Folder, seen.Blob,
				seen.Keywords, is.blob, is.keywords)
		}
	}
	c := *b
	c.shown = v.Sequence
	return &c, nil
}

// hidden are the first places that are not in a view.
func (b *box) hidden(v *View) (all []Place) {
	const most = 10
	for id, f := range b.folders {
		for uid := range f.rows {
			if _, shown := v.Rows[Place{Folder: id, UID: uid}]; !shown {
				all = append(all, Place{Folder: id, UID: uid})
			}
		}
	}
	slices.SortFunc(all, func(a, b Place) int { return cmp.Or(cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.UID, b.UID)) })
	return all[:min(most, len(all))]
}

func (r *row) looks(seen Row) bool {
	if r.blob != seen.Blob {
		return false
	}
	keywords := slices.Sorted(slices.Values(seen.Keywords))
	if !r.vague {
		return slices.Equal(keywords, r.keywords)
	}
	for _, k := range r.keywords {
		if !slices.Contains(keywords, k) {
			return false
		}
	}
	return true
}
