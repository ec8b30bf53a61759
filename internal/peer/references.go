package peer

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// Reference says that a mailstore's database names a blob. Names that no volume makes are in no listing and are left out.
type Reference struct {
	Blob      [16]byte
	Account   account.ID
	Content   mailbox.ItemID
	Discarded bool // it waits to be reclaimed: the blob may be gone already
}

// Location is where a message lies that shares a content.
type Location struct {
	Content mailbox.ItemID
	Folder  string
	UID     mailbox.UID
}

// LocateMax bounds the contents of one request.
const LocateMax = 10_000

// LocateRequest asks which messages share some contents of an account.
type LocateRequest struct {
	Account  account.ID
	Contents []mailbox.ItemID
}

// The stream of references is frames: a byte for the kind, the length in four bytes, the payload. Frames without references show
// that the mailstore is at work. A failure after the first byte travels as a frame, too.
const (
	frameAlive      = 'a'
	frameReferences = 'r' // records of referenceBytes
	frameFailure    = 'f' // a Failure in JSON
	frameEnd        = 'e' // the number of references in eight bytes

	referenceBytes     = 16 + 16 + 8 + 1
	referencesOfFrame  = 1_500 // about 60 KiB
	referenceFrameMax  = 1 << 20
	referenceCountSize = 8
)

// referenceWriter keeps the first error and does nothing after it.
type referenceWriter struct {
	w       *counting
	flusher *http.ResponseController
	frame   []byte
	count   uint64
	err     error
}

func (r *referenceWriter) send(kind byte, payload []byte) error {
	if r.err != nil {
		return r.err
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	if _, err := r.w.Write(append(head, payload...)); err != nil {
		r.err = fault.Wrap(fault.Interrupted, err, "the mailstore that asked for references has gone")
		return r.err
	}
	if err := r.flusher.Flush(); err != nil {
		r.err = fault.Wrap(fault.Interrupted, err, "the mailstore that asked for references has gone")
	}
	return r.err
}

func (r *referenceWriter) alive() error { return r.send(frameAlive, nil) }

func (r *referenceWriter) reference(ref Reference) error {
	b := append(append(r.frame, ref.Blob[:]...), ref.Account[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(ref.Content))
	discarded := byte(0)
	if ref.Discarded {
		discarded = 1
	}
	r.frame = append(b, discarded)
	r.count++
	if len(r.frame) < referencesOfFrame*referenceBytes {
		return r.err
	}
	return r.flush()
}

func (r *referenceWriter) flush() error {
	frame := r.frame
	r.frame = r.frame[:0]
	if len(frame) == 0 {
		return r.err
	}
	return r.send(frameReferences, frame)
}

// end ends the stream, well or with the failure.
func (r *referenceWriter) end(failure error) error {
	if failure != nil {
		told, err := json.Marshal(Failure{Kind: fault.KindOf(failure).String(), Error: fault.Message(failure), Hint: fault.HintOf(failure)})
		if err != nil {
			return fault.Wrap(fault.Internal, err, "a failure cannot be told")
		}
		return r.send(frameFailure, told)
	}
	if err := r.flush(); err != nil {
		return err
	}
	return r.send(frameEnd, binary.BigEndian.AppendUint64(nil, r.count))
}

// readReferences reads a stream to its end. A stream that does not end as it should is an error.
func readReferences(from io.Reader, yield func(Reference) error) error {
	in := bufio.NewReaderSize(from, 64<<10)
	count := uint64(0)
	for {
		kind, payload, err := readFrame(in)
		if err != nil {
			return err
		}
		switch kind {
		case frameAlive:
		case frameReferences:
			if len(payload)%referenceBytes != 0 {
				return fault.New(fault.HomeUnreachable, "a mailstore's references are cut off")
			}
			for ; len(payload) > 0; payload = payload[referenceBytes:] {
				count++
				if err := yield(decodeReference(payload)); err != nil {
					return err
				}
			}
		case frameFailure:
			var failure Failure
			if err := json.Unmarshal(payload, &failure); err != nil {
				return fault.Wrap(fault.HomeUnreachable, err, "the mailstore's answer cannot be read")
			}
			return fault.New(fault.ParseKind(failure.Kind), "%s", failure.Error).WithHint("%s", failure.Hint)
		case frameEnd:
			if len(payload) != referenceCountSize || binary.BigEndian.Uint64(payload) != count {
				return fault.New(fault.HomeUnreachable, "of a mailstore's references, %d arrived and others are missing", count)
			}
			return nil
		default:
			return fault.New(fault.HomeUnreachable, "a mailstore's references cannot be read: unknown frame %q", kind)
		}
	}
}

func readFrame(in io.Reader) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, fault.Wrap(fault.HomeUnreachable, err, "a mailstore broke off its references")
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > referenceFrameMax {
		return 0, nil, fault.New(fault.HomeUnreachable, "a mailstore's references cannot be read: a frame of %d bytes", size)
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(in, payload); err != nil {
		return 0, nil, fault.Wrap(fault.HomeUnreachable, err, "a mailstore broke off its references")
	}
	return head[0], payload, nil
}

func decodeReference(b []byte) Reference {
	return Reference{
		Blob: [16]byte(b[:16]), Account: account.ID(b[16:32]), Content: mailbox.ItemID(binary.BigEndian.Uint64(b[32:40])),
		Discarded: b[40] != 0,
	}
}

func (s *server) settled(w http.ResponseWriter, r *http.Request) {
	ids, err := accounts(w, r)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	copies, err := s.service.Settled(r.Context(), ids)
	s.answer(w, copies, err)
}

func (s *server) references(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	out := &referenceWriter{w: &counting{w: w, control: control}, flusher: control}
	volume := r.URL.Query().Get("volume")
	err := s.service.References(r.Context(), volume, out.alive, out.reference)
	if err != nil {
		s.logger.Warn("the references to a volume cannot be told", "volume", volume, "error", err)
	}
	if out.end(err) != nil {
		panic(http.ErrAbortHandler) // the reader notices that the end is missing
	}
	_ = control.SetWriteDeadline(noDeadline) // the connection may carry other requests; one without deadlines is as well
}

func (s *server) locate(w http.ResponseWriter, r *http.Request) {
	var request LocateRequest
	err := read(w, r, &request)
	if err == nil && len(request.Contents) > LocateMax {
		err = fault.New(fault.TooLarge, "%d contents in one request; the limit is %d", len(request.Contents), LocateMax)
	}
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	found, err := s.service.Locate(r.Context(), request.Account, request.Contents)
	s.answer(w, found, err)
}
