package lmtp

import (
	"strings"

	"mailreplica/internal/fault"
)

// reply is how a fault kind is told to an MTA: a code (RFC 5321), an enhanced one (RFC 3463), and a text where the error's
// own message says more than an MTA needs.
type reply struct {
	code     int
	enhanced string
	text     string // "" is the error's own message, which is safe to show
}

// replies is the one place where fault kinds become LMTP. A 5xx makes the MTA give the mail back to its sender, so only an
// unknown recipient, a closed account and an over-size message have one; whatever is not listed is otherwise.
var replies = map[fault.Kind]reply{
	fault.NotFound:             {550, "5.1.1", ""},
	fault.Closed:               {550, "5.2.1", "The account is closed"},
	fault.TooLarge:             {552, "5.3.4", ""},
	fault.Maintenance:          {450, "4.2.1", "The account is in maintenance, try again later"},
	fault.HomeUnreachable:      {451, "4.4.1", "The mailbox's server does not answer, try again later"},
	fault.NotHome:              {451, "4.3.0", "The mailbox has moved, try again"},
	fault.VolumeUnavailable:    {452, "4.3.1", "Message storage takes nothing now, try again later"},
	fault.DatabaseUnavailable:  {452, "4.3.1", "The mailbox cannot be changed now, try again later"},
	fault.DirectoryUnavailable: {451, "4.3.0", "Accounts cannot be looked up now, try again later"},
	fault.LogUnavailable:       {451, "4.3.0", "The mailbox cannot be changed now, try again later"},
	fault.Interrupted:          {451, "4.3.2", "The server is shutting down, try again"},
}

var otherwise = reply{451, "4.3.0", "The mail cannot be delivered now, try again later"}

// replyTo finds the reply to an error.
func replyTo(err error) reply {
	r, known := replies[fault.KindOf(err)]
	if !known {
		r = otherwise
	}
	if r.text == "" {
		r.text = fault.Message(err)
	}
	return r
}

// Result is what an MTA is told of a recipient for whom something of this kind went wrong: that it is put off, and to be tried
// again ("deferred"), or that the mail is to be given back ("refused").
func Result(kind fault.Kind) string {
	if r, known := replies[kind]; known && r.code >= 500 {
		return "refused"
	}
	return "deferred"
}

// replyTextBytesMax keeps a reply line below the 512 bytes of RFC 5321 section 4.5.3.1.5.
const replyTextBytesMax = 400

// replyText makes one printable line. Without SMTPUTF8 it is ASCII (RFC 6531 section 3.7.4.1).
func replyText(s string, utf8 bool) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7f && !utf8 {
			return '?'
		}
		return r
	}, s)
	if len(s) > replyTextBytesMax {
		s = strings.ToValidUTF8(s[:replyTextBytesMax], "")
	}
	return s
}
