package dir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

const tmpSuffix = ".part"

func shardName(shard int) string { return fmt.Sprintf("%02x", shard) }

// shardOf is the directory of a name that CheckName took.
func shardOf(name string) int {
	shard, _ := strconv.ParseUint(name[:2], 16, 8)
	return int(shard)
}

func blobPath(name string) string { return path.Join(blobsName, name[:2], name) }
func tmpPath(name string) string  { return path.Join(tmpName, name[:1], name+tmpSuffix) }

// makeVolume makes a volume beside its place and moves it there in one step, so that mailstores that start at the same
// time on a new machine see none or a whole one. The slower one finds the place taken, and uses what is there.
func makeVolume(where, id string) error {
	beside, err := os.MkdirTemp(filepath.Dir(where), filepath.Base(where)+".new-")
	if err != nil {
		return unavailable(err, "volume %s: %s cannot be made", id, where)
	}
	defer os.RemoveAll(beside)
	root, err := os.OpenRoot(beside)
	if err != nil {
		return unavailable(err, "volume %s: %s cannot be opened", id, beside)
	}
	err = makeLayout(root, beside, id)
	root.Close()
	if err != nil {
		return err
	}
	if err := os.Rename(beside, where); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return unavailable(err, "volume %s: %s cannot be made", id, where)
	}
	parent, err := os.Open(filepath.Dir(where))
	if err == nil {
		err = errors.Join(parent.Sync(), parent.Close())
	}
	if err != nil {
		return unavailable(err, "volume %s: %s cannot be synced", id, filepath.Dir(where))
	}
	return nil
}

// makeLayout makes the directories and then, when they are durable, the marker. So a volume with a marker is complete,
// and one without can be made again.
func makeLayout(root *os.Root, where, id string) error {
	if err := refuseForeign(root, where, id); err != nil {
		return err
	}
	dirs := []string{tmpName, blobsName}
	for shard := range fanOut {
		dirs = append(dirs, path.Join(blobsName, shardName(shard)))
	}
	for digit := range 16 {
		dirs = append(dirs, path.Join(tmpName, fmt.Sprintf("%x", digit)))
	}
	for _, dir := range dirs {
		if err := root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return unavailable(err, "volume %s: %s cannot be made in %s", id, dir, where)
		}
	}
	if err := errors.Join(syncDir(root, blobsName), syncDir(root, tmpName), syncDir(root, ".")); err != nil {
		return unavailable(err, "volume %s: %s cannot be synced", id, where)
	}
	if err := writeMarker(root, id); err != nil {
		return unavailable(err, "volume %s: the marker cannot be written in %s", id, where)
	}
	return nil
}

// refuseForeign refuses a directory that has anything in it but what makeLayout makes, or another volume's marker.
func refuseForeign(root *os.Root, where, id string) error {
	dir, err := root.Open(".")
	if err != nil {
		return unavailable(err, "volume %s: %s cannot be read", id, where)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return unavailable(err, "volume %s: %s cannot be read", id, where)
	}
	for _, name := range names {
		switch name {
		case tmpName, blobsName, markerName + tmpSuffix, "lost+found":
		case markerName:
			return (&Volume{path: where, id: id, root: root}).checkMarker()
		default:
			return fault.New(fault.Invalid, "volume %s: %s is not empty: it holds %q", id, where, name).
				WithHint("give the volume a directory of its own")
		}
	}
	return nil
}

func writeMarker(root *os.Root, id string) error {
	if _, err := root.Stat(markerName); err == nil {
		return nil
	}
	return putMarker(root, id)
}

// putMarker puts a marker in its place, whole and durably, whatever is there and whoever does the same.
func putMarker(root *os.Root, id string) error {
	content, err := json.Marshal(marker{ID: id, Layout: markerLayout})
	if err != nil {
		return err
	}
	part := tmpPath(blob.NewName())
	file, err := root.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(content, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = root.Rename(part, markerName)
	}
	if err != nil {
		_ = root.Remove(part)
		return err
	}
	return syncDir(root, ".")
}

// raiseLayout makes sure that the directory is the volume, and that programs that do not know packs do not use it.
func (v *Volume) raiseLayout() error {
	layout, err := v.layout()
	if err != nil || layout == markerLayout {
		return err
	}
	return putMarker(v.root, v.id)
}

func syncDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// removeLeftovers removes temporary files that a crash left: only those with a name that a Writer makes, and only old
// ones, since another mailstore may be writing.
func (v *Volume) removeLeftovers() error {
	for digit := range 16 {
		if err := v.removeLeftoversIn(path.Join(tmpName, fmt.Sprintf("%x", digit))); err != nil {
			return err
		}
	}
	return nil
}

func (v *Volume) removeLeftoversIn(tmp string) error {
	dir, err := v.root.Open(tmp)
	if err != nil {
		return v.failed(err, "reading %s of volume %s", tmp, v.id)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return v.failed(err, "reading %s of volume %s", tmp, v.id)
	}
	for _, name := range names {
		base, part := strings.CutSuffix(name, tmpSuffix)
		if !part || blob.CheckName(base) != nil {
			continue
		}
		stat, err := v.root.Lstat(path.Join(tmp, name))
		if err != nil || !stat.Mode().IsRegular() || !v.isLeft(stat.ModTime()) {
			continue
		}
		if err := v.root.Remove(path.Join(tmp, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return v.failed(err, "removing a leftover of volume %s", v.id)
		}
	}
	return nil
}

// isLeft reports whether a file that was last written at a time is so old that nobody writes it: by the clock of this machine, and by that
// of the filesystem, which says when a file was written. Either may be set wrong.
func (v *Volume) isLeft(written time.Time) bool {
	return time.Since(written) >= leftoverAge && v.clock().Sub(written) >= leftoverAge
}

// clock is the time by the filesystem; the zero time if it takes no file.
func (v *Volume) clock() time.Time {
	name := tmpPath(blob.NewName())
	file, err := v.root.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return time.Time{}
	}
	defer v.root.Remove(name)
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return time.Time{}
	}
	return stat.ModTime()
}
