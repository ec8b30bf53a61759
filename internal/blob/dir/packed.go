package dir

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

// packedBlob is a blob of a pack, in memory: so it stays what it is when it is removed, and no reader sees the zeros that a removal
// leaves behind.
type packedBlob struct{ *bytes.Reader }

func (b packedBlob) Close() error { return nil }

// openPacked reads a blob out of a pack. fs.ErrNotExist: there is none at that place. The pack is opened anew each time: that is
// when a filesystem that is shared over a network looks whether others have written to it.
func (v *Volume) openPacked(p place) (blob.Blob, error) {
	for again := false; ; again = true {
		record, err := v.readRecord(p)
		if err != nil {
			return nil, err
		}
		h, is := parseHeader(record, p.pack, p.at)
		if !is || h.place != p {
			return nil, fs.ErrNotExist
		}
		if body, whole := h.body(record); whole {
			return packedBlob{body}, nil
		}
		if again { // at first it may have been removed in this very moment
			return nil, fault.New(fault.VolumeUnavailable, "volume %s: blob %s is damaged", v.id, p.name()).
				WithHint("bring back the file blobs/%s/%s from a backup of the volume", shardName(p.shard()), p.file())
		}
	}
}

func (v *Volume) readRecord(p place) ([]byte, error) {
	file, err := v.shards[p.shard()].Open(p.file())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	record := make([]byte, p.bytes())
	n, err := file.ReadAt(record, p.at)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return record[:n], nil
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
