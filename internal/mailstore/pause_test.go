package mailstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/protocol"
)

func TestJournalIsPublishedAfterCrashes(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newLog(t, seed, 20)
				a, b := log.host(t, "a.example"), log.host(t, "b.example")
				id := a.create(0)
				b.copyFrom(a, id)
				a.insist("Pause", func() error { return a.account(id).Pause(t.Context()) })
				var told ledger
				for i := range 10 {
					name := fmt.Sprint("journalled ", i)
					uid, err := deliver(t, a.account(id), name, 100+(i%2)<<20) // every other one needs two parts
					if err != nil {
						t.Fatal(err)
					}
					told.note(name, uid)
				}
				a.stop()
				a.start()
				var life sync.RWMutex
				var writers sync.WaitGroup
				for w := range 3 { // clients that never rest
					writers.Go(func() {
						told.write(t, w, 40, func() *mailstore.Account {
							life.RLock()
							defer life.RUnlock()
							return a.account(id)
						})
					})
				}
				for range 2 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(log.draw(2_000))*time.Millisecond)
					_ = a.account(id).Resume(ctx) // cut off somewhere
					cancel()
					life.Lock()
					a.stop()
					a.start()
					life.Unlock()
				}
				a.insist("Resume", func() error { return a.account(id).Resume(t.Context()) })
				writers.Wait()
				equal(t, id, a, b)
				told.check(a, id)
				told.check(b, id)
				if c := a.account(id).Copy(); c.Mode != protocol.Log || c.Journal != 0 {
					t.Errorf("mode %s with %d in the journal, want log and none", c.Mode, c.Journal)
				}
			})
		})
	}
}

// TestResumeUnderSteadyLoad has clients that write before every Resume can.
func TestResumeUnderSteadyLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, one := two(t)
		if err := one.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					if _, err := deliver(t, one, fmt.Sprint(w, " ", i), 1); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		err := one.Resume(t.Context())
		cancel()
		writers.Wait()
		if err != nil || one.Copy().Mode != protocol.Log {
			t.Errorf("Resume: %v, mode %s", err, one.Copy().Mode)
		}
		equal(t, one.ID(), a, b)
	})
}

// TestFenceBehindAPause has a Fence read after a Pause, which nobody accepts: the copy must not wait for it for ever, nor take
// over when the pause ends.
func TestFenceBehindAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, a, b, one := two(t)
		other := b.account(one.ID())
		held := b.readers[0]
		held.lock() // b does not read
		if err := one.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		go func() { done <- other.Fence(ctx, "", other.Copy().Epoch+1, false) }()
		await(t, "the Fence behind Open, Join and Pause", func() bool { return log.end(0) >= 4 })
		held.unlock()
		if err := <-done; !fault.Is(err, fault.Paused) {
			t.Errorf("fence: %v, want kind %q", err, fault.Paused)
		}
		if err := one.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		mustDeliver(t, one, "still home", 1)
		equal(t, one.ID(), a, b)
	})
}
