package mailstore

import (
	"context"
	"errors"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// judged is one copy's share of a batch that is being applied.
type judged struct {
	account  *Account
	copy     *protocol.Copy // its working copy, published when the batch is committed
	verdicts []protocol.Verdict
	removed  bool
}

// ApplyLive judges a batch of one stream for every copy that its live reader serves, writes what was accepted, and stores
// the reader's position with it (rule 5). Waiters are answered and sessions woken after the commit. It is called by one
// goroutine a stream. An error means that nothing of the batch counts; the caller gives it again.
func (m *Mailstore) ApplyLive(ctx context.Context, position metadata.Position, entries []eventlog.Entry) error {
	return m.apply(ctx, entries, &position, func(id account.ID) *Account {
		a, ok := m.Account(id)
		if !ok {
			return nil
		}
		return a
	})
}

// ApplyCatchUp does the same for one copy that is on its way towards the live reader.
func (a *Account) ApplyCatchUp(ctx context.Context, entries []eventlog.Entry) error {
	return a.m.apply(ctx, entries, nil, func(id account.ID) *Account {
		if id == a.id {
			return a
		}
		return nil
	})
}

func (m *Mailstore) apply(
	ctx context.Context, entries []eventlog.Entry, position *metadata.Position, find func(account.ID) *Account,
) error {
	b := &batch{m: m, live: position != nil, shares: map[account.ID]*judged{}}
	defer b.unlock()
	b.lock(entries, find)
	durability := metadata.Lazy
	if b.mayDecideMode(entries) {
		durability = metadata.Fsynced
	}
	err := m.store.Update(ctx, durability, func(tx *metadata.Tx) error { return b.write(tx, entries, position) })
	if err != nil {
		return err
	}
	b.publish()
	return nil
}

// batch is the records of one stream that are judged and written in one transaction.
type batch struct {
	m      *Mailstore
	live   bool
	shares map[account.ID]*judged // copies concerned, their state locked
	order  []*judged
}

// lock takes the state of every copy concerned, in the order of their first records.
func (b *batch) lock(entries []eventlog.Entry, find func(account.ID) *Account) {
	for _, e := range entries {
		id, ok := event.ParseKey(e.Key)
		if !ok || b.shares[id] != nil {
			continue
		}
		a := find(id)
		if a == nil {
			continue
		}
		a.state.Lock()
		if a.live != b.live || a.isRemoved() {
			a.state.Unlock()
			continue
		}
		share := &judged{account: a}
		b.shares[id] = share
		b.order = append(b.order, share)
	}
}

func (b *batch) unlock() {
	for _, share := range b.order {
		share.account.state.Unlock()
	}
}

// mayDecideMode reports whether the batch may hold a record that changes who commits on this mailstore (rule 7).
func (b *batch) mayDecideMode(entries []eventlog.Entry) bool {
	for _, e := range entries {
		id, ok := event.ParseKey(e.Key)
		if !ok || b.shares[id] == nil {
			continue
		}
		switch kind := event.PeekKind(e.Value); kind {
		case event.Open, event.Pause, event.Resume, event.Leave, event.Delete, event.Fence:
			return true
		}
	}
	return false
}

// write judges the records and writes rows, copies and position. It may run more than once, from the beginning.
func (b *batch) write(tx *metadata.Tx, entries []eventlog.Entry, position *metadata.Position) error {
	for _, share := range b.order {
		share.copy, share.verdicts, share.removed = share.account.Copy().Clone(), nil, false
	}
	for _, e := range entries {
		id, _ := event.ParseKey(e.Key)
		share := b.shares[id]
		if share == nil || share.removed || share.copy.Stream.Partition != e.Stream {
			continue
		}
		record, err := event.Decode(e.Value)
		if err != nil || record.Account != id {
			b.m.logger.Error("a record of the event log cannot be read; the copy is given up", "account", id,
				"stream", e.Stream, "offset", e.Offset, "error", err)
			share.copy.Condition = protocol.Gap
			continue
		}
		if err := b.judge(tx, share, record, e); err != nil {
			return err
		}
	}
	for _, share := range b.order {
		if len(share.verdicts) == 0 && share.copy.Condition == share.account.Copy().Condition || share.removed {
			continue
		}
		if err := tx.SaveCopy(share.account.mailboxID, share.copy); err != nil {
			return err
		}
	}
	if position == nil {
		return nil
	}
	p := *position
	p.Offset = b.storable(p)
	return tx.SetPosition(p)
}

// storable is the position that may be stored: never past the first part of an open transaction (rule 10), of copies in
// this batch or outside of it.
func (b *batch) storable(p metadata.Position) int64 {
	offset := p.Offset
	for _, share := range b.order {
		if first, open := share.copy.OpenTransaction(); open {
			offset = min(offset, first)
		}
	}
	for _, a := range b.m.All() {
		if b.shares[a.id] != nil {
			continue
		}
		c := a.Copy()
		if first, open := c.OpenTransaction(); open && c.Stream.Partition == p.Stream {
			offset = min(offset, first)
		}
	}
	return offset
}

func (b *batch) judge(tx *metadata.Tx, share *judged, record event.Record, e eventlog.Entry) error {
	before := share.copy.Condition
	v := share.copy.Judge(record, e.Offset)
	if v.Outcome == protocol.Lost && before != protocol.Gap {
		b.m.logger.Error("a copy has missed records of the event log", "account", record.Account, "epoch", share.copy.Epoch,
			"sequence", share.copy.Sequence, "read", record.Kind, "readEpoch", record.Epoch, "readSequence", record.Sequence,
			"stream", e.Stream, "offset", e.Offset)
	}
	if v.Outcome == protocol.Skipped {
		return nil
	}
	share.verdicts = append(share.verdicts, v)
	if v.Outcome != protocol.Accepted {
		return nil
	}
	share.copy.Stream.LeaderEpoch = e.LeaderEpoch
	if v.Left || v.Deleted {
		share.removed = true
		if v.Deleted {
			if err := tx.SetValue(endedKey(record.Account), []byte(b.m.self)); err != nil {
				return err
			}
		}
		return tx.RemoveMailbox(share.account.mailboxID)
	}
	if v.FromJournal {
		return b.unjournal(tx, share, v.Record)
	}
	if share.copy.Condition == protocol.Diverged { // deposed with a journal, which is kept as an export
		return nil
	}
	return b.writeRows(tx, share, v)
}

// unjournal removes from the journal the transaction that was read back; its rows are here already.
func (b *batch) unjournal(tx *metadata.Tx, share *judged, record event.Record) error {
	head, ok, err := tx.JournalHead(share.account.mailboxID)
	if err != nil {
		return err
	}
	if !ok || head.ID != record.ID {
		b.diverged(share, record, "the log holds another transaction than the journal")
		return nil
	}
	return tx.RemoveJournal(share.account.mailboxID, head.Sequence)
}

func (b *batch) diverged(share *judged, record event.Record, why string) {
	share.copy.Condition = protocol.Diverged
	b.m.logger.Error("a copy has diverged and will be made anew", "account", record.Account, "epoch", record.Epoch,
		"sequence", record.Sequence, "why", why)
}

// writeRows writes what an accepted record does to the rows of the mailbox.
func (b *batch) writeRows(tx *metadata.Tx, share *judged, v protocol.Verdict) error {
	delta, err := b.delta(tx, share, v)
	switch {
	case errors.Is(err, mailbox.ErrDigest), errors.Is(err, mailbox.ErrContradiction), fault.Is(err, fault.Invalid):
		b.diverged(share, v.Record, err.Error())
		return nil
	case err != nil || delta == nil:
		return err
	}
	return tx.Write(share.account.mailboxID, *delta)
}

func (b *batch) delta(tx *metadata.Tx, share *judged, v protocol.Verdict) (*mailbox.Delta, error) {
	var delta mailbox.Delta
	var err error
	rows := tx.Rows(share.account.mailboxID)
	switch {
	case v.Record.Kind == event.Change:
		if own := share.account.deltaOf(v.Record.ID); own != nil {
			return own, nil
		}
		var change mailbox.Change
		if change, err = event.DecodeChange(v.Record.Payload); err != nil {
			return nil, err
		}
		delta, err = mailbox.Apply(rows, v.Record.Sequence, change)
	case v.Leap:
		delta, err = mailbox.Leap(rows, share.copy.Sequence)
	case v.Record.Kind.Sequenced():
		delta, err = mailbox.Touch(rows, v.Record.Sequence)
	default:
		return nil, nil
	}
	return &delta, err
}

// publish makes the committed copies visible, answers waiters and wakes sessions.
func (b *batch) publish() {
	for _, share := range b.order {
		a, before := share.account, share.account.Copy()
		if len(share.verdicts) == 0 && share.copy.Condition == before.Condition {
			continue
		}
		a.show(share.copy, share.verdicts)
		switch {
		case share.removed:
			a.dispose(fault.New(fault.NotFound, "the account's copy on %s was removed", b.m.self))
		case before.IsPrimary() && !share.copy.IsPrimary():
			a.endSessions(fault.New(fault.NotHome, "the account has moved to %s", share.copy.Primary))
		case share.copy.Condition != protocol.Complete:
			a.endSessions(share.copy.MayServe(true))
		default:
			a.wakeSessions()
		}
		if share.removed || decided(share, before) {
			go b.m.notify(a.id)
		}
	}
}

// decided reports whether a batch changed more of a copy than its rows.
func decided(share *judged, before *protocol.Copy) bool {
	c := share.copy
	return c.Condition != before.Condition || c.Mode != before.Mode || c.Epoch != before.Epoch || len(c.Members) != len(before.Members)
}
