// Package dir is a volume in a directory: on a disk of one machine, or on a filesystem that all mailstores share.
//
// Layout: volume.json is the marker; xx are the first two digits of a name.
//
//   - blobs/xx/PACK.pack are packs. What fits the buffer of a Writer, as most messages do, is appended to one, together with all that
//     wait at the same time: one write and one sync for all of them (packer.go). Each process makes packs of its own, so there are
//     no locks. A removed blob is a hole (pack.go, packed.go).
//   - blobs/xx/NAME are blobs that are larger, files of their own. So is every blob where the filesystem makes no holes in files.
//   - tmp/x/NAME.part is what is being written and too large for one go: sixteen directories, since one alone is a queue for many
//     writers.
//
// All access goes through handles on the directories, taken when the volume is opened: a name cannot lead out of it, and
// a filesystem that is mounted over it or taken away is noticed instead of followed.
//
// Of a filesystem that several machines share this is relied upon: what was synced on one is seen by another that opens the file
// after that, as with close-to-open consistency; a name is made and removed by one alone; their clocks are right within hours.
//
// Layout 1 had no packs. A volume of it is used as it is, and becomes layout 2 before its first pack is made; programs that do not
// know packs refuse it from then on.
package dir

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

const (
	markerName     = "volume.json"
	markerLayout   = 2
	markerBytesMax = 4 << 10
	blobsName      = "blobs"
	tmpName        = "tmp"
	fanOut         = 256

	// leftoverAge is how old a temporary file is before it is taken for the leftover of a crash. Several mailstores
	// write to one volume; none of them writes a blob for that long.
	leftoverAge = 24 * time.Hour
)

// Volume is a volume in a directory.
type Volume struct {
	path string
	id   string
	root *os.Root

	// blobs/xx, held open: the blobs in there are reached without a walk, and the directory can be synced.
	shards [fanOut]*os.Root
	dirs   [fanOut]*os.File

	packer *packer
	packs  openPacks
	disk   disk
}

var _ blob.Volume = (*Volume)(nil)

type marker struct {
	ID     string `json:"id"`
	Layout int    `json:"layout"`
}

// Open opens the volume with this id in a directory. A directory that does not exist is made, and becomes the volume.
// One that exists must have the volume's marker: without it Open fails with fault.VolumeUnavailable, because it is most
// likely the empty mount point of a filesystem that is not mounted. Create makes a volume in an existing directory.
func Open(path string, id string) (*Volume, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := makeVolume(path, id); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, unavailable(err, "volume %s: %s cannot be opened", id, path)
	}
	v := &Volume{path: path, id: id, root: root, disk: newDisk()}
	v.packer = newPacker(v)
	if err := v.open(); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// Create makes a volume in an existing directory that is empty, or was left half made by Create, and opens it. It is for
// an operator who says that this is the right place.
func Create(path string, id string) (*Volume, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, unavailable(err, "volume %s: %s cannot be opened", id, path)
	}
	defer root.Close()
	if err := makeLayout(root, path, id); err != nil {
		return nil, err
	}
	return Open(path, id)
}

// Close ends the use of the volume; no other method is running or called after it.
func (v *Volume) Close() {
	v.packer.close()
	v.packs.close()
	for i := range fanOut {
		if v.shards[i] != nil {
			v.shards[i].Close()
		}
		if v.dirs[i] != nil {
			v.dirs[i].Close()
		}
	}
	v.root.Close()
}

// ID implements blob.Volume.
func (v *Volume) ID() string { return v.id }

func (v *Volume) open() error {
	if err := v.checkMarker(); err != nil {
		return err
	}
	for i := range fanOut {
		shard, err := v.root.OpenRoot(path.Join(blobsName, shardName(i)))
		if err == nil {
			v.shards[i] = shard
			v.dirs[i], err = shard.Open(".")
		}
		if err != nil {
			return unavailable(err, "volume %s: %s is not complete", v.id, v.path)
		}
	}
	return v.removeLeftovers()
}

// checkMarker makes sure that the directory is the volume, and answers.
func (v *Volume) checkMarker() error {
	_, err := v.layout()
	return err
}

// layout gives the layout of the volume, if the directory is the volume.
func (v *Volume) layout() (int, error) {
	content, err := v.readMarker()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, unavailable(err, "volume %s: %s has no %s", v.id, v.path, markerName).
			WithHint("mount the filesystem of the volume; to make a new volume there, use powerstore doCreateVolume")
	}
	if err != nil {
		return 0, unavailable(err, "volume %s: %s cannot be read", v.id, v.path)
	}
	var found marker
	if err := json.Unmarshal(content, &found); err != nil || len(content) > markerBytesMax {
		return 0, unavailable(err, "volume %s: %s in %s cannot be understood", v.id, markerName, v.path)
	}
	if found.ID != v.id || found.Layout < 1 || found.Layout > markerLayout {
		return 0, unavailable(nil, "%s holds volume %.80q in layout %d, not volume %s in layout 1 to %d",
			v.path, found.ID, found.Layout, v.id, markerLayout).WithHint("mount the right filesystem there, or update this mailstore")
	}
	return found.Layout, nil
}

// readMarker reads no more than a marker has.
func (v *Volume) readMarker() ([]byte, error) {
	file, err := v.root.Open(markerName)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, markerBytesMax+1))
}

// Open implements blob.Volume.
func (v *Volume) Open(ctx context.Context, name string) (blob.Blob, error) {
	if err := v.check(ctx, name); err != nil {
		return nil, err
	}
	p, maybe := placeOf(name)
	if !maybe {
		return v.openFile(name)
	}
	b, err := v.openPacked(p)
	if err == nil {
		return b, nil
	}
	// It is not a name of a pack, or an administrator has put a file of a backup in the place of a damaged record.
	file, ferr := v.openFile(name)
	if fault.Is(ferr, fault.NotFound) && !errors.Is(err, fs.ErrNotExist) {
		return nil, v.packError(err, "opening blob %s", name)
	}
	return file, ferr
}

func (v *Volume) openFile(name string) (blob.Blob, error) {
	file, err := v.shards[shardOf(name)].Open(name)
	if err != nil {
		return nil, v.failed(err, "opening blob %s", name)
	}
	stat, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, v.failed(err, "opening blob %s", name)
	}
	return &openBlob{volume: v, file: file, size: stat.Size()}, nil
}

// Remove implements blob.Volume.
func (v *Volume) Remove(ctx context.Context, name string) error {
	if err := v.check(ctx, name); err != nil {
		return err
	}
	if p, maybe := placeOf(name); maybe {
		if err := v.removePacked(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return v.failed(err, "removing blob %s", name)
		}
	}
	if err := v.shards[shardOf(name)].Remove(name); err != nil {
		if err := v.failed(err, "removing blob %s", name); !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// List implements blob.Volume.
func (v *Volume) List(ctx context.Context, after string, fn func(blob.Info) error) error {
	for shard := range fanOut {
		if last := shardName(shard) + "g"; last < after {
			continue // every name there is smaller: "g" is greater than any digit
		}
		if ctx.Err() != nil {
			return v.interrupted(ctx)
		}
		names, err := v.namesOf(shard)
		if err != nil {
			return err
		}
		if err := v.listShard(ctx, names, after, fn); err != nil {
			return err
		}
	}
	return nil
}

// listShard lists what the files of a directory hold, in the order of their names: a pack comes right before what could be in it.
func (v *Volume) listShard(ctx context.Context, names []string, after string, fn func(blob.Info) error) error {
	for len(names) > 0 {
		next := 1
		pack, is := packOf(names[0])
		if is {
			for next < len(names) && strings.HasPrefix(names[next], pack) {
				next++
			}
		}
		var err error
		switch {
		case !is:
			err = v.listFiles(ctx, names[:1], after, fn)
		case pack+"g" > after:
			err = v.listPack(ctx, pack, names[1:next], after, fn)
		}
		if err != nil {
			return err
		}
		names = names[next:]
	}
	return nil
}

// listFiles lists blobs that are files of their own.
func (v *Volume) listFiles(ctx context.Context, names []string, after string, fn func(blob.Info) error) error {
	for _, name := range names {
		if name <= after || blob.CheckName(name) != nil {
			continue
		}
		if ctx.Err() != nil {
			return v.interrupted(ctx)
		}
		stat, err := v.shards[shardOf(name)].Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return v.failed(err, "listing blob %s", name)
		}
		if err := fn(blob.Info{Name: name, Size: stat.Size(), Modified: stat.ModTime()}); err != nil {
			return err
		}
	}
	return nil
}

func (v *Volume) namesOf(shard int) ([]string, error) {
	dir, err := v.root.Open(path.Join(blobsName, shardName(shard)))
	if err != nil {
		return nil, v.failed(err, "listing volume %s", v.id)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, v.failed(err, "listing volume %s", v.id)
	}
	slices.Sort(names)
	return names, nil
}

func (v *Volume) check(ctx context.Context, name string) error {
	if err := blob.CheckName(name); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return v.interrupted(ctx)
	}
	return nil
}

func (v *Volume) interrupted(ctx context.Context) error {
	return fault.Wrap(fault.Interrupted, ctx.Err(), "volume %s: interrupted", v.id)
}

// failed gives an error of the filesystem its kind. "No such file" is NotFound only if the volume is there to say so.
func (v *Volume) failed(err error, format string, args ...any) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := v.checkMarker(); err != nil {
			return err
		}
		return fault.Wrap(fault.NotFound, err, "volume %s has no such blob", v.id)
	case errors.Is(err, syscall.EFBIG):
		return fault.Wrap(fault.TooLarge, err, "volume %s does not take a blob of that size", v.id)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return unavailable(err, "volume %s is full", v.id).WithHint("free space on the volume's filesystem")
	}
	return unavailable(err, format, args...)
}

func unavailable(err error, format string, args ...any) *fault.Error {
	return fault.Wrap(fault.VolumeUnavailable, err, format, args...)
}

// openBlob is a file; a removed file stays readable while it is open.
type openBlob struct {
	volume *Volume
	file   *os.File
	size   int64
}

func (b *openBlob) Size() int64  { return b.size }
func (b *openBlob) Close() error { return b.file.Close() }

func (b *openBlob) ReadAt(p []byte, offset int64) (int, error) {
	n, err := b.file.ReadAt(p, offset)
	var failed *fs.PathError
	if errors.As(err, &failed) { // io.EOF stays what it is
		err = unavailable(err, "reading from volume %s", b.volume.id)
	}
	return n, err
}
