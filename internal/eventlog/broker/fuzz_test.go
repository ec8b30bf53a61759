package broker

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// FuzzSegment reads what a crash, or a bad disk, may have left of a segment. sums says whether the checksum of the first batch is made to fit,
// without which nothing of it is looked at.
func FuzzSegment(f *testing.F) {
	batch := make([]byte, 70)
	binary.BigEndian.PutUint32(batch[8:], 58)
	binary.BigEndian.PutUint32(batch[57:], 3)
	f.Add(batch, true)
	f.Add(append(append([]byte{}, batch...), batch[:40]...), true)
	f.Add([]byte{11: 0xff}, false)
	f.Fuzz(func(t *testing.T, segment []byte, sums bool) {
		if len(segment) >= 61 && sums {
			if length := int64(int32(binary.BigEndian.Uint32(segment[8:]))); length >= 49 && 12+length <= int64(len(segment)) {
				binary.BigEndian.PutUint32(segment[17:], crc32.Checksum(segment[21:12+length], castagnoli))
			}
		}
		var w sequenceWindow
		bytes := 0
		eachBatch(segment, func(batch []byte) {
			if bytes += len(batch); len(batch) < 61 {
				t.Errorf("a batch of %d bytes", len(batch))
			}
			w.push(batch)
		})
		if bytes > len(segment) || int(w.Count) > len(w.Entries) || int(w.At) >= len(w.Entries) {
			t.Errorf("%d bytes of %d, %+v", bytes, len(segment), w)
		}
	})
}
