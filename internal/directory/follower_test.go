package directory_test

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// A copy of more rows than a page holds, made from nothing and followed.
func TestManyAccounts(t *testing.T) { onEngines(t, testManyAccounts) }

func testManyAccounts(t *testing.T, r rig) {
	p := r.newPlatform(t)
	count := directory.ChangesRowsMax*2 + 100
	createMany(t, p.directory, count)
	must(t, p.follower.Poll(t.Context()))
	createManyFrom(t, p.directory, count, count+directory.ChangesRowsMax+10)
	must(t, p.follower.Poll(t.Context()))
	want, err := directory.AllAccounts(t.Context(), p.directory)
	must(t, err)
	got := p.copy.Accounts(func(*directory.Account) bool { return true })
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the copy has %d accounts, the directory %d, and they differ", len(got), len(want))
	}
}

func createMany(t testing.TB, d *directory.Directory, count int) { createManyFrom(t, d, 0, count) }

func createManyFrom(t testing.TB, d *directory.Directory, from, to int) {
	t.Helper()
	var group sync.WaitGroup
	next := make(chan int)
	for range 256 {
		group.Go(func() {
			for i := range next {
				n := directory.NewAccount{Name: fmt.Sprintf("u%d@example.com", i), MailHost: mbox1}
				if _, err := d.CreateAccount(t.Context(), n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := from; i < to; i++ {
		next <- i
	}
	close(next)
	group.Wait()
}

func TestCopyServesWithoutTheDirectory(t *testing.T) { onEngines(t, testCopyServesWithoutTheDirectory) }

func testCopyServesWithoutTheDirectory(t *testing.T, r rig) {
	p := r.newPlatform(t)
	ctx := t.Context()
	a := newAccount(t, p.directory, "a@x", mbox1)
	_, err := p.directory.PutReplica(ctx, a.ID, mbox2, 10)
	must(t, err)
	must(t, p.directory.SetConfig(ctx, "brokers", "b:9092"))
	must(t, p.follower.Poll(ctx))

	putBack := p.takeAway(t)
	must(t, p.copy.Close())
	p.open(t) // the mailstore starts while the directory is away
	p.clock.advance(time.Hour)
	wantKind(t, p.follower.Poll(ctx), fault.DirectoryUnavailable)
	got, err := p.follower.Lookup(ctx, "a@x")
	must(t, err)
	if got.ID != a.ID {
		t.Errorf("got %+v", got)
	}
	_, err = p.follower.LookupID(ctx, a.ID)
	must(t, err)
	if text(p.copy.Replicas(a.ID)) == "" {
		t.Error("the replica is not known")
	}
	if value, _ := p.copy.Config("brokers"); value != "b:9092" {
		t.Errorf("brokers = %q", value)
	}
	_, err = p.follower.Lookup(ctx, "b@x") // never NotFound
	wantKind(t, err, fault.DirectoryUnavailable)
	_, err = p.follower.LookupID(ctx, account.NewID())
	wantKind(t, err, fault.DirectoryUnavailable)
	_, err = p.directory.CreateAccount(ctx, directory.NewAccount{Name: "b@x"})
	wantKind(t, err, fault.DirectoryUnavailable)
	if s := p.follower.Status(); s.Age < time.Hour || s.Age > time.Hour+time.Minute || !s.Copied || s.Problem == nil {
		t.Errorf("status %+v", s)
	}

	putBack()
	newAccount(t, p.directory, "b@x", mbox1)
	must(t, p.follower.Poll(ctx))
	if _, known := p.copy.AccountByName("b@x"); !known {
		t.Error("what was written after the return is not in the copy")
	}
	if s := p.follower.Status(); s.Age != 0 || s.Problem != nil {
		t.Errorf("status %+v", s)
	}
}

func TestLookupAsksTheDirectoryOnAMiss(t *testing.T) { onEngines(t, testLookupAsksTheDirectoryOnAMiss) }

func testLookupAsksTheDirectoryOnAMiss(t *testing.T, r rig) {
	p := r.newPlatform(t)
	must(t, p.follower.Poll(t.Context()))
	a := newAccount(t, p.directory, "a@x", mbox1) // not in the copy yet
	got, err := p.follower.Lookup(t.Context(), "a@x")
	if err != nil || got != a {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = p.follower.Lookup(t.Context(), "b@x")
	wantKind(t, err, fault.NotFound)
}

func TestLookupForPasswordBoundsTheAge(t *testing.T) { onEngines(t, testLookupForPasswordBoundsTheAge) }

func testLookupForPasswordBoundsTheAge(t *testing.T, r rig) {
	p := r.newPlatform(t)
	ctx := t.Context()
	newAccount(t, p.directory, "a@x", mbox1)
	must(t, p.follower.Poll(ctx))
	putBack := p.takeAway(t)
	p.clock.advance(24 * time.Hour)
	_, err := p.follower.LookupForPassword(ctx, "a@x")
	must(t, err)
	p.clock.advance(time.Second)
	_, err = p.follower.LookupForPassword(ctx, "a@x")
	wantKind(t, err, fault.DirectoryUnavailable)
	_, err = p.follower.Lookup(ctx, "a@x") // deliveries go on
	must(t, err)
	putBack()
	_, err = p.follower.LookupForPassword(ctx, "a@x")
	must(t, err)

	// A clock that was set back while the mailstore was down makes no copy younger.
	must(t, p.follower.Poll(ctx))
	p.takeAway(t)
	p.clock.advance(-25 * time.Hour)
	p.open(t)
	_, err = p.follower.LookupForPassword(ctx, "a@x")
	wantKind(t, err, fault.DirectoryUnavailable)
}

func create(ctx context.Context, d *directory.Directory, name string) error {
	_, err := d.CreateAccount(ctx, directory.NewAccount{Name: name, MailHost: mbox1})
	return err
}

// A directory file that is replaced by an empty one must not make every account unknown.
func TestAnotherDirectoryIsRefused(t *testing.T) { onEngines(t, testAnotherDirectoryIsRefused) }

func testAnotherDirectoryIsRefused(t *testing.T, r rig) {
	p := r.newPlatform(t)
	ctx := t.Context()
	newAccount(t, p.directory, "a@x", mbox1)
	must(t, p.follower.Poll(ctx))
	p.replace(t)
	other, err := directory.Create(ctx, p.opts)
	must(t, err)
	defer other.Close()
	wantKind(t, p.follower.Poll(ctx), fault.DirectoryUnavailable)
	_, err = p.follower.Lookup(ctx, "a@x")
	must(t, err)
	_, err = p.follower.Lookup(ctx, "b@x")
	wantKind(t, err, fault.DirectoryUnavailable)
	for what, err := range map[string]error{ // what the other directory took would be gone with it
		"an account":  create(ctx, p.directory, "b@x"),
		"a setting":   p.directory.SetConfig(ctx, "c", "1"),
		"a mailstore": p.directory.RegisterMailstore(ctx, mailstore(mbox1)),
	} {
		if wantKind(t, err, fault.DirectoryUnavailable); err == nil || !strings.Contains(err.Error(), "another one") {
			t.Errorf("%s is written to it: %v", what, err)
		}
	}
	must(t, other.RegisterMailstore(ctx, mailstore(mbox1)))
	createMany(t, other, 1)
	must(t, other.SetConfig(ctx, "c", "1"))
	for range 10 { // also when its versions reach those of the copy
		must(t, other.SetConfig(ctx, "c", "1"))
		wantKind(t, p.follower.Poll(ctx), fault.DirectoryUnavailable)
	}
}

// A directory that was restored from an older backup is followed; accounts that it does not have are gone, not deleted.
func TestRestoredDirectoryIsFollowed(t *testing.T) {
	p := sqlite.newPlatform(t)
	ctx := t.Context()
	newAccount(t, p.directory, "a@x", mbox1)
	must(t, p.directory.Close())
	backup, err := os.ReadFile(p.opts.Path) // the last connection has moved the log into the file
	must(t, err)
	reopen := func() {
		p.directory, err = directory.Open(p.opts)
		must(t, err)
		p.follower = directory.NewFollower(directory.FollowerConfig{Directory: p.directory, Copy: p.copy})
	}
	reopen()
	b := newAccount(t, p.directory, "b@x", mbox1)
	must(t, p.follower.Poll(ctx))
	must(t, p.directory.Close())
	must(t, os.WriteFile(p.opts.Path, backup, 0o600))
	reopen()
	defer p.directory.Close()
	var events []directory.Event
	p.follower.Subscribe(func(e directory.Event) { events = append(events, e) })
	must(t, p.follower.Poll(ctx))
	if len(events) != 1 || len(events[0].Accounts) != 1 || events[0].Accounts[0].ID != b.ID ||
		events[0].Accounts[0].After != nil || events[0].Accounts[0].Deleted {
		t.Errorf("events %+v", events)
	}
	if _, known := p.copy.AccountByName("a@x"); !known {
		t.Error("an account of the backup is not known")
	}
}

func TestRunFollows(t *testing.T) { onEngines(t, testRunFollows) }

func testRunFollows(t *testing.T, r rig) {
	p := r.newPlatform(t)
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan directory.Event, 8)
	unsubscribe := p.follower.Subscribe(func(e directory.Event) { told <- e })
	done := make(chan struct{})
	go func() { defer close(done); p.follower.Run(ctx) }()
	<-told // the first copy: the mailstores
	a := newAccount(t, p.directory, "a@x", mbox1)
	if e := <-told; len(e.Accounts) != 1 || e.Accounts[0].ID != a.ID {
		t.Errorf("told %+v", e)
	}
	unsubscribe()
	must(t, p.directory.SetConfig(ctx, "c", "1"))
	must(t, p.follower.Poll(ctx))
	cancel()
	<-done
	if len(told) != 0 {
		t.Errorf("told %+v after the end of the subscription", <-told)
	}
}
