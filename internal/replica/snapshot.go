package replica

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"sync"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
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
	closing sync.Once     // of full
	free    chan []byte   // chunks that are sent, to be filled again
	sent    chan struct{} // closed when no more is sent
	failed  error         // why; it may be read when sent is closed
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
