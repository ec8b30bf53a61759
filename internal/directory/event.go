package directory

import (
	"slices"

	"mailreplica/internal/account"
)

// Event says what a step of the follower changed in the copy. Only what is different now is in it; a row that was
// written without a change is not.
type Event struct {
	Accounts   []AccountChange
	Replicas   []account.ID // accounts whose replicas changed
	Mailstores []string     // FQDNs that are new, changed or gone
	Config     []string     // names of settings that are new, changed or gone
	Buckets    []string     // ids of buckets that are new, changed or gone
	Volumes    []string     // FQDNs of mailstores with volumes that are new, changed or gone
}

// AccountChange is one account before and after. One that ended has no After, and Deleted is set; one that is gone
// without having been deleted (the directory was restored from a backup) has neither.
type AccountChange struct {
	ID            account.ID
	Before, After *Account
	Deleted       bool
}

// Empty reports whether nothing changed.
func (e *Event) Empty() bool {
	return len(e.Accounts)+len(e.Replicas)+len(e.Mailstores)+len(e.Config)+len(e.Buckets)+len(e.Volumes) == 0
}

// touched is what pages of changes speak of.
type touched struct {
	accounts   map[account.ID]struct{}
	replicas   map[account.ID]struct{}
	mailstores map[string]struct{}
	config     map[string]struct{}
	buckets    map[string]struct{}
	volumes    map[volumeKey]struct{}
}

// touch collects what the pages speak of; for a copy from nothing, all that was and is known besides.
func touch(pages []Changes, old *index) (touched, error) {
	t := touched{make(map[account.ID]struct{}), make(map[account.ID]struct{}), make(map[string]struct{}),
		make(map[string]struct{}), make(map[string]struct{}), make(map[volumeKey]struct{})}
	if pages[0].Full {
		t.all(old)
	}
	for i := range pages {
		if err := t.page(&pages[i]); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (t *touched) all(x *index) {
	touchAll(t.accounts, x.accounts)
	touchAll(t.replicas, x.replicas)
	touchAll(t.mailstores, x.mailstores)
	touchAll(t.config, x.config)
	touchAll(t.buckets, x.buckets)
	touchAll(t.volumes, x.volumes)
}

func touchAll[K comparable, V any](touched map[K]struct{}, known map[K]V) {
	for key := range known {
		touched[key] = struct{}{}
	}
}

func (t *touched) page(c *Changes) error {
	for _, a := range c.Accounts {
		t.accounts[a.ID] = struct{}{}
	}
	for _, d := range c.Deleted {
		t.accounts[d.ID] = struct{}{}
	}
	for _, r := range c.Replicas {
		t.replicas[r.AccountID] = struct{}{}
	}
	for _, m := range c.Mailstores {
		t.mailstores[m.FQDN] = struct{}{}
	}
	for _, v := range c.Config {
		t.config[v.Name] = struct{}{}
	}
	for _, b := range c.Buckets {
		t.buckets[b.ID] = struct{}{}
	}
	for _, v := range c.Volumes {
		t.volumes[v.key()] = struct{}{}
	}
	return each(c.Removed, t.removed)
}

func (t *touched) removed(r Removed) error {
	switch r.Kind {
	case removedConfig:
		t.config[string(r.Key)] = struct{}{}
	case removedMailstore:
		t.mailstores[string(r.Key)] = struct{}{}
	case removedBucket:
		t.buckets[string(r.Key)] = struct{}{}
	case removedReplica:
		id, _, err := splitReplicaKey(r.Key)
		if err != nil {
			return err
		}
		t.replicas[id] = struct{}{}
	case removedVolume:
		key, err := splitVolumeKey(r.Key)
		if err != nil {
			return err
		}
		t.volumes[key] = struct{}{}
	}
	return nil
}

// snapshot is the part of an index that was touched, as it was.
type snapshot struct {
	touched
	accountsBefore   map[account.ID]*Account
	replicasBefore   map[account.ID][]Replica
	mailstoresBefore map[string]Mailstore
	configBefore     map[string]string
	bucketsBefore    map[string]Bucket
	volumesBefore    map[volumeKey]Volume
}

func (t touched) of(x *index) snapshot {
	s := snapshot{t, make(map[account.ID]*Account), make(map[account.ID][]Replica), make(map[string]Mailstore),
		make(map[string]string), make(map[string]Bucket), make(map[volumeKey]Volume)}
	pick(s.accountsBefore, x.accounts, t.accounts)
	pick(s.replicasBefore, x.replicas, t.replicas)
	pick(s.mailstoresBefore, x.mailstores, t.mailstores)
	pick(s.configBefore, x.config, t.config)
	pick(s.bucketsBefore, x.buckets, t.buckets)
	pick(s.volumesBefore, x.volumes, t.volumes)
	return s
}

func pick[K comparable, V any](into, from map[K]V, keys map[K]struct{}) {
	for key := range keys {
		if value, known := from[key]; known {
			into[key] = value
		}
	}
}

// compare says what of the snapshot is different in the index now.
func (s snapshot) compare(x *index) Event {
	var e Event
	for id := range s.accounts {
		before, after := s.accountsBefore[id], x.accounts[id]
		if before == nil && after == nil || before != nil && after != nil && sameAccount(*before, *after) {
			continue
		}
		_, deleted := x.deleted[id]
		e.Accounts = append(e.Accounts, AccountChange{ID: id, Before: before, After: after, Deleted: deleted})
	}
	for id := range s.replicas {
		if !slices.EqualFunc(s.replicasBefore[id], x.replicas[id], sameReplica) {
			e.Replicas = append(e.Replicas, id)
		}
	}
	e.Mailstores = different(s.mailstores, s.mailstoresBefore, x.mailstores, sameAddresses)
	e.Config = different(s.config, s.configBefore, x.config, func(a, b string) bool { return a == b })
	e.Buckets = different(s.buckets, s.bucketsBefore, x.buckets, sameBucket)
	for _, key := range different(s.volumes, s.volumesBefore, x.volumes, sameVolume) {
		if !slices.Contains(e.Volumes, key.mailstore) {
			e.Volumes = append(e.Volumes, key.mailstore)
		}
	}
	return e
}

// different gives the keys whose values are new, gone or not the same.
func different[K comparable, V any](keys map[K]struct{}, before, after map[K]V, same func(a, b V) bool) []K {
	var all []K
	for key := range keys {
		old, was := before[key]
		now, is := after[key]
		if was != is || was && !same(old, now) {
			all = append(all, key)
		}
	}
	return all
}

func sameAccount(a, b Account) bool {
	a.Version, a.Created = b.Version, b.Created
	return a == b
}

func sameReplica(a, b Replica) bool {
	a.Version, a.UpdatedAt = b.Version, b.UpdatedAt
	return a == b
}

func sameBucket(a, b Bucket) bool {
	a.Version, a.CreatedAt = b.Version, b.CreatedAt
	return a == b
}

func sameVolume(a, b Volume) bool {
	a.Version = b.Version
	return a == b
}
