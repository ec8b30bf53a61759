package main

import "mailreplica/internal/sim/overlay"

// edit is one replacement in a source file of the module.
type edit struct{ file, old, new string }

func (b break_) overlay() (all []overlay.Edit) {
	for _, e := range b.edits {
		all = append(all, overlay.Edit{File: e.file, Old: e.old, New: e.new})
	}
	return all
}

// break_ takes one rule of the design away from the real code.
type break_ struct {
	name, rule string
	edits      []edit
}

// behind says of breaks that no run is known to find what else keeps them from doing harm, and which tests show that. They are tried all
// the same.
var behind = map[string]string{
	"accept records after the Leave that closed the account": "only the primary appends in that epoch, and it closes with nothing in flight (`TestNothingNewBehindTheLeaveThatCloses`)",
	"pass over holes": "positions are stored with their rows (`TestCommitsThatAreNotSynced`), and batches continue the stream (`TestHole`, `TestBatchesThatDoNotContinue`), so that none arises",
	"take a batch that does not continue the stream": "the reader of the log refuses such a batch before (`TestHole`), and gives none that was fetched for another position (`TestFollowFromOffset`)",
	"do not sync who commits":                        "the log says it again after a loss of power, and what this database decides later is synced behind it (`TestCommitsThatAreNotSynced`)",
	"give a snapshot while a journal exists":         "the destination compares the sequences of rows and header, and refuses (`TestSnapshotWithAJournal`)",
}

const (
	judge    = "internal/protocol/judge.go"
	append_  = "internal/protocol/append.go"
	apply    = "internal/mailstore/apply.go"
	write    = "internal/mailstore/write.go"
	control  = "internal/mailstore/control.go"
	ride     = "internal/mailstore/ride.go"
	opening  = "internal/mailstore/opening.go"
	copy_    = "internal/mailstore/copy.go"
	body     = "internal/mailstore/body.go"
	follow   = "internal/replica/follow.go"
	streams  = "internal/replica/streams.go"
	snapshot = "internal/replica/snapshot.go"
	sqlite   = "internal/metadata/sqlite.go"
	delivery = "internal/mailbox/draft_delivery.go"
)

// breaks are in the order of the rules of the design, section 4.
var breaks = []break_{
	{"accept records of an epoch that is over", "1", []edit{
		{judge, "case r.Epoch < c.Epoch, r.Sequence", "case r.Sequence"}, {judge, "case r.Previous != c.HeadID:", "case false:"}}},
	{"accept a Fence of a mailstore that left and joined again meanwhile", "1", []edit{{judge, " || join != r.Join ||", " ||"}, {judge, "join, member := c", "_, member := c"}}},
	{"accept a second Fence of the same epoch", "1", []edit{
		{judge, "	if r.Epoch <= c.Epoch {\n		return Verdict{}\n	}\n	if r.Epoch > c.Epoch+1 {", "	if r.Epoch < c.Epoch {\n		return Verdict{}\n	}\n	if r.Epoch > c.Epoch+1 {"}}},
	{"accept records after the Leave that closed the account", "1", []edit{{judge, "r.Sequence <= c.Sequence, !c.IsOpen():", "r.Sequence <= c.Sequence:"}}},
	{"close the account while others hold copies", "1", []edit{{judge, "len(c.Members) == 1 && c.IsPrimary()", "len(c.Members) <= 2 && c.IsPrimary()"}}},
	{"pass over holes", "2", []edit{
		{judge, "case r.Epoch > c.Epoch, r.Epoch == c.Epoch && r.Sequence > c.Sequence+1:", "case r.Epoch > c.Epoch:"}, {judge, "case r.Previous != c.HeadID:", "case false:"}}},
	{"take a batch that does not continue the stream", "2", []edit{{follow, "len(entries) > 0 && entries[0].Offset != s.next", "false"}}},
	{"go on at the end of the stream after a restart", "2", []edit{{follow, "		from, leaderEpoch = stored.Offset, stored.LeaderEpoch\n", ""}}},
	{"answer whoever waits for a sequence, whatever record took it", "3", []edit{
		{append_, "v.Outcome == Accepted && v.Record.ID == r.ID:", "v.Outcome == Accepted && v.Record.Sequence >= r.Sequence:"}}},
	{"write the waiter's own rows for whatever record took its sequence", "3", []edit{{ride, "a.pending != nil && a.pending.Records[0].ID == id", "a.pending != nil && a.pending.delta != nil"}}},
	{"answer when the brokers have confirmed, without reading back", "4", []edit{{ride, "				continue // it is in the log: now it is up to the reader\n", "				return true, nil\n"}}},
	{"take an error of the brokers for a refusal", "4", []edit{{ride, "			if time.Since(warned) > warnEvery {", "			if true {\n				return false, notWritten{failure}\n			}\n			if time.Since(warned) > warnEvery {"}}},
	{"compute a change anew when the brokers answer an error", "4", []edit{
		{ride, "			if time.Since(warned) > warnEvery {", "			if a.m.streams.Follow(ctx, c.Stream.Partition) == nil {\n				return false, nil\n			}\n			if time.Since(warned) > warnEvery {"}}},
	{"forget a delivery that was not answered", "4", []edit{{delivery, "		if err != nil || known {\n			return Message{}, known, err\n		}\n", "		if err != nil {\n			return Message{}, known, err\n		}\n		known = false\n"}}},
	{"store the position before the rows it speaks of", "5", []edit{{apply, "	durability := metadata.Lazy\n", "	if position != nil {\n		_ = m.store.Update(ctx, metadata.Lazy, func(tx *metadata.Tx) error { return tx.SetPosition(*position) })\n	}\n	durability := metadata.Lazy\n"}}},
	{"begin to open without noting it", "6", []edit{{opening, "	if err := a.save(ctx, c); err != nil {\n		return record, c, err\n	}\n	a.live = true", "	a.show(c, nil)\n	a.live = true"}}},
	{"resume without noting it", "6", []edit{{append_, "	c.Mode = Resuming\n", ""}}},
	{"do not sync what this database decides", "7", []edit{{sqlite, "		if d == Fsynced {\n			level = \"full\"\n		}\n", ""}}},
	{"do not sync local and journal commits", "7", []edit{{write, "a.m.store.Update(a.m.ctx, metadata.Fsynced,", "a.m.store.Update(a.m.ctx, metadata.Lazy,"}}},
	{"do not sync who commits", "7", []edit{{apply, "		durability = metadata.Fsynced\n", ""}}},
	{"do not sync a copy that was loaded", "7", []edit{
		{copy_, "err := l.m.store.Update(ctx, metadata.Fsynced,", "err := l.m.store.Update(ctx, metadata.Lazy,"}, {copy_, "	err := a.m.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error {\n		if first, open", "	err := a.m.store.Update(ctx, metadata.Lazy, func(tx *metadata.Tx) error {\n		if first, open"}}},
	{"serve after a restart without reading to the end", "8", []edit{{streams, "	return s != nil && s.caughtUp\n", "	_ = s\n	return true\n"}}},
	{"fence with a copy that is not complete", "9", []edit{
		{append_, "	case c.Condition != Complete:\n		return fault.New(fault.Unusable, \"the copy on %s is not complete: it is %s\", c.Self, c.Condition)\n", ""}}},
	{"hand a copy over that has not met the live reader", "9", []edit{{follow, "	if next > read {\n		return false, next, missing, nil\n	}\n", ""}}},
	{"give a snapshot without a Join", "9", []edit{
		{snapshot, "	join, err := a.Join(ctx, destination)\n	if err != nil {\n		return err\n	}\n", "	join := a.Copy().Members[a.Copy().Self]\n"}, {snapshot, "		if c.Members[destination] != join {", "		if false {"}}},
	{"mix the parts of two transactions", "10", []edit{{judge, "c.parts[0].ID != r.ID || int(r.Part)", "int(r.Part)"}, {judge, "if len(c.parts) > 0 && c.parts[0].ID == r.ID {", "if len(c.parts) > 0 {"}}},
	{"store a position within a transaction in parts", "10", []edit{{apply, "	p.Offset = b.storable(p)\n", ""}, {apply, "	p := *position\n", "	p := *position\n	_ = b.storable(p)\n"}}},
	{"accept a Fence while the account is paused", "11", []edit{
		{judge, " || c.IsPaused() && !r.AcceptLoss {", " {"}, {append_, "	case c.IsPaused() && !acceptLoss:", "	case false:"}}},
	{"drop the journal", "11", []edit{{append_, "	case c.Journal > 0:\n		return event.Record{}, fault.New(fault.Busy, \"%d journalled", "	case false:\n		return event.Record{}, fault.New(fault.Busy, \"%d journalled"}, {control, "next := &pending{journal: c.Journal > 0}", "next := &pending{}"}}},
	{"give a snapshot while a journal exists", "11", []edit{{append_, "	case c.IsPaused() || c.Journal > 0:\n		return fault.New(fault.Paused, \"no copy", "	case false:\n		return fault.New(fault.Paused, \"no copy"}, {append_, "	case c.Mode != Log:\n		return fault.New(fault.Unusable, \"the account is not", "	case !c.IsOpen():\n		return fault.New(fault.Unusable, \"the account is not"}}},
	{"remove the body of a change that is in doubt", "blobs", []edit{{body, "	if cause != nil && !NotWritten(cause) {\n		return\n	}\n", ""}}},
}
