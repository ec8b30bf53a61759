package mailstore

import (
	"context"
	"encoding/binary"
	"sync"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// MissPosition makes the copy a gap, because records of its stream are gone that it had not read (rule 2).
func (a *Account) MissPosition(ctx context.Context) error {
	a.state.Lock()
	c := a.Copy().Clone()
	c.MissPosition()
	var err error
	if c.Condition != a.Copy().Condition {
		err = a.save(ctx, c)
	}
	a.state.Unlock()
	if err == nil && c.Condition == protocol.Gap {
		a.endSessions(c.MayServe(true))
		a.m.notify(a.id)
	}
	return err
}

// GoLive makes a copy that has caught up complete; the live reader of its stream, which the caller holds still, judges
// records for it from now on. stream names the position of that reader. If the copy has read the first parts of a
// transaction, that position goes back to them, for they are nowhere else (rule 10); going back harms nobody (rule 5).
func (a *Account) GoLive(ctx context.Context, stream metadata.Position) error {
	a.state.Lock()
	defer a.state.Unlock()
	c := a.Copy().Clone()
	if c.Condition != protocol.CatchingUp || a.isRemoved() {
		return fault.New(fault.Unusable, "the copy became %s while it was catching up", c.Condition)
	}
	c.Condition = protocol.Complete
	err := a.m.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error {
		if first, open := c.OpenTransaction(); open {
			if err := rewind(tx, stream, first); err != nil {
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
	return nil
}

// rewind moves a stored position back, never forth.
func rewind(tx *metadata.Tx, stream metadata.Position, offset int64) error {
	all, err := tx.Positions()
	if err != nil {
		return err
	}
	for _, p := range all {
		same := p.ClusterID == stream.ClusterID && p.TopicID == stream.TopicID && p.Stream == stream.Stream
		if same && p.Offset > offset {
			p.Offset, p.LeaderEpoch = offset, -1
			return tx.SetPosition(p)
		}
	}
	return nil
}

// Loading is a copy that is being made from a snapshot. Its rows are seen by nobody before Finish.
type Loading struct {
	m         *Mailstore
	copy      *protocol.Copy
	mailboxID int64
	sum       mailbox.Sum // of the rows that were given to the database
}

// Load begins to make a copy anew from a snapshot, and removes what this mailstore held of the account: never a copy that
// is the primary by its own word (design section 5). One that was deposed, or gave way, is none.
func (m *Mailstore) Load(ctx context.Context, c *protocol.Copy) (*Loading, error) {
	if a, ok := m.Account(c.Account); ok {
		if err := a.removeIf(ctx, mayOverwrite); err != nil {
			return nil, err
		}
	}
	l := &Loading{m: m, copy: c.Clone()}
	l.copy.Condition = protocol.Initialising
	err := m.store.Update(ctx, metadata.Lazy, func(tx *metadata.Tx) (err error) {
		if old, ok, err := tx.Mailbox(c.Account); err != nil {
			return err
		} else if ok { // left by an attempt that broke off
			if err := mayOverwrite(&old.Copy); err != nil {
				return err
			}
			if err := tx.RemoveMailbox(old.ID); err != nil {
				return err
			}
		}
		l.mailboxID, err = tx.CreateMailbox(l.copy)
		return err
	})
	return l, err
}

func mayOverwrite(c *protocol.Copy) error {
	if c.IsPrimary() {
		return fault.New(fault.Denied, "the copy on %s is the account's primary by its own word and is not overwritten", c.Self)
	}
	return nil
}

// Rows loads one chunk of rows.
//
// Their digest is summed beside that, over the same values that the database is given. It is the digest of what the database then holds, for
// LoadRows adds rows, and neither replaces one nor leaves one out: a row that comes twice fails. So a difference to the header's digest means
// what it means after any change, whose digest is not computed by reading back either.
func (l *Loading) Rows(ctx context.Context, rows *event.Rows) error {
	var summing sync.WaitGroup
	summing.Go(func() { l.add(rows) })
	defer summing.Wait()
	return l.m.store.Update(ctx, metadata.Lazy, func(tx *metadata.Tx) error { return tx.LoadRows(l.mailboxID, rows) })
}

func (l *Loading) add(rows *event.Rows) {
	mailbox.AddRows(&l.sum, rows.Headers)
	mailbox.AddRows(&l.sum, rows.Folders)
	mailbox.AddRows(&l.sum, rows.Contents)
	mailbox.AddRows(&l.sum, rows.Messages)
	mailbox.AddRows(&l.sum, rows.Tombstones)
	mailbox.AddRows(&l.sum, rows.Deliveries)
	mailbox.AddRows(&l.sum, rows.Discarded)
	for _, s := range rows.Subscriptions {
		l.sum.AddSubscription(s.Name)
	}
}

// Finish checks the rows against the snapshot's header, fsyncs them (rule 7) and registers the copy, catching up.
func (l *Loading) Finish(ctx context.Context, header mailbox.Header) (*Account, error) {
	l.copy.Condition = protocol.CatchingUp
	if header.Sequence != l.copy.Committed {
		return nil, fault.New(fault.Unusable, "the snapshot's rows are at sequence %d, its copy at %d", header.Sequence, l.copy.Committed)
	}
	last := &event.Rows{Headers: []mailbox.Header{header}}
	l.add(last)
	if digest := l.sum.Digest(); digest != header.Digest {
		return nil, fault.New(fault.Unusable, "the snapshot's rows have digest %s, its header says %s", digest, header.Digest)
	}
	err := l.m.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error {
		if err := tx.LoadRows(l.mailboxID, last); err != nil {
			return err
		}
		return tx.SaveCopy(l.mailboxID, l.copy)
	})
	if err != nil {
		return nil, err
	}
	if err := l.check(ctx, header); err != nil {
		return nil, err
	}
	return l.m.register(l.mailboxID, l.copy), nil
}

// check reads the rows back, in tests.
func (l *Loading) check(ctx context.Context, header mailbox.Header) error {
	if !mailbox.MemoryChecked() {
		return nil
	}
	return l.m.store.View(ctx, func(v *metadata.View) error {
		digest, err := mailbox.FullDigest(v.Rows(l.mailboxID))
		if err == nil {
			mailbox.MustAgree("the digest of a copy", digest, header.Digest)
		}
		return err
	})
}

// Abort removes what was loaded.
func (l *Loading) Abort(ctx context.Context) error {
	return l.m.store.Update(ctx, metadata.Lazy, func(tx *metadata.Tx) error { return tx.RemoveMailbox(l.mailboxID) })
}

// Snapshot reads one copy's state and rows at one sequence, for package replica's snapshot and for audits.
func (m *Mailstore) Snapshot(ctx context.Context, id account.ID, fn func(metadata.Mailbox, mailbox.Scanner) error) error {
	return m.store.View(ctx, func(v *metadata.View) error {
		row, ok, err := v.Mailbox(id)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "%s holds no copy of account %s", m.self, id)
		}
		return fn(row, v.Rows(row.ID))
	})
}

func leapKey(id account.ID) string { return "leap/" + id.String() }

// LeapEpochs are, of each account, the last epoch that began with a Fence that ended a pause by accepting loss, 0 if its copy read of
// none.
func (m *Mailstore) LeapEpochs(ctx context.Context, accounts []*Account) ([]uint64, error) {
	epochs := make([]uint64, len(accounts))
	err := m.store.View(ctx, func(v *metadata.View) error {
		for i, a := range accounts {
			value, found, err := v.Value(leapKey(a.id))
			if err != nil {
				return err
			}
			if found && len(value) == 8 {
				epochs[i] = binary.BigEndian.Uint64(value)
			}
		}
		return nil
	})
	return epochs, err
}

// HasEnded reports whether this mailstore read the account's Delete.
func (m *Mailstore) HasEnded(ctx context.Context, id account.ID) (ended bool, err error) {
	err = m.store.View(ctx, func(v *metadata.View) error {
		_, ended, err = v.Value(endedKey(id))
		return err
	})
	return ended, err
}

func endedKey(id account.ID) string { return "ended/" + id.String() }
