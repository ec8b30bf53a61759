package replica

import (
	"context"
	"slices"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/protocol"
)

// tellStream records in the directory where the account's records lie (rule 12).
func (r *Manager) tellStream(ctx context.Context, a *mailstore.Account, wish directory.Account) error {
	s := a.Copy().Stream
	if !a.Copy().IsOpen() {
		s.Partition = -1
	}
	if wish.Stream == s.Partition && (s.Partition < 0 || wish.TopicID == s.TopicID && wish.ClusterID == s.ClusterID) {
		return nil
	}
	if wish.Stream >= 0 {
		if _, err := r.dir.SetStream(ctx, a.ID(), "", [16]byte{}, -1); err != nil {
			return err
		}
	}
	if s.Partition < 0 {
		return nil
	}
	_, err := r.dir.SetStream(ctx, a.ID(), s.ClusterID, s.TopicID, s.Partition)
	return err
}

// TellHomes records in the directory who is primary of accounts and which copies there are, as the log has them. The mailstore that
// was primary before takes the priority of the replica that was promoted (design section 6).
func (r *Manager) TellHomes(ctx context.Context, accounts []*mailstore.Account) error {
	leaps, err := r.m.LeapEpochs(ctx, accounts)
	if err != nil {
		return err
	}
	homes := make([]directory.NewHome, len(accounts))
	for i, a := range accounts {
		c := a.Copy()
		homes[i] = directory.NewHome{
			ID: a.ID(), MailHost: c.Primary, Epoch: c.Epoch,
			AfterLoss: leaps[i] == c.Epoch, // the Fence ended the pause; after any other, a pause that is wished for is yet to come
			Replicas: func(home string, stored []directory.Replica) []directory.Replica {
				return replicasAfter(c, home, stored)
			},
		}
	}
	return r.dir.SetHomes(ctx, homes)
}

// Hold leaves it to the caller to tell the directory of accounts that are being promoted here, many at once: as long as it holds
// them the loop does not tell of each. What ends that takes the accounts that the directory was not told of.
func (r *Manager) Hold(ids []account.ID) (free func(untold []account.ID)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.held[id]++
	}
	return func(untold []account.ID) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, id := range ids {
			if r.held[id]--; r.held[id] == 0 {
				delete(r.held, id)
			}
		}
		for _, id := range untold {
			r.enqueue(id)
		}
	}
}

// tellHome is TellHomes for the loop.
func (r *Manager) tellHome(ctx context.Context, a *mailstore.Account) error {
	r.mu.Lock()
	held := r.held[a.ID()] > 0
	r.mu.Unlock()
	if held {
		return nil
	}
	return r.TellHomes(ctx, []*mailstore.Account{a})
}

// replicasAfter are the replicas that the directory has to put once it knows of the copy's primary. Where the log decides they
// are the members that it does not know as replicas, above all the home before; every other stays as it is there. Where it does
// not, because the primary was declared by a decree, they are all that were wished for, to be made anew.
func replicasAfter(c *protocol.Copy, home string, stored []directory.Replica) []directory.Replica {
	known := map[string]directory.Replica{}
	lowest := 0
	for _, replica := range stored {
		known[replica.Mailstore] = replica
		lowest = max(lowest, replica.Priority)
	}
	own, promoted := known[c.Primary]
	var after []directory.Replica
	if !c.IsOpen() {
		for _, replica := range stored {
			if replica.Mailstore == c.Primary {
				replica.Mailstore, replica.Removing = home, false // the wish to remove was this one's, not the home's
			}
			if replica.Mailstore != c.Primary {
				replica.State = directory.Initialising
				after = append(after, replica)
			}
		}
		return after
	}
	for member := range c.Members {
		if _, ok := known[member]; ok || member == c.Primary {
			continue
		}
		// It says itself that it is available, once it has read on.
		replica := directory.Replica{Mailstore: member, Priority: lowest, State: directory.Unavailable}
		if promoted && member == home {
			replica.Priority = own.Priority
		} // else nobody wished for it: it must not come before those that somebody did
		after = append(after, replica)
	}
	slices.SortFunc(after, func(a, b directory.Replica) int { return a.Priority - b.Priority })
	return after
}

// tellForPrimary is for a replica that has read of a home which the directory does not know. To tell is the home's business, but
// it may have died in between; then no promotion could find the epoch to begin.
func (r *Manager) tellForPrimary(ctx context.Context, a *mailstore.Account) error {
	r.mu.Lock()
	since, known := r.untold[a.ID()]
	if !known {
		since = time.Now()
		r.untold[a.ID()] = since
	}
	r.mu.Unlock()
	if left := primaryTellsWait - time.Since(since); left > 0 {
		if !known {
			time.AfterFunc(left, func() { r.Look(a.ID()) })
		}
		return nil
	}
	r.forgetUntold(a.ID())
	return r.tellHome(ctx, a)
}

func (r *Manager) forgetUntold(id account.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.untold, id)
}

func (r *Manager) tellState(ctx context.Context, id account.ID, state directory.ReplicaState) error {
	err := r.dir.SetReplicaState(ctx, id, r.self, state)
	if fault.Is(err, fault.NotFound) {
		return nil // removed meanwhile
	}
	return err
}

// tellAvailable records that the copy can be promoted. One that follows another primary than the directory's is not: the two do
// not agree yet on who decides. Nor is one of an epoch that the directory does not know yet, for a promotion begins the epoch after
// the directory's.
func (r *Manager) tellAvailable(ctx context.Context, a *mailstore.Account) error {
	c := a.Copy()
	if wish, known := r.wishes.Account(a.ID()); !known || wish.MailHost != c.Primary || wish.Epoch < c.Epoch {
		return nil // looked at again when either changes
	}
	return r.tellState(ctx, a.ID(), directory.Available)
}

// notify stores a notification for the administrators and has it sent to them.
func (r *Manager) notify(ctx context.Context, kind directory.NotificationType, subject, text string) error {
	stored, err := r.dir.AddNotification(ctx, directory.Notification{Server: r.self, Type: kind, Subject: subject, Text: text})
	if err == nil && r.notified != nil {
		r.notified(stored)
	}
	return err
}
