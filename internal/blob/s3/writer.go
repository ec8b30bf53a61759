package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

const (
	// partBytes is the smallest part that S3 takes, for a Writer holds one in memory. Blobs up to this size are one request.
	partBytes = 5 << 20

	firstBytes = 128 << 10 // what a Writer begins with; most messages fit
	growth     = 4         // a buffer that is full is followed by one so many times as large

	abortMax = 5 * time.Second

	sumHeader  = "Sha256"     // user metadata: the sum of a blob that was written by one request
	partHeader = "Part-Bytes" // user metadata: the size of the parts of one that was not
	crcHeader  = "X-Amz-Checksum-Crc32c"
)

var (
	firstBuffers = sync.Pool{New: func() any { return new([firstBytes]byte) }}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// Create implements blob.Volume. Nothing is sent before a part is full, or Commit.
func (v *Volume) Create(ctx context.Context) (blob.Writer, error) {
	if err := v.ensure(ctx); err != nil {
		return nil, err
	}
	first := firstBuffers.Get().(*[firstBytes]byte)
	return &writer{volume: v, ctx: ctx, name: blob.NewName(), first: first, buffer: first[:0]}, nil
}

type writer struct {
	volume *Volume
	ctx    context.Context // of Create; it bounds the writing
	name   string
	first  *[firstBytes]byte // to be given back
	buffer []byte            // the part that is gathered; nil when the Writer has ended
	size   int64
	upload string               // of the multipart upload; empty until a part was full
	parts  []minio.CompletePart // that were sent
	failed error                // the first error; there is no Commit after one
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.buffer == nil {
		return 0, fault.New(fault.Internal, "write to a blob after its end")
	}
	written := 0
	for len(p) > 0 && w.failed == nil {
		if len(w.buffer) == partBytes {
			w.failed = w.sendPart(w.ctx)
			continue
		}
		w.grow()
		n := min(len(p), cap(w.buffer)-len(w.buffer))
		w.buffer = append(w.buffer, p[:n]...)
		written, p = written+n, p[n:]
	}
	w.size += int64(written)
	return written, w.failed
}

// grow makes room in the buffer; a part is full at partBytes exactly.
func (w *writer) grow() {
	if len(w.buffer) < cap(w.buffer) {
		return
	}
	w.buffer = append(make([]byte, 0, min(cap(w.buffer)*growth, partBytes)), w.buffer...)
	w.giveBack()
}

func (w *writer) giveBack() {
	if w.first != nil {
		firstBuffers.Put(w.first)
		w.first = nil
	}
}

// sendPart sends what is gathered as a part, and begins the multipart upload before the first. The server compares the
// SHA-256, and keeps the CRC, if it can, for those who read.
func (w *writer) sendPart(ctx context.Context) error {
	v := w.volume
	if ctx.Err() != nil {
		return v.interrupted(ctx)
	}
	if w.upload == "" {
		if err := w.begin(ctx); err != nil {
			return err
		}
	}
	number := len(w.parts) + 1
	sum := sha256.Sum256(w.buffer)
	crc := checksumText(crc32.Checksum(w.buffer, castagnoli))
	return v.try(ctx, "writing part "+strconv.Itoa(number)+" of blob "+w.name, func(ctx context.Context) error {
		part, err := v.client.PutObjectPart(ctx, v.config.Bucket, v.key(w.name), w.upload, number, bytes.NewReader(w.buffer), int64(len(w.buffer)),
			minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true, CustomHeader: http.Header{crcHeader: {crc}}})
		if err != nil {
			return err
		}
		done := minio.CompletePart{PartNumber: number, ETag: part.ETag}
		if part.ChecksumCRC32C != "" { // the server keeps it: it must be named again at the end
			done.ChecksumCRC32C = crc
		}
		w.parts, w.buffer = append(w.parts, done), w.buffer[:0]
		return nil
	})
}

func (w *writer) begin(ctx context.Context) error {
	v := w.volume
	v.sweepDaily()
	return v.try(ctx, "beginning blob "+w.name, func(ctx context.Context) (err error) {
		w.upload, err = v.client.NewMultipartUpload(ctx, v.config.Bucket, v.key(w.name), minio.PutObjectOptions{UserMetadata: map[string]string{
			partHeader: strconv.Itoa(partBytes), "x-amz-checksum-algorithm": "CRC32C"}})
		return err
	})
}

// checksumText is a CRC as S3 writes it.
func checksumText(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// Commit implements blob.Writer.
func (w *writer) Commit(ctx context.Context) (string, int64, error) {
	if w.buffer == nil {
		return "", 0, fault.New(fault.Internal, "commit of a blob after its end")
	}
	if w.failed == nil && (ctx.Err() != nil || w.ctx.Err() != nil) {
		w.failed = w.volume.interrupted(ctx)
	}
	if w.failed == nil {
		w.failed = w.publish(ctx)
	}
	if w.failed != nil {
		failed := w.failed
		w.Abort()
		return "", 0, failed
	}
	w.release()
	return w.name, w.size, nil
}

// publish makes the blob visible; S3 answers when it is durable.
func (w *writer) publish(ctx context.Context) error {
	v := w.volume
	if w.upload == "" {
		sum := sha256.Sum256(w.buffer)
		text := hex.EncodeToString(sum[:])
		return v.try(ctx, "writing blob "+w.name, func(ctx context.Context) error {
			_, err := v.client.PutObject(ctx, v.config.Bucket, v.key(w.name), bytes.NewReader(w.buffer), int64(len(w.buffer)), "", text,
				minio.PutObjectOptions{DisableContentSha256: true, UserMetadata: map[string]string{sumHeader: text}})
			return err
		})
	}
	if err := w.sendPart(ctx); err != nil {
		return err
	}
	return v.try(ctx, "finishing blob "+w.name, func(ctx context.Context) error {
		_, err := v.client.CompleteMultipartUpload(ctx, v.config.Bucket, v.key(w.name), w.upload, w.parts, minio.PutObjectOptions{})
		if codeOf(err) == minio.NoSuchUpload && w.isThere(ctx) {
			return nil // an earlier attempt finished it, and its answer was lost
		}
		return err
	})
}

func (w *writer) isThere(ctx context.Context) bool {
	info, err := w.volume.client.StatObject(ctx, w.volume.config.Bucket, w.volume.key(w.name), minio.StatObjectOptions{})
	return err == nil && info.Size == w.size
}

// Abort implements blob.Writer. What the server does not hear of is found by sweep.
func (w *writer) Abort() {
	if w.buffer == nil {
		return
	}
	w.release()
	if w.upload == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), abortMax)
	defer cancel()
	_ = w.volume.client.AbortMultipartUpload(ctx, w.volume.config.Bucket, w.volume.key(w.name), w.upload)
}

func (w *writer) release() {
	w.giveBack()
	w.buffer = nil
}

func (v *Volume) interrupted(ctx context.Context) error {
	cause := ctx.Err()
	if cause == nil {
		cause = context.Canceled // of the context of Create
	}
	return fault.Wrap(fault.Interrupted, cause, "volume %s: interrupted", v.id)
}
