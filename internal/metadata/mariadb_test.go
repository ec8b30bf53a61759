package metadata_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mariadb"
	"mailreplica/internal/metadata"
)

func onServer(t testing.TB, statements ...string) {
	t.Helper()
	if err := server.Execute(t.Context(), statements...); err != nil {
		t.Fatal(err)
	}
}

// TestLostAnswer loses the request or the answer of a COMMIT. The Update that waits for it is told the truth.
func TestLostAnswer(t *testing.T) {
	for _, c := range []struct {
		name  string
		where cut
		shut  bool
		runs  int
	}{
		{"request lost", beforeAsked, false, 2},
		{"answer lost", beforeTold, false, 1},
		{"request lost, server away", beforeAsked, true, 2},
		{"answer lost, server away", beforeTold, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, x := throughProxy(t)
			s := p.open(t)
			update(t, s, set("warm", "")) // COMMIT is prepared now
			value(t, s, "warm")
			runs := 0
			var hit chan struct{}
			armed, result := make(chan struct{}), make(chan error, 1)
			fn := cutAtCommit(x, c.where, c.shut, &runs, &hit)
			go func() {
				result <- s.Update(t.Context(), metadata.Fsynced, func(tx *metadata.Tx) error {
					first := runs == 0
					err := fn(tx)
					if first {
						close(armed)
					}
					return err
				})
			}()
			<-armed
			<-hit
			if c.shut {
				// Nobody reads or computes from what may not be so, and nobody waits for ever.
				err := s.View(t.Context(), func(*metadata.View) error { return errors.New("a snapshot while a commit is in doubt") })
				wantKind(t, err, fault.DatabaseUnavailable)
				err = s.Update(t.Context(), metadata.Lazy, set("other", ""))
				wantKind(t, err, fault.DatabaseUnavailable)
				select {
				case err := <-result:
					t.Errorf("got %v of an Update whose commit is in doubt, before the server could be asked", err)
				default:
				}
				x.let()
			}
			if err := <-result; err != nil || runs != c.runs {
				t.Errorf("got %v after %d runs, want success after %d", err, runs, c.runs)
			}
			if got, _ := value(t, s, "key"); got != string([]byte{byte(c.runs)}) {
				t.Errorf("got value %x, want that of run %d", got, c.runs)
			}
			update(t, s, set("next", "value"))
		})
	}
}

// TestSeenWhenDurable has no snapshot begin between the moment at which InnoDB shows a commit and the one at which it is durable
// and answered: what a session has read must not be taken back by a loss of power.
func TestSeenWhenDurable(t *testing.T) {
	p, x := throughProxy(t)
	s := p.open(t)
	update(t, s, set("key", "old"))
	value(t, s, "key")
	var hit, hold chan struct{}
	armed, result := make(chan struct{}), make(chan error, 1)
	go func() {
		result <- s.Update(t.Context(), metadata.Fsynced, func(tx *metadata.Tx) error {
			err := tx.SetValue("key", []byte("new"))
			hit, hold = x.arm(heldBack, false), x.hold
			close(armed)
			return err
		})
	}()
	<-armed
	<-hit
	direct := *p.config
	direct.Address = server.Address()
	db, err := mariadb.Open(direct, mariadb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var shown string
	if err := db.QueryRowContext(t.Context(), "SELECT content FROM setting WHERE name = '.key'").Scan(&shown); err != nil || shown != "new" {
		t.Errorf("the server shows %q (%v) while its answer is on its way, want it committed", shown, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wantKind(t, s.View(short, func(*metadata.View) error { t.Error("a snapshot during a commit"); return nil }), fault.Interrupted)
	close(hold)
	if err := <-result; err != nil {
		t.Error(err)
	}
	if got, _ := value(t, s, "key"); got != "new" {
		t.Errorf("got %q after the commit, want what it wrote", got)
	}
}

// TestClosedInDoubt closes a store whose server does not say what became of a commit.
func TestClosedInDoubt(t *testing.T) {
	p, x := throughProxy(t)
	s := p.open(t)
	update(t, s, set("warm", ""))
	runs := 0
	var hit chan struct{}
	armed, result := make(chan struct{}), make(chan error, 1)
	fn := cutAtCommit(x, beforeTold, true, &runs, &hit)
	go func() {
		result <- s.Update(t.Context(), metadata.Fsynced, func(tx *metadata.Tx) error {
			defer close(armed)
			return fn(tx)
		})
	}()
	<-armed
	<-hit
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wantKind(t, <-result, fault.Interrupted)
	x.let()
	s = p.open(t)
	if got, _ := value(t, s, "key"); got != "\x01" {
		t.Errorf("got value %x, want what was committed", got)
	}
}

// TestRepeated has the server undo a transaction half way. It is done again, from the beginning.
func TestRepeated(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(t *testing.T, tx *metadata.Tx, p place)
	}{
		{"connection killed", func(t *testing.T, tx *metadata.Tx, _ place) {
			onServer(t, fmt.Sprintf("KILL %d", metadata.ConnectionID(tx)))
		}},
		{"deadlock", deadlock},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := inMariaDB(t)
			s := p.open(t)
			update(t, s, func(tx *metadata.Tx) error { return errors.Join(tx.SetValue("a", nil), tx.SetValue("b", nil)) })
			var runs [3]int
			var group sync.WaitGroup
			inside, release := make(chan struct{}), make(chan struct{})
			fn := func(i int, then func(*metadata.Tx)) func(*metadata.Tx) error {
				return func(tx *metadata.Tx) error {
					runs[i]++
					if err := tx.SetValue(fmt.Sprint(i), []byte("set")); err != nil {
						return err
					}
					if then != nil && runs[i] == 1 {
						then(tx)
					}
					return tx.SetValue("b", []byte(fmt.Sprint(i)))
				}
			}
			group.Go(func() {
				err := s.Update(t.Context(), metadata.Lazy, fn(0, func(tx *metadata.Tx) {
					close(inside)
					<-release
					c.harm(t, tx, p)
				}))
				if err != nil {
					t.Errorf("the one that meets it: %v", err)
				}
			})
			<-inside
			for i := 1; i < 3; i++ { // these wait, and share the next transaction
				group.Go(func() {
					if err := s.Update(t.Context(), metadata.Lazy, fn(i, nil)); err != nil {
						t.Errorf("one that waits: %v", err)
					}
				})
			}
			close(release)
			group.Wait()
			if runs[0] != 2 {
				t.Errorf("the function ran %d times, want 2", runs[0])
			}
			for i := range runs {
				if got, _ := value(t, s, fmt.Sprint(i)); got != "set" {
					t.Errorf("what function %d wrote is not there", i)
				}
			}
		})
	}
}

// deadlock has a transaction of somebody else wait for a row of ours, and ours for one of it. The server undoes the one that
// changed less.
func deadlock(t *testing.T, _ *metadata.Tx, p place) {
	admin := *p.config
	admin.User, admin.Password = server.User(), server.Password() // who sees what waits for what
	db, err := mariadb.Open(admin, mariadb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := tx.ExecContext(t.Context(), "INSERT INTO subscription VALUES (99, ?)", []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.ExecContext(t.Context(), "UPDATE setting SET content = 'theirs' WHERE name = '.b'"); err != nil {
		t.Fatal(err)
	}
	var ours atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := tx.ExecContext(t.Context(), "UPDATE owner SET holder = 'theirs' WHERE id = 1")
		ours.Store(err == nil)
		_ = tx.Rollback()
	}()
	waitFor(t, func() bool { // until they wait for us
		time.Sleep(150 * time.Millisecond) // the table shows what it showed before if it was read less than 100 ms ago
		var n int
		const query = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n > 0
	})
	t.Cleanup(func() {
		<-done
		if !ours.Load() {
			t.Error("the server undid the other transaction, so this test tested nothing")
		}
	})
}

func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for ; !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it does not come about")
		}
	}
}

// TestServerKilled kills the server again and again while many write. What an Update returned is exact: committed if and only
// if it was nil.
func TestServerKilled(t *testing.T) {
	p := inMariaDB(t)
	s := p.open(t)
	var told [crashWriters]atomic.Uint64
	var failed atomic.Int64
	var stop atomic.Bool
	var writers sync.WaitGroup
	for n := range crashWriters {
		writers.Go(func() {
			for !stop.Load() {
				sequence, err := deliverNext(t.Context(), s, n)
				switch {
				case err == nil:
					told[n].Store(uint64(sequence))
				case fault.Is(err, fault.DatabaseUnavailable):
					failed.Add(1)
				default:
					t.Errorf("writer %d: %v", n, err)
					return
				}
			}
		})
	}
	written := func() (sum uint64) {
		for n := range told {
			sum += told[n].Load()
		}
		return sum
	}
	for range 3 {
		before := written()
		waitFor(t, func() bool { return written() >= before+50 || t.Failed() })
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Restart(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	before := written()
	waitFor(t, func() bool { return written() >= before+50 || t.Failed() })
	stop.Store(true)
	writers.Wait()
	view(t, s, func(v *metadata.View) error {
		for n := range told {
			m, _, err := v.Mailbox(account.ID{15: byte(n)})
			if err != nil {
				return err
			}
			if want := mailbox.Sequence(told[n].Load()); m.Header.Sequence != want {
				t.Errorf("mailbox %d has sequence %d, its writer was told of %d", n, m.Header.Sequence, want)
			}
			checkWhole(t, v, m, n)
		}
		return nil
	})
	t.Logf("%d commits, %d refused", written(), failed.Load())
}

// TestServerFrozen has everything fail in bounded time while the server says nothing, and go on by itself when it does again.
func TestServerFrozen(t *testing.T) {
	p := inMariaDB(t)
	p.config.AnswerTimeout = time.Second
	s := p.open(t)
	id, _ := create(t, s)
	value(t, s, "x")
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	thaw := sync.OnceFunc(func() {
		if err := server.Continue(); err != nil {
			t.Error(err)
		}
	})
	defer thaw()
	start := time.Now()
	wantKind(t, s.View(t.Context(), func(v *metadata.View) error { _, err := v.Rows(id).Folders(); return err }), fault.DatabaseUnavailable)
	wantKind(t, s.Update(t.Context(), metadata.Fsynced, set("x", "frozen")), fault.DatabaseUnavailable)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("two refusals took %v with answers bounded to 1s", took)
	}
	thaw()
	waitFor(t, func() bool { return s.Update(t.Context(), metadata.Fsynced, set("x", "thawed")) == nil })
	if got, _ := value(t, s, "x"); got != "thawed" {
		t.Errorf("got %q, want what was written when the server answered again", got)
	}
}
