package lmtp

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"strings"
)

// traceDate is the date-time of RFC 5322 section 3.3.
const traceDate = "Mon, 2 Jan 2006 15:04:05 -0700"

// traceBytes is room for the fields of most mail.
const traceBytes = 512

// newID makes the id of a transaction.
func newID() string {
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	return hex.EncodeToString(random[:])
}

// Trace gives the fields that final delivery puts in front of a message (RFC 5321 sections 4.4 and 4.4.1), as written by
// the mailstore of this name. Every other byte of the message stays.
func (m *Mail) Trace(by string, r Recipient) []byte {
	b := make([]byte, 0, traceBytes)
	b = append(append(append(b, "Return-Path: <"...), visible(m.Sender)...), ">\r\nReceived: from "...)
	b = append(b, token(m.Client.HELO)...)
	if host, _, err := net.SplitHostPort(m.Client.Addr); err == nil {
		b = append(append(append(b, " ("...), addressLiteral(host)...), ')')
	}
	b = append(append(append(b, "\r\n\tby "...), token(by)...), " (Mailreplica"...)
	if m.Client.Frontend != "" && m.Client.Frontend != by {
		b = append(append(b, " through "...), token(m.Client.Frontend)...)
	}
	b = append(append(append(b, ") with "...), m.Client.protocol()...), " id "...)
	b = append(append(append(b, token(m.ID)...), "\r\n\tfor <"...), visible(r.Address)...)
	b = m.Received.AppendFormat(append(b, ">; "...), traceDate)
	return append(b, "\r\n"...)
}

// protocol is the word of the IANA registry "Mail Transmission Types" (RFC 3848, RFC 6531 section 4.3).
func (c Client) protocol() string {
	word := "LMTP"
	if c.UTF8 {
		word = "UTF8LMTP"
	}
	if c.TLS {
		word += "S"
	}
	return word
}

// addressLiteral writes an address as RFC 5321 section 4.1.3 does.
func addressLiteral(host string) string {
	ip := net.ParseIP(host)
	switch {
	case ip == nil:
		return token(host)
	case ip.To4() == nil:
		return "[IPv6:" + ip.String() + "]"
	}
	return "[" + ip.String() + "]"
}

// token keeps what a host name or an address literal is made of.
func token(s string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r > 0x9f:
			return r
		}
		switch r {
		case '-', '.', '_', ':', '[', ']':
			return r
		}
		return '?'
	}, s)
	if clean == "" {
		return "unknown"
	}
	return clean
}

// visible makes sure that a path ends no line. Paths come from command lines, which hold no control characters.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
