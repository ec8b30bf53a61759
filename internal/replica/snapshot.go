package replica

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"sync"
	"unsafe"

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
	snapshotChunksAhead   = 1        // that wait between two steps of a snapshot's way, beside the one in each
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
		return writeSnapshot(w, g.frames, snapshotHeader{
			Version: snapshotVersion, Account: id, Join: join, Epoch: c.Epoch, Primary: c.Primary, Members: c.Members,
			Stream: c.Stream, Sequence: c.Sequence, HeadID: c.HeadID, NextOffset: c.NextOffset, MailboxHead: row.Header,
		}, rows)
	})
}

// writeSnapshot writes a snapshot of rows.
func writeSnapshot(w io.Writer, f frames, header snapshotHeader, rows mailbox.Scanner) error {
	out := newSnapshotWriter(w, f)
	defer out.close()
	out.header(header)
	if err := out.rows(rows); err != nil {
		return err
	}
	return out.end()
}

// snapshotWriter encodes rows into chunks, and has them packed and sent beside that: while a chunk is on its way the next is read from the
// database. It keeps the first error and does nothing after it. close ends what it began.
type snapshotWriter struct {
	w      *bufio.Writer
	frames frames
	chunk  []byte // that is being filled
	row    []byte // encoded last
	count  int64
	err    error

	full    chan outgoing
	closing sync.Once // of full
	free   chan []byte   // chunks that are sent, to be filled again
	sent   chan struct{} // closed when no more is sent
	failed error         // why; it may be read when sent is closed
}

// outgoing is a chunk on its way.
type outgoing struct {
	kind  byte
	chunk []byte
}

func newSnapshotWriter(w io.Writer, f frames) *snapshotWriter {
	s := &snapshotWriter{
		w: bufio.NewWriterSize(w, 64<<10), frames: f,
		full: make(chan outgoing), free: make(chan []byte, snapshotChunksAhead), sent: make(chan struct{}),
	}
	go s.send()
	return s
}

// send packs and sends until the chunks end, or one fails.
func (s *snapshotWriter) send() {
	defer close(s.sent)
	var frame []byte
	for c := range s.full {
		frame = s.frames.pack(c.chunk, frame[:0])
		if _, s.failed = s.w.Write(binary.BigEndian.AppendUint32([]byte{c.kind}, uint32(len(frame)))); s.failed == nil {
			_, s.failed = s.w.Write(frame)
		}
		if s.failed != nil {
			return
		}
		select {
		case s.free <- c.chunk[:0]:
		default:
		}
	}
	s.failed = s.w.Flush()
}

// close ends the sending, if it has not ended. Nothing may be written any more.
func (s *snapshotWriter) close() {
	s.closing.Do(func() { close(s.full) })
	<-s.sent
}

func (s *snapshotWriter) header(h snapshotHeader) { s.json(chunkHeader, h) }

func (s *snapshotWriter) json(kind byte, v any) {
	if s.err == nil {
		s.chunk, s.err = json.Marshal(v)
		s.flush(kind)
	}
}

// add adds the row that was encoded; it reports whether to go on.
func (s *snapshotWriter) add(encoded []byte, err error) bool {
	if s.err == nil {
		s.err = err
	}
	if s.err != nil {
		return false
	}
	s.row = encoded
	s.chunk = append(binary.AppendUvarint(s.chunk, uint64(len(encoded))), encoded...)
	s.count++
	if len(s.chunk) >= snapshotChunkBytes {
		s.flush(chunkRows)
	}
	return s.err == nil
}

func (s *snapshotWriter) other(row event.Row) bool { return s.add(event.AppendRow(s.row[:0], row)) }

// flush has the chunk sent.
func (s *snapshotWriter) flush(kind byte) {
	if s.err != nil || len(s.chunk) == 0 {
		return
	}
	select {
	case s.full <- outgoing{kind, s.chunk}:
	case <-s.sent:
		s.err = s.failed
		return
	}
	select {
	case s.chunk = <-s.free:
	default:
		s.chunk = nil
	}
}

// rows writes every row of the mailbox. Folders come first and contents before messages, so that the reader never holds a
// row whose owner it does not know.
func (s *snapshotWriter) rows(r mailbox.Scanner) error {
	folders, err := r.Folders()
	for i := 0; err == nil && i < len(folders) && s.other(folders[i]); i++ {
	}
	if err == nil {
		err = r.ScanContents(0, func(c mailbox.Content) bool { return s.add(event.AppendContent(s.row[:0], &c)) })
	}
	if err == nil {
		err = r.ScanMessages(mailbox.MessageKey{}, func(m mailbox.Message) bool { return s.add(event.AppendMessage(s.row[:0], &m)) })
	}
	if err == nil {
		err = r.ScanTombstones(mailbox.MessageKey{}, func(t mailbox.Tombstone) bool { return s.other(t) })
	}
	if err == nil {
		err = r.ScanDeliveries(mailbox.DeliveryKey{}, func(d mailbox.Delivery) bool { return s.other(d) })
	}
	if err == nil {
		err = r.ScanDiscarded(0, func(d mailbox.Discarded) bool { return s.other(d) })
	}
	if err != nil {
		return err
	}
	names, err := r.Subscriptions()
	for i := 0; err == nil && i < len(names) && s.other(event.Subscription{Name: names[i]}); i++ {
	}
	s.flush(chunkRows)
	return err
}

// end writes the end, and waits until all is sent.
func (s *snapshotWriter) end() error {
	s.json(chunkEnd, snapshotEnd{Rows: s.count})
	s.close()
	if s.err == nil {
		s.err = s.failed
	}
	if s.err != nil {
		return fault.Wrap(fault.Interrupted, s.err, "the snapshot could not be sent")
	}
	return nil
}

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
