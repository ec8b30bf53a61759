package cache_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"testing"

	"mailreplica/internal/blob/blobtest"
)

// FuzzFile puts anything in the place of a blob's file, with a footer that fits if sums says so, as a bad disk or another program may. What
// is read is what the volume has, as long as the volume is there, and never anything else.
func FuzzFile(f *testing.F) {
	under, folder := newVolume(f), f.TempDir()
	content := blobtest.Content(1, 70_000)
	name := blobtest.Put(f, under.Volume, content)
	first := open(f, folder, plenty)
	if got, err := read(first.Wrap(under), name); err != nil || !bytes.Equal(got, content) {
		f.Fatal(err)
	}
	first.Close()
	path := files(f, folder)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	key := whole[len(whole)-4-24 : len(whole)-4]

	f.Add([]byte{}, uint32(0), false)
	f.Add(whole, uint32(0), false)
	f.Add(whole[:len(whole)-1], uint32(0), false)
	f.Add([]byte("another"), uint32(1), true)
	f.Add(append(bytes.Clone(content[:100]), 1), uint32(0), true)
	f.Fuzz(func(t *testing.T, file []byte, flip uint32, sums bool) {
		if sums {
			file = withFooter(file, key)
		}
		if len(file) > 0 {
			file = bytes.Clone(file)
			file[int(flip>>8)%len(file)] ^= byte(flip)
		}
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		c := open(t, folder, plenty)
		defer c.Close()
		got, err := read(c.Wrap(under), name)
		if sums && byte(flip) == 0 {
			return // nothing tells it from ours
		}
		switch {
		case err == nil && !bytes.Equal(got, content):
			t.Errorf("a file of %d bytes: read %d bytes that nobody wrote", len(file), len(got))
		case err != nil && !sums: // with sums its size was believed, which the volume does not have
			t.Errorf("a file of %d bytes: the volume is there, and the blob cannot be read: %v", len(file), err)
		}
	})
}

// withFooter is a file of these bytes as the cache writes it.
func withFooter(content, key []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	var end []byte
	for at := 0; at < len(content); at += 64 << 10 {
		end = binary.BigEndian.AppendUint32(end, crc32.Checksum(content[at:min(len(content), at+64<<10)], table))
	}
	end = append(end, "MRcache1"...)
	end = binary.BigEndian.AppendUint64(end, uint64(len(content)))
	end = append(end, key...)
	end = binary.BigEndian.AppendUint32(end, crc32.Checksum(end, table))
	return append(bytes.Clone(content), end...)
}
