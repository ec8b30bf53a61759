package mailstore

import (
	"context"
	"encoding/binary"
	"errors"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

func decreeKey(id account.ID) string { return "decree/" + id.String() }

// PlanDecree remembers, fsynced, that the directory is about to be asked for a decree over this copy. If the process ends before
// Reseed, the decree is carried out all the same, provided that the directory names this mailstore in that very epoch.
func (a *Account) PlanDecree(ctx context.Context, epoch uint64, overtaken bool) error {
	plan := append(binary.BigEndian.AppendUint64(nil, epoch), 0)
	if overtaken {
		plan[8] = 1
	}
	return a.m.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error { return tx.SetValue(decreeKey(a.id), plan) })
}

// PlannedDecree is the decree that was planned and not carried out yet; epoch 0 if there is none.
func (a *Account) PlannedDecree(ctx context.Context) (epoch uint64, overtaken bool, err error) {
	err = a.m.store.View(ctx, func(v *metadata.View) error {
		plan, found, err := v.Value(decreeKey(a.id))
		if err == nil && found && len(plan) == 9 {
			epoch, overtaken = binary.BigEndian.Uint64(plan), plan[8] == 1
		}
		return err
	})
	return epoch, overtaken, err
}

// Reseed makes the copy the primary by decree, in an epoch above all others, committed by this database until it is
// opened again. It is for a copy whose log is lost. overtaken: the directory knows of a primary since, which was another.
func (a *Account) Reseed(ctx context.Context, epoch uint64, overtaken bool) error {
	a.state.Lock()
	defer a.state.Unlock()
	c := a.Copy().Clone()
	leap, err := c.Reseed(epoch, overtaken)
	if err != nil {
		return err
	}
	err = a.m.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error {
		if err := errors.Join(tx.ClearJournal(a.mailboxID), tx.SetValue(decreeKey(a.id), nil)); err != nil {
			return err
		}
		if leap {
			delta, err := mailbox.Leap(tx.Rows(a.mailboxID), c.Committed)
			if err != nil {
				return err
			}
			if err := tx.Write(a.mailboxID, delta); err != nil {
				return err
			}
		}
		return tx.SaveCopy(a.mailboxID, c)
	})
	if err != nil {
		return err
	}
	a.show(c, nil)
	a.live = true
	if leap {
		a.endSessions(fault.New(fault.Interrupted, "the mailbox goes on from an older copy"))
	}
	return nil
}

// GiveWay voids the copy after another was declared the primary, outside of any log that this one can read.
func (a *Account) GiveWay(ctx context.Context, primary string, epoch uint64) error {
	a.state.Lock()
	defer a.state.Unlock()
	c := a.Copy().Clone()
	if err := c.GiveWay(primary, epoch); err != nil {
		return err
	}
	if err := a.save(ctx, c); err != nil {
		return err
	}
	go a.m.notify(a.id)
	return nil
}
