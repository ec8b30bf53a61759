package replica

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/peer"
	"mailreplica/internal/protocol"
)

// reconcileBroken is for a copy that is the primary by its own word, but in gap or diverged. It is judged against its
// replicas: if every one answers, none may still fence, and none has more or other rows, this copy goes on in a new epoch and
// the others are copied from it. Otherwise an operator decides (design section 5): a replica that is complete has the log on
// its side, and a promotion to it loses nothing.
func (r *Manager) reconcileBroken(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	c := a.Copy()
	if wish.MailHost != r.self && wish.Epoch >= c.Epoch {
		// Another copy was declared the primary since. This one has lost the log, so it can neither confirm nor deny
		// that; it gives way and is copied anew.
		return a.GiveWay(ctx, wish.MailHost, wish.Epoch)
	}
	stored, err := r.dir.Account(ctx, a.ID()) // a decree must not rest on an old copy of the directory
	if err != nil {
		return err
	}
	if stored.MailHost != r.self || stored.Epoch > c.Epoch {
		return fault.New(fault.NotReady, "the directory has news of %s that are not here yet", wish.Name)
	}
	replicas, err := r.dir.Replicas(ctx, a.ID())
	if err != nil {
		return err
	}
	own, err := r.digest(ctx, a.ID())
	if err != nil {
		return err
	}
	for _, fqdn := range others(c, replicas) {
		other, err := r.askCopy(ctx, fqdn, a.ID())
		if err != nil {
			return fault.Wrap(fault.Unusable, err, "the primary of %s is %s and its replica on %s cannot be asked", wish.Name, c.Condition, fqdn).
				WithHint("start %s, or run MailReplica reseed %s accounts %s", fqdn, r.self, wish.Name)
		}
		if err := objection(c, own, fqdn, wish.Name, other); err != nil {
			return err
		}
	}
	return r.declare(ctx, a, stored, max(c.Epoch, stored.Epoch)+epochLeap)
}

// tellUnrepaired tells the administrators, once, of an account that serves nobody until an operator acts.
func (r *Manager) tellUnrepaired(ctx context.Context, a *mailstore.Account, wish directory.Account, problem error) error {
	text := ""
	if fault.Is(problem, fault.Unusable) {
		text = fmt.Sprintf("Account %s serves nobody: %s. What to do: %s.", wish.Name, fault.Message(problem), fault.HintOf(problem))
	}
	r.mu.Lock()
	told := r.wanted[a.ID()]
	r.mu.Unlock()
	if problem != nil && text == "" || text == told {
		return nil
	}
	if text != "" {
		if err := r.notify(ctx, directory.Critical, "An account has lost its log on "+r.self, text); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted[a.ID()] = text; text == "" {
		delete(r.wanted, a.ID())
	}
	return nil
}

// others are the mailstores that may hold a copy: by the log, as far as it was read here, or by the directory.
func others(c *protocol.Copy, replicas []directory.Replica) []string {
	set := map[string]bool{}
	for member := range c.Members {
		set[member] = true
	}
	for _, replica := range replicas {
		set[replica.Mailstore] = true
	}
	delete(set, c.Self)
	return slices.Sorted(maps.Keys(set))
}

// objection says why a broken primary may not go on by itself in view of another copy.
func objection(c *protocol.Copy, digest, fqdn, name string, other peer.CopyStatus) error {
	complete, initialising, catchingUp := protocol.Complete.String(), protocol.Initialising.String(), protocol.CatchingUp.String()
	ahead := other.Epoch > c.Epoch || other.Epoch == c.Epoch && other.Sequence > c.Committed
	differs := other.Epoch == c.Epoch && other.Sequence == c.Committed && other.Digest != digest
	switch {
	case other.Condition == initialising:
		return nil
	case other.Condition == complete:
		return fault.New(fault.Unusable, "the primary of %s is %s, and the replica on %s is complete", name, c.Condition, fqdn).
			WithHint("run MailReplica promoteAccounts accounts %s destination %s", name, fqdn)
	case other.Condition == catchingUp: // it may be complete, and fence, the next moment
		return fault.New(fault.Unusable, "the primary of %s is %s, and the replica on %s is catching up", name, c.Condition, fqdn).
			WithHint("wait for it, then promote it; or run MailReplica reseed %s accounts %s", c.Self, name)
	case ahead:
		return fault.New(fault.Unusable, "the primary of %s is %s and the replica on %s is ahead of it", name, c.Condition, fqdn).
			WithHint("run MailReplica reseed %s accounts %s", fqdn, name)
	case differs:
		return fault.New(fault.Unusable, "the primary of %s is %s and the replica on %s has other rows at the same sequence", name, c.Condition, fqdn).
			WithHint("compare the two, then run MailReplica reseed with the better one, accounts %s", name)
	}
	return nil
}

func (r *Manager) digest(ctx context.Context, id account.ID) (digest string, err error) {
	err = r.m.Snapshot(ctx, id, func(row metadata.Mailbox, _ mailbox.Scanner) error {
		digest = row.Header.Digest.String()
		return nil
	})
	return digest, err
}

// epochLeap is what a decree adds to the highest epoch known: a mailstore that cannot be asked may have seen higher ones, and a
// Fence must never take the epoch of a decree.
const epochLeap = 1_000

// ReseedAsked carries out an operator's decree that this mailstore's copy is the primary. It is refused while the account's log
// works.
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
	if err := r.mayBeDeclared(c, wish); err != nil {
		return err
	}
	if err := r.betterCopy(ctx, c, wish); err != nil {
		return err
	}
	highest := max(c.Epoch, wish.Epoch)
	for _, replica := range r.wishes.Replicas(id) {
		if other, err := r.askCopy(ctx, replica.Mailstore, id); err == nil {
			highest = max(highest, other.Epoch)
		}
	}
	return r.declare(ctx, a, wish, highest+epochLeap)
}

// declare makes this mailstore's copy the account's primary by decree, outside of any log, in an epoch above all that were.
// The others are copied anew from it. It is for copies whose log is lost; a log that works has promotions.
//
// No log arbitrates between two decrees, so the directory does, before anything is written here and before anybody is served: of two
// at the same moment one finds that the epoch it was weighed against has passed, and never becomes a primary. known is the
// account as the directory had it before the checks.
func (r *Manager) declare(ctx context.Context, a *mailstore.Account, known directory.Account, epoch uint64) error {
	c := a.Copy()
	overtaken := known.Epoch > c.Epoch || known.Epoch == c.Epoch && known.MailHost != r.self
	after := c.Clone()
	if _, err := after.Reseed(epoch, overtaken); err != nil {
		return err
	}
	stored, err := r.dir.Replicas(ctx, a.ID())
	if err != nil {
		return err
	}
	if err := a.PlanDecree(ctx, epoch, overtaken); err != nil {
		return err
	}
	won, err := r.dir.DeclareHome(ctx, a.ID(), r.self, epoch, known.Epoch, replicasAfter(after, known.MailHost, stored))
	if err != nil {
		return err
	}
	if !won {
		return fault.New(fault.Busy, "another decree or promotion of %s came first", known.Name).
			WithHint("look at MailReplica getAccountStatus accounts %s", known.Name)
	}
	return r.carryOut(ctx, a, epoch, overtaken)
}

// carryOut makes a decree that the directory holds the truth here.
func (r *Manager) carryOut(ctx context.Context, a *mailstore.Account, epoch uint64, overtaken bool) error {
	if err := a.Reseed(ctx, epoch, overtaken); err != nil {
		return err
	}
	r.logger.Warn("a copy was declared the primary; the others are copied anew", "account", a.ID(), "epoch", epoch)
	r.Look(a.ID())
	return nil
}

// resumeDecree carries out a decree that the directory holds, and that this mailstore did not live to carry out.
func (r *Manager) resumeDecree(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	epoch, overtaken, err := a.PlannedDecree(ctx)
	if err != nil || epoch != wish.Epoch {
		return err
	}
	return r.carryOut(ctx, a, epoch, overtaken)
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
