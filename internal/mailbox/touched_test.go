package mailbox

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// What an overlay holds is what a map would hold, however keys come: ascending, some of them late, again, or descending.
func TestTouched(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, next := range map[string]func(i int) int{
		"ascending":  func(i int) int { return i },
		"descending": func(i int) int { return 2000 - i },
		"some late":  func(i int) int { return i - random.IntN(2)*random.IntN(i+1) },
		"any":        func(int) int { return random.IntN(500) },
	} {
		var rows touched[int, int]
		want := map[int]*int{}
		for i := range 1000 {
			key, row := next(i), &i
			if i%5 == 0 {
				row = nil
			}
			rows.set(key, row)
			want[key] = row
			at := random.IntN(1000)
			if got, known := rows.get(at); got != want[at] || known != hasKey(want, at) {
				t.Fatalf("%s: at %d: got %v, %t, want %v", name, at, got, known, want[at])
			}
			if i%300 != 299 {
				continue
			}
			var keys []int
			for _, r := range rows.all() {
				if keys = append(keys, r.Key); r.Row != want[r.Key] {
					t.Fatalf("%s: %d: got %v, want %v", name, r.Key, r.Row, want[r.Key])
				}
			}
			if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(keys, sorted) {
				t.Fatalf("%s: got %v, want %v", name, keys, sorted)
			}
		}
	}
}

func hasKey(rows map[int]*int, key int) bool { _, has := rows[key]; return has }
