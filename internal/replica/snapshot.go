package replica

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// The snapshot stream is chunks: a byte for the kind, the length in four bytes, and a zstd frame, which carries a checksum
// of its content. The header comes first, then rows, each behind its length as a uvarint, then the end.
const (
	chunkHeader = 'h' // a snapshotHeader in JSON
	chunkRows   = 'r'
	chunkEnd    = 'e' // a snapshotEnd in JSON
)

// Limits of the snapshot stream.
const (
	snapshotVersion       = 1
	snapshotChunkBytes    = 1 << 20  // after which a chunk is closed
	snapshotChunkBytesMax = 80 << 20 // what a reader takes, compressed or not; a chunk has room for the largest row
)

// snapshotHeader is the state of the source's copy, read with its rows from one database snapshot.
type snapshotHeader struct {
	Version     int
	Account     account.ID
	Join        event.ID // the attempt that this snapshot serves
	Epoch       uint64
	Primary     string
	Members     map[string]event.ID
	Stream      protocol.Stream
	Sequence    mailbox.Sequence
	HeadID      event.ID
	NextOffset  int64
	MailboxHead mailbox.Header
}

type snapshotEnd struct{ Rows int64 }

// Give appends a Join for the destination, waits until it has been read back, and writes a snapshot of the account's copy.
// An account that the log does not decide for yet is opened first, in a stream that choose gives. Writes go on meanwhile.
func (g *Agent) Give(ctx context.Context, id account.ID, destination string, choose func(context.Context) (protocol.Stream, error), w io.Writer) error {
	a, ok := g.m.Account(id)
	if !ok {
		return fault.New(fault.NotHome, "%s holds no copy of account %s", g.m.Self(), id)
	}
	if destination == g.m.Self() {
		return fault.New(fault.Invalid, "%s is the account's home", destination)
	}
	if err := a.MayServe(); err != nil {
		return err
	}
	if !a.Copy().IsOpen() {
		stream, err := choose(ctx)
		if err != nil {
			return err
		}
		if err := a.Replicate(ctx, stream); err != nil {
			return err
		}
	}
	if err := a.Copy().MayGiveSnapshot(); err != nil { // a Join would be in vain
		return err
	}
	join, err := a.Join(ctx, destination)
	if err != nil {
		return err
	}
	return g.m.Snapshot(ctx, id, func(row metadata.Mailbox, rows mailbox.Scanner) error {
		c := row.Copy
		if err := c.MayGiveSnapshot(); err != nil {
			return err
		}
		if c.Members[destination] != join {
			return fault.New(fault.Busy, "another attempt at a copy on %s began meanwhile", destination)
		}
		out := newSnapshotWriter(w, g.frames)
		out.header(snapshotHeader{
			Version: snapshotVersion, Account: id, Join: join, Epoch: c.Epoch, Primary: c.Primary, Members: c.Members,
			Stream: c.Stream, Sequence: c.Sequence, HeadID: c.HeadID, NextOffset: c.NextOffset, MailboxHead: row.Header,
		})
		if err := out.rows(rows); err != nil {
			return err
		}
		return out.end()
	})
}

// snapshotWriter keeps the first error and does nothing after it.
type snapshotWriter struct {
	w      *bufio.Writer
	frames frames
	chunk  []byte
	count  int64
	err    error
}

func newSnapshotWriter(w io.Writer, f frames) *snapshotWriter {
	return &snapshotWriter{w: bufio.NewWriterSize(w, 64<<10), frames: f}
}

func (s *snapshotWriter) header(h snapshotHeader) { s.json(chunkHeader, h) }

func (s *snapshotWriter) json(kind byte, v any) {
	if s.err == nil {
		s.chunk, s.err = json.Marshal(v)
		s.flush(kind)
	}
}

// row adds one row; it reports whether to go on.
func (s *snapshotWriter) row(row event.Row) bool {
	if s.err != nil {
		return false
	}
	encoded, err := event.EncodeRow(row)
	if err != nil {
		s.err = err
		return false
	}
	s.chunk = append(binary.AppendUvarint(s.chunk, uint64(len(encoded))), encoded...)
	s.count++
	if len(s.chunk) >= snapshotChunkBytes {
		s.flush(chunkRows)
	}
	return s.err == nil
}

func (s *snapshotWriter) flush(kind byte) {
	if s.err != nil || len(s.chunk) == 0 {
		return
	}
	frame := s.frames.pack(s.chunk)
	s.chunk = s.chunk[:0]
	if _, s.err = s.w.Write(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(frame)))); s.err == nil {
		_, s.err = s.w.Write(frame)
	}
}

// rows writes every row of the mailbox. Folders come first and contents before messages, so that the reader never holds a
// row whose owner it does not know.
func (s *snapshotWriter) rows(r mailbox.Scanner) error {
	folders, err := r.Folders()
	for i := 0; err == nil && i < len(folders) && s.row(folders[i]); i++ {
	}
	if err == nil {
		err = r.ScanContents(0, func(c mailbox.Content) bool { return s.row(c) })
	}
	if err == nil {
		err = r.ScanMessages(mailbox.MessageKey{}, func(m mailbox.Message) bool { return s.row(m) })
	}
	if err == nil {
		err = r.ScanTombstones(mailbox.MessageKey{}, func(t mailbox.Tombstone) bool { return s.row(t) })
	}
	if err == nil {
		err = r.ScanDeliveries(mailbox.DeliveryKey{}, func(d mailbox.Delivery) bool { return s.row(d) })
	}
	if err == nil {
		err = r.ScanDiscarded(0, func(d mailbox.Discarded) bool { return s.row(d) })
	}
	if err != nil {
		return err
	}
	names, err := r.Subscriptions()
	for i := 0; err == nil && i < len(names) && s.row(event.Subscription{Name: names[i]}); i++ {
	}
	s.flush(chunkRows)
	return err
}

func (s *snapshotWriter) end() error {
	s.json(chunkEnd, snapshotEnd{Rows: s.count})
	if s.err != nil {
		return fault.Wrap(fault.Interrupted, s.err, "the snapshot could not be sent")
	}
	if err := s.w.Flush(); err != nil {
		return fault.Wrap(fault.Interrupted, err, "the snapshot could not be sent")
	}
	return nil
}

// take loads a snapshot and returns the copy, registered and catching up. progress is told how many rows are loaded.
func (g *Agent) take(ctx context.Context, id account.ID, r io.Reader, progress func(rows int64)) (*mailstore.Account, error) {
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
	if err := in.load(ctx, loading, progress); err != nil {
		return nil, joinAbort(ctx, loading, err)
	}
	a, err := loading.Finish(ctx, h.MailboxHead)
	if err != nil {
		return nil, joinAbort(ctx, loading, err)
	}
	return a, nil
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

// load loads chunks of rows until the end.
func (s *snapshotReader) load(ctx context.Context, l *mailstore.Loading, progress func(int64)) error {
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
		rows, err := decodeRows(chunk)
		if err != nil {
			return err
		}
		if err := l.Rows(ctx, rows); err != nil {
			return err
		}
		s.count += int64(len(rows))
		progress(s.count)
	}
}

// decodeRows decodes the rows of a chunk. A writer closes a chunk that has reached snapshotChunkBytes, so no row begins behind that:
// a large chunk has one large row, and what small rows decode to is bounded however well they are compressed.
func decodeRows(chunk []byte) ([]any, error) {
	var rows []any
	for whole := len(chunk); len(chunk) > 0; {
		if whole-len(chunk) >= snapshotChunkBytes {
			return nil, fault.New(fault.Unusable, "a chunk of the snapshot has rows behind %d bytes", snapshotChunkBytes)
		}
		size, n := binary.Uvarint(chunk)
		if n <= 0 || size > uint64(len(chunk)-n) {
			return nil, fault.New(fault.Unusable, "a chunk of the snapshot does not end with a row")
		}
		row, err := event.DecodeRow(chunk[n : n+int(size)])
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
		chunk = chunk[n+int(size):]
	}
	return rows, nil
}
