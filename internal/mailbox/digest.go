package mailbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// Digest is an incremental hash over a set of rows, independent of order: the sum modulo 2^128 of the truncated SHA-256 of
// each row. It finds divergence, not forgery: whoever may append to the log may write anything anyway.
type Digest struct{ Hi, Lo uint64 }

// String is 32 hexadecimal digits.
func (d Digest) String() string {
	b := d.Bytes()
	return hex.EncodeToString(b[:])
}

// Bytes is the digest in 16 bytes, big endian.
func (d Digest) Bytes() [16]byte {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], d.Hi)
	binary.BigEndian.PutUint64(b[8:], d.Lo)
	return b
}

// DigestFromBytes is the inverse of Bytes.
func DigestFromBytes(b [16]byte) Digest {
	return Digest{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (d Digest) add(row []byte) Digest {
	h := hashRow(row)
	lo, carry := bits.Add64(d.Lo, h.Lo, 0)
	hi, _ := bits.Add64(d.Hi, h.Hi, carry)
	return Digest{hi, lo}
}

func (d Digest) subtract(row []byte) Digest {
	h := hashRow(row)
	lo, borrow := bits.Sub64(d.Lo, h.Lo, 0)
	hi, _ := bits.Sub64(d.Hi, h.Hi, borrow)
	return Digest{hi, lo}
}

func hashRow(row []byte) Digest {
	sum := sha256.Sum256(row)
	return DigestFromBytes([16]byte(sum[:16]))
}
