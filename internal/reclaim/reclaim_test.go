package reclaim_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/blob"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/peer"
	"mailreplica/internal/reclaim"
)

const here, there = "mbox1.example.com", "mbox2.example.com"

// volume remembers what was removed.
type volume struct {
	blob.Volume
	id string

	mu      sync.Mutex
	away    bool
	removed []string
}

func (v *volume) ID() string { return v.id }

func (v *volume) Remove(_ context.Context, name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.away {
		return fault.New(fault.VolumeUnavailable, "volume %s does not answer", v.id)
	}
	v.removed = append(v.removed, name)
	return nil
}

// take gives what was removed since the last call, sorted.
func (v *volume) take() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	removed := v.removed
	v.removed = nil
	slices.Sort(removed)
	return removed
}

type noStreams struct{}

func (noStreams) Append(_ int32, _, _ []byte, done func(error)) { done(errors.New("there is no log")) }
func (noStreams) Follow(context.Context, int32) error           { return nil }
func (noStreams) CaughtUp(int32) bool                           { return true }

// peers answer what the test says.
type peers struct {
	mu     sync.Mutex
	err    error
	copies []peer.CopyStatus
	asked  int
}

func (p *peers) Settled(context.Context, string, []account.ID) ([]peer.CopyStatus, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return p.copies, p.err
}

func (p *peers) answer(err error, copies ...peer.CopyStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.copies = err, copies
}

// clock is moved by the test alone.
type clock struct {
	wall   time.Time
	uptime time.Duration
}

func (c *clock) Now() (time.Time, time.Duration) { return c.wall, c.uptime }

func (c *clock) pass(d time.Duration) { c.wall, c.uptime = c.wall.Add(d), c.uptime+d }

// place is one mailstore with a reclaimer that is never run by itself.
type place struct {
	t         *testing.T
	directory *directory.Directory
	follower  *directory.Follower
	store     *metadata.Store
	mailstore *mailstore.Mailstore
	peers     *peers
	clock     *clock
	one, two  *volume
	volumes   *blob.Set
	r         *reclaim.Reclaimer
}

func newPlace(t *testing.T) *place {
	t.Helper()
	folder := t.TempDir()
	p := &place{t: t, peers: &peers{}, clock: &clock{wall: time.Now()}, one: &volume{id: "one"}, two: &volume{id: "two"}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	p.directory, err = directory.Create(t.Context(), directory.Options{Path: filepath.Join(folder, "directory.db")})
	must(err)
	for _, fqdn := range []string{here, there} {
		must(p.directory.RegisterMailstore(t.Context(), directory.Mailstore{FQDN: fqdn, Incarnation: fqdn}))
	}
	copied, err := directory.OpenCopy(t.Context(), filepath.Join(folder, "copy.db"), directory.Options{})
	must(err)
	p.follower = directory.NewFollower(directory.FollowerConfig{Directory: p.directory, Copy: copied})
	logger := slog.New(slog.DiscardHandler)
	p.store, err = metadata.Open(t.Context(), folder, logger)
	must(err)
	p.volumes = blob.NewSet("one", p.one, p.two)
	p.mailstore, err = mailstore.Open(t.Context(), mailstore.Config{Self: here, Store: p.store, Volumes: p.volumes, Logger: logger})
	must(err)
	p.mailstore.Start(noStreams{}, nil)
	p.r = reclaim.New(reclaim.Config{
		Mailstore: p.mailstore, Store: p.store, Wishes: copied, Peers: p.peers, Logger: logger, Clock: p.clock, BlobsPerSecondMax: 1_000_000,
	})
	t.Cleanup(func() {
		p.mailstore.Close()
		_ = p.store.Close()
		_ = copied.Close()
		_ = p.directory.Close()
	})
	return p
}

func (p *place) account(name string) *mailstore.Account {
	p.t.Helper()
	wish, err := p.directory.CreateAccount(p.t.Context(), directory.NewAccount{Name: name, MailHost: here})
	if err != nil {
		p.t.Fatal(err)
	}
	a, err := p.mailstore.Create(p.t.Context(), wish.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.directory.SetHome(p.t.Context(), wish.ID, here, a.Copy().Epoch, nil); err != nil {
		p.t.Fatal(err)
	}
	p.poll()
	return a
}

func (p *place) poll() {
	p.t.Helper()
	if err := p.follower.Poll(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// discard has messages delivered and expunged, whose blobs are named by numbers.
func (p *place) discard(a *mailstore.Account, volume string, from, to int) {
	p.t.Helper()
	err := a.Update(p.t.Context(), func(d *mailbox.Draft) error {
		inbox, _, err := d.FolderByName("INBOX")
		if err != nil {
			return err
		}
		var messages []mailbox.NewMessage
		for i := from; i < to; i++ {
			messages = append(messages, mailbox.NewMessage{Volume: volume, Blob: fmt.Sprintf("%032d", i), Size: 1})
		}
		appended, err := d.Append(inbox.ID, messages)
		if err != nil {
			return err
		}
		var uids []mailbox.UID
		for _, m := range appended {
			uids = append(uids, m.UID)
		}
		_, err = d.Expunge(inbox.ID, uids)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) pass() reclaim.Result {
	p.t.Helper()
	result, err := p.r.Pass(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return result
}

func (p *place) want(what string, removed, waiting int) {
	p.t.Helper()
	if got := p.pass(); got.Removed != removed || got.Waiting != waiting {
		p.t.Errorf("%s: got %+v, want %d removed and %d waiting", what, got, removed, waiting)
	}
}

const week = reclaim.GraceDefault + time.Minute

func TestManyAccountsAndPages(t *testing.T) {
	p := newPlace(t)
	for i := range 5 {
		p.discard(p.account(fmt.Sprintf("user%d@example.com", i)), "one", i*300, (i+1)*300)
	}
	p.want("at once", 0, 0)
	p.clock.pass(week)
	p.want("after the grace period", 1500, 0)
	if removed := p.one.take(); len(slices.Compact(removed)) != 1500 {
		t.Errorf("%d different blobs were removed, want 1500", len(slices.Compact(removed)))
	}
	p.want("again", 0, 0)
}

// A volume that is away, or that this mailstore does not have, holds up its own blobs and no others.
func TestVolumesThatAreAway(t *testing.T) {
	p := newPlace(t)
	a := p.account("user@example.com")
	p.discard(a, "one", 0, 2)
	p.discard(a, "two", 2, 5)
	p.discard(a, "elsewhere", 5, 6)
	p.clock.pass(week)
	p.one.away = true
	p.want("one is away", 3, 3)
	p.one.away = false
	p.want("one is back", 2, 1)
	if one, two := len(p.one.take()), len(p.two.take()); one != 2 || two != 3 {
		t.Errorf("removed %d and %d blobs, want 2 and 3", one, two)
	}
	p.want("a volume that is not here", 0, 1)
}

// A machine whose clock jumps ahead keeps blobs for half the grace period at least.
func TestClockThatJumps(t *testing.T) {
	p := newPlace(t)
	p.want("at first", 0, 0)
	p.discard(p.account("user@example.com"), "one", 0, 1)
	p.clock.wall = p.clock.wall.Add(365 * 24 * time.Hour)
	p.want("after the jump", 0, 0)
	p.clock.pass(week/2 - time.Hour)
	p.want("before half the grace period", 0, 0)
	p.clock.pass(2 * time.Hour)
	p.want("after half the grace period", 1, 0)
}

// After a decree, mailstores that the directory wishes copies of may hold old ones, though they are no members.
func TestCopiesFromBeforeADecree(t *testing.T) {
	p := newPlace(t)
	a := p.account("user@example.com")
	if err := p.directory.SetConfig(t.Context(), "brokers", "127.0.0.1:9092"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.directory.PutReplica(t.Context(), a.ID(), there, 10); err != nil {
		t.Fatal(err)
	}
	p.poll()
	p.discard(a, "one", 0, 1)
	p.clock.pass(week)
	p.peers.answer(fault.New(fault.HomeUnreachable, "it does not answer"))
	p.want("cannot be asked", 0, 1)
	p.peers.answer(nil, peer.CopyStatus{Account: a.ID(), Epoch: 1, Primary: here, Condition: "gap", Sequence: 99})
	p.want("an old copy", 0, 1)
	p.peers.answer(nil, peer.CopyStatus{Account: a.ID(), Epoch: 9, Primary: there, Condition: "complete", Sequence: 99})
	p.want("a copy of a later epoch", 0, 1)
	p.peers.answer(nil)
	p.want("no copy", 1, 0)
}

// What the directory says of another home, or of an end, keeps a mailstore from removing.
func TestHomesThatAreNone(t *testing.T) {
	p := newPlace(t)
	moved, ending, unknown := p.account("moved@example.com"), p.account("ending@example.com"), account.NewID()
	orphan, err := p.mailstore.Create(t.Context(), unknown)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range []*mailstore.Account{moved, ending, orphan} {
		p.discard(a, "one", i, i+1)
	}
	if _, err := p.directory.SetHome(t.Context(), moved.ID(), there, 7, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.directory.BeginDelete(t.Context(), ending.ID()); err != nil {
		t.Fatal(err)
	}
	p.poll()
	p.clock.pass(week)
	p.want("none is a home", 0, 0)
	if p.peers.asked > 0 {
		t.Errorf("asked others %d times", p.peers.asked)
	}
}

// What an interrupted pass did is done again.
func TestInterruptedPass(t *testing.T) {
	p := newPlace(t)
	p.discard(p.account("user@example.com"), "one", 0, 10)
	p.clock.pass(week)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.r.Pass(ctx); err == nil {
		t.Error("a pass without time succeeded")
	}
	p.want("again", 10, 0)
}

// Run removes what is due by itself.
func TestRun(t *testing.T) {
	p := newPlace(t)
	p.discard(p.account("user@example.com"), "one", 0, 3)
	p.clock.pass(week)
	r := reclaim.New(reclaim.Config{
		Mailstore: p.mailstore, Store: p.store, Wishes: p.follower.Copy(), Peers: p.peers, Logger: slog.New(slog.DiscardHandler),
		Clock: p.clock, Every: time.Millisecond,
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	removed := 0
	for deadline := time.Now().Add(time.Minute); removed < 3; time.Sleep(time.Millisecond) {
		removed += len(p.one.take())
		if time.Now().After(deadline) {
			t.Fatalf("%d blobs were removed, want 3", removed)
		}
	}
	cancel()
	<-ended
}
