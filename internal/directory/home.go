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
	if epoch == 0 || len(replicas) > ReplicasMax {
		return false, fault.New(fault.Internal, "a home of epoch %d with %d replicas", epoch, len(replicas))
	}
	changed := false
	err := d.store.write(ctx, func(t *tx) error {
		changed = false
		a, err := t.mustKnowAccount(id)
		if err != nil || a.Epoch >= epoch {
			return err
		}
		a.MailHost, a.Epoch = mailHost, epoch
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
