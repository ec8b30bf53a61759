package directory_test

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// load is several mailstores that write to a directory while its server is killed.
type load struct {
	t    testing.TB
	stop chan struct{}

	mu       sync.Mutex
	made     map[string]directory.Account // by name, as acknowledged
	versions map[int64]string             // that were acknowledged, with who was told
	homes    map[uint64]string            // by epoch of the shared account, who was told that it is home
	failed   int
}

// doubtful reports whether an error leaves open what became of a write.
func doubtful(err error) bool { return strings.Contains(fault.Message(err), "did not say") }

func (l *load) acknowledge(version int64, what string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.versions[version]; other != "" {
		l.t.Errorf("version %d is that of %s and of %s", version, other, what)
	}
	l.versions[version] = what
}

// create makes accounts until the end. A name is taken only by what this writer made itself and was told to be in doubt.
func (l *load) create(d *directory.Directory, who string) {
	last := int64(0)
	for i := 0; ; i++ {
		name, doubt := fmt.Sprintf("%s-%d@x", who, i), false
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			a, err := d.CreateAccount(context.Background(), directory.NewAccount{Name: name, MailHost: mbox1})
			if err == nil {
				l.acknowledge(a.Version, name)
				l.mu.Lock()
				l.made[name] = a
				l.mu.Unlock()
				if a.Version <= last {
					l.t.Errorf("version %d after %d", a.Version, last)
				}
				last = a.Version
				break
			}
			if fault.Is(err, fault.Exists) && doubt {
				break
			}
			if !fault.Is(err, fault.DirectoryUnavailable) {
				l.t.Errorf("%s: %v (%v)", name, err, fault.KindOf(err))
				return
			}
			doubt = doubt || doubtful(err)
			l.mu.Lock()
			l.failed++
			l.mu.Unlock()
		}
	}
}

// reign has a mailstore take each epoch of a shared account, against others.
func (l *load) reign(d *directory.Directory, id account.ID, who string) {
	for epoch := uint64(1); ; epoch++ {
		select {
		case <-l.stop:
			return
		default:
		}
		won, err := d.SetHome(context.Background(), id, who, epoch, nil)
		if err != nil {
			if !fault.Is(err, fault.DirectoryUnavailable) {
				l.t.Errorf("%s: %v", who, err)
			}
			continue
		}
		if won {
			l.mu.Lock()
			if other := l.homes[epoch]; other != "" {
				l.t.Errorf("%s and %s are both home of epoch %d", other, who, epoch)
			}
			l.homes[epoch] = who
			l.mu.Unlock()
		}
	}
}

// follow polls until the end, and looks that versions grow.
func (l *load) follow(f *directory.Follower) {
	last := int64(0)
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		if err := f.Poll(context.Background()); err != nil && !fault.Is(err, fault.DirectoryUnavailable) {
			l.t.Errorf("a follower: %v", err)
		}
		if now := f.Copy().Version(); now < last {
			l.t.Errorf("a copy went from version %d to %d", last, now)
		} else {
			last = now
		}
	}
}

func (l *load) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.made)
}

// await waits until more accounts were acknowledged.
func (l *load) await(more int) {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for want := l.acknowledged() + more; l.acknowledged() < want; {
		select {
		case <-tick.C:
		case <-limit:
			l.t.Fatalf("%d accounts were acknowledged, want %d", l.acknowledged(), want)
		}
	}
}

// The server is killed again and again under writers of several mailstores.
func TestServerIsKilled(t *testing.T) {
	opts := maria.empty(t)
	d := maria.newDirectory(t, opts)
	shared := newAccount(t, d, "shared@x", mbox1)
	first := must1(d.Version(t.Context()))(t)
	l := &load{t: t, stop: make(chan struct{}), made: map[string]directory.Account{}, versions: map[int64]string{}, homes: map[uint64]string{}}
	var group sync.WaitGroup
	var copies []*directory.Copy
	for i := range 3 {
		own := must1(directory.Open(opts))(t)
		defer own.Close()
		copied := must1(directory.OpenCopy(t.Context(), filepath.Join(t.TempDir(), "copy.db"), directory.Options{}))(t)
		defer copied.Close()
		copies = append(copies, copied)
		for j := range 4 {
			group.Go(func() { l.create(own, fmt.Sprintf("m%d-%d", i, j)) })
		}
		group.Go(func() { l.reign(own, shared.ID, fmt.Sprintf("m%d.example.com", i)) })
		group.Go(func() { l.follow(directory.NewFollower(directory.FollowerConfig{Directory: own, Copy: copied})) })
	}
	for range 4 {
		l.await(40)
		must(t, server.Kill())
		must(t, server.Restart(t.Context()))
	}
	l.await(40)
	close(l.stop)
	group.Wait()
	l.check(d, shared.ID, first, copies)
}

func (l *load) check(d *directory.Directory, shared account.ID, first int64, copies []*directory.Copy) {
	t, ctx := l.t, l.t.Context()
	all := must1(directory.AllAccounts(ctx, d))(t)
	stored := map[string]directory.Account{}
	for _, a := range all {
		stored[a.Name] = a
	}
	for name, a := range l.made {
		if stored[name] != a {
			t.Errorf("%s was acknowledged as %+v, stored is %+v", name, a, stored[name])
		}
	}
	home := must1(d.Account(ctx, shared))(t)
	for epoch, who := range l.homes {
		if epoch == home.Epoch && who != home.MailHost || epoch > home.Epoch {
			t.Errorf("%s was told that it is home of epoch %d; stored are %s, %d", who, epoch, home.MailHost, home.Epoch)
		}
	}
	// Each account and each epoch took one number, whether it was acknowledged or not.
	version := must1(d.Version(ctx))(t)
	if took := version - first; took < int64(len(all)-1+len(l.homes)) || took > int64(len(all)-1)+int64(home.Epoch) {
		t.Errorf("%d versions for %d accounts and %d epochs", took, len(all)-1, home.Epoch)
	}
	for i, copied := range copies {
		must(t, directory.NewFollower(directory.FollowerConfig{Directory: d, Copy: copied}).Poll(ctx))
		if got := copied.Accounts(func(*directory.Account) bool { return true }); !reflect.DeepEqual(got, all) || copied.Version() != version {
			t.Errorf("copy %d has %d accounts of version %d, the directory %d of version %d", i, len(got), copied.Version(), len(all), version)
		}
	}
	t.Logf("%d accounts, %d of them acknowledged, %d attempts failed, %d epochs", len(all), len(l.made), l.failed, home.Epoch)
}

// A server that says nothing does not hold anyone up for longer than the limits, and is used again when it goes on.
func TestServerIsFrozen(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	opts.ReadTimeout, opts.WriteTimeout = time.Second, 2*time.Second
	d := maria.newDirectory(t, opts)
	fresh := must1(directory.Open(opts))(t) // has no connection yet
	defer fresh.Close()
	must(t, server.Pause())
	defer server.Continue()
	within := func(limit time.Duration, f func() error) {
		t.Helper()
		start := time.Now()
		wantKind(t, f(), fault.DirectoryUnavailable)
		if took := time.Since(start); took > limit+time.Second {
			t.Errorf("took %v, the limit is %v", took, limit)
		}
	}
	var group sync.WaitGroup
	for _, one := range []*directory.Directory{d, fresh} {
		for i := range 4 { // those behind wait no longer than the first
			group.Go(func() { within(opts.ReadTimeout, func() error { return one.Ping(ctx) }) })
			group.Go(func() {
				within(2*opts.WriteTimeout, func() error { // one behind a batch waits for that, too
					_, err := one.CreateAccount(ctx, directory.NewAccount{Name: fmt.Sprintf("u%d@x", i), MailHost: mbox1})
					return err
				})
			})
		}
	}
	group.Wait()
	must(t, server.Continue())
	for i, one := range []*directory.Directory{d, fresh} {
		must(t, one.Ping(ctx))
		newAccount(t, one, fmt.Sprintf("after%d@x", i), mbox1)
	}
}

// While one waits for a server that says nothing, all others are told so at once, whatever they ask; when it goes on, it is used again.
func TestSilenceIsToldAtOnce(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	opts.ReadTimeout, opts.WriteTimeout, opts.MariaDB.AnswerTimeout = time.Second, time.Hour, time.Hour
	d := maria.newDirectory(t, opts)
	must(t, server.Pause())
	defer server.Continue()
	wantKind(t, d.Ping(ctx), fault.DirectoryUnavailable)
	waits := make(chan error)
	go func() {
		for { // it may be told at once, too, until it is the one who asks
			_, err := d.CreateAccount(ctx, directory.NewAccount{Name: "waits@x", MailHost: mbox1})
			if !fault.Is(err, fault.DirectoryUnavailable) {
				waits <- err
				return
			}
		}
	}()
	told := func(err error) bool {
		wantKind(t, err, fault.DirectoryUnavailable)
		return strings.HasPrefix(fault.Message(err), "the directory has not answered for ")
	}
	for !told(d.Ping(ctx)) { // until it is the other who asks
		time.Sleep(10 * time.Millisecond)
	}
	for i := range 20 { // each of which would wait for an hour
		if _, err := d.CreateAccount(ctx, directory.NewAccount{Name: fmt.Sprintf("u%d@x", i), MailHost: mbox1}); !told(err) {
			t.Errorf("a write was told: %v", err)
		}
		if err := d.Ping(ctx); !told(err) {
			t.Errorf("a reader was told: %v", err)
		}
	}
	must(t, server.Continue())
	must(t, <-waits)
	must(t, d.Ping(ctx))
	newAccount(t, d, "after@x", mbox1)
}

// Whoever asks a follower of a server that says nothing is told with the step that is under way, and no later than it has time.
func TestFollowerOfAFrozenServer(t *testing.T) {
	opts, ctx := maria.empty(t), t.Context()
	opts.ReadTimeout = 2 * time.Second
	d := maria.newDirectory(t, opts)
	copied := must1(directory.OpenCopy(ctx, filepath.Join(t.TempDir(), "copy.db"), directory.Options{}))(t)
	defer copied.Close()
	f := directory.NewFollower(directory.FollowerConfig{Directory: d, Copy: copied})
	must(t, f.Poll(ctx))
	must(t, server.Pause())
	defer server.Continue()
	start := time.Now()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { wantKind(t, f.Poll(ctx), fault.DirectoryUnavailable) })
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	wantKind(t, f.Poll(short), fault.Interrupted)
	if took := time.Since(start); took > opts.ReadTimeout {
		t.Errorf("one with little time was told after %v", took)
	}
	group.Wait()
	if took := time.Since(start); took > 2*opts.ReadTimeout {
		t.Errorf("eight at once were told after %v, one waits %v", took, opts.ReadTimeout)
	}
	if f.Status().Problem == nil {
		t.Error("the follower shows no problem")
	}
	must(t, server.Continue())
	must(t, f.Poll(ctx))
}
