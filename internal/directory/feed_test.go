package directory_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// mirror rebuilds what subscribers can know from events alone.
type mirror struct {
	t        testing.TB
	copy     func() *directory.Copy
	accounts map[account.ID]directory.Account
	deleted  map[account.ID]bool
	replicas map[account.ID]string
	config   map[string]string
	stores   map[string]bool
	volumes  map[string]string // by mailstore
}

func newMirror(t testing.TB, copied func() *directory.Copy) *mirror {
	return &mirror{t: t, copy: copied, accounts: map[account.ID]directory.Account{}, deleted: map[account.ID]bool{},
		replicas: map[account.ID]string{}, config: map[string]string{}, stores: map[string]bool{}, volumes: map[string]string{}}
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
	for _, fqdn := range e.Volumes {
		m.volumes[fqdn] = fmt.Sprint(unversioned(m.copy().Volumes(fqdn)))
	}
	for _, fqdn := range e.Mailstores {
		_, m.stores[fqdn] = m.copy().Mailstore(fqdn)
	}
}

// Whatever is written, the copy equals the directory after each step, also after a restart of the copy, and the events
// tell all of it.
func TestCopyEqualsDirectory(t *testing.T) { onEngines(t, testCopyEqualsDirectory) }

func testCopyEqualsDirectory(t *testing.T, r rig) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			p := r.newPlatform(t)
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
	switch w.random.IntN(17) {
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
	case 14:
		v := folder(host, fmt.Sprint("v", w.random.IntN(3)), fmt.Sprint("/", w.random.IntN(2)), w.random.IntN(2) == 0)
		v.Primary = w.random.IntN(2) == 0
		err = d.CreateVolume(ctx, v)
	case 15:
		err = d.UpdateVolume(ctx, host, fmt.Sprint("v", w.random.IntN(3)), func(v *directory.Volume) error { v.Primary = true; return nil })
	case 16:
		err = d.DeleteVolume(ctx, host, fmt.Sprint("v", w.random.IntN(3)))
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
	want, err := directory.AllAccounts(ctx, p.directory)
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
	volumes, err := p.directory.Volumes(ctx)
	must(t, err)
	if got := p.copy.AllVolumes(); len(got)+len(volumes) > 0 && !reflect.DeepEqual(got, volumes) {
		t.Fatalf("the copy has volumes %+v, want %+v", got, volumes)
	}
	for fqdn, told := range seen.volumes {
		if want := fmt.Sprint(unversioned(p.copy.Volumes(fqdn))); told != want {
			t.Fatalf("events told of volumes %s, want %s", told, want)
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
		onDirectory := 0
		for _, a := range want {
			if strings.Contains(replicasOf(t, p.directory, a.ID), fqdn) {
				onDirectory++
			}
		}
		if on := p.copy.ReplicasOn(fqdn); len(on) != onDirectory {
			t.Fatalf("%s: the copy has replicas %+v, want %d", fqdn, on, onDirectory)
		}
	}
}

// unversioned gives volumes without their versions: a write that changed nothing else is not told.
func unversioned(all []directory.Volume) []directory.Volume {
	for i := range all {
		all[i].Version = 0
	}
	return all
}
