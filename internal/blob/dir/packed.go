package dir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

// packedBlob is a blob of a pack, in memory: so it stays what it is when it is removed, and no reader sees the zeros that a removal
// leaves behind.
type packedBlob struct {
	size int64

	mu     sync.RWMutex       // held by Close alone: afterwards the buffer is somebody else's
	record *[bufferBytes]byte // nil when the blob is closed
}

// Size implements blob.Blob.
func (b *packedBlob) Size() int64 { return b.size }

// ReadAt implements io.ReaderAt.
func (b *packedBlob) ReadAt(p []byte, offset int64) (int, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.record == nil || offset < 0 {
		return 0, fault.New(fault.Internal, "read of a blob after its end, or before its beginning")
	}
	n := copy(p, b.record[headerBytes+min(offset, b.size):headerBytes+b.size])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements blob.Blob.
func (b *packedBlob) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.record != nil {
		buffers.Put(b.record)
		b.record = nil
	}
	return nil
}

// openPacked reads a blob out of a pack. fs.ErrNotExist: there is none at that place.
func (v *Volume) openPacked(p place) (blob.Blob, error) {
	if kept := v.packs.of(p.pack); kept != nil {
		if body, err := readRecord(kept, p); err == nil {
			return body, nil
		} // it may be as it was before others wrote to it, or removed it, or gave a backup its name
	}
	for again := false; ; again = true {
		file, err := v.shards[p.shard()].Open(p.file())
		if err != nil {
			return nil, err
		}
		body, err := readRecord(file, p)
		v.packs.keep(p.pack, file)
		if !errors.Is(err, errDamaged) {
			return body, err
		}
		if again { // at first it may have been removed in this very moment
			return nil, fault.New(fault.VolumeUnavailable, "volume %s: blob %s is damaged", v.id, p.name()).
				WithHint("bring back the file blobs/%s/%s from a backup of the volume", shardName(p.shard()), p.file())
		}
	}
}

var errDamaged = errors.New("the blob is not what was written")

// readRecord reads a blob. fs.ErrNotExist: there is none. errDamaged: its bytes are not those that were written.
func readRecord(file *os.File, p place) (blob.Blob, error) {
	record := buffers.Get().(*[bufferBytes]byte)
	size, err := readInto(record[:p.bytes()], file, p)
	if err != nil {
		buffers.Put(record)
		return nil, err
	}
	return &packedBlob{size: size, record: record}, nil
}

// readInto reads a record, and gives the size of its blob.
func readInto(record []byte, file *os.File, p place) (size int64, err error) {
	n, err := file.ReadAt(record, p.at)
	if err != nil && err != io.EOF {
		return 0, err
	}
	h, is := parseHeader(record[:n], p.pack, p.at)
	if !is || h.place != p {
		return 0, fs.ErrNotExist
	}
	if !h.isWhole(record[:n]) {
		return 0, errDamaged
	}
	return h.size, nil
}

// removePacked removes a blob from a pack, and the pack with the last one. fs.ErrNotExist: there is none at that place.
//
// A removal is one call about the blob's own blocks, so several at once, on several machines, do not get in each other's way. It
// leaves the time of the pack's last append as it is, by which others see that nobody writes it: any time that is put back here is
// not before the pack was made, so a pack that is being written never looks as if it had been left for leftoverAge.
func (v *Volume) removePacked(p place) error {
	shard := v.shards[p.shard()]
	file, err := shard.OpenFile(p.file(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	var head [headerBytes]byte
	n, err := file.ReadAt(head[:], p.at)
	if err != nil && err != io.EOF {
		return err
	}
	if h, is := parseHeader(head[:n], p.pack, p.at); !is || h.place != p {
		return fs.ErrNotExist
	}
	err = v.disk.punch(file, p.at, p.bytes())
	if errors.Is(err, syscall.EOPNOTSUPP) { // the volume was brought here from elsewhere: its space stays
		_, err = file.WriteAt(zeros[:], p.at)
	}
	if err != nil {
		return err
	}
	if !v.removeIfLeft(file, p.pack, stat.ModTime()) {
		_ = shard.Chtimes(p.file(), time.Time{}, stat.ModTime())
	}
	return nil
}

// removeIfLeft removes a pack that has nothing in it and that nobody writes.
func (v *Volume) removeIfLeft(file *os.File, pack string, appended time.Time) bool {
	if time.Since(appended) < leftoverAge { // as nearly all are, and asking the filesystem is dear
		return false
	}
	if _, err := nextData(file, 0); err != io.EOF || !v.isLeft(appended) {
		return false
	}
	return v.shards[shardOf(pack)].Remove(pack+packSuffix) == nil
}

// listPack lists the blobs of a pack, and those of own, with files of their own and names that fall in between: an administrator
// may have put one there. A pack that was left is removed by the way.
func (v *Volume) listPack(ctx context.Context, pack string, own []string, after string, fn func(blob.Info) error) error {
	file, err := v.shards[shardOf(pack)].Open(pack + packSuffix)
	if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
		return v.listFiles(ctx, own, after, fn)
	}
	if err != nil {
		return v.failed(err, "listing pack %s", pack)
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return v.failed(err, "listing pack %s", pack)
	}
	if !v.removeIfLeft(file, pack, stat.ModTime()) {
		err = v.walk(file, pack, func(h header) error {
			name := h.name()
			between, twice := slices.BinarySearch(own, name)
			if err := v.listFiles(ctx, own[:between], after, fn); err != nil {
				return err
			}
			own = own[between:]
			if name <= after || twice {
				return nil
			}
			if ctx.Err() != nil {
				return v.interrupted(ctx)
			}
			return fn(blob.Info{Name: name, Size: h.size, Modified: stat.ModTime()})
		})
	}
	if err != nil {
		return err
	}
	return v.listFiles(ctx, own, after, fn)
}

// walk goes through the records of a pack. Where none is, as where one was removed or a crash left half of one, it goes on at the next
// block that is not of a hole: records begin with blocks, and none is inside another.
func (v *Volume) walk(file *os.File, pack string, see func(header) error) error {
	var head [headerBytes]byte
	for at := int64(0); at < packBytesMax; {
		n, err := file.ReadAt(head[:], at)
		if n == 0 && err == io.EOF {
			return nil
		}
		if err != nil && err != io.EOF {
			return v.failed(err, "listing pack %s", pack)
		}
		if h, is := parseHeader(head[:n], pack, at); is {
			if err := see(h); err != nil {
				return err
			}
			at += h.bytes()
			continue
		}
		next, err := nextData(file, at+blockBytes)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return v.failed(err, "listing pack %s", pack)
		}
		at = next / blockBytes * blockBytes
	}
	return nil
}

// packError gives an error of a pack its kind. A pack that does not grow, whatever the reason, says nothing about the size of a blob;
// and a pack that is gone while it is written is a volume that is gone.
func (v *Volume) packError(err error, format string, args ...any) error {
	switch {
	case errors.As(err, new(*fault.Error)):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Interrupted, err, "volume %s: interrupted", v.id)
	case errors.Is(err, syscall.EFBIG):
		return unavailable(err, "volume %s: a pack cannot grow", v.id).WithHint("let mailstored write files of 64 MiB (ulimit -f)")
	case errors.Is(err, fs.ErrNotExist):
		return unavailable(err, "volume %s: its directories or files are gone", v.id)
	}
	return v.failed(err, format, args...)
}
