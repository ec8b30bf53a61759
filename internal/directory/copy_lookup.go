package directory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailreplica/internal/account"
)

// Account looks an account or a list up by id.
func (c *Copy) Account(id account.ID) (Account, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return deref(c.index.accounts[id])
}

// AccountByName looks an account or a list up by name, in the spelling of account.ParseName.
func (c *Copy) AccountByName(name string) (Account, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return deref(c.index.names[name])
}

func deref(a *Account) (Account, bool) {
	if a == nil {
		return Account{}, false
	}
	return *a, true
}

// IsDeleted reports whether the copy knows that an account of this id ended.
func (c *Copy) IsDeleted(id account.ID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, deleted := c.index.deleted[id]
	return deleted
}

// Accounts gives every account and list for which keep holds, by name. keep may look things up in the copy: it is called without
// the lock, for a reader that asks again while a writer waits would wait for that writer, and the writer for it.
func (c *Copy) Accounts(keep func(*Account) bool) []Account {
	c.mu.RLock()
	known := slices.Collect(maps.Values(c.index.accounts)) // none of them is ever altered
	c.mu.RUnlock()
	var all []Account
	for _, a := range known {
		if keep(a) {
			all = append(all, *a)
		}
	}
	slices.SortFunc(all, func(a, b Account) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// HomedOn gives the accounts whose home is a mailstore, in no order.
func (c *Copy) HomedOn(mailstore string) []account.ID {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var all []account.ID
	for id, a := range c.index.accounts {
		if a.MailHost == mailstore {
			all = append(all, id)
		}
	}
	return all
}

// Replicas gives an account's replicas, the one to be promoted first at the front. The slice must not be altered.
func (c *Copy) Replicas(id account.ID) []Replica {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.index.replicas[id]
}

// ReplicasOn gives the replicas on a mailstore.
func (c *Copy) ReplicasOn(mailstore string) []Replica {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]Replica, 0, len(c.index.holders[mailstore]))
	for id := range c.index.holders[mailstore] {
		for _, r := range c.index.replicas[id] {
			if r.Mailstore == mailstore {
				all = append(all, r)
			}
		}
	}
	return all
}

// Mailstore looks a mailstore up. Its SeenAt is not kept fresh.
func (c *Copy) Mailstore(fqdn string) (Mailstore, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	m, known := c.index.mailstores[fqdn]
	return m, known
}

// Mailstores gives every mailstore, by FQDN.
func (c *Copy) Mailstores() []Mailstore {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.SortedFunc(maps.Values(c.index.mailstores),
		func(a, b Mailstore) int { return strings.Compare(a.FQDN, b.FQDN) })
}

// Config looks a global setting up.
func (c *Copy) Config(name string) (string, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	value, set := c.index.config[name]
	return value, set
}

// Volumes gives a mailstore's volumes, by name.
func (c *Copy) Volumes(mailstore string) []Volume {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var all []Volume
	for key, v := range c.index.volumes {
		if key.mailstore == mailstore {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b Volume) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// AllVolumes gives every volume of every mailstore, by mailstore and name.
func (c *Copy) AllVolumes() []Volume {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.SortedFunc(maps.Values(c.index.volumes), func(a, b Volume) int {
		return cmp.Or(strings.Compare(a.Mailstore, b.Mailstore), strings.Compare(a.Name, b.Name))
	})
}

// Bucket looks a bucket up by id. It holds a secret.
func (c *Copy) Bucket(id string) (Bucket, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	b, known := c.index.buckets[id]
	return b, known
}

// Buckets gives every bucket, by label and id.
func (c *Copy) Buckets() []Bucket {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.SortedFunc(maps.Values(c.index.buckets), func(a, b Bucket) int {
		return cmp.Or(strings.Compare(a.Label, b.Label), strings.Compare(a.ID, b.ID))
	})
}

// Version is that of the last change in the copy; 0: nothing was copied yet.
func (c *Copy) Version() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.version
}

// followedVersion is the version to ask for changes after; 0: for all of the directory.
func (c *Copy) followedVersion() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.stale {
		return 0
	}
	return c.version
}

// identity is that of the directory which the copy was made from.
func (c *Copy) identity() string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.directory
}

// Age is how long ago the copy was last known to equal the directory, and false if it never was. After a restart it may
// be given up to a minute too high; and a copy that seems to be of a time to come, since the clock was set back, is as old as it is young.
func (c *Copy) Age() (time.Duration, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.confirmed.IsZero() {
		return 0, false
	}
	return c.store.now().Sub(c.confirmed).Abs(), true
}

// confirmedKeptEvery is how often a copy writes down that it still equals the directory.
const confirmedKeptEvery = time.Minute

// confirm notes that the copy equals the directory now, and now and then writes it down.
func (c *Copy) confirm(ctx context.Context) error {
	c.applying.Lock()
	defer c.applying.Unlock()
	now := c.store.now()
	c.mu.Lock()
	last := c.confirmed
	c.confirmed = now
	c.mu.Unlock()
	if now.Truncate(confirmedKeptEvery).Equal(last.Truncate(confirmedKeptEvery)) {
		return nil
	}
	return c.store.write(ctx, func(t *tx) error {
		return t.setMeta(metaConfirmedAt, strconv.FormatInt(millis(now), 10))
	})
}
