package metadata_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

var errOwn = errors.New("the function's own error")

// inBubble runs a test in which synctest can tell when everybody waits.
func inBubble(t *testing.T, p place, test func(*testing.T, *metadata.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, p.open(t)) })
}

// grouped runs functions so that they share one transaction: another holds the commit loop until they all wait for it. It
// gives what each Update returned.
func grouped(t *testing.T, s *metadata.Store, d metadata.Durability, fns ...func(*metadata.Tx) error) []error {
	t.Helper()
	errs := make([]error, len(fns))
	var calls sync.WaitGroup
	release := make(chan struct{})
	calls.Go(func() {
		if err := s.Update(t.Context(), metadata.Lazy, func(*metadata.Tx) error { <-release; return nil }); err != nil {
			t.Errorf("the function that came first: %v", err)
		}
	})
	synctest.Wait()
	for i, fn := range fns {
		calls.Go(func() { errs[i] = s.Update(t.Context(), d, fn) })
		synctest.Wait() // they queue in order
	}
	close(release)
	calls.Wait()
	return errs
}

func TestGroup(t *testing.T) {
	onEach(t, func(t *testing.T, p place) { inBubble(t, p, testGroup) })
}

func testGroup(t *testing.T, s *metadata.Store) {
	var fns []func(*metadata.Tx) error
	for i := range 20 {
		fns = append(fns, func(tx *metadata.Tx) error {
			if err := tx.SetValue(fmt.Sprint(i), []byte("set")); err != nil {
				return err
			}
			switch i {
			case 7:
				return errOwn
			case 9:
				return errors.Join(metadata.Break(tx), nil)
			case 11:
				_ = metadata.Break(tx) // and says nothing
			case 12:
				if err := metadata.Break(tx); !fault.Is(err, fault.Internal) {
					t.Errorf("a statement that breaks a constraint gave %v, want Internal", err)
				}
				return tx.SetValue("after", nil)
			}
			return nil
		})
	}
	errs := grouped(t, s, metadata.Lazy, fns...)
	for i, err := range errs {
		_, found := value(t, s, fmt.Sprint(i))
		switch i {
		case 7:
			if err != errOwn || found {
				t.Errorf("a function that failed: got error %v, written %t, want its own error and nothing written", err, found)
			}
		case 9, 11, 12:
			if !fault.Is(err, fault.Internal) || found {
				t.Errorf("function %d, one of whose statements failed: got error %v, written %t, want Internal and nothing written", i, err, found)
			}
		default:
			if err != nil || !found {
				t.Errorf("function %d: got error %v, written %t, want it untouched by the others", i, err, found)
			}
		}
	}
	if _, found := value(t, s, "after"); found {
		t.Error("what a function wrote after its failed statement is there")
	}
}

func TestGroupIsSynced(t *testing.T) { inBubble(t, inSQLite(t), testGroupIsSynced) }

func testGroupIsSynced(t *testing.T, s *metadata.Store) {
	synced := make([]bool, 3)
	probe := func(i int) func(*metadata.Tx) error {
		return func(tx *metadata.Tx) error { synced[i] = metadata.Synced(tx); return nil }
	}
	for _, d := range []metadata.Durability{metadata.Lazy, metadata.Fsynced, metadata.Lazy} {
		if err := s.Update(t.Context(), d, probe(0)); err != nil {
			t.Fatal(err)
		}
		if want := d == metadata.Fsynced; synced[0] != want {
			t.Errorf("durability %d: the commit is fsynced: %t, want %t", d, synced[0], want)
		}
	}
	for _, err := range grouped(t, s, metadata.Fsynced, probe(0), probe(1), probe(2)) {
		if err != nil {
			t.Error(err)
		}
	}
	for i := range synced {
		if !synced[i] {
			t.Errorf("function %d of a group that asked for an fsync gets none", i)
		}
	}
}

func TestPanic(t *testing.T) { onEach(t, testPanic) }

func testPanic(t *testing.T, p place) {
	s := p.open(t)
	panicking := func(tx *metadata.Tx) error {
		if err := tx.SetValue("panicked", nil); err != nil {
			t.Error(err)
		}
		panic(errOwn)
	}
	func() {
		defer func() {
			if got := recover(); got != errOwn {
				t.Errorf("the caller recovers %v, want what fn panicked with", got)
			}
		}()
		_ = s.Update(t.Context(), metadata.Lazy, panicking)
	}()
	var ended sync.WaitGroup
	ended.Go(func() { // the end of the goroutine, as by t.FailNow
		_ = s.Update(t.Context(), metadata.Lazy, func(tx *metadata.Tx) error {
			defer runtime.Goexit()
			return tx.SetValue("panicked", nil)
		})
	})
	ended.Wait()
	func() {
		defer func() { _ = recover() }()
		_ = s.View(t.Context(), func(v *metadata.View) error { panic(errOwn) })
	}()
	update(t, s, set("key", "value"))
	if _, found := value(t, s, "panicked"); found {
		t.Error("what a panicking function wrote is there")
	}
	if got, _ := value(t, s, "key"); got != "value" {
		t.Errorf("got %q after panics, want the database to work", got)
	}
}

func TestUseAfterEnd(t *testing.T) { onEach(t, testUseAfterEnd) }

func testUseAfterEnd(t *testing.T, p place) {
	s := p.open(t)
	var tx *metadata.Tx
	update(t, s, func(one *metadata.Tx) error { tx = one; return nil })
	wantKind(t, tx.SetValue("key", nil), fault.Internal)
	var v *metadata.View
	view(t, s, func(one *metadata.View) error { v = one; return nil })
	_, _, err := v.Value("key")
	wantKind(t, err, fault.Internal)
}

func TestInterrupted(t *testing.T) { onEach(t, testInterrupted) }

func testInterrupted(t *testing.T, p place) {
	s := p.open(t)
	id, _ := create(t, s)
	d := newDelivery()
	update(t, s, func(tx *metadata.Tx) error { return tx.Write(id, d.delta(5000)) })
	ctx, cancel := context.WithCancel(t.Context())
	err := s.View(ctx, func(v *metadata.View) error {
		return v.Rows(id).Messages(inbox, 1, 5000, func(mailbox.Message) bool { cancel(); return true })
	})
	wantKind(t, err, fault.Interrupted)
	wantKind(t, s.View(ctx, func(*metadata.View) error { t.Error("fn was run"); return nil }), fault.Interrupted)
	wantKind(t, s.Update(ctx, metadata.Lazy, set("key", "value")), fault.Interrupted)
	if _, found := value(t, s, "key"); found {
		t.Error("an interrupted Update was committed")
	}
	// A caller that goes away while its function runs is still told the truth.
	ctx, cancel = context.WithCancel(t.Context())
	err = s.Update(ctx, metadata.Lazy, func(tx *metadata.Tx) error {
		cancel()
		return tx.SetValue("key", []byte("value"))
	})
	if got, _ := value(t, s, "key"); err != nil || got != "value" {
		t.Errorf("got error %v, value %q of an Update whose context ended half way, want it done", err, got)
	}
}

// TestConcurrent has readers look for sums that only a torn snapshot would miss, while writers move what is added up.
func TestConcurrent(t *testing.T) { onEach(t, testConcurrent) }

func testConcurrent(t *testing.T, p place) {
	s := p.open(t)
	const accounts, moves = 4, 40
	set := func(tx *metadata.Tx, n int, amount byte) error { return tx.SetValue(fmt.Sprint(n), []byte{amount}) }
	get := func(v *metadata.View, n int) int {
		b, _, err := v.Value(fmt.Sprint(n))
		if err != nil {
			t.Error(err)
			return 0
		}
		return int(b[0])
	}
	update(t, s, func(tx *metadata.Tx) error {
		var errs []error
		for n := range accounts {
			errs = append(errs, set(tx, n, 50))
		}
		return errors.Join(errs...)
	})
	var writers, readers sync.WaitGroup
	var stop atomic.Bool
	for w := range 8 {
		writers.Go(func() {
			for i := range moves {
				from, to := (w+i)%accounts, (w+i*3+1)%accounts
				err := s.Update(t.Context(), metadata.Durability(i%2), func(tx *metadata.Tx) error {
					has, gets := get(&tx.View, from), get(&tx.View, to)
					if from == to || has == 0 || gets == 255 {
						return nil
					}
					if err := set(tx, from, byte(has-1)); err != nil {
						return err
					}
					if i%5 == 0 {
						return errOwn
					}
					return set(tx, to, byte(gets+1))
				})
				if err != nil && err != errOwn {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for !stop.Load() {
				view(t, s, func(v *metadata.View) error {
					for range 2 {
						sum := 0
						for n := range accounts {
							sum += get(v, n)
						}
						if sum != accounts*50 {
							t.Errorf("got sum %d in one snapshot, want %d", sum, accounts*50)
							stop.Store(true)
						}
					}
					return nil
				})
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
}
