package directory

import (
	"context"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// AccountUpdate is what UpdateAccount changes: the fields that are not nil.
type AccountUpdate struct {
	Status       *Status
	PasswordHash *string
	GlobalAdmin  *bool
}

// UpdateAccount changes an account that is still as it was read: version is Account.Version. Busy says that another
// change came first: read it again.
func (d *Directory) UpdateAccount(ctx context.Context, id account.ID, version int64, u AccountUpdate) (Account, error) {
	if u.Status != nil {
		if _, err := ParseStatus(string(*u.Status)); err != nil {
			return Account{}, err
		}
	}
	return d.change(ctx, id, func(a *Account) error {
		if a.Version != version {
			return fault.New(fault.Busy, "the account %s was changed by another at the same time", a.Name)
		}
		if a.Kind == List {
			return fault.New(fault.Invalid, "%s is a distribution list", a.Name)
		}
		if u.Status != nil {
			a.Status = *u.Status
		}
		if u.PasswordHash != nil {
			a.PasswordHash = *u.PasswordHash
		}
		if u.GlobalAdmin != nil {
			a.GlobalAdmin = *u.GlobalAdmin
		}
		return nil
	})
}

// SetPaused records the wish that an account's replication pauses, or goes on.
func (d *Directory) SetPaused(ctx context.Context, id account.ID, paused bool) (Account, error) {
	return d.change(ctx, id, func(a *Account) error {
		a.Paused = paused
		return nil
	})
}

// SetStream records in which log an account was opened, or with stream -1 that it is in none. Another log or stream than
// the stored one is refused (Invalid): the account must be closed in that one first.
func (d *Directory) SetStream(ctx context.Context, id account.ID, clusterID string, topicID [16]byte,
	stream int32) (Account, error) {
	if stream < 0 {
		clusterID, topicID, stream = "", [16]byte{}, -1
	}
	return d.change(ctx, id, func(a *Account) error {
		same := a.ClusterID == clusterID && a.TopicID == topicID && a.Stream == stream
		if a.Stream >= 0 && stream >= 0 && !same {
			return fault.New(fault.Invalid, "the account %s is in stream %d of another log", a.Name, a.Stream).
				WithHint("remove its replicas first")
		}
		a.ClusterID, a.TopicID, a.Stream = clusterID, topicID, stream
		return nil
	})
}

// change lets f alter an account and writes it if it did. Its Version is then the write's.
func (d *Directory) change(ctx context.Context, id account.ID, f func(*Account) error) (Account, error) {
	var changed Account
	err := d.store.write(ctx, func(t *tx) error {
		before, err := t.mustKnowAccount(id)
		if err != nil {
			return err
		}
		changed = before
		if err := f(&changed); err != nil || changed == before {
			return err
		}
		if changed.Version, err = t.next(); err != nil {
			return err
		}
		return t.putAccount(changed)
	})
	if err != nil {
		return Account{}, err
	}
	return changed, nil
}

// BeginDelete marks an account as being deleted, once: its name stays taken and its replicas stay known until every copy
// is gone. A list is gone at once.
func (d *Directory) BeginDelete(ctx context.Context, id account.ID) (Account, error) {
	var a Account
	err := d.store.write(ctx, func(t *tx) (err error) {
		if a, err = t.mustKnowAccount(id); err != nil || a.Deleting {
			return err
		}
		a.Deleting = true
		if a.Kind == List {
			return t.finishDelete(a)
		}
		if a.Version, err = t.next(); err != nil {
			return err
		}
		return t.putAccount(a)
	})
	return a, err
}

// FinishDelete ends an account that is being deleted: its row and its replicas go, its name is free, its id is kept for
// ever. An account that is not being deleted is Invalid; one that was ended before is no error.
func (d *Directory) FinishDelete(ctx context.Context, id account.ID) error {
	return d.store.write(ctx, func(t *tx) error {
		a, found, err := t.account(id)
		if err != nil {
			return err
		}
		if !found {
			_, deleted, err := t.deletedAccount(id)
			if err == nil && !deleted {
				err = fault.New(fault.NotFound, "there is no account %s", id)
			}
			return err
		}
		if !a.Deleting {
			return fault.New(fault.Invalid, "the account %s is not being deleted", a.Name)
		}
		return t.finishDelete(a)
	})
}

func (t *tx) finishDelete(a Account) error {
	replicas, err := t.replicas(a.ID)
	if err != nil {
		return err
	}
	for _, r := range replicas {
		if err := t.deleteReplicas(r.Mailstore, []account.ID{r.AccountID}); err != nil {
			return err
		}
	}
	if _, err := t.exec("DELETE FROM accounts WHERE id = ?", a.ID[:]); err != nil {
		return err
	}
	version, err := t.next()
	if err != nil {
		return err
	}
	return t.putDeletedAccount(DeletedAccount{ID: a.ID, Name: a.Name, At: t.now, Version: version})
}

// DeletedAccount is what is kept of an account that ended.
type DeletedAccount struct {
	ID      account.ID
	Name    string
	At      time.Time
	Version int64
}

// IsDeleted reports whether an account of this id ended. Ids are never reused.
func (d *Directory) IsDeleted(ctx context.Context, id account.ID) (bool, error) {
	var deleted bool
	err := d.store.read(ctx, func(q *query) (err error) {
		_, deleted, err = q.deletedAccount(id)
		return err
	})
	return deleted, err
}

func (q *query) deletedAccount(id account.ID) (DeletedAccount, bool, error) {
	found, err := rows(q, scanDeletedAccount,
		"SELECT id, name, deleted_at, version FROM deleted_accounts WHERE id = ?", id[:])
	if err != nil || len(found) == 0 {
		return DeletedAccount{}, false, err
	}
	return found[0], true, nil
}

func (t *tx) putDeletedAccount(a DeletedAccount) error {
	return t.put("UPDATE deleted_accounts SET name = ?, deleted_at = ?, version = ? WHERE id = ?",
		[]any{a.Name, millis(a.At), a.Version, a.ID[:]},
		"INSERT INTO deleted_accounts (name, deleted_at, version, id) VALUES (?, ?, ?, ?)",
		[]any{a.Name, millis(a.At), a.Version, a.ID[:]})
}

func scanDeletedAccount(row scanner) (DeletedAccount, error) {
	var a DeletedAccount
	var id []byte
	var at int64
	if err := row.Scan(&id, &a.Name, &at, &a.Version); err != nil {
		return a, err
	}
	a.At = fromMillis(at)
	return a, sound("deleted account", a.Name, claim{"id", into(&a.ID, id)}, claim{"deleted_at", isTime(at)})
}
