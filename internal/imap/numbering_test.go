package imap

import (
	"math/rand/v2"
	"slices"
	"testing"

	"mailreplica/internal/mailbox"
)

// TestNumbering compares with a plain list of UIDs, through additions and removals.
func TestNumbering(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var u numbering
		var list []mailbox.UID
		next := mailbox.UID(1 + rng.IntN(3))
		for range 40 {
			for range rng.IntN(12) {
				if rng.IntN(4) == 0 {
					next += mailbox.UID(rng.IntN(9))
				}
				u.add(next)
				list = append(list, next)
				next++
			}
			var gone []mailbox.UID
			for uid := range next + 2 {
				if rng.IntN(20) == 0 {
					gone = append(gone, uid)
				}
			}
			u.remove(gone)
			list = mailbox.SubtractUIDs(list, gone)
			compareNumbering(t, rng, &u, list, next)
		}
	}
}

func compareNumbering(t *testing.T, rng *rand.Rand, u *numbering, list []mailbox.UID, next mailbox.UID) {
	t.Helper()
	if u.len() != len(list) || !slices.Equal(u.slice(0, u.len()), list) {
		t.Fatalf("got %v, want %v", u.slice(0, u.len()), list)
	}
	for uid := range next + 2 {
		at, known := u.index(uid)
		want, wantKnown := slices.BinarySearch(list, uid)
		if at != want || known != wantKnown || u.has(uid) != known {
			t.Fatalf("index of %d among %v: got %d, %v, want %d, %v", uid, list, at, known, want, wantKnown)
		}
	}
	for i, uid := range list {
		if u.at(i) != uid {
			t.Fatalf("at %d of %v: got %d", i, list, u.at(i))
		}
	}
	from := rng.IntN(len(list) + 1)
	to := from + rng.IntN(len(list)-from+1)
	if got := u.slice(from, to); !slices.Equal(got, list[from:to]) {
		t.Fatalf("slice %d:%d of %v: got %v", from, to, list, got)
	}
	if len(list) > 0 && u.last() != list[len(list)-1] || len(list) == 0 && u.last() != 0 {
		t.Fatalf("last of %v: got %d", list, u.last())
	}
	for k := 1; k < len(u.runs); k++ {
		if before := u.runs[k-1]; before.first+mailbox.UID(u.runs[k].index-before.index) >= u.runs[k].first {
			t.Fatalf("runs %v could be joined, or overlap", u.runs)
		}
	}
}

// BenchmarkNumbering finds messages of a large folder one of whose messages in a hundred is gone.
func BenchmarkNumbering(b *testing.B) {
	const n = 1_000_000
	var u numbering
	for uid := range mailbox.UID(n) {
		if uid%100 != 0 {
			u.add(uid)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i = (i + 7919) % u.len(); u.has(u.at(i)) != true {
			b.Fatal(i)
		}
	}
}
