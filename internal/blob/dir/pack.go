package dir

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"

	"mailreplica/internal/blob"
)

// A pack is a file of records, each of which is a header, the bytes of a blob, and zeros up to the next block. A block belongs to
// one record alone: neither a write that fails nor a removal touches the bytes of another blob.
//
// A record knows its own name. What lies in a pack is a blob if a header is where the name says that one is, and has that name:
// neither garbage nor what a sender put into a message can pass for one, for nobody outside can know the name before it is made.
const (
	packSuffix    = ".pack"
	packNameBytes = 12 // of the name of a blob: which pack; the others say where in there

	blockBytes   = 4 << 10
	packBytesMax = 64 << 20
	headerBytes  = 32 // magic, name, size of the blob, sum of its bytes, sum of the header up to here

	// packedBytesMax is the size up to which a blob is a record of a pack.
	packedBytesMax   = bufferBytes - headerBytes
	recordBlocksMax  = bufferBytes / blockBytes
	packDigits       = 2 * packNameBytes
	headerSumFrom    = headerBytes - 4
	headerMagic      = "mrb2"
	headerNameFrom   = len(headerMagic)
	headerSizeFrom   = headerNameFrom + 16
	headerBodySumAt  = headerSizeFrom + 4
	nameBlocksDigits = 6 // then two for the number of blocks
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// place is where a record is.
type place struct {
	pack   string // 24 hexadecimal digits
	at     int64  // of the header, in the pack
	blocks int
}

func (p place) bytes() int64 { return int64(p.blocks) * blockBytes }
func (p place) file() string { return p.pack + packSuffix }
func (p place) shard() int   { return shardOf(p.pack) }

// name is the name of the blob there: the pack, the number of the first block, the number of blocks.
func (p place) name() string {
	var where [4]byte
	binary.BigEndian.PutUint32(where[:], uint32(p.at/blockBytes)<<8|uint32(p.blocks))
	return p.pack + hex.EncodeToString(where[:])
}

// placeOf is the place of the blob with a name that CheckName took, if it can be one in a pack: of random names, one of some
// ten thousand can.
func placeOf(name string) (place, bool) {
	where, err := hex.DecodeString(name[packDigits:])
	if err != nil {
		return place{}, false
	}
	number := binary.BigEndian.Uint32(where)
	p := place{pack: name[:packDigits], at: int64(number>>8) * blockBytes, blocks: int(number & 0xff)}
	return p, p.blocks > 0 && p.blocks <= recordBlocksMax && p.at+p.bytes() <= packBytesMax
}

// packOf gives the digits of a pack's name from that of its file.
func packOf(file string) (string, bool) {
	pack, is := strings.CutSuffix(file, packSuffix)
	return pack, is && len(pack) == packDigits && blob.CheckName(pack+"00000000") == nil
}

// appendRecord appends a record without its name, which is not known yet: seal adds it.
func appendRecord(to, body []byte) []byte {
	var header [headerBytes]byte
	copy(header[:], headerMagic)
	binary.BigEndian.PutUint32(header[headerSizeFrom:], uint32(len(body)))
	binary.BigEndian.PutUint32(header[headerBodySumAt:], crc32.Checksum(body, castagnoli))
	to = append(append(to, header[:]...), body...)
	if over := (headerBytes + len(body)) % blockBytes; over > 0 {
		to = append(to, zeros[over:]...)
	}
	return to
}

var zeros [blockBytes]byte

// sealRecord puts the name into the header of a record.
func sealRecord(record []byte, name string) {
	_, _ = hex.Decode(record[headerNameFrom:headerSizeFrom], []byte(name))
	binary.BigEndian.PutUint32(record[headerSumFrom:], crc32.Checksum(record[:headerSumFrom], castagnoli))
}

// header is what a record says of itself.
type header struct {
	place
	size int64
	sum  uint32
}

// parseHeader reads the header that was found at a place of a pack, and reports whether it is one and belongs there.
func parseHeader(b []byte, pack string, at int64) (header, bool) {
	if len(b) < headerBytes || string(b[:headerNameFrom]) != headerMagic ||
		binary.BigEndian.Uint32(b[headerSumFrom:]) != crc32.Checksum(b[:headerSumFrom], castagnoli) {
		return header{}, false
	}
	p, is := placeOf(hex.EncodeToString(b[headerNameFrom:headerSizeFrom]))
	h := header{place: p, size: int64(binary.BigEndian.Uint32(b[headerSizeFrom:])), sum: binary.BigEndian.Uint32(b[headerBodySumAt:])}
	blocks := (headerBytes + h.size + blockBytes - 1) / blockBytes
	return h, is && p.pack == pack && p.at == at && int64(p.blocks) == blocks
}

// isWhole reports whether the bytes of the blob in its record are what was written.
func (h header) isWhole(record []byte) bool {
	end := headerBytes + h.size
	return int64(len(record)) >= end && crc32.Checksum(record[headerBytes:end], castagnoli) == h.sum
}
