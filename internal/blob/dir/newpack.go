package dir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"mailreplica/internal/blob"
)

// errNoPacks says that a filesystem cannot take a removed blob's space out of a pack. There every blob is a file of its own.
var errNoPacks = errors.New("the filesystem makes no holes in files")

// pack is a pack that this process writes. No process but the one that made a pack writes it, and only for packAge: what is empty
// and has not been written to for leftoverAge can be removed by anybody.
type pack struct {
	volume *Volume
	name   string // 24 hexadecimal digits
	file   packFile
	end    int64 // where the next record goes
	made   time.Time
}

// packFile is what is needed of a file, each of whose writes is durable when it returns.
type packFile interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
}

// makePack makes a pack whose name is durable, so that what is written to it needs no more than its own sync.
func (v *Volume) makePack() (*pack, error) {
	if err := v.raiseLayout(); err != nil {
		return nil, err
	}
	name := blob.NewName()[:packDigits]
	shard := shardOf(name)
	file, err := v.shards[shard].OpenFile(name+packSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_DSYNC, 0o600)
	if err != nil {
		return nil, err
	}
	p := &pack{volume: v, name: name, file: v.disk.file(file), made: time.Now()}
	err = v.disk.punch(file, 0, blockBytes)
	if errors.Is(err, syscall.EOPNOTSUPP) {
		err = errNoPacks
	}
	if err == nil {
		err = v.dirs[shard].Sync()
	}
	if err != nil {
		p.giveUp()
		return nil, err
	}
	return p, nil
}

// age is the greater one by the two clocks: one of them does not go on while the machine sleeps, the other can be set.
func (p *pack) age() time.Duration {
	now := time.Now()
	return max(now.Sub(p.made), now.Round(0).Sub(p.made.Round(0)))
}

func (p *pack) takes(bytes int) bool { return p.end+int64(bytes) <= packBytesMax && p.age() < packAge }

// seal gives records that are written next their names.
func (p *pack) seal(records []byte, starts []int) []string {
	names := make([]string, len(starts))
	for i, start := range starts {
		end := len(records)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		where := place{pack: p.name, at: p.end + int64(start), blocks: (end - start) / blockBytes}
		names[i] = where.name()
		sealRecord(records[start:end], names[i])
	}
	return names
}

// append makes records durable at the end of the pack. The pack must still be there then: somebody may have emptied the volume, or
// this process may have stood still for so long that others took the pack for one that nobody writes.
func (p *pack) append(records []byte) error {
	if _, err := p.file.WriteAt(records, p.end); err != nil {
		return err
	}
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if stat, is := info.Sys().(*syscall.Stat_t); is && stat.Nlink == 0 || p.age() > leftoverAge/2 {
		return fs.ErrNotExist
	}
	p.end += int64(len(records))
	return nil
}

// giveUp ends a pack after an error. What came after its last good record goes, as far as that can be done: nobody has its names.
func (p *pack) giveUp() {
	_ = p.file.Truncate(p.end)
	_ = p.file.Close()
	if p.end == 0 {
		_ = p.volume.shards[shardOf(p.name)].Remove(p.name + packSuffix)
	}
}

// disk is what a filesystem does. Tests have it fail.
type disk struct {
	file  func(*os.File) packFile
	punch func(file *os.File, at, length int64) error
}

func newDisk() disk {
	return disk{func(file *os.File) packFile { return file }, punch}
}

// punch gives back the space of a part of a file, which is zeros afterwards.
func punch(file *os.File, at, length int64) error {
	const keepSize, punchHole = 1, 2
	return control(file, func(fd int) error { return syscall.Fallocate(fd, keepSize|punchHole, at, length) })
}

// nextData gives the first place from at on where a file has data; io.EOF if there is none.
func nextData(file *os.File, at int64) (int64, error) {
	const seekData = 3
	next := at
	err := control(file, func(fd int) (err error) {
		next, err = syscall.Seek(fd, at, seekData)
		return err
	})
	switch {
	case errors.Is(err, syscall.ENXIO):
		return 0, io.EOF
	case errors.Is(err, syscall.EINVAL): // the filesystem does not tell
		return at, nil
	}
	return next, err
}

func control(file *os.File, call func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	for {
		var called error
		if err := raw.Control(func(fd uintptr) { called = call(int(fd)) }); err != nil {
			return err
		}
		if called != syscall.EINTR {
			return called
		}
	}
}
