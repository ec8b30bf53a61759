package replica

import (
	"bytes"

	"mailreplica/internal/eventlog"
)

// Limits of what a stream remembers for copies that catch up.
const (
	recentEntriesMax = 4_096
	recentBytesMax   = 1 << 20
)

// recent are the last entries of a stream that its live reader has judged, without a hole up to where it is. A copy that is made
// while the stream goes on has missed a few of them, most often; asking the brokers for those would cost more than the copy.
type recent struct {
	entries []eventlog.Entry
	bytes   int
}

// add remembers entries that follow on those remembered.
func (r *recent) add(entries []eventlog.Entry) {
	for _, e := range entries {
		e.Key, e.Value = bytes.Clone(e.Key), bytes.Clone(e.Value) // else a few bytes keep all that was fetched with them
		r.entries = append(r.entries, e)
		r.bytes += len(e.Key) + len(e.Value)
	}
	drop := 0
	for drop < len(r.entries) && (len(r.entries)-drop > recentEntriesMax || r.bytes > recentBytesMax) {
		r.bytes -= len(r.entries[drop].Key) + len(r.entries[drop].Value)
		drop++
	}
	r.entries = r.entries[drop:]
}

// since are the entries from an offset on, nil if not all of them are remembered.
func (r *recent) since(offset int64) []eventlog.Entry {
	if len(r.entries) == 0 || offset < r.entries[0].Offset {
		return nil
	}
	return r.entries[min(offset-r.entries[0].Offset, int64(len(r.entries))):]
}
