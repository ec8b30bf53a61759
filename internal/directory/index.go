package directory

import (
	"cmp"
	"slices"

	"mailreplica/internal/account"
)

// index is the whole of a copy in memory. Accounts, and slices of replicas, are never altered once they are in it.
type index struct {
	accounts   map[account.ID]*Account
	names      map[string]*Account
	replicas   map[account.ID][]Replica           // the one to be promoted first at the front
	holders    map[string]map[account.ID]struct{} // by mailstore, the accounts with a replica there
	deleted    map[account.ID]struct{}
	mailstores map[string]Mailstore
	config     map[string]string
	buckets    map[string]Bucket
	volumes    map[volumeKey]Volume
}

func newIndex() *index {
	return &index{
		accounts:   make(map[account.ID]*Account),
		names:      make(map[string]*Account),
		replicas:   make(map[account.ID][]Replica),
		holders:    make(map[string]map[account.ID]struct{}),
		deleted:    make(map[account.ID]struct{}),
		mailstores: make(map[string]Mailstore),
		config:     make(map[string]string),
		buckets:    make(map[string]Bucket),
		volumes:    make(map[volumeKey]Volume),
	}
}

// apply takes a page of changes in: what is gone first, for a row that is there again is newer than the note of its end.
func (x *index) apply(c *Changes) error {
	for _, r := range c.Removed {
		if err := x.remove(r); err != nil {
			return err
		}
	}
	for _, d := range c.Deleted {
		x.dropAccount(d.ID)
		x.deleted[d.ID] = struct{}{}
	}
	for _, v := range c.Config {
		x.config[v.Name] = v.Value
	}
	for _, m := range c.Mailstores {
		x.mailstores[m.FQDN] = m
	}
	for _, a := range c.Accounts {
		x.accounts[a.ID], x.names[a.Name] = &a, &a
	}
	for _, r := range c.Replicas {
		x.putReplica(r)
	}
	for _, b := range c.Buckets {
		x.buckets[b.ID] = b
	}
	for _, v := range c.Volumes {
		x.volumes[v.key()] = v
	}
	return nil
}

func (x *index) remove(r Removed) error {
	switch r.Kind {
	case removedConfig:
		delete(x.config, string(r.Key))
	case removedMailstore:
		delete(x.mailstores, string(r.Key))
	case removedReplica:
		id, mailstore, err := splitReplicaKey(r.Key)
		if err != nil {
			return err
		}
		x.dropReplica(id, mailstore)
	case removedBucket:
		delete(x.buckets, string(r.Key))
	case removedVolume:
		key, err := splitVolumeKey(r.Key)
		if err != nil {
			return err
		}
		delete(x.volumes, key)
	}
	return nil
}

func (x *index) dropAccount(id account.ID) {
	if a, known := x.accounts[id]; known {
		delete(x.accounts, id)
		if x.names[a.Name] == a {
			delete(x.names, a.Name)
		}
	}
}

// dropReplica leaves the slice that readers may hold as it is.
func (x *index) dropReplica(id account.ID, mailstore string) {
	kept := slices.DeleteFunc(slices.Clone(x.replicas[id]), func(r Replica) bool { return r.Mailstore == mailstore })
	if len(kept) == 0 {
		delete(x.replicas, id)
	} else {
		x.replicas[id] = kept
	}
	delete(x.holders[mailstore], id)
}

func (x *index) putReplica(r Replica) {
	x.dropReplica(r.AccountID, r.Mailstore)
	all := append(slices.Clone(x.replicas[r.AccountID]), r)
	slices.SortFunc(all, func(a, b Replica) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Mailstore, b.Mailstore))
	})
	x.replicas[r.AccountID] = all
	if x.holders[r.Mailstore] == nil {
		x.holders[r.Mailstore] = make(map[account.ID]struct{})
	}
	x.holders[r.Mailstore][r.AccountID] = struct{}{}
}
