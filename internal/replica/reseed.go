package replica

import (
	"context"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/peer"
	"mailreplica/internal/protocol"
)

// reconcileBroken is for a copy that is the primary by its own word, but in gap or diverged. It is judged against its
// replicas: if every one answers and none has more, this copy goes on in a new epoch and the others are copied from it.
// Otherwise an operator decides with MailReplica reseed (design section 5).
func (r *Manager) reconcileBroken(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	c := a.Copy()
	if wish.MailHost != r.self && wish.Epoch > c.Epoch {
		// Another copy was declared the primary since. This one has lost the log, so it can neither confirm nor deny
		// that; it gives way and is copied anew.
		return a.GiveWay(ctx, wish.MailHost, wish.Epoch)
	}
	for _, replica := range r.wishes.Replicas(a.ID()) {
		other, err := r.askCopy(ctx, replica.Mailstore, a.ID())
		if err != nil {
			return fault.Wrap(fault.Unusable, err, "the primary of %s is %s and its replica on %s cannot be asked", wish.Name, c.Condition, replica.Mailstore).
				WithHint("start %s, or run MailReplica reseed %s accounts %s", replica.Mailstore, r.self, wish.Name)
		}
		ahead := other.Epoch > c.Epoch || other.Epoch == c.Epoch && other.Sequence > c.Committed
		if ahead && other.Condition != "initialising" {
			return fault.New(fault.Unusable, "the primary of %s is %s and the replica on %s is ahead of it", wish.Name, c.Condition, replica.Mailstore).
				WithHint("run MailReplica reseed %s accounts %s", replica.Mailstore, wish.Name)
		}
	}
	return r.reseed(ctx, a.ID(), max(c.Epoch, wish.Epoch)+1)
}

// epochLeap is what an operator's decree adds to the highest epoch known: a mailstore that cannot be asked may have seen
// higher ones.
const epochLeap = 1_000

// ReseedAsked carries out an operator's decree that this mailstore's copy is the primary. A copy that is the primary in
// good order is left as it is.
func (r *Manager) ReseedAsked(ctx context.Context, id account.ID) error {
	a, ok := r.m.Account(id)
	if !ok {
		return fault.New(fault.NotFound, "%s holds no copy of the account", r.self)
	}
	wish, err := r.dir.Account(ctx, id)
	if err != nil {
		return err
	}
	c := a.Copy()
	if c.IsPrimary() && c.Condition == protocol.Complete && wish.MailHost == r.self {
		return fault.New(fault.Invalid, "the copy on %s is the primary and in good order; there is nothing to reseed", r.self)
	}
	highest := max(c.Epoch, wish.Epoch)
	for _, replica := range r.wishes.Replicas(id) {
		if other, err := r.askCopy(ctx, replica.Mailstore, id); err == nil {
			highest = max(highest, other.Epoch)
		}
	}
	return r.reseed(ctx, id, highest+epochLeap)
}

// reseed makes this mailstore's copy the account's primary by decree, outside of any log, in an epoch above all that were.
// The others are copied anew from it. It is for copies whose log is lost; a log that works has promotions.
func (r *Manager) reseed(ctx context.Context, id account.ID, epoch uint64) error {
	a, ok := r.m.Account(id)
	if !ok {
		return fault.New(fault.NotFound, "%s holds no copy of account %s", r.self, id)
	}
	if err := a.Reseed(ctx, epoch); err != nil {
		return err
	}
	r.logger.Warn("a copy was declared the primary; the others are copied anew", "account", id, "epoch", epoch)
	replicas, err := r.dir.Replicas(ctx, id)
	if err != nil {
		return err
	}
	wish, err := r.dir.Account(ctx, id)
	if err != nil {
		return err
	}
	kept := make([]directory.Replica, 0, len(replicas))
	for _, replica := range replicas {
		replica.State = directory.Initialising
		if replica.Mailstore == r.self {
			replica.Mailstore = wish.MailHost
		}
		kept = append(kept, replica)
	}
	_, err = r.dir.SetHome(ctx, id, r.self, epoch, kept)
	return err
}

func (r *Manager) askCopy(ctx context.Context, fqdn string, id account.ID) (peer.CopyStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, peer.StatusWait)
	defer cancel()
	host, ok := r.wishes.Mailstore(fqdn)
	if !ok {
		return peer.CopyStatus{}, fault.New(fault.NotFound, "there is no mailstore %s", fqdn)
	}
	status, err := r.peers.Status(ctx, host.PeerAddr, []account.ID{id})
	if err != nil {
		return peer.CopyStatus{}, err
	}
	if len(status.Copies) == 0 {
		return peer.CopyStatus{Condition: "initialising"}, nil
	}
	return status.Copies[0], nil
}
