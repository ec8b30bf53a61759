package event_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// allocated is how much a function allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// smallest is the smallest encoding of an effect, behind its tag.
func smallest(t *testing.T, e mailbox.Effect) []byte {
	t.Helper()
	b, err := event.EncodeChange(mailbox.Change{Effects: []mailbox.Effect{e}})
	if err != nil {
		t.Fatal(err)
	}
	return b[headBytes:]
}

const headBytes = 1 + 16 + 1 // of a change of less than 128 effects: version, digest, count

// TestMemoryOfAChange decodes changes that are all of one small effect: a reader allocates at most 24 times what it is given, and
// 64 MiB for UIDs, which are listed in runs.
func TestMemoryOfAChange(t *testing.T) {
	bound := func(b []byte) uint64 { return 24*uint64(len(b)) + 64<<20 }
	const size = 4 << 20
	small := map[string][]byte{}
	for _, e := range []mailbox.Effect{
		mailbox.SetCounters{}, mailbox.PutFolder{}, mailbox.RemoveFolder{}, mailbox.PutContent{}, mailbox.RemoveContent{}, mailbox.PutMessage{},
		mailbox.SetFlags{}, mailbox.Expunge{}, mailbox.PruneTombstones{}, mailbox.PutSubscription{}, mailbox.RemoveSubscription{},
		mailbox.PutDelivery{}, mailbox.RemoveDelivery{}, mailbox.DiscardContent{}, mailbox.RemoveDiscarded{},
		mailbox.SetFlags{UIDs: uids(1, 1), Flags: mailbox.Flags{Keywords: []string{"", "\x00", "\x01"}}},
	} {
		one := smallest(t, e)
		n := size / len(one)
		head := binary.AppendUvarint(make([]byte, headBytes-1), uint64(n))
		head[0] = 1
		small[fmt.Sprintf("%T %d", e, len(one))] = append(head, bytes.Repeat(one, n)...)
	}
	for name, b := range small {
		var err error
		var change mailbox.Change
		if got := allocated(func() { change, err = event.DecodeChange(b) }); err != nil || len(change.Effects) < 1000 || got > bound(b) {
			t.Errorf("%s: %d effects, %v; %d times the bytes were allocated", name, len(change.Effects), err, got/uint64(len(b)))
		}
	}
	// What is refused costs no more.
	lie := append(binary.AppendUvarint(append([]byte{1}, make([]byte, 16)...), size-100), bytes.Repeat([]byte{0xff}, size)...)
	if got := allocated(func() { _, _ = event.DecodeChange(lie) }); got > bound(lie) {
		t.Errorf("a count that lies: %d bytes for %d", got, len(lie))
	}
	most, err := event.EncodeChange(mailbox.Change{Effects: []mailbox.Effect{mailbox.Expunge{FolderID: 1, UIDs: uids(1, event.ChangeUIDsMax)}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := allocated(func() { _, err = event.DecodeChange(most) }); err != nil || got > bound(most) {
		t.Errorf("%d UIDs: %d MiB were allocated, %v", event.ChangeUIDsMax, got>>20, err)
	}
}

// TestFieldsAtTheirLimits goes to each limit of a record and of a change, and one beyond.
func TestFieldsAtTheirLimits(t *testing.T) {
	record := func(change func(*event.Record)) func() error {
		return func() error {
			r := records()["change"]
			change(&r)
			if err := r.Check(); err != nil {
				return err
			}
			_, err := event.Decode(r.Encode())
			return err
		}
	}
	effects := func(e ...mailbox.Effect) func() error {
		return func() error {
			b, err := event.EncodeChange(mailbox.Change{Effects: e})
			if err == nil {
				_, err = event.DecodeChange(b)
			}
			return err
		}
	}
	keywords := func(n int) mailbox.Flags {
		var f mailbox.Flags
		for i := range n {
			f.Keywords = append(f.Keywords, string(binary.BigEndian.AppendUint32(nil, uint32(i))))
		}
		return f
	}
	const maxParts = (event.ChangeBytesMax + event.PartBytesMax - 1) / event.PartBytesMax
	for name, test := range map[string]struct {
		limit, beyond func() error
		kind          fault.Kind
	}{
		"writer": {record(func(r *event.Record) { r.Writer = strings.Repeat("w", 255) }), record(func(r *event.Record) { r.Writer = strings.Repeat("w", 256) }), fault.Invalid},
		"payload": {record(func(r *event.Record) { r.Payload = make([]byte, event.PartBytesMax) }),
			record(func(r *event.Record) { r.Payload = make([]byte, event.PartBytesMax+1) }), fault.Invalid},
		"parts":    {record(func(r *event.Record) { r.Parts = maxParts }), record(func(r *event.Record) { r.Parts = maxParts + 1 }), fault.Invalid},
		"epoch":    {record(func(r *event.Record) { r.Epoch = 1<<63 - 1 }), record(func(r *event.Record) { r.Epoch = 1 << 63 }), fault.Invalid},
		"sequence": {record(func(r *event.Record) { r.Sequence = 1<<63 - 1 }), record(func(r *event.Record) { r.Sequence = 1 << 63 }), fault.Invalid},
		"text": {effects(mailbox.PutSubscription{Name: strings.Repeat("x", 64<<10)}), effects(mailbox.PutSubscription{Name: strings.Repeat("x", 64<<10+1)}),
			fault.TooLarge},
		"summary": {effects(mailbox.PutContent{Content: mailbox.Content{Summary: make([]byte, 64<<20)}}),
			effects(mailbox.PutContent{Content: mailbox.Content{Summary: make([]byte, 64<<20+1)}}), fault.TooLarge},
		"keywords": {effects(mailbox.SetFlags{Flags: keywords(64 << 10)}), effects(mailbox.SetFlags{Flags: keywords(64<<10 + 1)}), fault.TooLarge},
		"UIDs": {effects(mailbox.Expunge{UIDs: uids(1, event.ChangeUIDsMax)}), effects(mailbox.Expunge{UIDs: uids(1, event.ChangeUIDsMax)}, mailbox.Expunge{UIDs: uids(1, 1)}),
			fault.TooLarge},
	} {
		if err := test.limit(); err != nil {
			t.Errorf("%s: at the limit: %v", name, err)
		}
		if err := test.beyond(); !fault.Is(err, test.kind) {
			t.Errorf("%s: beyond the limit: got %v, want kind %q", name, err, test.kind)
		}
	}
}
