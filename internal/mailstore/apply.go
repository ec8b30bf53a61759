package mailstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

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
	deltas   []*mailbox.Delta // what was written to its rows
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
	var own []eventlog.Entry // most often none: the stream is that of many accounts
	for _, e := range entries {
		if id, ok := event.ParseKey(e.Key); ok && id == a.id {
			own = append(own, e)
		}
	}
	return a.m.apply(ctx, own, nil, func(id account.ID) *Account {
		if id == a.id {
			return a
		}
		return nil
	})
}

func (m *Mailstore) apply(
	ctx context.Context, entries []eventlog.Entry, position *metadata.Position, find func(account.ID) *Account,
) error {
	if len(entries) == 0 {
		return nil
	}
	b := &batch{m: m, live: position != nil, stream: entries[0].Stream, shares: map[account.ID]*judged{}}
	defer b.unlock()
	b.lock(entries, find)
	durability := metadata.Lazy
	if b.mayDecideMode(entries) {
		durability = metadata.Fsynced
	}
	for alone := false; ; {
		err := m.store.Update(ctx, durability, func(tx *metadata.Tx) error {
			if alone {
				tx.AtOnce()
			}
			if err := b.write(tx, entries, position); err != nil {
				return err
			}
			return b.flush(tx)
		})
		switch {
		case err == nil:
			b.publish()
			return nil
		case b.quarantines(err):
		case alone || mayPass(err):
			return err
		}
		alone = true // rows of several accounts were written together: done again one by one, it shows whose the database refuses
	}
}

// batch is the records of one stream that are judged and written in one transaction.
type batch struct {
	m      *Mailstore
	live   bool
	stream int32
	shares map[account.ID]*judged // copies concerned, their state locked
	order  []*judged
	poison map[account.ID]*poison // copies whose database refuses a record
}

// lock takes the state of every copy concerned, in the order of their ids: an account that moved from one stream to another is
// named by records of both, so that the readers of two streams may want the same two copies.
func (b *batch) lock(entries []eventlog.Entry, find func(account.ID) *Account) {
	var concerned []*Account
	for _, e := range entries {
		id, ok := event.ParseKey(e.Key)
		if !ok {
			continue
		}
		if _, known := b.shares[id]; known {
			continue
		}
		b.shares[id] = nil
		if a := find(id); a != nil && a.Copy().Stream.Partition == b.stream {
			concerned = append(concerned, a)
		}
	}
	slices.SortFunc(concerned, func(x, y *Account) int { return bytes.Compare(x.id[:], y.id[:]) })
	for _, a := range concerned {
		a.state.Lock()
		if a.live != b.live || a.isRemoved() || a.Copy().Stream.Partition != b.stream {
			a.state.Unlock()
			continue
		}
		a.work.begin()
		share := &judged{account: a}
		b.shares[a.id] = share
		b.order = append(b.order, share)
	}
}

func (b *batch) unlock() {
	for _, share := range b.order {
		share.account.work.end()
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
		share.copy, share.verdicts, share.deltas, share.removed = share.account.Copy().Clone(), nil, nil, false
	}
	for _, e := range entries {
		id, _ := event.ParseKey(e.Key)
		share := b.shares[id]
		if share == nil || share.removed || e.Stream != b.stream || position != nil && !lies(share.copy.Stream, *position) {
			continue
		}
		record, err := event.Decode(e.Value)
		if err != nil || record.Account != id {
			b.unreadable(share, e, err)
			continue
		}
		if err := b.attempt(tx, share, record, e); err != nil {
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

// lies reports whether a copy's records lie in the stream that a position speaks of (rule 12).
func lies(s protocol.Stream, p metadata.Position) bool {
	return s.Partition == p.Stream && s.ClusterID == p.ClusterID && s.TopicID == p.TopicID
}

// unreadable is for a record under an account's key that is none: of a later version, or damaged. A copy that the log decides
// for must not pass over it; one that has judged it, or is closed, is not concerned.
func (b *batch) unreadable(share *judged, e eventlog.Entry, err error) {
	c := share.copy
	if e.Offset < c.NextOffset || c.Condition != protocol.Complete && c.Condition != protocol.CatchingUp || !c.IsOpen() {
		return
	}
	b.m.logger.Error("a record of the event log cannot be read; the copy is given up", "account", c.Account,
		"stream", e.Stream, "offset", e.Offset, "error", err)
	c.MissPosition()
}

// storable is the position that may be stored: never past the first part of an open transaction (rule 10), of copies in
// this batch or outside of it.
func (b *batch) storable(p metadata.Position) int64 {
	offset := p.Offset
	for _, share := range b.order {
		if first, open := share.copy.OpenTransaction(); open && !share.removed {
			offset = min(offset, first)
		}
	}
	return min(offset, b.m.open.before(p, b.shares))
}

// judge judges one record for one copy and writes what it does.
func (b *batch) judge(tx *metadata.Tx, share *judged, record event.Record, e eventlog.Entry) error {
	before := share.copy.Clone()
	v := share.copy.Judge(record, e.Offset)
	if v.Outcome == protocol.Lost {
		b.m.logger.Error("a copy has missed records of the event log", "account", record.Account, "epoch", before.Epoch,
			"sequence", before.Sequence, "read", record.Kind, "readEpoch", record.Epoch, "readSequence", record.Sequence,
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
	if p := b.poison[record.Account]; p != nil && p.offset == e.Offset {
		b.diverged(share, before, v.Record, p.why.Error())
		return nil
	}
	if v.Left || v.Deleted {
		return b.remove(tx, share, v)
	}
	var err error
	why := ""
	switch {
	case v.FromJournal:
		why, err = b.unjournal(tx, share, v.Record)
	case share.copy.Condition == protocol.Diverged: // deposed with a journal, which is kept as an export
	default:
		why, err = b.writeRows(tx, share, v)
	}
	if why != "" {
		b.diverged(share, before, v.Record, why)
	}
	return err
}

func (b *batch) remove(tx *metadata.Tx, share *judged, v protocol.Verdict) error {
	share.removed = true
	if !v.Deleted {
		return tx.RemoveMailbox(share.account.mailboxID)
	}
	return b.m.end(tx, share.account.mailboxID, share.copy)
}

// diverged marks a copy whose rows do not agree with a record. The rows are those of before, and so are the heads: a copy that
// claimed the sequence of a record that it does not hold would seem to be as far as the others, and could not go on from
// its rows after a reseed.
func (b *batch) diverged(share *judged, before *protocol.Copy, record event.Record, why string) {
	share.copy.Sequence, share.copy.HeadID = before.Sequence, before.HeadID
	share.copy.Committed, share.copy.CommittedID = before.Committed, before.CommittedID
	share.copy.Journal = before.Journal
	share.copy.Condition = protocol.Diverged
	b.m.logger.Error("a copy has diverged and will be made anew", "account", record.Account, "epoch", record.Epoch,
		"sequence", record.Sequence, "why", why)
}

// unjournal removes from the journal the transaction that was read back; its rows are here already. It says why the copy has
// diverged if it has.
func (b *batch) unjournal(tx *metadata.Tx, share *judged, record event.Record) (diverged string, err error) {
	head, ok, err := tx.JournalHead(share.account.mailboxID)
	if err != nil {
		return "", err
	}
	if !ok || head.ID != record.ID {
		return "the log holds another transaction than the journal", nil
	}
	return "", tx.RemoveJournal(share.account.mailboxID, head.Sequence)
}

// writeRows writes what an accepted record does to the rows of the mailbox. It says why the copy has diverged if it has: if the
// record does not fit its rows. Nothing but the database's own failure may hold up the stream, which other accounts live in.
func (b *batch) writeRows(tx *metadata.Tx, share *judged, v protocol.Verdict) (diverged string, err error) {
	delta, err := b.delta(tx, share, v)
	switch {
	case err != nil && mayPass(err):
		return "", err
	case err != nil:
		return err.Error(), nil
	case delta == nil:
		return "", nil
	}
	share.deltas = append(share.deltas, delta)
	return "", tx.Write(share.account.mailboxID, *delta)
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
		if delta, err = mailbox.Leap(rows, share.copy.Sequence); err == nil {
			err = tx.SetValue(leapKey(v.Record.Account), binary.BigEndian.AppendUint64(nil, v.Record.Epoch))
		}
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
		if share.copy.IsPrimary() { // nobody reads the rows of others
			for _, delta := range share.deltas {
				a.m.index.Changed(a.mailboxID, delta)
			}
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
