// Package account owns the identity of accounts: ids and names, and the parsing of the lists and files in which an
// operator names them. It knows no directory: whether an account exists is asked elsewhere.
package account

import (
	"crypto/rand"
	"encoding/hex"

	"mailreplica/internal/fault"
)

// ID is an account's UUID (RFC 9562). It is never reused, not even when the account's name is.
type ID [16]byte

// NewID makes a random ID (version 4).
func NewID() ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails since Go 1.24
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// String is the canonical form, 36 lower-case characters.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// MarshalText makes an ID its canonical form in JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the canonical form; anything else is Invalid.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// ParseID reads the canonical form in either case; anything else is Invalid.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		if _, err := hex.Decode(id[:], []byte(s[0:8]+s[9:13]+s[14:18]+s[19:23]+s[24:36])); err == nil {
			return id, nil
		}
	}
	return ID{}, fault.New(fault.Invalid, "%q is not an id: want 8-4-4-4-12 hexadecimal digits", s)
}
