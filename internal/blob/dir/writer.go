package dir

import (
	"context"
	"errors"
	"os"
	"sync"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

// bufferBytes is what a Writer gathers before it touches the disk. Most messages fit, and are written by one call.
const bufferBytes = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

// Create implements blob.Volume. Nothing is on the disk before the buffer is full, or Commit.
func (v *Volume) Create(ctx context.Context) (blob.Writer, error) {
	if ctx.Err() != nil {
		return nil, fault.Wrap(fault.Interrupted, ctx.Err(), "volume %s: interrupted", v.id)
	}
	return &writer{volume: v, ctx: ctx, name: blob.NewName(), buffer: buffers.Get().(*[bufferBytes]byte)}, nil
}

type writer struct {
	volume *Volume
	ctx    context.Context // of Create; it bounds the writing
	name   string
	buffer *[bufferBytes]byte // nil when the Writer has ended
	filled int
	file   *os.File // nil until the buffer was full
	size   int64
	failed error // the first error; there is no Commit after one
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.buffer == nil {
		return 0, fault.New(fault.Internal, "write to a blob after its end")
	}
	written := 0
	for len(p) > 0 && w.failed == nil {
		if w.filled == bufferBytes {
			w.flush()
			continue
		}
		n := copy(w.buffer[w.filled:], p)
		w.filled, written, p = w.filled+n, written+n, p[n:]
	}
	w.size += int64(written)
	return written, w.failed
}

func (w *writer) flush() {
	if w.failed != nil {
		return
	}
	if w.ctx.Err() != nil {
		w.failed = fault.Wrap(fault.Interrupted, w.ctx.Err(), "writing to volume %s: interrupted", w.volume.id)
		return
	}
	var err error
	if w.file == nil {
		w.file, err = w.volume.root.OpenFile(tmpPath(w.name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	}
	if err == nil {
		_, err = w.file.Write(w.buffer[:w.filled])
	}
	if err != nil {
		w.failed = w.writeError(err)
	}
	w.filled = 0
}

// Commit implements blob.Writer.
func (w *writer) Commit(ctx context.Context) (string, int64, error) {
	if w.buffer == nil {
		return "", 0, fault.New(fault.Internal, "commit of a blob after its end")
	}
	if ctx.Err() != nil && w.failed == nil {
		w.failed = w.writeError(ctx.Err())
	}
	w.flush()
	if w.failed != nil {
		failed := w.failed
		w.Abort()
		return "", 0, failed
	}
	w.release()
	if err := w.publish(); err != nil {
		return "", 0, w.writeError(err)
	}
	return w.name, w.size, nil
}

// publish makes the bytes durable, then the name visible, then the name durable. Each writer syncs for itself: syncs
// that run at the same time share the filesystem's commits and the disk's flushes, a queue of them would not.
func (w *writer) publish() error {
	root, from, to := w.volume.root, tmpPath(w.name), blobPath(w.name)
	if err := errors.Join(w.file.Sync(), w.file.Close()); err != nil {
		root.Remove(from)
		return err
	}
	if err := root.Rename(from, to); err != nil {
		root.Remove(from)
		return err
	}
	if err := w.volume.dirs[shardOf(w.name)].Sync(); err != nil {
		root.Remove(to)
		return err
	}
	return nil
}

// Abort implements blob.Writer.
func (w *writer) Abort() {
	if w.buffer == nil {
		return
	}
	w.release()
	if w.file != nil {
		w.file.Close()
		w.volume.root.Remove(tmpPath(w.name))
	}
}

func (w *writer) release() {
	buffers.Put(w.buffer)
	w.buffer = nil
}

// writeError gives an error its kind. "No such file" cannot mean that the blob is missing: the volume is.
func (w *writer) writeError(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Interrupted, err, "writing to volume %s: interrupted", w.volume.id)
	case errors.Is(err, os.ErrNotExist):
		return unavailable(err, "volume %s: its directories are gone", w.volume.id)
	}
	return w.volume.failed(err, "writing to volume %s", w.volume.id)
}
