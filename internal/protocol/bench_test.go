package protocol_test

import (
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/protocol"
)

// BenchmarkAccept is the judgement of one transaction that follows, by a replica, as a batch that is applied does it: on a copy
// of the copy.
func BenchmarkAccept(b *testing.B) {
	c := replicated("b.example", protocol.Complete)
	record := c.Next(event.Change)
	b.ReportAllocs()
	for b.Loop() {
		if v := c.Clone().Judge(record, c.NextOffset); v.Outcome != protocol.Accepted {
			b.Fatalf("got %+v, want it accepted", v)
		}
	}
}

// BenchmarkSkip is the judgement of a repeat.
func BenchmarkSkip(b *testing.B) {
	c := replicated("b.example", protocol.Complete)
	record := c.Next(event.Change)
	if v := c.Judge(record, c.NextOffset); v.Outcome != protocol.Accepted {
		b.Fatalf("got %+v, want it accepted", v)
	}
	b.ReportAllocs()
	for b.Loop() {
		if v := c.Judge(record, c.NextOffset); v.Outcome != protocol.Skipped {
			b.Fatalf("got %+v, want it skipped", v)
		}
	}
}
