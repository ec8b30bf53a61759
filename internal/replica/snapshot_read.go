package replica

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"unsafe"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/protocol"
)

// take loads a snapshot and returns the copy, registered and catching up. progress is told how many rows are loaded. It closes r.
func (g *Agent) take(ctx context.Context, id account.ID, r io.ReadCloser, progress func(rows int64)) (*mailstore.Account, error) {
	defer r.Close()
	in := newSnapshotReader(r, g.frames)
	var h snapshotHeader
	if err := in.json(chunkHeader, &h); err != nil {
		return nil, err
	}
	if h.Version != snapshotVersion || h.Account != id || h.Members[g.m.Self()] != h.Join {
		return nil, fault.New(fault.Unusable, "the snapshot is not one of account %s for %s, version %d", id, g.m.Self(), snapshotVersion)
	}
	loading, err := g.m.Load(ctx, h.copy(g.m.Self()))
	if err != nil {
		return nil, err
	}
	if err := loadAll(ctx, loading, in, r, progress); err != nil {
		return nil, joinAbort(ctx, loading, err)
	}
	a, err := loading.Finish(ctx, h.MailboxHead)
	if err != nil {
		return nil, joinAbort(ctx, loading, err)
	}
	return a, nil
}

// loadAll loads chunks of rows until the end. While one is loaded the next are read and decoded.
func loadAll(ctx context.Context, l *mailstore.Loading, in *snapshotReader, from io.Closer, progress func(int64)) (err error) {
	ahead := make(chan *event.Rows, snapshotChunksAhead)
	free := make(chan *event.Rows, snapshotChunksAhead+2)
	stop := make(chan struct{})
	var read error // may be looked at when ahead is closed
	go func() {
		defer close(ahead)
		read = in.rows(ahead, free, stop)
	}()
	loaded := int64(0)
	for rows := range ahead {
		if err = l.Rows(ctx, rows); err != nil {
			break
		}
		loaded += int64(rows.Len())
		progress(loaded)
		rows.Reset()
		free <- rows // there are no more than have room in it
	}
	if err != nil { // the reader may wait for room, or for its source
		close(stop)
		_ = from.Close()
		for range ahead {
		}
		return err
	}
	return read
}

func joinAbort(ctx context.Context, l *mailstore.Loading, err error) error {
	if aborted := l.Abort(context.WithoutCancel(ctx)); aborted != nil {
		return fault.Wrap(fault.KindOf(err), aborted, "%s; what was loaded could not be removed", fault.Message(err))
	}
	return err
}

// copy is what a reader of the log keeps of the copy that the snapshot makes.
func (h *snapshotHeader) copy(self string) *protocol.Copy {
	return &protocol.Copy{
		Account: h.Account, Self: self, Condition: protocol.CatchingUp, Mode: protocol.Log, Epoch: h.Epoch, Primary: h.Primary,
		Members: h.Members, Stream: h.Stream, Sequence: h.Sequence, HeadID: h.HeadID, NextOffset: h.NextOffset,
		Committed: h.Sequence, CommittedID: h.HeadID,
	}
}

type snapshotReader struct {
	r      *bufio.Reader
	frames frames
	frame  bytes.Buffer // of the chunk, as it came
	count  int64
}

func newSnapshotReader(r io.Reader, f frames) *snapshotReader {
	return &snapshotReader{r: bufio.NewReaderSize(r, 64<<10), frames: f}
}

// chunk reads one chunk and checks its checksum.
func (s *snapshotReader) chunk() (kind byte, chunk []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return 0, nil, fault.Wrap(fault.Interrupted, err, "the snapshot broke off")
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > snapshotChunkBytesMax {
		return 0, nil, fault.New(fault.TooLarge, "a chunk of the snapshot has %d bytes; the limit is %d", size, snapshotChunkBytesMax)
	}
	s.frame.Reset() // it grows with what comes: a length alone costs nothing
	if _, err := io.CopyN(&s.frame, s.r, int64(size)); err != nil {
		return 0, nil, fault.Wrap(fault.Interrupted, err, "the snapshot broke off")
	}
	if chunk, err = s.frames.unpack(s.frame.Bytes()); err != nil {
		return 0, nil, fault.Wrap(fault.Unusable, err, "a chunk of the snapshot is damaged")
	}
	return head[0], chunk, nil
}

func (s *snapshotReader) json(want byte, v any) error {
	kind, chunk, err := s.chunk()
	if err != nil {
		return err
	}
	if kind != want {
		return fault.New(fault.Unusable, "the snapshot has a chunk %q where %q was to come", kind, want)
	}
	return unmarshal(chunk, v)
}

func unmarshal(chunk []byte, v any) error {
	if err := json.Unmarshal(chunk, v); err != nil {
		return fault.Wrap(fault.Unusable, err, "the snapshot cannot be read")
	}
	return nil
}

// rows reads chunks of rows until the end, and passes them on. free gives rows to be used again.
func (s *snapshotReader) rows(ahead chan<- *event.Rows, free <-chan *event.Rows, stop <-chan struct{}) error {
	for {
		kind, chunk, err := s.chunk()
		if err != nil {
			return err
		}
		if kind == chunkEnd {
			var end snapshotEnd
			if err := unmarshal(chunk, &end); err != nil {
				return err
			}
			if end.Rows != s.count {
				return fault.New(fault.Unusable, "the snapshot has %d rows, %d arrived", end.Rows, s.count)
			}
			return nil
		}
		if kind != chunkRows {
			return fault.New(fault.Unusable, "the snapshot has a chunk %q among its rows", kind)
		}
		var rows *event.Rows
		select {
		case rows = <-free:
		default:
			rows = &event.Rows{}
		}
		if err := decodeRows(chunk, rows); err != nil {
			return err
		}
		s.count += int64(rows.Len())
		select {
		case ahead <- rows:
		case <-stop:
			return nil
		}
	}
}

// decodeRows decodes the rows of a chunk, of which they stay parts: it must not be altered any more. A writer closes a chunk that has reached snapshotChunkBytes, so no row
// begins behind that: a large chunk has one large row, and what small rows decode to is bounded however well they are compressed.
func decodeRows(chunk []byte, rows *event.Rows) error {
	text := unsafe.String(unsafe.SliceData(chunk), len(chunk)) // a copy would double what a chunk takes
	for at := 0; at < len(chunk); {
		if at >= snapshotChunkBytes {
			return fault.New(fault.Unusable, "a chunk of the snapshot has rows behind %d bytes", snapshotChunkBytes)
		}
		size, n := binary.Uvarint(chunk[at:])
		if n <= 0 || size > uint64(len(chunk)-at-n) {
			return fault.New(fault.Unusable, "a chunk of the snapshot does not end with a row")
		}
		from := at + n
		at = from + int(size)
		if err := rows.Decode(chunk[from:at:at], text[from:at]); err != nil {
			return err
		}
	}
	return nil
}
