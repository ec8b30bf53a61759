package event_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// TestDecodeRefusesEveryTruncation: no prefix of an encoding is an encoding, and nothing may follow one.
func TestDecodeRefusesEveryTruncation(t *testing.T) {
	refuse := func(name string, b []byte, decode func([]byte) error) {
		t.Helper()
		for n := range b {
			if err := decode(b[:n]); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s, first %d of %d bytes: got %v, want Invalid", name, n, len(b), err)
			}
		}
		if err := decode(append(bytes.Clone(b), 0)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s and a byte: got %v, want Invalid", name, err)
		}
	}
	for name, r := range records() {
		refuse(name, r.Encode(), func(b []byte) error { _, err := event.Decode(b); return err })
	}
	b, err := event.EncodeChange(mailbox.Change{Effects: effects()})
	if err != nil {
		t.Fatal(err)
	}
	refuse("change", b, func(b []byte) error { _, err := event.DecodeChange(b); return err })
	for _, row := range rows() {
		b, err := event.EncodeRow(row)
		if err != nil {
			t.Fatal(err)
		}
		refuse(typeName(row), b, func(b []byte) error { _, err := event.DecodeRow(b); return err })
	}
}

func TestDecodeRefusesRecordsThatBreakARule(t *testing.T) {
	for _, test := range []struct {
		name, of string
		spoil    func(*event.Record)
	}{
		{"kind zero", "change", func(r *event.Record) { r.Kind = 0 }},
		{"unknown kind", "pause", func(r *event.Record) { r.Kind = event.Delete + 1 }},
		{"no account", "change", func(r *event.Record) { r.Account = account.ID{} }},
		{"no id", "change", func(r *event.Record) { r.ID = event.ID{} }},
		{"epoch zero", "change", func(r *event.Record) { r.Epoch = 0 }},
		{"epoch too large", "change", func(r *event.Record) { r.Epoch = 1 << 63 }},
		{"sequence zero", "change", func(r *event.Record) { r.Sequence = 0 }},
		{"sequence too large", "change", func(r *event.Record) { r.Sequence = 1 << 63 }},
		{"sequence of a fence", "fence", func(r *event.Record) { r.Sequence = 1 }},
		{"previous of a fence", "fence", func(r *event.Record) { r.Previous = id(1) }},
		{"previous of an open", "open", func(r *event.Record) { r.Previous = id(1) }},
		{"no writer", "change", func(r *event.Record) { r.Writer = "" }},
		{"long writer", "change", func(r *event.Record) { r.Writer = strings.Repeat("a", 256) }},
		{"no mailstore", "join", func(r *event.Record) { r.Mailstore = "" }},
		{"long mailstore", "join", func(r *event.Record) { r.Mailstore = strings.Repeat("a", 256) }},
		{"mailstore of a change", "change", func(r *event.Record) { r.Mailstore = "mbox2.example.com" }},
		{"no join", "fence", func(r *event.Record) { r.Join = event.ID{} }},
		{"join of a leave", "leave", func(r *event.Record) { r.Join = id(1) }},
		{"acceptLoss of a change", "change", func(r *event.Record) { r.AcceptLoss = true }},
		{"operation of a change", "change", func(r *event.Record) { r.Operation = "x" }},
		{"long operation", "fence", func(r *event.Record) { r.Operation = strings.Repeat("a", 37) }},
		{"part zero", "change", func(r *event.Record) { r.Part = 0 }},
		{"part beyond parts", "part", func(r *event.Record) { r.Part = 4 }},
		{"too many parts", "part", func(r *event.Record) { r.Parts = 1000 }},
		{"parts of a pause", "pause", func(r *event.Record) { r.Parts = 2 }},
		{"payload of a pause", "pause", func(r *event.Record) { r.Payload = []byte{1} }},
		{"no payload", "change", func(r *event.Record) { r.Payload = nil }},
		{"payload too large", "change", func(r *event.Record) { r.Payload = make([]byte, event.PartBytesMax+1) }},
	} {
		r := records()[test.of]
		if err := r.Check(); err != nil {
			t.Errorf("%s before: %v", test.name, err)
		}
		test.spoil(&r)
		if err := r.Check(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: Check got %v, want Invalid", test.name, err)
		}
		if got, err := event.Decode(r.Encode()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: Decode got %+v, %v, want Invalid", test.name, got, err)
		}
	}
}

func TestDecodeRefusesOtherVersions(t *testing.T) {
	r := records()["change"]
	b := r.Encode()
	b[0]++
	if _, err := event.Decode(b); !fault.Is(err, fault.Invalid) {
		t.Errorf("record: got %v, want Invalid", err)
	}
	if kind := event.PeekKind(b); kind != 0 {
		t.Errorf("PeekKind: got %s, want none", kind)
	}
	c, err := event.EncodeChange(mailbox.Change{})
	if err != nil {
		t.Fatal(err)
	}
	c[0]++
	if _, err := event.DecodeChange(c); !fault.Is(err, fault.Invalid) {
		t.Errorf("change: got %v, want Invalid", err)
	}
}

func TestEncodeRefusesWhatBreaksARule(t *testing.T) {
	for _, test := range []struct {
		name   string
		effect mailbox.Effect
		want   fault.Kind
	}{
		{"nothing", nil, fault.Invalid},
		{"a pointer", &mailbox.RemoveFolder{}, fault.Invalid},
		{"UID zero", mailbox.Expunge{UIDs: []mailbox.UID{0}}, fault.Invalid},
		{"UIDs descend", mailbox.Expunge{UIDs: []mailbox.UID{2, 1}}, fault.Invalid},
		{"UID twice", mailbox.SetFlags{UIDs: []mailbox.UID{2, 2}}, fault.Invalid},
		{"keywords descend", mailbox.SetFlags{Flags: mailbox.Flags{Keywords: []string{"b", "a"}}}, fault.Invalid},
		{"unknown system flag", mailbox.SetFlags{Flags: mailbox.Flags{System: 1 << 6}}, fault.Invalid},
		{"sequence", mailbox.PruneTombstones{UpTo: 1 << 63}, fault.Invalid},
		{"long name", mailbox.PutSubscription{Name: strings.Repeat("a", 1<<20)}, fault.TooLarge},
		{"id zero", mailbox.RemoveDiscarded{ContentIDs: []mailbox.ItemID{0}}, fault.Invalid},
		{"ids descend", mailbox.RemoveDiscarded{ContentIDs: []mailbox.ItemID{2, 1}}, fault.Invalid},
		{"id twice", mailbox.RemoveDiscarded{ContentIDs: []mailbox.ItemID{2, 2}}, fault.Invalid},
		{"many UIDs", mailbox.Expunge{UIDs: uids(1, event.ChangeUIDsMax+1)}, fault.TooLarge},
	} {
		if b, err := event.EncodeChange(mailbox.Change{Effects: []mailbox.Effect{test.effect}}); !fault.Is(err, test.want) {
			t.Errorf("%s: got %x, %v, want %s", test.name, b, err, test.want)
		}
	}
	if b, err := event.EncodeRow("INBOX"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a string as row: got %x, %v, want Invalid", b, err)
	}
}

// TestUIDBombIsRefused: a few bytes cannot make a reader allocate gigabytes.
func TestUIDBombIsRefused(t *testing.T) {
	half := mailbox.Expunge{FolderID: 1, UIDs: uids(1, event.ChangeUIDsMax/2)}
	b, err := event.EncodeChange(mailbox.Change{Effects: []mailbox.Effect{half, half}})
	if err != nil {
		t.Fatalf("the limit itself: %v", err)
	}
	if len(b) > 40 {
		t.Errorf("two runs take %d bytes, want at most 40", len(b))
	}
	run := b[18 : 18+(len(b)-18)/2]
	bomb := append(bytes.Clone(b), run...)
	bomb[17] = 3 // effects
	if _, err := event.DecodeChange(bomb); !fault.Is(err, fault.Invalid) {
		t.Errorf("three runs: got %v, want Invalid", err)
	}
}

func TestUIDListsRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var list []mailbox.UID
		uid := uint64(0)
		for range random.IntN(60) {
			uid += 1 + uint64(random.ExpFloat64())*uint64(random.IntN(3))<<random.IntN(27)
			if uid > 1<<32-1 {
				break
			}
			list = append(list, mailbox.UID(uid))
		}
		want := mailbox.Change{Effects: []mailbox.Effect{mailbox.Expunge{FolderID: 1, UIDs: list}}}
		b, err := event.EncodeChange(want)
		if err != nil {
			t.Fatalf("%v: %v", list, err)
		}
		if got, err := event.DecodeChange(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
	}
}

func TestPutMessageLeavesModSeqToTheSequence(t *testing.T) {
	m := message(1)
	m.ModSeq = 299
	b, err := event.EncodeChange(mailbox.Change{Effects: []mailbox.Effect{mailbox.PutMessage{Message: m}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := event.DecodeChange(b)
	if err != nil {
		t.Fatal(err)
	}
	if seq := got.Effects[0].(mailbox.PutMessage).Message.ModSeq; seq != 0 {
		t.Errorf("ModSeq %d travelled, want 0", seq)
	}
}

func TestDecodedSharesNoMemory(t *testing.T) {
	want := records()["part"]
	b := want.Encode()
	got, err := event.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v after the input was reused, want %+v", got, want)
	}
}

func TestSplit(t *testing.T) {
	base := records()["change"]
	for _, test := range []struct{ bytes, parts int }{
		{1, 1}, {event.PartBytesMax, 1}, {event.PartBytesMax + 1, 2}, {3 * event.PartBytesMax, 3},
	} {
		payload := make([]byte, test.bytes)
		payload[test.bytes-1] = 1
		parts := event.Split(base, payload)
		if len(parts) != test.parts {
			t.Errorf("%d bytes: got %d parts, want %d", test.bytes, len(parts), test.parts)
		}
		var joined []byte
		for i, p := range parts {
			if err := p.Check(); err != nil {
				t.Errorf("%d bytes, part %d: %v", test.bytes, i+1, err)
			}
			if int(p.Part) != i+1 || int(p.Parts) != test.parts || p.ID != base.ID || p.Sequence != base.Sequence {
				t.Errorf("%d bytes: part %d is %d of %d, id %s, sequence %d", test.bytes, i+1, p.Part, p.Parts, p.ID, p.Sequence)
			}
			joined = append(joined, p.Payload...)
		}
		if !bytes.Equal(joined, payload) {
			t.Errorf("%d bytes: the parts are not the payload", test.bytes)
		}
	}
}

// TestLargestChangeHasValidParts: as many parts as the largest change needs, and not one more.
func TestLargestChangeHasValidParts(t *testing.T) {
	r := records()["part"]
	r.Parts = (event.ChangeBytesMax + event.PartBytesMax - 1) / event.PartBytesMax
	if err := r.Check(); err != nil {
		t.Errorf("%d parts: %v", r.Parts, err)
	}
	r.Parts++
	if err := r.Check(); !fault.Is(err, fault.Invalid) {
		t.Errorf("%d parts: got %v, want Invalid", r.Parts, err)
	}
}

func TestKey(t *testing.T) {
	want := accountID()
	if got, ok := event.ParseKey(event.Key(want)); !ok || got != want {
		t.Errorf("got %s, %v, want %s", got, ok, want)
	}
	for _, key := range [][]byte{nil, make([]byte, 15), make([]byte, 17)} {
		if _, ok := event.ParseKey(key); ok {
			t.Errorf("a key of %d bytes is taken for an account", len(key))
		}
	}
}

func TestPeekKind(t *testing.T) {
	for name, r := range records() {
		if got := event.PeekKind(r.Encode()); got != r.Kind {
			t.Errorf("%s: got %s, want %s", name, got, r.Kind)
		}
	}
	for _, b := range [][]byte{nil, {1}, {1, 9}, {2, 1}} {
		if got := event.PeekKind(b); got != 0 {
			t.Errorf("%x: got %s, want none", b, got)
		}
	}
}

// TestDeliveredMessageIsSmall: the event of a usual message of 8 KB is at most 1 KB.
func TestDeliveredMessageIsSmall(t *testing.T) {
	b, err := event.EncodeChange(delivered())
	if err != nil {
		t.Fatal(err)
	}
	r := records()["change"]
	r.Payload = b
	if n := len(r.Encode()); n > 1024 {
		t.Errorf("the event takes %d bytes, want at most 1024", n)
	} else {
		t.Logf("%d bytes", n)
	}
}

func BenchmarkEncodeDelivered(b *testing.B) {
	change, r := delivered(), records()["change"]
	b.ReportAllocs()
	for b.Loop() {
		payload, err := event.EncodeChange(change)
		if err != nil {
			b.Fatal(err)
		}
		r.Payload = payload
		b.SetBytes(int64(len(r.Encode())))
	}
}

func BenchmarkDecodeDelivered(b *testing.B) {
	payload, err := event.EncodeChange(delivered())
	if err != nil {
		b.Fatal(err)
	}
	r := records()["change"]
	r.Payload = payload
	encoded := r.Encode()
	b.SetBytes(int64(len(encoded)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := event.Decode(encoded)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := event.DecodeChange(r.Payload); err != nil {
			b.Fatal(err)
		}
	}
}
