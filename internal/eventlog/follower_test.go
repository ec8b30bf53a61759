package eventlog

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestHole has a fetch that leaves records out, as no broker should give: what comes before the hole is delivered, and then that the
// position is gone. So whoever applies batches is never given one that does not continue the stream, whatever the brokers do.
func TestHole(t *testing.T) {
	f := newFollower(&Reader{ctx: t.Context()}, 3, 5)
	defer f.cancel()
	fetched := []*kgo.Record{{Offset: 4}, {Offset: 5}, {Offset: 6}, {Offset: 8}, {Offset: 9}} // a fetch begins with whole batches
	if err := f.offer(fetched, 0); !errors.Is(err, ErrOffsetGone) {
		t.Errorf("got %v, want %v", err, ErrOffsetGone)
	}
	entries, _ := f.take()
	if len(entries) != 2 || entries[0].Offset != 5 || entries[1].Offset != 6 {
		t.Errorf("got %+v, want those before the hole", entries)
	}
	if err := f.offer(fetched[3:], 0); !errors.Is(err, ErrOffsetGone) {
		t.Errorf("behind the hole: got %v, want %v", err, ErrOffsetGone)
	}
}
