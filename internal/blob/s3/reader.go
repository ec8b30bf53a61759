package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

const (
	// windowFirstBytes is what Open fetches: most blobs are in memory then, whole and compared with their sum.
	windowFirstBytes = 1 << 20
	// windowBytesMax is what is fetched at once of a large one that is read from its beginning to its end.
	windowBytesMax = 4 << 20
)

// Open implements blob.Volume: one request, which gives a small blob whole.
func (v *Volume) Open(ctx context.Context, name string) (blob.Blob, error) {
	if err := blob.CheckName(name); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, v.interrupted(ctx)
	}
	b := &openBlob{volume: v, name: name}
	if err := v.try(ctx, "opening blob "+name, b.open); err != nil {
		if fault.Is(err, fault.NotFound) { // "no such key" means that only if the volume is there to say so
			if err := v.checkMarker(ctx); err != nil {
				return nil, err
			}
		}
		return nil, err
	}
	// Reading is bounded by Close, and by the time that a request may make no progress.
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return b, nil
}

type openBlob struct {
	volume *Volume
	name   string
	size   int64
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	window []byte
	at     int64     // where the window begins in the blob
	sum    *verifier // nil when the blob is not read from its beginning in order, or has been compared
}

// Size implements blob.Blob.
func (b *openBlob) Size() int64 { return b.size }

// Close implements blob.Blob.
func (b *openBlob) Close() error {
	b.cancel()
	return nil
}

// open fetches the beginning. A blob that this is all of is compared with its sum before anyone sees it.
func (b *openBlob) open(ctx context.Context) error {
	window, total, header, err := b.fetch(ctx, 0, windowFirstBytes)
	if codeOf(err) == minio.InvalidRange { // there is no range in an empty blob
		return b.openEmpty(ctx)
	}
	if err != nil {
		return err
	}
	b.window, b.size, b.sum = window, total, newVerifier(header)
	if b.sum == nil {
		return nil
	}
	b.sum.add(window)
	if int64(len(window)) < total {
		return nil
	}
	err = b.sum.compare()
	b.sum = nil
	return err
}

func (b *openBlob) openEmpty(ctx context.Context) error {
	info, err := b.volume.client.StatObject(ctx, b.volume.config.Bucket, b.volume.key(b.name), minio.StatObjectOptions{})
	if err == nil && info.Size != 0 {
		return fmt.Errorf("%w: the server has no first byte of %d", errDamaged, info.Size)
	}
	return err
}

// ReadAt implements io.ReaderAt.
func (b *openBlob) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fault.New(fault.Internal, "read of a blob before its beginning")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for n < len(p) {
		if offset >= b.size {
			return n, io.EOF
		}
		if b.ctx.Err() != nil {
			return n, b.volume.interrupted(b.ctx)
		}
		if offset < b.at || offset >= b.at+int64(len(b.window)) {
			if err := b.move(offset, len(p)-n); err != nil {
				return n, err
			}
		}
		copied := copy(p[n:], b.window[offset-b.at:])
		n, offset = n+copied, offset+int64(copied)
	}
	return n, nil
}

// move fetches the window that begins at an offset. Reading in order gets larger and larger ones, up to a limit.
func (b *openBlob) move(offset int64, wanted int) error {
	inOrder := offset == b.at+int64(len(b.window))
	length := max(windowFirstBytes, min(wanted, windowBytesMax))
	if inOrder {
		length = max(length, min(2*len(b.window), windowBytesMax))
	} else {
		b.sum = nil
	}
	var window []byte
	err := b.volume.try(b.ctx, "reading blob "+b.name, func(ctx context.Context) error {
		got, total, _, err := b.fetch(ctx, offset, min(int64(length), b.size-offset))
		if err == nil && total != b.size {
			err = fmt.Errorf("%w: %d bytes became %d", errDamaged, b.size, total)
		}
		window = got
		return err
	})
	if err != nil {
		return err
	}
	if err := b.verify(window, offset); err != nil {
		return err
	}
	b.window, b.at = window, offset
	return nil
}

// verify compares the sum when the last window has come, before anyone sees that.
func (b *openBlob) verify(window []byte, offset int64) error {
	if b.sum == nil {
		return nil
	}
	b.sum.add(window)
	if offset+int64(len(window)) < b.size {
		return nil
	}
	sum := b.sum
	b.sum = nil
	what := "comparing the sum of blob " + b.name
	if err := sum.complete(b); err != nil {
		return err
	}
	if err := sum.compare(); err != nil {
		return b.volume.failed(err, what)
	}
	return nil
}

// fetch reads a range, whole. The server says how large the blob is.
func (b *openBlob) fetch(ctx context.Context, offset, length int64) (content []byte, total int64, header http.Header, err error) {
	var options minio.GetObjectOptions
	if err := options.SetRange(offset, offset+length-1); err != nil {
		return nil, 0, nil, err
	}
	v := b.volume
	body, info, header, err := v.client.GetObject(ctx, v.config.Bucket, v.key(b.name), options)
	if err != nil {
		return nil, 0, nil, err
	}
	defer func() { _ = body.Close() }()
	total = info.Size
	if ranged := header.Get("Content-Range"); ranged != "" {
		_, text, _ := strings.Cut(ranged, "/")
		if total, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, 0, nil, fmt.Errorf("%w: Content-Range is %.80q", errDamaged, ranged)
		}
	} else if offset > 0 {
		return nil, 0, nil, fmt.Errorf("%w: the server does not know ranges", errDamaged)
	}
	if total < offset {
		return nil, 0, nil, fmt.Errorf("%w: the blob has %d bytes and is read at %d", errDamaged, total, offset)
	}
	content = make([]byte, min(length, total-offset))
	if _, err := io.ReadFull(body, content); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, 0, nil, err
	}
	return content, total, header, nil
}

// verifier compares what was read from the beginning to the end with what was stored: a SHA-256 in the metadata of blobs that
// were written by one request, and for others the CRC of the CRCs of their parts, which the server keeps if it can.
type verifier struct {
	hash  hash.Hash
	want  string
	parts int64 // size of parts; 0: the whole is one
	room  int64 // bytes that are missing in the part
	crcs  []byte
}

// newVerifier is nil for a blob without a sum: another program has written it.
func newVerifier(header http.Header) *verifier {
	if want := header.Get("X-Amz-Meta-" + sumHeader); want != "" {
		return &verifier{hash: sha256.New(), want: want}
	}
	parts, err := strconv.ParseInt(header.Get("X-Amz-Meta-"+partHeader), 10, 64)
	if err != nil || parts <= 0 {
		return nil
	}
	return &verifier{hash: crc32.New(castagnoli), parts: parts, room: parts}
}

func (s *verifier) add(p []byte) {
	for s.parts > 0 && int64(len(p)) > s.room {
		s.hash.Write(p[:s.room])
		p = p[s.room:]
		s.endPart()
	}
	s.hash.Write(p)
	s.room -= int64(len(p))
}

func (s *verifier) endPart() {
	s.crcs = s.hash.Sum(s.crcs)
	s.hash.Reset()
	s.room = s.parts
}

// complete asks the server for the sum of a blob of parts: only now, when it is known to be needed. One that keeps none says so
// by an empty one.
func (s *verifier) complete(b *openBlob) error {
	if s.parts == 0 {
		return nil
	}
	s.endPart()
	v := b.volume
	return v.try(b.ctx, "asking for the sum of blob "+b.name, func(ctx context.Context) error {
		info, err := v.client.StatObject(ctx, v.config.Bucket, v.key(b.name), minio.StatObjectOptions{Checksum: true})
		s.want = info.ChecksumCRC32C
		return err
	})
}

func (s *verifier) compare() error {
	got := hex.EncodeToString(s.hash.Sum(nil))
	if s.parts > 0 {
		want, _, composite := strings.Cut(s.want, "-")
		if !composite && s.want != "" {
			return nil // a sum of another kind: the bucket was copied by a program that made its own
		}
		s.want, got = want, checksumText(crc32.Checksum(s.crcs, castagnoli))
	}
	if s.want != "" && s.want != got {
		return fmt.Errorf("%w: it is %s, and should be %s", errDamaged, got, s.want)
	}
	return nil
}
