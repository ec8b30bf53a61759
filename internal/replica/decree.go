package replica

import (
	"context"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/protocol"
)

// overtakenWait bounds the reading to the end that shows whether the log knows of an epoch.
const overtakenWait = 10 * time.Second

// overtaken is for a complete copy while the directory names another home of a later epoch. Most often the Fence is just being
// read. But where the log was lost, an operator may have declared another copy the primary; no record will ever say so here.
// That is certain when the log was read to its end without that epoch, or is not in use any more, and the mailstore that was
// declared says itself that it is the primary. Then this copy gives way, and is made anew.
func (r *Manager) overtaken(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	c := a.Copy()
	if c.IsOpen() && r.agent.Holds(c.Stream) {
		reading, cancel := context.WithTimeout(ctx, overtakenWait)
		defer cancel()
		if err := r.agent.ReadToEnd(reading, []int32{c.Stream.Partition}); err != nil {
			return err
		}
		if now := a.Copy(); now.Epoch >= wish.Epoch || now.Condition != protocol.Complete {
			r.Look(a.ID())
			return nil
		}
	} else if c.IsOpen() && r.agent.Log() == nil {
		return fault.New(fault.NotReady, "the directory names another home of %s, and the log that would say so cannot be read", wish.Name)
	}
	home, err := r.askCopy(ctx, wish.MailHost, a.ID())
	if err != nil {
		return err
	}
	if home.Epoch < wish.Epoch || home.Primary != wish.MailHost || home.Condition != protocol.Complete.String() {
		return fault.New(fault.NotReady, "the directory names %s the home of %s, which does not say so itself", wish.MailHost, wish.Name)
	}
	r.logger.Warn("another copy was declared the primary outside of the log; this one is made anew", "account", wish.Name,
		"home", wish.MailHost, "epoch", wish.Epoch)
	return a.GiveWay(ctx, wish.MailHost, wish.Epoch)
}

// mayBeDeclared says why an operator's decree may not make a copy the primary, nil if it may: a decree is for lost logs.
func (r *Manager) mayBeDeclared(c *protocol.Copy, wish directory.Account) error {
	log := r.agent.Log()
	works := c.IsOpen() && log != nil && log.Reachable() && r.agent.Holds(c.Stream)
	if c.Condition != protocol.Complete || !works && c.Mode != protocol.Local {
		return nil
	}
	if c.IsPrimary() && wish.MailHost == r.self {
		return fault.New(fault.Invalid, "the copy on %s is the primary and in good order; there is nothing to reseed", r.self).
			WithHint("leave the account out")
	}
	if works {
		return fault.New(fault.Invalid, "the log of %s works, so its replica on %s can be promoted and nothing is lost", wish.Name, r.self).
			WithHint("run MailReplica promoteAccounts accounts %s destination %s", wish.Name, r.self)
	}
	return nil
}

// homeCommitsAlone refuses a decree over a home that commits to its own database: it needs no log, and has changes that no other
// copy was ever told of. A copy elsewhere is one that has not read its Leave.
func (r *Manager) homeCommitsAlone(ctx context.Context, wish directory.Account) error {
	if wish.MailHost == r.self {
		return nil
	}
	home, err := r.askCopy(ctx, wish.MailHost, wish.ID)
	if err != nil {
		r.logger.Warn("the home could not be asked before a decree", "account", wish.Name, "home", wish.MailHost, "error", err)
		return nil // it is lost, which is what decrees are for
	}
	if home.Condition == protocol.Complete.String() && home.Primary == wish.MailHost && home.Mode == protocol.Local.String() {
		return fault.New(fault.Invalid, "the home of %s, %s, commits by itself and is in good order", wish.Name, wish.MailHost).
			WithHint("leave the account out; MailReplica setAccountDestination makes its replicas anew")
	}
	return nil
}
