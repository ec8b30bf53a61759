package wire

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const inbox = "INBOX"

// Mailbox names are bytes inside, normally UTF-8, and modified UTF-7 on the wire (RFC 3501 section 5.1.3).
//
// Bytes that are no UTF-8 travel as the private characters U+EF80 to U+EFFF, one for each of 0x80 to 0xFF, so that every
// name can be listed, and named again by the client that saw it.
const rawByteBase = 0xef00

var modifiedBase64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// EncodeMailbox gives the modified UTF-7 of a name.
func EncodeMailbox(name string) string {
	if plain(name) {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		switch c := name[i]; {
		case c == '&':
			b.WriteString("&-")
			i++
		case c >= 0x20 && c < 0x7f:
			b.WriteByte(c)
			i++
		default:
			n := encodedRun(name[i:])
			b.WriteByte('&')
			b.WriteString(encodeRun(name[i : i+n]))
			b.WriteByte('-')
			i += n
		}
	}
	return b.String()
}

// plain reports whether a name is its own encoding.
func plain(name string) bool {
	for i := 0; i < len(name); i++ {
		if name[i] < 0x20 || name[i] >= 0x7f || name[i] == '&' {
			return false
		}
	}
	return true
}

// encodedRun is the number of bytes, from the first, that are not printable ASCII.
func encodedRun(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x20 && s[i] < 0x7f {
			return i
		}
	}
	return len(s)
}

func encodeRun(s string) string {
	var units []uint16
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			r = rawByteBase + rune(s[0])
		}
		units = utf16.AppendRune(units, r)
		s = s[size:]
	}
	raw := make([]byte, 0, 2*len(units))
	for _, u := range units {
		raw = append(raw, byte(u>>8), byte(u))
	}
	return modifiedBase64.EncodeToString(raw)
}

// DecodeMailbox gives the name that a client means: the inverse of EncodeMailbox for every correct encoding. Anything
// else is taken as the name itself, so that no name is out of a client's reach. INBOX is spelled so, also as a parent.
func DecodeMailbox(encoded string) string {
	name, ok := decode(encoded)
	if !ok {
		// What the client will see listed decodes to this.
		if name, ok = decode(EncodeMailbox(encoded)); !ok {
			name = encoded
		}
	}
	return canonicalInbox(name)
}

func canonicalInbox(name string) string {
	if len(name) < len(inbox) || !strings.EqualFold(name[:len(inbox)], inbox) {
		return name
	}
	if len(name) == len(inbox) || name[len(inbox)] == '/' {
		return inbox + name[len(inbox):]
	}
	return name
}

// decodePattern decodes a pattern of LIST.
func decodePattern(encoded string) string {
	if pattern, ok := decode(encoded); ok {
		return pattern
	}
	return encoded
}

// decode accepts exactly what EncodeMailbox gives.
func decode(encoded string) (string, bool) {
	if plain(encoded) {
		return encoded, true
	}
	for _, rawBytes := range [...]bool{true, false} {
		name, ok := decodeRuns(encoded, rawBytes)
		if ok && EncodeMailbox(name) == encoded {
			return name, true
		}
	}
	return "", false
}

// decodeRuns decodes without asking for the one correct encoding. With rawBytes the private characters become the bytes
// they stand for; that is wrong where such bytes are UTF-8 together.
func decodeRuns(encoded string, rawBytes bool) (string, bool) {
	var b []byte
	for {
		before, rest, found := strings.Cut(encoded, "&")
		b = append(b, before...)
		if !found {
			return string(b), true
		}
		run, rest, found := strings.Cut(rest, "-")
		if !found {
			return "", false
		}
		encoded = rest
		if run == "" {
			b = append(b, '&')
			continue
		}
		raw, err := modifiedBase64.DecodeString(run)
		if err != nil || len(raw)%2 != 0 || strings.ContainsAny(run, "\r\n") {
			return "", false
		}
		units := make([]uint16, len(raw)/2)
		for i := range units {
			units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
		}
		for _, r := range utf16.Decode(units) {
			switch {
			case r == 0:
				return "", false
			case rawBytes && r >= rawByteBase+0x80 && r <= rawByteBase+0xff:
				b = append(b, byte(r-rawByteBase))
			default:
				b = utf8.AppendRune(b, r)
			}
		}
	}
}
