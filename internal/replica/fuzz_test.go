package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// unpacking serves every run of a target, as one serves all snapshots of a mailstore.
var unpacking = newFrames()

// readAll reads a stream as take does, without a database.
func readAll(stream []byte) (rows int, err error) {
	in := newSnapshotReader(bytes.NewReader(stream), unpacking)
	var h snapshotHeader
	if err := in.json(chunkHeader, &h); err != nil {
		return 0, err
	}
	for {
		kind, chunk, err := in.chunk()
		if err != nil {
			return rows, err
		}
		if kind != chunkRows {
			return rows, unmarshal(chunk, &snapshotEnd{})
		}
		var decoded event.Rows
		if err := decodeRows(chunk, &decoded); err != nil {
			return rows, err
		}
		rows += decoded.Len()
	}
}

// newChunks makes chunks as a writer does, of any content.
func newChunks(t testing.TB) func(kind byte, content []byte) []byte {
	t.Helper()
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = encoder.Close() })
	return func(kind byte, content []byte) []byte {
		frame := encoder.EncodeAll(content, nil)
		return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(frame))), frame...)
	}
}

// rowOf is a row as it stands in a chunk.
func rowOf(t testing.TB, row event.Row) []byte {
	t.Helper()
	encoded, err := event.EncodeRow(row)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.AppendUvarint(nil, uint64(len(encoded))), encoded...)
}

// FuzzSnapshot reads anything. raw is the stream as it comes; otherwise the input is the content of two chunks, behind a good header, so
// that what is inside the frames is fuzzed too.
func FuzzSnapshot(f *testing.F) {
	chunkOf := newChunks(f)
	header := chunkOf(chunkHeader, []byte("{}"))
	rows := append(rowOf(f, mailbox.Folder{ID: 1, Name: "INBOX"}), rowOf(f, event.Subscription{Name: "a"})...)
	f.Add(true, append(append(bytes.Clone(header), chunkOf(chunkRows, rows)...), chunkOf(chunkEnd, []byte(`{"Rows":2}`))...), []byte{})
	f.Add(true, append(bytes.Clone(header), 'r', 0xff, 0xff, 0xff, 0xff), []byte{})
	f.Add(true, append(bytes.Clone(header), chunkOf(chunkRows, make([]byte, 1<<20))...), []byte{})
	f.Add(false, rows, []byte(`{"Rows":2}`))
	f.Add(false, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, []byte("{"))
	f.Fuzz(func(t *testing.T, raw bool, first, second []byte) {
		stream := first
		if !raw {
			stream = append(append(bytes.Clone(header), chunkOf(chunkRows, first)...), chunkOf(chunkEnd, second)...)
		}
		if _, err := readAll(stream); err != nil {
			var known *fault.Error
			if !errors.As(err, &known) || known.Kind == fault.Internal {
				t.Errorf("got %v", err)
			}
		}
	})
}

// TestSnapshotMemory reads streams that are made to cost much. What a reader allocates is bounded by what it was sent, and of a
// chunk that decompresses to far more, by the limits alone.
func TestSnapshotMemory(t *testing.T) {
	chunkOf := newChunks(t)
	header := chunkOf(chunkHeader, []byte("{}"))
	fill := func(row event.Row, bytesMin int) []byte {
		one := rowOf(t, row)
		return bytes.Repeat(one, (bytesMin+len(one)-1)/len(one))
	}
	large := rowOf(t, mailbox.Content{ID: 1, Summary: make([]byte, 64<<20)})
	for name, test := range map[string]struct {
		chunk     []byte
		rows      int // at least; 0: the stream is refused
		allocated uint64
	}{
		"a length and nothing more":  {[]byte{chunkRows, 0x04, 0xff, 0xff, 0xff}, 0, 2 << 20},
		"the longest chunk of NULs":  {chunkOf(chunkRows, make([]byte, 80<<20)), 0, 90 << 20},
		"a bomb":                     {chunkOf(chunkRows, make([]byte, 200<<20)), 0, 90 << 20},
		"a chunk of small rows":      {chunkOf(chunkRows, fill(event.Subscription{}, snapshotChunkBytes)), 349_000, 64 << 20},
		"a chunk of folders":         {chunkOf(chunkRows, fill(mailbox.Folder{}, snapshotChunkBytes)), 60_000, 64 << 20},
		"a chunk of messages":        {chunkOf(chunkRows, fill(mailbox.Message{}, snapshotChunkBytes)), 60_000, 64 << 20},
		"a row too many":             {chunkOf(chunkRows, append(fill(event.Subscription{}, snapshotChunkBytes), rowOf(t, event.Subscription{})...)), 0, 64 << 20},
		"the largest row":            {chunkOf(chunkRows, large), 1, 200 << 20},
		"the largest row and others": {chunkOf(chunkRows, append(large, rowOf(t, event.Subscription{})...)), 0, 200 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			stream := append(bytes.Clone(header), test.chunk...)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			rows, err := readAll(stream)
			runtime.ReadMemStats(&after)
			if test.rows == 0 && rows > 0 || rows < test.rows || fault.KindOf(err) == fault.Internal {
				t.Errorf("%d rows, %v; want %d", rows, err, test.rows)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > test.allocated {
				t.Errorf("%d MiB were allocated, want at most %d", got>>20, test.allocated>>20)
			}
		})
	}
}
