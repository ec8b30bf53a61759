package directory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// platform is a directory with one mailstore's copy of it.
type platform struct {
	path, copyPath string
	clock          *clock
	directory      *directory.Directory
	copy           *directory.Copy
	follower       *directory.Follower
}

func newPlatform(t testing.TB) *platform {
	t.Helper()
	p := &platform{clock: newClock()}
	folder := t.TempDir()
	p.path, p.copyPath = filepath.Join(folder, "shared", "directory.db"), filepath.Join(folder, "copy.db")
	p.directory = newDirectory(t, directory.Options{Path: p.path, Now: p.clock.Now})
	p.open(t)
	return p
}

// open opens the copy, as a mailstore does that starts.
func (p *platform) open(t testing.TB) {
	t.Helper()
	copied, err := directory.OpenCopy(t.Context(), p.copyPath, directory.Options{Now: p.clock.Now})
	must(t, err)
	t.Cleanup(func() { copied.Close() })
	p.copy = copied
	p.follower = directory.NewFollower(directory.FollowerConfig{Directory: p.directory, Copy: copied})
}

// takeAway moves the directory's files elsewhere, as a disk that is gone.
func (p *platform) takeAway(t testing.TB) (putBack func()) {
	t.Helper()
	away := filepath.Dir(p.path) + ".away"
	must(t, os.Rename(filepath.Dir(p.path), away))
	return func() {
		t.Helper()
		must(t, os.Rename(away, filepath.Dir(p.path)))
	}
}

// mirror rebuilds what subscribers can know from events alone.
type mirror struct {
	t        testing.TB
	copy     func() *directory.Copy
	accounts map[account.ID]directory.Account
	deleted  map[account.ID]bool
	replicas map[account.ID]string
	config   map[string]string
	stores   map[string]bool
}

func newMirror(t testing.TB, copied func() *directory.Copy) *mirror {
	return &mirror{t: t, copy: copied, accounts: map[account.ID]directory.Account{}, deleted: map[account.ID]bool{},
		replicas: map[account.ID]string{}, config: map[string]string{}, stores: map[string]bool{}}
}

func (m *mirror) tell(e directory.Event) {
	for _, c := range e.Accounts {
		before, known := m.accounts[c.ID]
		if known && c.Before != nil {
			before.Version = c.Before.Version // a write that changed nothing else is not told
		}
		if known != (c.Before != nil) || known && before != *c.Before {
			m.t.Errorf("account %s was %+v, the event says %+v", c.ID, before, c.Before)
		}
		delete(m.accounts, c.ID)
		if c.After != nil {
			m.accounts[c.ID] = *c.After
		}
		m.deleted[c.ID] = c.Deleted
	}
	for _, id := range e.Replicas {
		m.replicas[id] = text(m.copy().Replicas(id))
	}
	for _, name := range e.Config {
		delete(m.config, name)
		if value, set := m.copy().Config(name); set {
			m.config[name] = value
		}
	}
	for _, fqdn := range e.Mailstores {
		_, m.stores[fqdn] = m.copy().Mailstore(fqdn)
	}
}

// Whatever is written, the copy equals the directory after each step, also after a restart of the copy, and the events
// tell all of it.
func TestCopyEqualsDirectory(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t)
			w := &writer{t: t, p: p, random: rand.New(rand.NewPCG(seed, 1))}
			seen := newMirror(t, func() *directory.Copy { return p.copy })
			p.follower.Subscribe(seen.tell)
			for step := range 60 {
				for range w.random.IntN(8) {
					w.write()
				}
				if step%20 == 19 {
					must(t, p.copy.Close())
					p.open(t)
					p.follower.Subscribe(seen.tell)
				}
				must(t, p.follower.Poll(t.Context()))
				compare(t, p, seen)
			}
		})
	}
}

// writer does random things to a directory.
type writer struct {
	t      testing.TB
	p      *platform
	random *rand.Rand
	ids    []account.ID
}

func (w *writer) write() {
	w.t.Helper()
	ctx, d := w.t.Context(), w.p.directory
	hosts := []string{mbox1, mbox2, mbox3, "mbox4.example.com"}
	host := hosts[w.random.IntN(len(hosts))]
	var id account.ID
	if len(w.ids) > 0 {
		id = w.ids[w.random.IntN(len(w.ids))]
	}
	var err error
	switch w.random.IntN(14) {
	case 0, 1, 2:
		var a directory.Account
		a, err = d.CreateAccount(ctx, directory.NewAccount{Name: fmt.Sprintf("u%d@x", w.random.IntN(20))})
		if err == nil {
			w.ids = append(w.ids, a.ID)
		}
	case 3:
		_, err = d.CreateList(ctx, fmt.Sprintf("u%d@x", w.random.IntN(20)))
	case 4, 5:
		_, err = d.PutReplica(ctx, id, host, w.random.IntN(3))
	case 6:
		err = d.SetReplicaState(ctx, id, host, directory.Available)
	case 7:
		if err = d.RemoveReplica(ctx, id, host); err == nil {
			err = d.FinishRemoveReplica(ctx, id, host)
		}
	case 8:
		_, err = d.SetHome(ctx, id, host, uint64(1+w.random.IntN(50)),
			[]directory.Replica{{Mailstore: mbox1, Priority: 3, State: directory.Available}})
	case 9:
		if _, err = d.BeginDelete(ctx, id); err == nil && w.random.IntN(2) == 0 {
			err = d.FinishDelete(ctx, id)
		}
	case 10:
		err = d.SetConfig(ctx, fmt.Sprint("c", w.random.IntN(3)), fmt.Sprint(w.random.IntN(3)))
	case 11:
		err = d.UnsetConfig(ctx, fmt.Sprint("c", w.random.IntN(3)))
	case 12:
		if w.random.IntN(2) == 0 {
			err = d.RegisterMailstore(ctx, mailstore("mbox4.example.com"))
		} else {
			err = d.DeleteMailstore(ctx, "mbox4.example.com")
		}
	case 13:
		_, err = d.SetPaused(ctx, id, w.random.IntN(2) == 0)
	}
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Exists, fault.Invalid, fault.Busy:
	default:
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func compare(t testing.TB, p *platform, seen *mirror) {
	t.Helper()
	ctx := t.Context()
	want, err := p.directory.Accounts(ctx, directory.Filter{})
	must(t, err)
	got := p.copy.Accounts(func(*directory.Account) bool { return true })
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Fatalf("the copy has %+v\nthe directory %+v", got, want)
	}
	known := 0
	for _, a := range want {
		byName, _ := p.copy.AccountByName(a.Name)
		if byName != a {
			t.Fatalf("by name: %+v, want %+v", byName, a)
		}
		told := seen.accounts[a.ID]
		told.Version = a.Version // a write that changed nothing else is not told
		if told != a {
			t.Fatalf("events told %+v, want %+v", told, a)
		}
		replicas := replicasOf(t, p.directory, a.ID)
		if got := text(p.copy.Replicas(a.ID)); got != replicas || seen.replicas[a.ID] != replicas {
			t.Fatalf("replicas: copy %s, events %s, want %s", got, seen.replicas[a.ID], replicas)
		}
		known++
	}
	if len(seen.accounts) != known {
		t.Fatalf("events told of %d accounts, want %d", len(seen.accounts), known)
	}
	for id, deleted := range seen.deleted {
		want, err := p.directory.IsDeleted(ctx, id)
		if err != nil || deleted != want || p.copy.IsDeleted(id) != want {
			t.Fatalf("deleted: events %v, copy %v, want %v, %v", deleted, p.copy.IsDeleted(id), want, err)
		}
	}
	config, err := p.directory.AllConfig(ctx)
	must(t, err)
	if !reflect.DeepEqual(config, seen.config) {
		t.Fatalf("events told of settings %v, want %v", seen.config, config)
	}
	stores, err := p.directory.Mailstores(ctx)
	must(t, err)
	copied := p.copy.Mailstores()
	for i := range copied {
		copied[i].SeenAt = stores[min(i, len(stores)-1)].SeenAt
	}
	if !reflect.DeepEqual(copied, stores) {
		t.Fatalf("the copy has mailstores %+v, want %+v", copied, stores)
	}
	for _, fqdn := range []string{mbox1, mbox2, mbox3} {
		onDirectory, err := p.directory.ReplicasOn(ctx, fqdn)
		must(t, err)
		if on := p.copy.ReplicasOn(fqdn); len(on) != len(onDirectory) {
			t.Fatalf("%s: the copy has replicas %+v, want %+v", fqdn, on, onDirectory)
		}
	}
}

// A copy of more rows than a page holds, made from nothing and followed.
func TestManyAccounts(t *testing.T) {
	p := newPlatform(t)
	count := directory.ChangesRowsMax*2 + 100
	createMany(t, p.directory, count)
	must(t, p.follower.Poll(t.Context()))
	createManyFrom(t, p.directory, count, count+directory.ChangesRowsMax+10)
	must(t, p.follower.Poll(t.Context()))
	want, err := p.directory.Accounts(t.Context(), directory.Filter{})
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
				if _, err := d.CreateAccount(t.Context(), directory.NewAccount{Name: fmt.Sprintf("u%d@example.com", i), MailHost: mbox1}); err != nil {
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

func TestCopyServesWithoutTheDirectory(t *testing.T) {
	p := newPlatform(t)
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

func TestLookupAsksTheDirectoryOnAMiss(t *testing.T) {
	p := newPlatform(t)
	must(t, p.follower.Poll(t.Context()))
	a := newAccount(t, p.directory, "a@x", mbox1) // not in the copy yet
	got, err := p.follower.Lookup(t.Context(), "a@x")
	if err != nil || got != a {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = p.follower.Lookup(t.Context(), "b@x")
	wantKind(t, err, fault.NotFound)
}

func TestLookupForPasswordBoundsTheAge(t *testing.T) {
	p := newPlatform(t)
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
}

// A directory file that is replaced by an empty one must not make every account unknown.
func TestAnotherDirectoryIsRefused(t *testing.T) {
	p := newPlatform(t)
	ctx := t.Context()
	newAccount(t, p.directory, "a@x", mbox1)
	must(t, p.follower.Poll(ctx))
	p.takeAway(t)
	other, err := directory.Create(ctx, directory.Options{Path: p.path})
	must(t, err)
	defer other.Close()
	wantKind(t, p.follower.Poll(ctx), fault.DirectoryUnavailable)
	_, err = p.follower.Lookup(ctx, "a@x")
	must(t, err)
	_, err = p.follower.Lookup(ctx, "b@x")
	wantKind(t, err, fault.DirectoryUnavailable)
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
	p := newPlatform(t)
	ctx := t.Context()
	newAccount(t, p.directory, "a@x", mbox1)
	must(t, p.directory.Close())
	backup, err := os.ReadFile(p.path) // the last connection has moved the log into the file
	must(t, err)
	reopen := func() {
		p.directory, err = directory.Open(directory.Options{Path: p.path, Now: p.clock.Now})
		must(t, err)
		p.follower = directory.NewFollower(directory.FollowerConfig{Directory: p.directory, Copy: p.copy})
	}
	reopen()
	b := newAccount(t, p.directory, "b@x", mbox1)
	must(t, p.follower.Poll(ctx))
	must(t, p.directory.Close())
	must(t, os.WriteFile(p.path, backup, 0o600))
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

func TestRunFollows(t *testing.T) {
	p := newPlatform(t)
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

func BenchmarkLookup(b *testing.B) {
	p := newPlatform(b)
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
	p := newPlatform(b)
	for b.Loop() {
		must(b, p.follower.Poll(b.Context()))
	}
}

func BenchmarkSetHomeParallel(b *testing.B) {
	p := newPlatform(b)
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
