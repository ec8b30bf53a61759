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

// isOvertaken reports whether the directory names another home than a complete copy knows of: of a later epoch, or, where two
// became the primary outside of one log, of the same.
func isOvertaken(c *protocol.Copy, wish directory.Account) bool {
	later := wish.Epoch > c.Epoch || wish.Epoch == c.Epoch && wish.MailHost != c.Primary
	return c.Condition == protocol.Complete && later && wish.MailHost != c.Self
}

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
		if now := a.Copy(); !isOvertaken(now, wish) {
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
	if c.IsPrimary() && wish.MailHost == r.self && wish.Epoch <= c.Epoch {
		return fault.New(fault.Invalid, "the copy on %s is the primary and in good order; there is nothing to reseed", r.self).
			WithHint("leave the account out")
	}
	if works {
		return fault.New(fault.Invalid, "the log of %s works, so its replica on %s can be promoted and nothing is lost", wish.Name, r.self).
			WithHint("run MailReplica promoteAccounts accounts %s destination %s", wish.Name, r.self)
	}
	return nil
}

// betterCopy refuses a decree where another copy answers that would lose by it: one that is further ahead, or the home, if it
// is not behind. Whether this mailstore reaches the log says nothing of the others: the home may acknowledge through it.
func (r *Manager) betterCopy(ctx context.Context, c *protocol.Copy, wish directory.Account) error {
	replicas, err := r.dir.Replicas(ctx, c.Account)
	if err != nil {
		return err
	}
	asked := others(c, append(replicas, directory.Replica{Mailstore: wish.MailHost}))
	for _, fqdn := range asked {
		other, err := r.askCopy(ctx, fqdn, c.Account)
		if err != nil {
			r.logger.Warn("a mailstore could not be asked before a decree", "account", wish.Name, "asked", fqdn, "error", err)
			continue // it is lost, which is what decrees are for
		}
		if fqdn == wish.MailHost && max(other.Epoch, c.Epoch) < wish.Epoch && other.Condition != protocol.Initialising.String() {
			return fault.New(fault.Busy, "a decree for the copy of %s on %s is under way", wish.Name, fqdn).
				WithHint("wait, or run MailReplica reseed %s accounts %s; stop %s to give its copy up", fqdn, wish.Name, fqdn)
		}
		ahead := other.Epoch > c.Epoch || other.Epoch == c.Epoch && other.Sequence > c.Committed
		level := other.Epoch == c.Epoch && other.Sequence == c.Committed && fqdn == wish.MailHost
		if other.Condition != protocol.Initialising.String() && (ahead || level) {
			return fault.New(fault.Invalid, "the copy of %s on %s holds as much as the one on %s or more, and would be lost", wish.Name, fqdn, r.self).
				WithHint("run MailReplica reseed %s accounts %s, or promoteAccounts where the log works", fqdn, wish.Name)
		}
	}
	return nil
}
