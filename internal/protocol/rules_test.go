package protocol_test

import (
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/protocol"
)

// cluster is a home (mbox1) and a replica (mbox2) that read one log, in order, with nothing lost: the ground on which each
// rule is tried by itself.
type cluster struct {
	t             *testing.T
	home, replica *protocol.Copy
	log           []event.Record
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, home: protocol.NewLocal(accountID(0), storeName(0))}
	open, err := c.home.BeginOpening(stream)
	if err != nil {
		t.Fatal(err)
	}
	c.log = append(c.log, open)
	c.accepted(c.home.Judge(open, 0))
	join := c.next(event.Join)
	join.Mailstore = storeName(1)
	c.log = append(c.log, join)
	c.accepted(c.home.Judge(join, 1))
	r := reload(c.home)
	r.Self = storeName(1)
	c.replica = r
	return c
}

func (c *cluster) accepted(v protocol.Verdict) protocol.Verdict {
	c.t.Helper()
	if v.Outcome != protocol.Accepted {
		c.t.Fatalf("got outcome %d, want the record accepted", v.Outcome)
	}
	return v
}

func (c *cluster) next(kind event.Kind) event.Record {
	r := c.home.Next(kind)
	if kind == event.Change {
		r.Payload = []byte("payload")
	}
	return r
}

// give has both copies judge a record at the end of the log, and wants one outcome from both.
func (c *cluster) give(r event.Record, want protocol.Outcome) (home, replica protocol.Verdict) {
	c.t.Helper()
	at := int64(len(c.log))
	c.log = append(c.log, r)
	home, replica = c.home.Judge(r, at), c.replica.Judge(r, at)
	if home.Outcome != want || replica.Outcome != want {
		c.t.Fatalf("%s: got outcomes %d and %d, want %d", r.Kind, home.Outcome, replica.Outcome, want)
	}
	return home, replica
}

func (c *cluster) fence(acceptLoss bool) event.Record {
	c.t.Helper()
	r, err := c.replica.FenceRecord("", acceptLoss)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func TestRule1SequencedRecords(t *testing.T) {
	for _, test := range []struct {
		name  string
		alter func(*event.Record)
		want  protocol.Outcome
	}{
		{"the next", func(*event.Record) {}, protocol.Accepted},
		{"a repeat", func(r *event.Record) { r.Sequence-- }, protocol.Skipped},
		{"of an epoch that ended", func(r *event.Record) { r.Epoch-- }, protocol.Skipped},
		{"rule 2: one beyond the next", func(r *event.Record) { r.Sequence++ }, protocol.Lost},
		{"rule 2: of a later epoch", func(r *event.Record) { r.Epoch++ }, protocol.Lost},
		{"rule 2: after another history", func(r *event.Record) { r.Previous = event.NewID() }, protocol.Lost},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t)
			r := c.next(event.Change)
			test.alter(&r)
			c.give(r, test.want)
			if gap := c.home.Condition == protocol.Gap; gap != (test.want == protocol.Lost) {
				t.Errorf("the copy is %s", c.home.Condition)
			}
		})
	}
}

func TestRule1Fences(t *testing.T) {
	for _, test := range []struct {
		name  string
		alter func(*event.Record)
		want  protocol.Outcome
	}{
		{"of the last Join", func(*event.Record) {}, protocol.Accepted},
		{"of an earlier Join", func(r *event.Record) { r.Join = event.NewID() }, protocol.Skipped},
		{"of no member", func(r *event.Record) { r.Mailstore = storeName(2) }, protocol.Skipped},
		{"of the epoch that is", func(r *event.Record) { r.Epoch-- }, protocol.Skipped},
		{"rule 2: beyond the next epoch", func(r *event.Record) { r.Epoch++ }, protocol.Lost},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t)
			r := c.fence(false)
			test.alter(&r)
			home, replica := c.give(r, test.want)
			if test.want != protocol.Accepted {
				return
			}
			if !home.Deposed || home.Leap || replica.Deposed || !replica.Durable || !c.replica.IsPrimary() || c.home.IsPrimary() {
				t.Errorf("home %+v, replica %+v", home, replica)
			}
		})
	}
}

func TestRule1TheFirstOfTwoFencesWins(t *testing.T) {
	c := newCluster(t)
	first, second := c.fence(false), c.fence(false)
	c.give(first, protocol.Accepted)
	c.give(second, protocol.Skipped)
	late := c.next(event.Change)
	late.Epoch--
	c.give(late, protocol.Skipped)
}

func TestRule1ClosedAccountsAcceptNothing(t *testing.T) {
	c := newCluster(t)
	fence := c.fence(false)
	leave := c.next(event.Leave)
	leave.Mailstore = storeName(1)
	home, replica := c.give(leave, protocol.Accepted)
	if c.home.Mode != protocol.Local || !home.Durable || !replica.Left {
		t.Errorf("home %s, %+v, replica %+v", c.home.Mode, home, replica)
	}
	late := c.next(event.Change)
	for _, r := range []event.Record{fence, late} {
		if v := c.home.Judge(r, int64(len(c.log))); v.Outcome != protocol.Skipped || c.home.Condition != protocol.Complete {
			t.Errorf("%s: got outcome %d and a copy that is %s", r.Kind, v.Outcome, c.home.Condition)
		}
	}
	if err := c.home.MayWrite(false); err != nil {
		t.Errorf("a closed account waits for the log: %v", err)
	}
}

func TestRule2GapsAreUseless(t *testing.T) {
	c := newCluster(t)
	c.replica.MissPosition()
	c.home.MissPosition()
	if c.home.Condition != protocol.Gap {
		t.Fatalf("the copy is %s", c.home.Condition)
	}
	for name, err := range map[string]error{
		"serve": c.home.MayServe(true), "write": c.home.MayWrite(true), "control": c.home.MayControl(true),
		"fence": c.replica.MayFence(true), "give snapshots": c.home.MayGiveSnapshot(),
	} {
		if !fault.Is(err, fault.Unusable) {
			t.Errorf("a copy in gap may %s: %v", name, err)
		}
	}
	if v := c.home.Judge(c.next(event.Change), 2); v.Outcome != protocol.Skipped {
		t.Errorf("a copy in gap judges: %+v", v)
	}
	local := protocol.NewLocal(accountID(1), storeName(0))
	if local.MissPosition(); local.Condition != protocol.Complete {
		t.Errorf("a local account misses nothing in the log, and is %s", local.Condition)
	}
}

func TestRule2AnOpenIsOnlyForItsHome(t *testing.T) {
	c := newCluster(t)
	r := event.Record{
		Kind: event.Open, Account: accountID(0), Epoch: c.home.Epoch + 1, Sequence: c.home.Sequence, ID: event.NewID(),
		Writer: storeName(2), Mailstore: storeName(2), Part: 1, Parts: 1,
	}
	c.give(r, protocol.Lost)
}

func TestRule3OnlyItsOwnIDAnswers(t *testing.T) {
	c := newCluster(t)
	mine, other := c.next(event.Change), c.next(event.Change)
	p := protocol.Pending{Records: []event.Record{mine}}
	if settled, _ := p.Settle(c.home, protocol.Verdict{}); settled {
		t.Error("settled before anything was read")
	}
	v, _ := c.give(other, protocol.Accepted)
	if settled, won := p.Settle(c.home, v); !settled || won {
		t.Errorf("another took the sequence: settled %v, won %v", settled, won)
	}
	again := c.next(event.Change)
	p = protocol.Pending{Records: []event.Record{again}}
	v, _ = c.give(again, protocol.Accepted)
	if settled, won := p.Settle(c.home, v); !settled || !won {
		t.Errorf("its own id was read: settled %v, won %v", settled, won)
	}
	p = protocol.Pending{Records: []event.Record{c.next(event.Change)}}
	v, _ = c.give(c.fence(false), protocol.Accepted)
	if settled, won := p.Settle(c.home, v); !settled || won {
		t.Errorf("a Fence ended the epoch: settled %v, won %v", settled, won)
	}
}

// TestRule4ARefusedFenceIsSettled: it changes no number, so that nothing that is read later would settle it.
func TestRule4ARefusedFenceIsSettled(t *testing.T) {
	c := newCluster(t)
	fence := c.fence(false)
	p := protocol.Pending{Records: []event.Record{fence}}
	if settled, _ := p.Settle(c.replica, protocol.Verdict{}); settled {
		t.Fatal("settled before anything was read")
	}
	_, v := c.give(c.next(event.Pause), protocol.Accepted)
	c.give(fence, protocol.Skipped)
	if settled, won := p.Settle(c.replica, v); !settled || won {
		t.Errorf("got settled %v, won %v, want it lost", settled, won)
	}
}

func TestRule5NoOffsetIsJudgedTwice(t *testing.T) {
	c := newCluster(t)
	c.give(c.next(event.Change), protocol.Accepted)
	before := c.replica.Clone()
	for at, r := range c.log {
		if v := c.replica.Judge(r, int64(at)); v.Outcome != protocol.Skipped {
			t.Errorf("offset %d: got outcome %d", at, v.Outcome)
		}
	}
	if c.replica.Sequence != before.Sequence || c.replica.HeadID != before.HeadID || c.replica.NextOffset != 3 {
		t.Errorf("got %+v, want %+v", c.replica, before)
	}
}

func TestRule6Opening(t *testing.T) {
	c := protocol.NewLocal(accountID(0), storeName(0))
	c.Advance(1, event.NewID())
	open, err := c.BeginOpening(stream)
	if err != nil || c.Mode != protocol.Opening {
		t.Fatalf("got %v, mode %s", err, c.Mode)
	}
	if err := c.MayWrite(true); !fault.Is(err, fault.Busy) {
		t.Errorf("an account that is being opened takes writes: %v", err)
	}
	other, err := c.BeginOpening(protocol.Stream{Partition: 7})
	if err != nil || c.Stream != stream || other.ID == open.ID {
		t.Errorf("after a crash: %v, stream %+v", err, c.Stream)
	}
	if v := c.Judge(open, 5); v.Outcome != protocol.Accepted || !v.Durable || c.Mode != protocol.Log {
		t.Errorf("got %+v, mode %s", v, c.Mode)
	}
	p := protocol.Pending{Records: []event.Record{other}}
	if settled, won := p.Settle(c, protocol.Verdict{}); !settled || won {
		t.Errorf("the second Open: settled %v, won %v", settled, won)
	}
	if v := c.Judge(other, 6); v.Outcome != protocol.Skipped {
		t.Errorf("the second Open: got %+v", v)
	}
}

// TestRule6CancelledOpening has an Open land after its home went on by itself.
func TestRule6CancelledOpening(t *testing.T) {
	c := protocol.NewLocal(accountID(0), storeName(0))
	c.Advance(1, event.NewID())
	if err := c.CancelOpening(); !fault.Is(err, fault.Busy) {
		t.Errorf("cancelling what has not begun: %v, want kind %q", err, fault.Busy)
	}
	open, err := c.BeginOpening(stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CancelOpening(); err != nil || c.MayWrite(false) != nil || c.Epoch != open.Epoch {
		t.Errorf("cancelled: %v, then %+v", err, c)
	}
	again, err := c.BeginOpening(stream)
	if err != nil || again.Epoch != open.Epoch+1 {
		t.Errorf("the next Open is %+v, %v, want one of epoch %d", again, err, open.Epoch+1)
	}
	if v := c.Judge(open, 10); v.Outcome != protocol.Skipped {
		t.Errorf("the Open that was cancelled: outcome %d, want %d", v.Outcome, protocol.Skipped)
	}
	if v := c.Judge(again, 11); v.Outcome != protocol.Accepted || c.Mode != protocol.Log {
		t.Errorf("the other: outcome %d, mode %s", v.Outcome, c.Mode)
	}
}

func TestRule8NothingIsServedBeforeTheEnd(t *testing.T) {
	c := newCluster(t)
	if err := c.home.MayServe(false); !fault.Is(err, fault.NotReady) {
		t.Errorf("home, before the end: %v", err)
	}
	if err := c.home.MayServe(true); err != nil {
		t.Errorf("home, at the end: %v", err)
	}
	if err := c.replica.MayServe(true); !fault.Is(err, fault.NotHome) {
		t.Errorf("replica: %v", err)
	}
}

func TestRule9WhoMayFence(t *testing.T) {
	for _, test := range []struct {
		name  string
		alter func(c *protocol.Copy)
		want  fault.Kind
	}{
		{"catching up", func(c *protocol.Copy) { c.Condition = protocol.CatchingUp }, fault.Unusable},
		{"diverged", func(c *protocol.Copy) { c.Condition = protocol.Diverged }, fault.Unusable},
		{"home already", func(c *protocol.Copy) { c.Primary = c.Self }, fault.Invalid},
		{"no member", func(c *protocol.Copy) { delete(c.Members, c.Self) }, fault.Unusable},
		{"paused", func(c *protocol.Copy) { c.Mode = protocol.Paused }, fault.Paused},
	} {
		c := newCluster(t)
		test.alter(c.replica)
		if r, err := c.replica.FenceRecord("", false); !fault.Is(err, test.want) {
			t.Errorf("%s: got %+v, %v, want %s", test.name, r, err, test.want)
		}
	}
}

func TestAJoinVoidsTheCopyThatWas(t *testing.T) {
	c := newCluster(t)
	fence := c.fence(false)
	join := c.next(event.Join)
	join.Mailstore = storeName(1)
	c.give(join, protocol.Accepted)
	if c.replica.Condition != protocol.Initialising || c.home.Condition != protocol.Complete {
		t.Errorf("replica %s, home %s", c.replica.Condition, c.home.Condition)
	}
	if v := c.home.Judge(fence, 9); v.Outcome != protocol.Skipped {
		t.Errorf("the Fence of an attempt that is over: %+v", v)
	}
}

func TestADeleteEndsEveryCopy(t *testing.T) {
	c := newCluster(t)
	home, replica := c.give(c.next(event.Delete), protocol.Accepted)
	if !home.Deleted || !replica.Deleted || !home.Durable {
		t.Errorf("home %+v, replica %+v", home, replica)
	}
}

func TestSnapshotsAreGivenOfOpenCompleteCopies(t *testing.T) {
	c := newCluster(t)
	if err := c.home.MayGiveSnapshot(); err != nil {
		t.Error(err)
	}
	if err := protocol.NewLocal(accountID(0), storeName(0)).MayGiveSnapshot(); !fault.Is(err, fault.Unusable) {
		t.Errorf("of a local account: %v", err)
	}
}

func TestLocalCommitsMoveBothHeads(t *testing.T) {
	c := protocol.NewLocal(accountID(0), storeName(0))
	id := event.NewID()
	r := c.Next(event.Change)
	if r.Sequence != 1 || r.Epoch != c.Epoch {
		t.Errorf("got %+v", r)
	}
	c.Advance(r.Sequence, id)
	if c.Sequence != 1 || c.Committed != 1 || c.HeadID != id || c.CommittedID != id || c.Journal != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestModesAndConditionsHaveNames(t *testing.T) {
	for m, want := range map[protocol.Mode]string{
		protocol.Local: "local", protocol.Opening: "opening", protocol.Log: "log", protocol.Paused: "paused",
		protocol.Resuming: "resuming", 9: "unknown",
	} {
		if got := m.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for c, want := range map[protocol.Condition]string{
		protocol.Initialising: "initialising", protocol.CatchingUp: "catching up", protocol.Complete: "complete",
		protocol.Gap: "gap", protocol.Diverged: "diverged", 9: "unknown",
	} {
		if got := c.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
