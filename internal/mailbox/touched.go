package mailbox

import (
	"cmp"
	"slices"
)

// touched holds the rows of one kind that an overlay has put (a value) or removed (nil), in key order where it is asked
// for. Keys that come ascending, as nearly all do, cost no sorting.
type touched[K cmp.Ordered, R any] struct {
	rows   map[K]*R
	sorted []K
	loose  []K // keys since the last sort
}

// room is for so many rows that are about to be set.
func (t *touched[K, R]) room(n int) {
	if t.rows == nil {
		t.rows = make(map[K]*R, n)
	}
	t.sorted = slices.Grow(t.sorted, n)
}

func (t *touched[K, R]) set(key K, row *R) {
	if t.rows == nil {
		t.rows = make(map[K]*R)
	}
	if _, known := t.rows[key]; !known {
		if len(t.loose) == 0 && (len(t.sorted) == 0 || t.sorted[len(t.sorted)-1] < key) {
			t.sorted = append(t.sorted, key)
		} else {
			t.loose = append(t.loose, key)
		}
	}
	t.rows[key] = row
}

// get gives the row, nil if it was removed; known is false if the overlay has not touched it.
func (t *touched[K, R]) get(key K) (row *R, known bool) {
	row, known = t.rows[key]
	return row, known
}

func (t *touched[K, R]) keys() []K {
	if len(t.loose) == 0 {
		return t.sorted
	}
	slices.Sort(t.loose)
	merged := make([]K, 0, len(t.sorted)+len(t.loose))
	a, b := t.sorted, t.loose
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	t.sorted = append(append(merged, a...), b...)
	t.loose = nil
	return t.sorted
}

// over yields the rows of base, which come in key order between from and to, with the touched rows in their places.
func (t *touched[K, R]) over(from, to K, keyOf func(R) K, base func(yield func(R) bool) error, yield func(R) bool) error {
	keys := t.keys()
	start, _ := slices.BinarySearch(keys, from)
	end, found := slices.BinarySearch(keys, to)
	if found {
		end++
	}
	keys = keys[start:max(start, end)]
	stopped := false
	pass := func(r *R) bool {
		stopped = stopped || r != nil && !yield(*r)
		return !stopped
	}
	err := base(func(r R) bool {
		key := keyOf(r)
		for len(keys) > 0 && keys[0] < key {
			own := t.rows[keys[0]]
			keys = keys[1:]
			if !pass(own) {
				return false
			}
		}
		if len(keys) > 0 && keys[0] == key {
			own := t.rows[key]
			keys = keys[1:]
			return pass(own)
		}
		return pass(&r)
	})
	if err != nil {
		return err
	}
	for len(keys) > 0 && pass(t.rows[keys[0]]) {
		keys = keys[1:]
	}
	return nil
}
