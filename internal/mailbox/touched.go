package mailbox

import (
	"cmp"
	"slices"
)

// Touched is a row that a change has put, or removed.
type Touched[K, R any] struct {
	Key K
	Row *R // nil: removed
}

// touched holds the rows of one kind that an overlay has touched, by their keys. Keys that come ascending, as nearly all do, are appended.
type touched[K cmp.Ordered, R any] struct {
	rows  []Touched[K, R] // ascending
	loose []Touched[K, R] // ascending, and none of them in rows: they came behind greater keys
}

const (
	looseMin   = 64
	looseShare = 64 // eight times the root
)

// room is for so many rows that are about to be set.
func (t *touched[K, R]) room(n int) { t.rows = slices.Grow(t.rows, n) }

func (t *touched[K, R]) set(key K, row *R) {
	if n := len(t.rows); n == 0 || t.rows[n-1].Key < key {
		t.rows = append(t.rows, Touched[K, R]{key, row})
		return
	}
	if at, found := t.find(t.rows, key); found {
		t.rows[at].Row = row
		return
	}
	at, found := t.find(t.loose, key)
	if found {
		t.loose[at].Row = row
		return
	}
	t.loose = slices.Insert(t.loose, at, Touched[K, R]{key, row})
	if n := len(t.loose); n > looseMin && n*n > looseShare*len(t.rows) { // so that neither to insert them nor to merge them takes long
		t.all()
	}
}

// get gives the row, nil if it was removed; known is false if the overlay has not touched it.
func (t *touched[K, R]) get(key K) (row *R, known bool) {
	for _, rows := range [...][]Touched[K, R]{t.rows, t.loose} {
		if at, found := t.find(rows, key); found {
			return rows[at].Row, true
		}
	}
	return nil, false
}

// find is where in ascending rows the key is, or would be.
func (*touched[K, R]) find(rows []Touched[K, R], key K) (int, bool) {
	return slices.BinarySearchFunc(rows, key, func(r Touched[K, R], key K) int { return cmp.Compare(r.Key, key) })
}

// all are the rows touched, ascending. They must not be altered.
func (t *touched[K, R]) all() []Touched[K, R] {
	if len(t.loose) == 0 {
		return t.rows
	}
	a, b := len(t.rows), len(t.loose)
	t.rows = append(t.rows, t.loose...)
	for b > 0 { // from the end, where there is room
		if a > 0 && t.rows[a-1].Key > t.loose[b-1].Key {
			a--
			t.rows[a+b] = t.rows[a]
		} else {
			b--
			t.rows[a+b] = t.loose[b]
		}
	}
	t.loose = t.loose[:0]
	return t.rows
}

// over yields the rows of base, which come in key order between from and to, with the touched rows in their places.
func (t *touched[K, R]) over(from, to K, keyOf func(R) K, base func(yield func(R) bool) error, yield func(R) bool) error {
	own := t.all()
	start, _ := t.find(own, from)
	end, found := t.find(own, to)
	if found {
		end++
	}
	own = own[start:max(start, end)]
	stopped := false
	pass := func(r *R) bool {
		stopped = stopped || r != nil && !yield(*r)
		return !stopped
	}
	err := base(func(r R) bool {
		key := keyOf(r)
		for len(own) > 0 && own[0].Key < key {
			row := own[0].Row
			own = own[1:]
			if !pass(row) {
				return false
			}
		}
		if len(own) > 0 && own[0].Key == key {
			row := own[0].Row
			own = own[1:]
			return pass(row)
		}
		return pass(&r)
	})
	if err != nil {
		return err
	}
	for len(own) > 0 && pass(own[0].Row) {
		own = own[1:]
	}
	return nil
}
