package directory_test

import (
	"testing"
)

func BenchmarkLookup(b *testing.B) {
	p := sqlite.newPlatform(b)
	createMany(b, p.directory, 20_000)
	must(b, p.follower.Poll(b.Context()))
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		if _, err := p.follower.Lookup(b.Context(), "u777@example.com"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPollUnchanged(b *testing.B) {
	p := sqlite.newPlatform(b)
	for b.Loop() {
		must(b, p.follower.Poll(b.Context()))
	}
}

func BenchmarkSetHomeParallel(b *testing.B) {
	p := sqlite.newPlatform(b)
	a := newAccount(b, p.directory, "a@x", mbox1)
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for epoch := uint64(1); pb.Next(); epoch++ {
			if _, err := p.directory.SetHome(b.Context(), a.ID, mbox1, epoch, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
