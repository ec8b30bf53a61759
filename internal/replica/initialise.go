package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/protocol"
)

const snapshotProgressEvery = 50_000 // rows between two lines of the log

// initialise makes this mailstore's copy of an account, unless that is under way. The loop looks at the account again
// when it has ended, well or not.
func (r *Manager) initialise(ctx context.Context, wish directory.Account) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.making[wish.ID] {
		return
	}
	r.making[wish.ID] = true
	r.makers.Go(func() {
		err := r.makeInTurn(ctx, wish)
		r.mu.Lock()
		delete(r.making, wish.ID)
		if err == nil {
			delete(r.pauses, wish.ID)
		}
		r.mu.Unlock()
		switch {
		case err == nil:
			r.Look(wish.ID)
		case ctx.Err() == nil:
			r.later(ctx, wish.ID, err)
		}
	})
}

// makeInTurn makes a copy when one of the few that are made at once is done.
func (r *Manager) makeInTurn(ctx context.Context, wish directory.Account) error {
	select {
	case r.initialising <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.initialising }()
	defer r.agent.remember()()
	return r.makeCopy(ctx, wish)
}

func (r *Manager) isMaking(id account.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.making[id]
}

// makeCopy is one attempt: a snapshot from the source, loaded and fsynced, then the stream from the snapshot's offset on
// until it meets the live reader (design section 5). A copy whose catch-up was cut off, by brokers that went away or by a
// restart, goes on from where it was; not where another log is in use since, for then there is nothing to read on in.
func (r *Manager) makeCopy(ctx context.Context, wish directory.Account) error {
	begun := time.Now()
	a, held := r.m.Account(wish.ID)
	if held && a.Copy().Condition == protocol.CatchingUp && r.agent.mayReadOn(a.Copy()) {
		err := r.agent.catchUp(ctx, a)
		if err == nil {
			r.logger.Info("a replica is available", "account", wish.Name, "after", time.Since(begun))
			return r.tellAvailable(ctx, a)
		}
		if !fault.Is(err, fault.Unusable) {
			return err
		}
	}
	source, ok := r.wishes.Mailstore(wish.MailHost)
	if !ok {
		return fault.New(fault.HomeUnreachable, "the home of %s, %s, is not known", wish.Name, wish.MailHost)
	}
	body, err := r.peers.Snapshot(ctx, source.PeerAddr, wish.ID, r.self)
	if err != nil {
		return err
	}
	rows := int64(0)
	a, err = r.agent.take(ctx, wish.ID, body, func(n int64) {
		if n/snapshotProgressEvery != rows/snapshotProgressEvery {
			r.logger.Info("a replica is being made", "account", wish.Name, "rows", n)
		}
		rows = n
	})
	if err != nil {
		return err
	}
	if err := r.agent.catchUp(ctx, a); err != nil {
		return err
	}
	r.logger.Info("a replica is available", "account", wish.Name, "rows", rows, "after", time.Since(begun))
	return r.tellAvailable(ctx, a)
}

// mayReadOn reports whether a copy that is catching up lies in the log in use, or in one that may yet come back. The brokers of
// another cluster are in use only because the one before was given up.
func (g *Agent) mayReadOn(c *protocol.Copy) bool {
	id, connected := g.Identity()
	return !connected || sameLog(c.Stream, id)
}

// catchUp reads on from the copy's own offset until it meets the live reader, and hands the copy over to it.
func (g *Agent) catchUp(ctx context.Context, a *mailstore.Account) error {
	number, read := a.Copy().Stream.Partition, a.Copy().NextOffset
	if err := g.Follow(ctx, number); err != nil {
		return err
	}
	for {
		handed, next, missing, err := g.handOver(ctx, a, read)
		if err != nil || handed {
			return err
		}
		if err := g.applyMissing(ctx, a, read, next, missing); err != nil {
			return err
		}
		if c := a.Copy(); c.Condition != protocol.CatchingUp {
			return fault.New(fault.Unusable, "the copy became %s while it was catching up", c.Condition)
		}
		read = next
	}
}

// applyMissing applies what a copy has to catch up with: what the stream remembers of it, or else what the brokers give.
func (g *Agent) applyMissing(ctx context.Context, a *mailstore.Account, from, to int64, remembered []eventlog.Entry) error {
	if int64(len(remembered)) == to-from {
		return a.ApplyCatchUp(ctx, remembered)
	}
	log := g.Log()
	if log == nil {
		return errNoBrokers()
	}
	err := log.ReadRange(ctx, a.Copy().Stream.Partition, from, to, func(entries []eventlog.Entry) error {
		return a.ApplyCatchUp(ctx, entries)
	})
	if errors.Is(err, eventlog.ErrOffsetGone) { // it is no copy on its way any more: its home must not wait for it
		err = errors.Join(err, a.MissPosition(ctx))
	}
	return err
}

// tellBroken tells the directory and the administrator, once, of a copy that has to be made anew, and keeps the journal of
// one that was deposed while it was paused.
func (r *Manager) tellBroken(ctx context.Context, a *mailstore.Account, replica directory.Replica) error {
	state := map[protocol.Condition]directory.ReplicaState{protocol.Gap: directory.Gap, protocol.Diverged: directory.Diverged}[a.Copy().Condition]
	if state == "" {
		state = directory.Initialising
	}
	kept, err := r.exportJournal(ctx, a)
	if err != nil {
		return err
	}
	if replica.State == state {
		return nil
	}
	if err := r.tellState(ctx, a.ID(), state); err != nil || state == directory.Initialising {
		return err
	}
	wish, _ := r.wishes.Account(a.ID())
	text := fmt.Sprintf("The replica of account %s on %s is in state %s. It serves nobody and is being copied anew from %s.",
		wish.Name, r.self, state, a.Copy().Primary)
	if kept != "" {
		text += " Changes that were made here while replication was paused are not in the mailbox; they are kept in " + kept + "."
	}
	return r.notify(ctx, directory.Warning, fmt.Sprintf("Replica %s on %s", state, r.self), text)
}
