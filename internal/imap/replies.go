package imap

import (
	"mailreplica/internal/fault"
)

// reply is how a fault kind is told to a client.
type reply struct {
	code string // response code (RFC 5530, RFC 4466, RFC 7889), without brackets
	text string // "" is the error's own message, which is safe to show
	ends bool   // the session cannot go on: BYE instead of NO
}

// replies is the one place where fault kinds become IMAP. Codes matter: a client asks its user for the password when it
// reads AUTHENTICATIONFAILED, so nothing but wrong credentials says so; UNAVAILABLE is "try again later".
var replies = map[fault.Kind]reply{
	fault.Internal:             {code: "SERVERBUG", text: "Internal error"},
	fault.Invalid:              {code: "CANNOT"},
	fault.NotFound:             {code: "NONEXISTENT"},
	fault.Exists:               {code: "ALREADYEXISTS"},
	fault.Denied:               {code: "NOPERM"},
	fault.Credentials:          {code: "AUTHENTICATIONFAILED", text: "Wrong user name or password"},
	fault.TooLarge:             {code: "LIMIT"},
	fault.Busy:                 {code: "UNAVAILABLE", text: "The mailbox is busy, try again"},
	fault.NotHome:              {code: "UNAVAILABLE", text: "The mailbox has moved, connect again", ends: true},
	fault.HomeUnreachable:      {code: "UNAVAILABLE", text: "The mailbox's server does not answer, try again later"},
	fault.Unusable:             {code: "UNAVAILABLE", text: "The mailbox is being repaired, try again later", ends: true},
	fault.Paused:               {code: "UNAVAILABLE", text: "The mailbox cannot be changed now, try again later"},
	fault.NotReady:             {code: "UNAVAILABLE", text: "The server is starting, try again later"},
	fault.LogUnavailable:       {code: "UNAVAILABLE", text: "The mailbox cannot be opened or changed now, try again later"},
	fault.VolumeUnavailable:    {code: "UNAVAILABLE", text: "Message storage does not answer, try again later"},
	fault.DirectoryUnavailable: {code: "UNAVAILABLE", text: "Accounts cannot be checked now, try again later"},
	fault.DatabaseUnavailable:  {code: "UNAVAILABLE", text: "The mailbox cannot be read or changed now, try again later"},
	fault.Locked:               {code: "AUTHORIZATIONFAILED", text: "The account is locked"},
	fault.Maintenance:          {code: "ALERT", text: "The account is in maintenance"},
	fault.Closed:               {code: "AUTHORIZATIONFAILED", text: "The account is closed"},
	fault.Interrupted:          {code: "UNAVAILABLE", text: "The server is shutting down", ends: true},
}

// replyTo finds the reply to an error. missing is the code for NotFound where the command knows better: a mailbox that
// APPEND, COPY and MOVE could have created is TRYCREATE (RFC 3501 section 7.1).
func replyTo(err error, missing string) reply {
	r, known := replies[fault.KindOf(err)]
	if !known {
		r = replies[fault.Internal]
	}
	if r.text == "" {
		r.text = fault.Message(err)
	}
	if missing != "" && fault.Is(err, fault.NotFound) {
		r.code = missing
	}
	return r
}

// Refusal is how an error is told to a client whose login fails: a response code, and a text.
func Refusal(err error) (code, text string) {
	r := replyTo(err, "")
	return r.code, r.text
}

// byeTo is the text of BYE when a session ends for a reason that is not the client's.
func byeTo(reason error) (code, text string) {
	r := replyTo(reason, "")
	switch fault.KindOf(reason) {
	case fault.Credentials:
		return "UNAVAILABLE", "The password has changed, log in again"
	case fault.Internal:
		return "SERVERBUG", r.text
	case fault.NotFound:
		return "UNAVAILABLE", "The account is gone"
	}
	return r.code, r.text
}
