package dir

import (
	"cmp"
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

// Create implements blob.Volume. Nothing is on the disk before the buffer is full, or Commit. What never fills the buffer, as most
// messages, goes into a pack, or is written under its name at once where there are none: until Commit returns nobody knows that name,
// and what a crash leaves under it is a blob that nothing refers to. Anything larger has a temporary name meanwhile, so that it is
// not listed for as long as it takes.
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
	in     *os.Root // where the file is
	path   string   // of the file, in there
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
	if err := w.write(w.volume.root, tmpPath(w.name)); err != nil {
		w.failed = w.writeError(err)
	}
}

// write puts what is in the buffer into the file. If there is none, it is made.
func (w *writer) write(in *os.Root, path string) (err error) {
	if w.file == nil {
		w.in, w.path = in, path
		w.file, err = in.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	}
	if err == nil {
		_, err = w.file.Write(w.buffer[:w.filled])
	}
	w.filled = 0
	return err
}

// Commit implements blob.Writer.
func (w *writer) Commit(ctx context.Context) (string, int64, error) {
	if w.buffer == nil {
		return "", 0, fault.New(fault.Internal, "commit of a blob after its end")
	}
	if err := cmp.Or(ctx.Err(), w.ctx.Err()); err != nil && w.failed == nil {
		w.failed = w.writeError(err)
	}
	if w.file != nil {
		w.flush()
	}
	if w.failed != nil {
		failed := w.failed
		w.Abort()
		return "", 0, failed
	}
	if w.file == nil && w.filled <= packedBytesMax && !w.volume.packer.useless.Load() {
		name, err := w.volume.packer.commit(ctx, w.ctx, w.buffer[:w.filled])
		if !errors.Is(err, errNoPacks) {
			w.release()
			if err != nil {
				return "", 0, w.volume.packError(err, "writing to volume %s", w.volume.id)
			}
			return name, w.size, nil
		}
		w.volume.packer.useless.Store(true)
	}
	if err := w.publish(); err != nil {
		w.Abort()
		return "", 0, w.writeError(err)
	}
	w.release()
	return w.name, w.size, nil
}

// publish gives the bytes their name, and then makes both durable: in this order a filesystem with a journal commits once for a
// blob, and one without writes the directory once. Each writer syncs for itself: syncs that run at the same time share the
// filesystem's commits and the disk's flushes, a queue of them would not.
func (w *writer) publish() error {
	volume, shard := w.volume, shardOf(w.name)
	if w.file == nil {
		if err := w.write(volume.shards[shard], w.name); err != nil {
			return err
		}
	} else if err := volume.root.Rename(w.path, blobPath(w.name)); err != nil {
		return err
	} else {
		w.path = blobPath(w.name)
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	if err := volume.dirs[shard].Sync(); err != nil {
		return err
	}
	return w.file.Close()
}

// Abort implements blob.Writer.
func (w *writer) Abort() {
	if w.buffer == nil {
		return
	}
	w.release()
	if w.file != nil {
		w.file.Close()
		w.in.Remove(w.path)
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
