package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A file is the bytes of the blob, a CRC-32C of each block of them, and a footer: magic, size, key, and a CRC of the sums and
// the footer. A file that is cut, torn or rotten does not agree with that, and neither does one that lies under another name.
const (
	blockBytes  = 64 << 10
	magic       = "MRcache1"
	footerBytes = len(magic) + 8 + keyBytes + 4

	volumeBytes = 8
	nameBytes   = 16
	keyBytes    = volumeBytes + nameBytes
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	blocks     = sync.Pool{New: func() any { return new([blockBytes]byte) }}

	errDamaged = errors.New("the file is not what was written")
)

// key names a blob on a volume: the name as bytes, after some of a hash of the volume's ID.
type key [keyBytes]byte

// makeKey takes a name that blob.CheckName took.
func makeKey(volume [volumeBytes]byte, name string) key {
	var k key
	copy(k[:], volume[:])
	_, _ = hex.Decode(k[volumeBytes:], []byte(name))
	return k
}

func volumeHash(id string) [volumeBytes]byte {
	sum := sha256.Sum256([]byte(id))
	return [volumeBytes]byte(sum[:volumeBytes])
}

// fileName is NAME.VOLUME in hexadecimal.
func (k key) fileName() string {
	return hex.EncodeToString(k[volumeBytes:]) + "." + hex.EncodeToString(k[:volumeBytes])
}

func parseKey(fileName string) (key, bool) {
	name, volume, found := strings.Cut(fileName, ".")
	raw, err := hex.DecodeString(volume + name)
	if !found || err != nil || len(raw) != keyBytes || key(raw).fileName() != fileName {
		return key{}, false
	}
	return key(raw), true
}

func (c *Cache) path(k key) string {
	name := k.fileName()
	return filepath.Join(c.folder, name[:1], name)
}

// newFile is a file to be. Its errors are kept to itself: whoever writes to it has the bytes from elsewhere.
type newFile struct {
	cache    *Cache
	file     *os.File // nil until a block is full, or publish
	block    *[blockBytes]byte
	filled   int
	sums     []byte
	size     int64
	reserved int64
	over     bool // it was published, given up, or cannot be written
}

func (c *Cache) newFile() *newFile {
	return &newFile{cache: c, block: blocks.Get().(*[blockBytes]byte)}
}

func (f *newFile) write(p []byte) {
	for len(p) > 0 && !f.over {
		if f.filled == blockBytes {
			f.flush(nil)
			continue
		}
		n := copy(f.block[f.filled:], p)
		f.filled, f.size, p = f.filled+n, f.size+int64(n), p[n:]
	}
}

// flush writes the block, and what follows it.
func (f *newFile) flush(end []byte) {
	block := f.block[:f.filled]
	if end == nil {
		f.sums = binary.BigEndian.AppendUint32(f.sums, crc32.Checksum(block, castagnoli))
	}
	need := int64(len(block) + len(end))
	if f.size > f.cache.bytesMax/shareMax || !f.cache.reserve(need) {
		f.discard()
		return
	}
	f.reserved += need
	err := f.open()
	if err == nil {
		_, err = f.file.Write(append(block, end...))
	}
	f.filled = 0
	if err != nil {
		f.cache.complain(err)
		f.discard()
	}
}

func (f *newFile) open() (err error) {
	if f.file != nil {
		return nil
	}
	c := f.cache
	c.mu.Lock()
	c.nextTmp++
	name := strconv.FormatInt(c.nextTmp, 10)
	c.mu.Unlock()
	f.file, err = os.OpenFile(filepath.Join(c.folder, tmpName, name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	return err
}

// publish gives the file its name. fl is the flight that fetched it, or nil: a blob that was removed meanwhile is not kept.
func (f *newFile) publish(k key, fl *flight) bool {
	if f.over {
		return false
	}
	if f.filled > 0 {
		f.sums = binary.BigEndian.AppendUint32(f.sums, crc32.Checksum(f.block[:f.filled], castagnoli))
	}
	f.flush(appendFooter(f.sums, f.size, k))
	if f.over || !f.cache.reserve(fileOverheadBytes) {
		f.discard()
		return false
	}
	f.reserved += fileOverheadBytes
	from := f.file.Name()
	if err := f.file.Close(); err != nil {
		f.cache.complain(err)
		f.discard()
		return false
	}
	kept := f.cache.add(from, k, f.reserved, fl)
	if kept {
		f.reserved = 0 // the entry has it now
	} else {
		_ = os.Remove(from)
	}
	f.end()
	return kept
}

// add moves a file to its place. The lock is held while it is renamed: a blob that is forgotten at the same time is forgotten
// before, and then not kept, or afterwards, and then its file is there to be removed.
func (c *Cache) add(from string, k key, size int64, fl *flight) bool {
	c.mu.Lock()
	if _, there := c.entries[k]; there || c.closed || fl != nil && fl.dead {
		c.mu.Unlock()
		return false
	}
	to := c.path(k)
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.Rename(from, to))
	}
	if err == nil {
		c.entries[k] = c.recent.PushFront(&entry{key: k, bytes: size, touched: time.Now()})
	}
	c.mu.Unlock()
	if err != nil {
		c.complain(err)
	}
	return err == nil
}

// discard gives the file up.
func (f *newFile) discard() {
	if f.over {
		return
	}
	if f.file != nil {
		_ = f.file.Close()
		_ = os.Remove(f.file.Name())
	}
	f.end()
}

func (f *newFile) end() {
	f.over = true
	f.cache.release(f.reserved)
	f.reserved = 0
	blocks.Put(f.block)
	f.block = nil
}

func appendFooter(sums []byte, size int64, k key) []byte {
	end := append(bytes.Clone(sums), magic...)
	end = binary.BigEndian.AppendUint64(end, uint64(size))
	end = append(end, k[:]...)
	return binary.BigEndian.AppendUint32(end, crc32.Checksum(end, castagnoli))
}

// openFile opens the file of a blob, and makes sure that its end is whole and says what it should.
func (c *Cache) openFile(k key) (*os.File, int64, []byte, error) {
	file, err := os.Open(c.path(k))
	if err != nil {
		return nil, 0, nil, err
	}
	size, sums, err := readEnd(file, k)
	if err != nil {
		_ = file.Close()
		return nil, 0, nil, err
	}
	return file, size, sums, nil
}

func readEnd(file *os.File, k key) (size int64, sums []byte, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, nil, err
	}
	footer := make([]byte, footerBytes)
	if _, err := file.ReadAt(footer, info.Size()-int64(footerBytes)); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	size = int64(binary.BigEndian.Uint64(footer[len(magic):]))
	if size < 0 || size > info.Size() {
		return 0, nil, errDamaged
	}
	count := (size + blockBytes - 1) / blockBytes
	if size+4*count+int64(footerBytes) != info.Size() {
		return 0, nil, errDamaged
	}
	sums = make([]byte, 4*count)
	if _, err := file.ReadAt(sums, size); count > 0 && err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if !bytes.Equal(appendFooter(sums, size, k)[len(sums):], footer) {
		return 0, nil, errDamaged
	}
	return size, sums, nil
}

func sumMatches(block, sum []byte) bool {
	return crc32.Checksum(block, castagnoli) == binary.BigEndian.Uint32(sum)
}
