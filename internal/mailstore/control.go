package mailstore

import (
	"context"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// save commits and publishes a state that no record decided, fsynced. The caller holds state.
func (a *Account) save(ctx context.Context, c *protocol.Copy) error {
	err := a.m.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error { return tx.SaveCopy(a.mailboxID, c) })
	if err == nil {
		a.show(c, nil)
	}
	return err
}

// show publishes a committed state and answers the transaction in flight, if it is decided by that. The caller holds state.
func (a *Account) show(c *protocol.Copy, verdicts []protocol.Verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.copy.Store(c)
	a.m.open.set(a, c)
	a.settle(c, verdicts)
}

// rideOne rides with a single record, for as long as the mailstore lives.
func (a *Account) rideOne(c *protocol.Copy, record event.Record) (won bool, err error) {
	return a.ride(a.m.ctx, c, &pending{Pending: protocol.Pending{Records: []event.Record{record}}})
}

// control appends a record about the account itself and waits until it has been read back. It is computed anew when
// another record takes its sequence. needed says whether there is anything to say at all.
func (a *Account) control(
	ctx context.Context, kind event.Kind, mailstore string, needed func(*protocol.Copy) bool,
) (event.ID, error) {
	ids := make(chan event.ID, 1)
	err := a.enter(ctx, func(ctx context.Context) error {
		for {
			c := a.Copy()
			if !needed(c) {
				return nil
			}
			if err := a.mayControl(ctx, c); err != nil {
				return err
			}
			record := c.Next(kind)
			record.Mailstore = mailstore
			won, err := a.rideOne(c, record)
			if won {
				ids <- record.ID
			}
			if err != nil || won {
				return err
			}
		}
	})
	if err != nil {
		return event.ID{}, err
	}
	select {
	case id := <-ids:
		return id, nil
	default: // nothing had to be said
		return event.ID{}, nil
	}
}

func (a *Account) mayControl(ctx context.Context, c *protocol.Copy) error {
	if ctx.Err() != nil {
		return inDoubt(ctx)
	}
	if err := a.mayWrite(c); err != nil {
		return err
	}
	return c.MayControl(true)
}

// Join lets a mailstore begin one attempt at a copy, and returns the attempt's id. A snapshot may be given once it returns.
func (a *Account) Join(ctx context.Context, mailstore string) (event.ID, error) {
	return a.control(ctx, event.Join, mailstore, func(c *protocol.Copy) bool { return true })
}

// Leave makes a mailstore's copy count no more. The last one closes the account: this database commits from then on. An
// account that was opened for a replica which never came to be is closed by the Leave of that.
func (a *Account) Leave(ctx context.Context, mailstore string) error {
	_, err := a.control(ctx, event.Leave, mailstore, func(c *protocol.Copy) bool {
		_, member := c.Members[mailstore]
		return c.IsOpen() && mailstore != c.Self && (member || len(c.Members) == 1)
	})
	return err
}

// Pause makes the journal commit instead of the log.
func (a *Account) Pause(ctx context.Context) error {
	_, err := a.control(ctx, event.Pause, "", func(c *protocol.Copy) bool { return c.Mode != protocol.Paused })
	return err
}

// Resume publishes the journal, one transaction after another, and makes the log commit again (rule 11). Clients' changes
// go on between two bursts, into the journal. The Resume is appended in the turn that has emptied the journal: in a later
// one, clients that never rest would have written to it again.
func (a *Account) Resume(ctx context.Context) error {
	for {
		if err := a.enter(ctx, a.publishBurst); err != nil {
			return err
		}
		if !a.Copy().IsPaused() {
			return nil
		}
	}
}

// publishBurst appends some journalled transactions, and the Resume when none is left.
func (a *Account) publishBurst(ctx context.Context) error {
	for range journalBurst {
		c := a.Copy()
		if ctx.Err() != nil {
			return inDoubt(ctx)
		}
		if err := a.MayServe(); err != nil { // MayWrite refuses while resuming
			return err
		}
		if !c.IsPaused() {
			return nil
		}
		var err error
		next := &pending{journal: c.Journal > 0}
		if next.journal {
			next.Records, err = a.journalHead(ctx)
		} else {
			next.Records, c, err = a.beginResuming(ctx)
		}
		if err != nil {
			return err
		}
		if _, err := a.ride(a.m.ctx, c, next); err != nil {
			return err
		}
	}
	return nil
}

// beginResuming makes the Resume, once it is durable here that nothing is journalled from now on: a crash may forget the
// Resume, which may arrive all the same (rule 11).
func (a *Account) beginResuming(ctx context.Context) ([]event.Record, *protocol.Copy, error) {
	a.state.Lock()
	defer a.state.Unlock()
	c := a.Copy().Clone()
	record, err := c.BeginResuming()
	if err == nil {
		err = a.save(ctx, c)
	}
	return []event.Record{record}, c, err
}

func (a *Account) journalHead(ctx context.Context) (records []event.Record, err error) {
	err = a.m.store.View(ctx, func(v *metadata.View) error {
		entry, ok, err := v.JournalHead(a.mailboxID)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.Internal, "account %s counts journalled changes that its journal does not hold", a.id)
		}
		records, err = decodeJournal(entry.Record)
		return err
	})
	return records, err
}

// Fence makes this copy the account's primary in the given epoch (rule 9), and returns when the Fence has been read back.
// The caller has read the stream to its end just before. Repeating a Fence that was accepted does nothing.
//
// A Fence in doubt ends with its caller, unlike the records of a primary: this copy computes nothing on top of it, and
// another Fence of the same epoch is harmless beside it. To go on appending it would promote the account when nobody
// asks for that any more, or for ever where a Pause came before it.
func (a *Account) Fence(ctx context.Context, operation string, epoch uint64, acceptLoss bool) error {
	return a.enter(ctx, func(ctx context.Context) error {
		for {
			c := a.Copy()
			if c.IsPrimary() && c.Epoch == epoch {
				if c.Condition != protocol.Complete { // rule 9: it does not serve, another must fence
					return fault.New(fault.Unusable, "the copy on %s became the primary, but it is %s", c.Self, c.Condition)
				}
				return nil
			}
			if c.Epoch+1 != epoch {
				return fault.New(fault.Busy, "another promotion came first: the account's home is %s in epoch %d", c.Primary, c.Epoch)
			}
			record, err := c.FenceRecord(operation, acceptLoss)
			if err != nil {
				return err
			}
			fence := &pending{Pending: protocol.Pending{Records: []event.Record{record}}}
			if _, err := a.ride(ctx, c, fence); err != nil {
				if refused := a.Copy().MayFence(acceptLoss); fault.Is(refused, fault.Paused) {
					return refused // paused meanwhile: the Fence was read and not accepted
				}
				return err
			}
		}
	})
}

// Delete ends the account and all its copies: by a record where the log decides, else by removing this one.
func (a *Account) Delete(ctx context.Context) error {
	if !a.Copy().IsOpen() {
		return a.enter(ctx, a.endHere)
	}
	if a.Copy().IsPaused() {
		if err := a.Resume(ctx); err != nil {
			return err
		}
	}
	_, err := a.control(ctx, event.Delete, "", func(*protocol.Copy) bool { return !a.isRemoved() })
	return err
}

// endHere ends an account without replicas, and remembers that it did.
func (a *Account) endHere(ctx context.Context) error {
	a.state.Lock()
	defer a.state.Unlock()
	if a.isRemoved() {
		return nil
	}
	if a.Copy().IsOpen() {
		return fault.New(fault.Busy, "the log has begun to decide for the account meanwhile")
	}
	err := a.m.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error { return a.m.end(tx, a.mailboxID, a.Copy()) })
	if err == nil {
		a.dispose(fault.New(fault.NotFound, "the account was deleted"))
	}
	return err
}

// Remove removes this copy's rows from this mailstore, whatever the log says. No other copy notices.
func (a *Account) Remove(ctx context.Context) error {
	return a.removeIf(ctx, func(*protocol.Copy) error { return nil })
}

// Discard removes a copy that nobody needs: it is refused for one that is or became the primary, or is complete.
func (a *Account) Discard(ctx context.Context) error {
	return a.removeIf(ctx, func(c *protocol.Copy) error {
		if c.IsPrimary() || c.Condition == protocol.Complete {
			return fault.New(fault.Busy, "the copy on %s is %s now and stays", c.Self, c.Condition)
		}
		return nil
	})
}

// removeIf removes the copy unless may, which sees its state as of the removal, objects.
func (a *Account) removeIf(ctx context.Context, may func(*protocol.Copy) error) error {
	a.state.Lock()
	defer a.state.Unlock()
	if a.isRemoved() {
		return nil
	}
	if err := may(a.Copy()); err != nil {
		return err
	}
	err := a.m.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error { return tx.RemoveMailbox(a.mailboxID) })
	if err != nil {
		return err
	}
	a.dispose(fault.New(fault.NotFound, "the account's copy on %s was removed", a.m.self))
	return nil
}

// dispose drops a copy whose rows are gone.
func (a *Account) dispose(reason error) {
	c := a.Copy().Clone()
	c.Condition = protocol.Initialising
	a.mu.Lock()
	a.removed = true
	a.mu.Unlock()
	a.show(c, nil)
	a.m.forget(a)
	a.endSessions(reason)
}

func (a *Account) isRemoved() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.removed
}
