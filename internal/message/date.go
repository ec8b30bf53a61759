package message

import (
	"net/mail"
	"time"
)

// SentDate reads a Date header, for SEARCH SENTON and its like, which want the date as it is written there, without
// regard to its zone (RFC 3501 6.4.4): take Date() of the result as it is.
func SentDate(value string) (time.Time, bool) {
	if len(value) > dateBytesMax {
		return time.Time{}, false
	}
	t, err := mail.ParseDate(value)
	return t, err == nil
}
