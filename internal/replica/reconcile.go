package replica

import (
	"context"
	"errors"
	"slices"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/protocol"
)

// reconcile takes the next steps for one account.
func (r *Manager) reconcile(ctx context.Context, id account.ID) error {
	a, held := r.m.Account(id)
	wish, known := r.wishes.Account(id)
	if !known {
		if held && r.wishes.IsDeleted(id) {
			return a.Remove(ctx)
		}
		return nil
	}
	if !held {
		return r.reconcileMissing(ctx, wish)
	}
	c := a.Copy()
	if wish.Epoch >= c.Epoch && wish.MailHost != r.self { // of the same epoch only by a decree beside a Fence
		a.Supersede(wish.MailHost)
	} else {
		a.Supersede("")
	}
	if wish.Epoch > c.Epoch && wish.MailHost == r.self {
		if err := r.resumeDecree(ctx, a, wish); err != nil {
			return err
		}
		c = a.Copy()
	}
	if isOvertaken(c, wish) {
		return r.overtaken(ctx, a, wish)
	}
	if c.IsPrimary() && c.Condition == protocol.Complete {
		return r.reconcilePrimary(ctx, a, wish)
	}
	if c.IsPrimary() {
		err := r.reconcileBroken(ctx, a, wish)
		return errors.Join(err, r.tellUnrepaired(ctx, a, wish, err))
	}
	return r.reconcileReplica(ctx, a, wish)
}

// reconcileMissing is for an account that this mailstore holds nothing of.
func (r *Manager) reconcileMissing(ctx context.Context, wish directory.Account) error {
	if wish.Kind != directory.User {
		return nil
	}
	ended, err := r.m.HasEnded(ctx, wish.ID)
	if err != nil {
		return err
	}
	if wish.Deleting && ended { // read here, be it a replica: the home may have died before it told
		return r.dir.FinishDelete(ctx, wish.ID)
	}
	if wish.MailHost != r.self {
		replica, wished := r.replicaHere(wish.ID)
		switch wished = wished && !replica.Removing && !ended; {
		case wished && wish.Deleting && !r.isMaking(wish.ID): // nothing is here, and nothing will be: the home need not wait for it
			return r.dir.RemoveReplica(ctx, wish.ID, r.self)
		case wished && !wish.Deleting:
			return r.initialiseMissing(ctx, wish, replica)
		}
		return nil
	}
	if wish.Deleting && wish.Epoch == 0 {
		return r.dir.FinishDelete(ctx, wish.ID)
	}
	if wish.Deleting {
		if ended, err := r.endLost(ctx, wish); ended || err != nil {
			return err
		}
	}
	if wish.Epoch == 0 && !ended {
		_, err := r.CreateMailbox(ctx, wish)
		return err
	}
	r.logger.Error("an account's home is here, but its mailbox is not: promote a replica", "account", wish.Name)
	return nil
}

// endLost ends an account that is being deleted, whose home is here and has lost its mailbox. No Delete can be appended for it; it ends
// when nobody else holds a copy that counts: every mailstore that was wished to have one has taken that back, or is to remove it. One
// that has a copy can be made the primary, and ends the account then.
func (r *Manager) endLost(ctx context.Context, wish directory.Account) (ended bool, err error) {
	fresh, err := r.dir.Account(ctx, wish.ID) // the copy of the directory may be older than a promotion
	if err != nil || fresh.MailHost != r.self || !fresh.Deleting {
		return false, err
	}
	replicas, err := r.dir.Replicas(ctx, wish.ID)
	if err != nil || slices.ContainsFunc(replicas, isWish) {
		return false, err
	}
	return true, r.dir.FinishDelete(ctx, wish.ID)
}

// initialiseMissing makes a copy of which nothing is here. The directory may have known it as available: this mailstore lost
// its database.
func (r *Manager) initialiseMissing(ctx context.Context, wish directory.Account, replica directory.Replica) error {
	if r.isMaking(wish.ID) {
		return nil
	}
	if replica.State != directory.Initialising {
		if err := r.tellState(ctx, wish.ID, directory.Initialising); err != nil {
			return err
		}
	}
	r.initialise(ctx, wish)
	return nil
}

// CreateMailbox makes the mailbox of an account that never had one, and tells the directory, so that it is never made
// again: a mailstore that lost its database does not serve empty mailboxes.
func (r *Manager) CreateMailbox(ctx context.Context, wish directory.Account) (*mailstore.Account, error) {
	if wish.Epoch != 0 || wish.MailHost != r.self || wish.Deleting {
		return nil, fault.New(fault.Unusable, "%s has no mailbox of %s", r.self, wish.Name)
	}
	fresh, err := r.dir.Account(ctx, wish.ID) // the copy of the directory may be older than the mailbox
	if err != nil {
		return nil, err
	}
	if fresh.Epoch != 0 || fresh.MailHost != r.self || fresh.Deleting {
		return nil, fault.New(fault.NotReady, "%s is not up to date about %s yet", r.self, wish.Name)
	}
	a, err := r.m.Create(ctx, wish.ID)
	if err != nil {
		return nil, err
	}
	_, err = r.dir.SetHome(ctx, wish.ID, r.self, a.Copy().Epoch, nil)
	return a, err
}

func (r *Manager) replicaHere(id account.ID) (directory.Replica, bool) {
	for _, replica := range r.wishes.Replicas(id) {
		if replica.Mailstore == r.self {
			return replica, true
		}
	}
	return directory.Replica{}, false
}

// reconcilePrimary makes the log what the directory wishes, and the directory know who is primary.
func (r *Manager) reconcilePrimary(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	if c := a.Copy(); c.Epoch > wish.Epoch {
		return r.tellHome(ctx, a) // what the directory says then brings the account back here
	}
	if wish.MailHost != r.self && wish.Epoch >= a.Copy().Epoch {
		return nil // the directory knows more than this copy has read
	}
	if a.Copy().Mode == protocol.Opening { // before the log answers, too: without it the account goes on by itself
		if err := a.Replicate(ctx, a.Copy().Stream); err != nil {
			return err
		}
	}
	if err := a.MayServe(); err != nil {
		return err
	}
	if wish.Deleting {
		if err := a.Delete(ctx); err != nil {
			return err
		}
		return r.dir.FinishDelete(ctx, a.ID())
	}
	if err := r.reconcileMembers(ctx, a, wish); err != nil {
		return err
	}
	if err := r.reconcilePause(ctx, a, wish); err != nil {
		return err
	}
	return r.tellStream(ctx, a, wish)
}

// reconcileMembers appends the Leave of every member that nobody wishes for. Wishes are read from the directory itself: its
// copy may be older than the Join.
func (r *Manager) reconcileMembers(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	c := a.Copy()
	known := r.wishes.Replicas(a.ID())
	unwished := slices.ContainsFunc(known, func(replica directory.Replica) bool { return replica.Removing })
	for member := range c.Members {
		isWished := slices.ContainsFunc(known, func(replica directory.Replica) bool { return replica.Mailstore == member })
		unwished = unwished || !isWished && member != r.self
	}
	idle := c.IsOpen() && len(c.Members) == 1 // opened for a replica that never came to be, or was removed while that began
	if !unwished && !idle || c.IsPaused() {
		return nil
	}
	fresh, err := r.dir.Replicas(ctx, a.ID())
	if err != nil {
		return err
	}
	wishes := make(map[string]directory.Replica, len(fresh))
	for _, replica := range fresh {
		wishes[replica.Mailstore] = replica
	}
	for member := range c.Members {
		if replica, wished := wishes[member]; member == r.self || wished && !replica.Removing {
			continue
		}
		if err := a.Leave(ctx, member); err != nil {
			return err
		}
	}
	for _, replica := range fresh {
		if !replica.Removing {
			continue
		}
		if c := a.Copy(); len(c.Members) == 1 && !slices.ContainsFunc(fresh, isWish) {
			if err := a.Leave(ctx, replica.Mailstore); err != nil {
				return err
			}
		}
		if err := r.dir.FinishRemoveReplica(ctx, a.ID(), replica.Mailstore); err != nil && !fault.Is(err, fault.Busy) {
			return err
		}
	}
	return nil
}

func isWish(r directory.Replica) bool { return !r.Removing }

func (r *Manager) reconcilePause(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	switch c := a.Copy(); {
	case wish.Paused && c.Mode == protocol.Log:
		return a.Pause(ctx)
	case !wish.Paused && c.IsPaused(), c.Mode == protocol.Resuming: // what has begun is ended first
		return a.Resume(ctx)
	}
	return nil
}

// reconcileReplica is for a copy that is not the primary.
func (r *Manager) reconcileReplica(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	c := a.Copy()
	replica, wished := r.replicaHere(a.ID())
	wished = wished && !replica.Removing
	switch {
	case c.Condition == protocol.Complete && wish.Epoch < c.Epoch:
		return r.tellForPrimary(ctx, a)
	case c.Condition == protocol.Complete:
		r.forgetUntold(a.ID())
		if wished && replica.State != directory.Available {
			return r.tellAvailable(ctx, a)
		}
		return nil // one that is not wished for reads its Leave and goes
	case r.isMaking(a.ID()):
		return nil
	case wished && !wish.Deleting:
		if err := r.tellBroken(ctx, a, replica); err != nil {
			return err
		}
		r.initialise(ctx, wish)
	case wish.MailHost != r.self:
		if _, err := r.exportJournal(ctx, a); err != nil {
			return err
		}
		return a.Discard(ctx)
	}
	return nil
}
