package mailstore

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/message"
)

const (
	fieldsOfBytesMax = 16 << 10 // of a larger header no fields are given

	fieldNamesMax     = 64 // that are kept of headers, beside commonFields
	fieldNameBytesMax = 64 // of one of them
)

// commonFields are kept as soon as they are asked for, whatever other names were asked for before.
var commonFields = strings.Fields(`bcc cc content-type date from importance in-reply-to list-id message-id newsgroups priority references
	reply-to return-path sender subject to user-agent x-mailer x-priority`)

// headers are what has been asked for of messages' headers, those asked for last. A body is never changed, and its name never used
// again, so that nobody has to tell it of anything.
type headers struct {
	bytesMax int64

	mu     sync.Mutex
	bytes  int64
	names  []string       // lower case, in the order in which they were asked for; what is there stays
	places map[string]int // in names
	others int            // of names: those that are not common
	kept   map[blob.Ref]*list.Element
	order  list.List // of *keptHeader; the one used last is in front
}

// keptHeader is the fields of a header that have one of the first names, and the blank line.
type keptHeader struct {
	ref   blob.Ref
	names int
	text  []byte // never altered
}

// headerOverheadBytes is about what is kept beside texts: an entry, its place in the list and in the map.
const headerOverheadBytes = 256

func (h *keptHeader) bytes() int64 {
	return int64(len(h.ref.Volume)+len(h.ref.Name)+cap(h.text)) + headerOverheadBytes
}

func newHeaders(bytesMax int64) *headers {
	return &headers{bytesMax: bytesMax, places: map[string]int{}, kept: map[blob.Ref]*list.Element{}}
}

// get gives the kept fields of a header, if those with the names, in lower case, are among them; and what to keep otherwise: the
// fields with all names that have been asked for.
func (h *headers) get(ref blob.Ref, names []string) (text []byte, found bool, keep []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	needed := 0
	for _, name := range names {
		needed = max(needed, h.place(name)+1)
	}
	place := h.kept[ref]
	if place == nil {
		return nil, false, h.names
	}
	k := place.Value.(*keptHeader)
	if needed > k.names {
		return nil, false, h.names
	}
	h.order.MoveToFront(place)
	return k.text, true, h.names[:k.names]
}

// place finds a name, or adds it if there is room; else it is behind all that may be.
func (h *headers) place(name string) int {
	if at, known := h.places[name]; known {
		return at
	}
	if !slices.Contains(commonFields, name) {
		if h.others == fieldNamesMax || len(name) > fieldNameBytesMax {
			return math.MaxInt - 1
		}
		h.others++
	}
	h.places[name] = len(h.names)
	h.names = append(h.names, name)
	return len(h.names) - 1
}

// put keeps the fields of a header that have one of the first names.
func (h *headers) put(k *keptHeader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.kept[k.ref]; old != nil {
		if old.Value.(*keptHeader).names >= k.names {
			return
		}
		h.drop(old)
	}
	h.kept[k.ref] = h.order.PushFront(k)
	h.bytes += k.bytes()
	for h.bytes > h.bytesMax {
		h.drop(h.order.Back())
	}
}

func (h *headers) drop(place *list.Element) {
	k := h.order.Remove(place).(*keptHeader)
	delete(h.kept, k.ref)
	h.bytes -= k.bytes()
}

// Fields gives those fields of a message's own header that have one of the names, which are in lower case, and perhaps others: whole, as they
// stand there and in their order, with the blank line at the end if the header has one. What it gives is not to be altered. It is not ok
// where the header is large. Kinds: VolumeUnavailable, NotFound, Internal.
func (m *Mailstore) Fields(ctx context.Context, c mailbox.Content, names []string) (text []byte, ok bool, err error) {
	ref := blob.Ref{Volume: c.Volume, Name: c.Blob}
	text, found, keep := m.headers.get(ref, names)
	if found {
		m.checkFields(ctx, c, text, keep)
		return text, true, nil
	}
	header, err := m.readHeader(ctx, c)
	if err != nil || header == nil {
		return nil, false, err
	}
	m.headers.put(&keptHeader{ref: ref, names: len(keep), text: message.HeaderFields(header, keep, false)})
	return header, true, nil
}

// readHeader gives nothing of a large header.
func (m *Mailstore) readHeader(ctx context.Context, c mailbox.Content) ([]byte, error) {
	summary, err := message.Decode(c.Summary)
	if err != nil || summary.Root.HeaderSize > fieldsOfBytesMax {
		return nil, err
	}
	body, err := m.OpenBody(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // it was only read
	if body.Size() != summary.Size {
		return nil, fault.New(fault.Internal, "a message of %d bytes has a blob of %d", summary.Size, body.Size())
	}
	header := make([]byte, summary.Root.HeaderSize)
	if _, err := body.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return header, nil
}

// checkFields has the header read as well, in tests that call mailbox.CheckMemory. Its body may be gone, or out of reach, by now.
func (m *Mailstore) checkFields(ctx context.Context, c mailbox.Content, text []byte, names []string) {
	if !mailbox.MemoryChecked() {
		return
	}
	if header, err := m.readHeader(ctx, c); err == nil {
		mailbox.MustAgree(fmt.Sprintf("the header of %s", c.Blob), string(text), string(message.HeaderFields(header, names, false)))
	}
}
