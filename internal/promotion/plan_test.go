package promotion

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/operation"
	"mailreplica/internal/peer"
)

func TestTakers(t *testing.T) {
	replica := func(fqdn string, state directory.ReplicaState) directory.Replica {
		return directory.Replica{Mailstore: fqdn, State: state}
	}
	removing := replica("b", directory.Available)
	removing.Removing = true
	b, c := replica("b", directory.Available), replica("c", directory.Available)
	tests := map[string]struct {
		replicas    []directory.Replica
		destination string
		down        string
		want        []string
		refusal     string
	}{
		"in the order of priority":        {replicas: []directory.Replica{b, c}, want: []string{"b", "c"}},
		"the one asked for":               {replicas: []directory.Replica{b, c}, destination: "c", want: []string{"c"}},
		"one that does not answer":        {replicas: []directory.Replica{b, c}, down: "b", want: []string{"c"}},
		"one that is being made":          {replicas: []directory.Replica{replica("b", directory.Initialising), c}, want: []string{"c"}},
		"one that is being removed":       {replicas: []directory.Replica{removing, c}, want: []string{"c"}},
		"none at all":                     {refusal: "no replica"},
		"none on the one asked for":       {replicas: []directory.Replica{b}, destination: "c", refusal: "no replica on c"},
		"only one that diverged":          {replicas: []directory.Replica{replica("b", directory.Diverged)}, refusal: "diverged"},
		"only one that does not answer":   {replicas: []directory.Replica{b}, down: "b", refusal: "does not answer"},
		"the one asked for is in a gap":   {replicas: []directory.Replica{replica("b", directory.Gap), c}, destination: "b", refusal: "gap"},
		"the one asked for is leaving us": {replicas: []directory.Replica{removing, c}, destination: "b", refusal: "being removed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			up := map[string]bool{"b": true, "c": true}
			delete(up, test.down)
			got, err := takers(directory.Account{MailHost: "a"}, test.replicas, test.destination, up)
			if test.refusal != "" {
				if !fault.Is(err, fault.Unusable) || !strings.Contains(err.Error(), test.refusal) {
					t.Errorf("got %v, want a refusal with %q", err, test.refusal)
				}
				if hint := fault.HintOf(err); !strings.Contains(hint, "MailReplica ") || strings.Contains(hint, "repaired") {
					t.Errorf("%v: the hint is %q", err, hint)
				}
				return
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

// fakePeer answers as a mailstore does.
type fakePeer struct {
	peer.Service
	name     string
	sequence mailbox.Sequence
	fence    func(peer.FenceAccount) peer.FenceResult
	away     int // so many questions are not answered
	logless  int // so many requests are answered that the log does not answer
	asked    []peer.FenceRequest
}

func (f *fakePeer) Status(_ context.Context, ids []account.ID) (peer.Status, error) {
	if f.away > 0 {
		f.away--
		return peer.Status{}, fault.New(fault.Interrupted, "away")
	}
	s := peer.Status{Mailstore: f.name}
	for _, id := range ids {
		s.Copies = append(s.Copies, peer.CopyStatus{Account: id, Sequence: f.sequence})
	}
	return s, nil
}

func (f *fakePeer) Fence(_ context.Context, request peer.FenceRequest, tell func(peer.FenceResult)) error {
	f.asked = append(f.asked, request)
	if f.logless > 0 {
		f.logless--
		return fault.New(fault.LogUnavailable, "no log")
	}
	for _, a := range request.Accounts {
		r := f.fence(a)
		r.Account, r.Epoch = a.Account, a.Epoch
		tell(r)
	}
	return nil
}

func takes(peer.FenceAccount) peer.FenceResult { return peer.FenceResult{} }

func refuses(kind fault.Kind) func(peer.FenceAccount) peer.FenceResult {
	return func(peer.FenceAccount) peer.FenceResult {
		return peer.FenceResult{Kind: kind.String(), Error: "no", Hint: "its hint"}
	}
}

// world is a directory with one account on a, and replicas on b and c.
type world struct {
	t         *testing.T
	directory *directory.Directory
	copy      *directory.Copy
	peers     map[string]*fakePeer
	account   directory.Account
	logWait   time.Duration // of the planner; 0: its default
	ahead     atomic.Int64  // how far the directory's clock is before this machine's, in nanoseconds
}

func newWorld(t *testing.T, priorityB, priorityC int) *world {
	t.Helper()
	folder := t.TempDir()
	w := &world{t: t, peers: map[string]*fakePeer{}}
	var err error
	now := func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	if w.directory, err = directory.Create(t.Context(), directory.Options{Path: filepath.Join(folder, "d.db"), Now: now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.directory.Close() })
	if w.copy, err = directory.OpenCopy(t.Context(), filepath.Join(folder, "c.db"), directory.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.copy.Close() })
	for _, name := range []string{"a.example", "b.example", "c.example"} {
		w.peers[name] = &fakePeer{name: name, fence: takes}
		server := httptest.NewServer(peer.Handler(w.peers[name], "token", slog.New(slog.DiscardHandler)))
		t.Cleanup(server.Close)
		err := w.directory.RegisterMailstore(t.Context(), directory.Mailstore{
			FQDN: name, Incarnation: name, PeerAddr: strings.TrimPrefix(server.URL, "http://"),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.account, err = w.directory.CreateAccount(t.Context(), directory.NewAccount{Name: "user@example.com", MailHost: "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	for name, priority := range map[string]int{"b.example": priorityB, "c.example": priorityC} {
		if _, err := w.directory.PutReplica(t.Context(), w.account.ID, name, priority); err != nil {
			t.Fatal(err)
		}
		if err := w.directory.SetReplicaState(t.Context(), w.account.ID, name, directory.Available); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// TestEpochOfAnItem: an operation that an older release stored goes on with the epochs that it began with.
func TestEpochOfAnItem(t *testing.T) {
	of := Parameters{Epochs: []uint64{4, 5}}
	for _, c := range []struct {
		p     Parameters
		item  operation.Item
		epoch uint64
	}{
		{Parameters{}, operation.Item{Position: 1, Parameter: "7"}, 7},
		{of, operation.Item{Position: 1}, 5},
		{of, operation.Item{Position: 2}, 0},
		{Parameters{}, operation.Item{Position: 0, Parameter: "x"}, 0},
	} {
		epoch, err := c.p.epochOf(c.item)
		if epoch != c.epoch || (err == nil) != (c.epoch > 0) {
			t.Errorf("%+v: got %d, %v, want %d", c.item, epoch, err, c.epoch)
		}
	}
}

// run runs a promotion to its end and gives the outcome of its only item.
func (w *world) run(p Parameters) operation.Item {
	w.t.Helper()
	m := w.manager()
	return w.finish(m, w.submit(m, p))
}

func (w *world) submit(m *operation.Manager, p Parameters) operation.Operation {
	w.t.Helper()
	submitted, err := m.Submit(w.t.Context(), Plan([]directory.Account{w.account}, p))
	if err != nil {
		w.t.Fatal(err)
	}
	return submitted
}

func (w *world) manager() *operation.Manager {
	w.t.Helper()
	if err := directory.NewFollower(directory.FollowerConfig{Directory: w.directory, Copy: w.copy}).Poll(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	planner := NewPlanner(PlannerConfig{
		Self: "a.example", Directory: w.directory, Wishes: w.copy, Peers: peer.NewClient("token", nil), Logger: slog.New(slog.DiscardHandler),
		LogWait: w.logWait,
	})
	return operation.NewManager(operation.ManagerConfig{
		Directory: w.directory, Host: "a.example", Runners: map[string]operation.Runner{OperationType: planner},
	})
}

// finish runs what was submitted to its end.
func (w *world) finish(m *operation.Manager, started operation.Operation) operation.Item {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	for !started.State.Finished() {
		time.Sleep(5 * time.Millisecond)
		var err error
		if started, err = m.Get(w.t.Context(), started.ID); err != nil {
			w.t.Fatal(err)
		}
	}
	items, err := m.Items(w.t.Context(), started.ID, directory.ItemFilter{})
	if err != nil || len(items) != 1 {
		w.t.Fatalf("%d items, %v; want one", len(items), err)
	}
	return items[0]
}

func TestChoice(t *testing.T) {
	tests := map[string]struct {
		priorityB, priorityC int
		parameters           Parameters
		prepare              func(w *world)
		want                 string // part of the message
		failed               bool
		notAsked             string
	}{
		"lowest priority": {priorityB: 20, priorityC: 10, want: "promoted to c.example", notAsked: "b.example"},
		"of equals the one further ahead": {
			priorityB: 10, priorityC: 10, want: "promoted to c.example", notAsked: "b.example",
			prepare: func(w *world) { w.peers["c.example"].sequence = 7; w.peers["b.example"].sequence = 6 },
		},
		"the one asked for": {
			priorityB: 10, priorityC: 20, parameters: Parameters{Destination: "c.example"}, want: "promoted to c.example", notAsked: "b.example",
		},
		"the next where one turns out unusable": {
			priorityB: 10, priorityC: 20, want: "promoted to c.example",
			prepare: func(w *world) { w.peers["b.example"].fence = refuses(fault.Unusable) },
		},
		"the next where one lacks a volume of the messages": {
			priorityB: 10, priorityC: 20, want: "promoted to c.example",
			prepare: func(w *world) { w.peers["b.example"].fence = refuses(fault.VolumeUnavailable) },
		},
		"none other where the account is paused": {
			priorityB: 10, priorityC: 20, want: "b.example: no (its hint)", failed: true, notAsked: "c.example",
			prepare: func(w *world) { w.peers["b.example"].fence = refuses(fault.Paused) },
		},
		"a fence that the first made and did not tell of": {
			priorityB: 10, priorityC: 20, want: "promoted to b.example",
			prepare: func(w *world) {
				w.peers["b.example"].fence = refuses(fault.HomeUnreachable)
				w.peers["c.example"].fence = func(a peer.FenceAccount) peer.FenceResult {
					return peer.FenceResult{Kind: fault.Busy.String(), Error: "no", Primary: "b.example", CopyEpoch: a.Epoch}
				}
			},
		},
		"an epoch that began with the old home": {
			priorityB: 10, priorityC: 20, want: "no", failed: true,
			prepare: func(w *world) {
				for _, name := range []string{"b.example", "c.example"} {
					w.peers[name].fence = func(a peer.FenceAccount) peer.FenceResult {
						return peer.FenceResult{Kind: fault.Busy.String(), Error: "no", Primary: "a.example", CopyEpoch: a.Epoch}
					}
				}
			},
		},
		"the best where the log is away for a moment": {
			priorityB: 10, priorityC: 20, want: "promoted to b.example", notAsked: "c.example",
			prepare: func(w *world) { w.peers["b.example"].logless = 2 },
		},
		"the next where the log does not answer the first": {
			priorityB: 10, priorityC: 20, want: "promoted to c.example",
			prepare: func(w *world) { w.logWait, w.peers["b.example"].logless = time.Nanosecond, 1_000 },
		},
		"none where the log answers nobody": {
			priorityB: 10, priorityC: 20, failed: true, want: "no log",
			prepare: func(w *world) {
				w.logWait, w.peers["b.example"].logless, w.peers["c.example"].logless = time.Nanosecond, 1_000, 1_000
			},
		},
		"the next where one is shutting down": {
			priorityB: 10, priorityC: 20, want: "promoted to c.example",
			prepare: func(w *world) { w.peers["b.example"].fence = refuses(fault.Interrupted) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.priorityB, test.priorityC)
			if test.prepare != nil {
				test.prepare(w)
			}
			item := w.run(test.parameters)
			if failed := item.State == operation.ItemFailed; failed != test.failed || !strings.Contains(item.Message, test.want) {
				t.Errorf("item is %s: %q; want failed %t and %q", item.State, item.Message, test.failed, test.want)
			}
			if test.notAsked != "" && len(w.peers[test.notAsked].asked) > 0 {
				t.Errorf("%s was asked to take over", test.notAsked)
			}
			for _, p := range w.peers {
				for _, request := range p.asked {
					if epoch := request.Accounts[0].Epoch; epoch != w.account.Epoch+1 {
						t.Errorf("%s was asked for epoch %d, want %d", p.name, epoch, w.account.Epoch+1)
					}
				}
			}
		})
	}
}

// TestResumedByAClockThatIsBehind has a process end before it runs a promotion. The next one waits for the best taker, which begins at the
// same time, though its machine's clock is an hour behind the directory's.
func TestResumedByAClockThatIsBehind(t *testing.T) {
	w := newWorld(t, 10, 20)
	w.ahead.Store(int64(time.Hour))
	m := w.manager()
	submitted := w.submit(m, Parameters{})
	w.ahead.Add(int64(time.Minute))
	w.peers["b.example"].away = 1
	if item := w.finish(m, submitted); item.Message != "promoted to b.example" {
		t.Errorf("item is %s: %q", item.State, item.Message)
	}
}

// TestResumedPromotion runs a promotion whose account was promoted in an earlier run.
func TestResumedPromotion(t *testing.T) {
	w := newWorld(t, 10, 20)
	if _, err := w.directory.SetHome(t.Context(), w.account.ID, "b.example", w.account.Epoch+1, nil); err != nil {
		t.Fatal(err)
	}
	if item := w.run(Parameters{}); item.State != operation.ItemSuccessful {
		t.Errorf("item is %s: %q", item.State, item.Message)
	}
	w = newWorld(t, 10, 20)
	if _, err := w.directory.SetHome(t.Context(), w.account.ID, "b.example", w.account.Epoch+1, nil); err != nil {
		t.Fatal(err)
	}
	item := w.run(Parameters{Destination: "c.example"})
	if item.State != operation.ItemFailed || !strings.Contains(item.Message, "b.example") {
		t.Errorf("item is %s: %q; want a failure that names the home", item.State, item.Message)
	}
	for _, p := range w.peers {
		if len(p.asked) > 0 {
			t.Errorf("%s was asked to take over once more", p.name)
		}
	}
}
