package directory

import (
	"context"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// SetHome records who the log says is primary since an epoch. It changes nothing, and reports false, unless the stored epoch
// is smaller; so a late or repeated report of an old reign does no harm, and every primary may repeat its own.
//
// The replica of the new home goes, and the replicas given are put: of each the mailstore, priority, state and Removing
// count. Every other replica stays as it is, whether the log names it or not: the report may be older than a Join that came
// since, and to end a wish is the administrator's affair. The wish to remove a replica is kept. An account that is gone is
// NotFound.
func (d *Directory) SetHome(ctx context.Context, id account.ID, mailHost string, epoch uint64,
	replicas []Replica) (bool, error) {
	return d.setHome(ctx, id, epoch, replicas, func(a *Account) bool {
		a.MailHost = mailHost
		return a.Epoch < epoch
	})
}

// SetHomeAfterLoss is SetHome for a promotion that ended a pause by accepting loss: the wish for the pause ends with it.
func (d *Directory) SetHomeAfterLoss(ctx context.Context, id account.ID, mailHost string, epoch uint64,
	replicas []Replica) (bool, error) {
	return d.setHome(ctx, id, epoch, replicas, func(a *Account) bool {
		a.MailHost, a.Paused = mailHost, false
		return a.Epoch < epoch
	})
}

// DeclareHome is SetHome for an operator's decree, which no log arbitrates: it changes nothing, and reports false, unless the
// stored epoch is still known, the one that the decree was weighed against. Of decrees that race, the first one wins.
func (d *Directory) DeclareHome(ctx context.Context, id account.ID, mailHost string, epoch, known uint64,
	replicas []Replica) (bool, error) {
	return d.setHome(ctx, id, epoch, replicas, func(a *Account) bool {
		a.MailHost = mailHost
		return a.Epoch == known && a.Epoch < epoch
	})
}

// setHome writes a new home if take, which alters the account, says so.
func (d *Directory) setHome(ctx context.Context, id account.ID, epoch uint64, replicas []Replica,
	take func(*Account) bool) (bool, error) {
	if epoch == 0 || len(replicas) > ReplicasMax {
		return false, fault.New(fault.Internal, "a home of epoch %d with %d replicas", epoch, len(replicas))
	}
	changed := false
	err := d.store.write(ctx, func(t *tx) error {
		changed = false
		a, err := t.mustKnowAccount(id)
		if err != nil || !take(&a) {
			return err
		}
		a.Epoch = epoch
		if a.Version, err = t.next(); err != nil {
			return err
		}
		if err := t.putAccount(a); err != nil {
			return err
		}
		changed = true
		return t.moveReplicas(a, replicas)
	})
	return changed && err == nil, err
}

func (t *tx) moveReplicas(a Account, replicas []Replica) error {
	stored, err := t.replicas(a.ID)
	if err != nil {
		return err
	}
	before := make(map[string]Replica, len(stored))
	for _, r := range stored {
		before[r.Mailstore] = r
	}
	for _, r := range replicas {
		if r.Mailstore == a.MailHost {
			continue
		}
		r.AccountID = a.ID
		r.Removing = r.Removing || before[r.Mailstore].Removing
		if err := t.writeReplica(&r); err != nil {
			return err
		}
	}
	if _, known := before[a.MailHost]; known {
		return t.deleteReplica(a.ID, a.MailHost)
	}
	return nil
}
