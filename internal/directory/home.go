package directory

import (
	"context"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// SetHome records who the log says is primary since an epoch, and which copies it says there are. Of each replica the
// mailstore, priority, state and Removing count. It changes nothing, and reports false, unless the
// stored epoch is smaller; so a late or repeated report of an old reign does no harm, and every primary may repeat its
// own.
//
// Replicas that the log does not name are dropped, with one exception: a wish that no copy answers yet (initialising)
// was made by an administrator while the promotion ran, and the new primary has to grant it. The wish to remove a
// replica is kept. An account that is gone is NotFound.
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
		return t.replaceReplicas(a, replicas)
	})
	return changed && err == nil, err
}

func (t *tx) replaceReplicas(a Account, replicas []Replica) error {
	stored, err := t.replicas(a.ID)
	if err != nil {
		return err
	}
	before := make(map[string]Replica, len(stored))
	for _, r := range stored {
		before[r.Mailstore] = r
	}
	named := make(map[string]bool, len(replicas))
	for _, r := range replicas {
		if r.Mailstore == a.MailHost {
			continue
		}
		old, known := before[r.Mailstore]
		r.AccountID = a.ID
		r.Removing = r.Removing || known && old.Removing
		if err := t.writeReplica(&r); err != nil {
			return err
		}
		named[r.Mailstore] = true
	}
	for _, r := range stored {
		wished := r.State == Initialising && !r.Removing && r.Mailstore != a.MailHost
		if named[r.Mailstore] || wished {
			continue
		}
		if err := t.deleteReplica(r.AccountID, r.Mailstore); err != nil {
			return err
		}
	}
	return nil
}
