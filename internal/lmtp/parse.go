package lmtp

import (
	"fmt"
	"strings"
)

// splitCommand parts a verb, in upper case, from its argument.
func splitCommand(line string) (verb, argument string) {
	verb, argument, _ = strings.Cut(line, " ")
	return strings.ToUpper(verb), strings.TrimSpace(argument)
}

// cutPrefixFold is strings.CutPrefix without regard to ASCII case.
func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// seemsChunk reports whether a line looks like BDAT, whatever stands before and behind the word.
func seemsChunk(line string) bool {
	line = strings.TrimLeftFunc(line, func(r rune) bool { return r <= ' ' || r == 0x7f })
	rest, is := cutPrefixFold(line, "BDAT")
	if !is || rest == "" {
		return is
	}
	c := rest[0] | 0x20 // a letter makes another word of it
	return c < 'a' || c > 'z'
}

// Limits of what names somebody. A mailstore repeats it to another one, with more beside it, within commandBytesMax.
const (
	pathBytesMax  = 1 << 10 // RFC 5321 section 4.5.3.1.3 asks for 256
	helloBytesMax = 255     // of LHLO: a domain (section 4.5.3.1.2)
)

// parsePath reads the path of MAIL or RCPT and gives the mailbox in it, and what follows. Blanks before it, and missing
// brackets, are forgiven; a source route is left out (RFC 5321 section 4.1.1.3: "SHOULD strip"). What it gives means the same
// again in brackets: a mailstore that relays says it so, and the delivery key is made of it.
func parsePath(s string) (path, rest string, ok bool) {
	path, rest, ok = cutPath(strings.TrimLeft(s, " "))
	if !ok || len(path) > pathBytesMax {
		return "", "", false
	}
	again, _, ok := cutPath("<" + path + ">")
	return path, rest, ok && again == path
}

func cutPath(s string) (path, rest string, ok bool) {
	if !strings.HasPrefix(s, "<") {
		path, rest, _ = strings.Cut(s, " ")
		return path, rest, path != "" && !strings.ContainsAny(path, "<>")
	}
	end := closingBracket(s)
	if end < 0 {
		return "", "", false
	}
	path, rest = s[1:end], s[end+1:]
	if rest != "" && rest[0] != ' ' {
		return "", "", false
	}
	if strings.HasPrefix(path, "@") {
		if _, mailbox, routed := strings.Cut(path, ":"); routed {
			path = mailbox
		}
	}
	return path, rest, true
}

// closingBracket finds the > that is not inside of a quoted string.
func closingBracket(s string) int {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// unquoteLocal gives a mailbox whose local part is a quoted string as the same one without the quotes; RFC 5321 section
// 4.1.2 says that they are equal.
func unquoteLocal(mailbox string) string {
	at := strings.LastIndexByte(mailbox, '@')
	if at < 2 || mailbox[0] != '"' || mailbox[at-1] != '"' {
		return mailbox
	}
	var local strings.Builder
	for i := 1; i < at-1; i++ {
		if mailbox[i] == '\\' && i+1 < at-1 {
			i++
		}
		local.WriteByte(mailbox[i])
	}
	return local.String() + mailbox[at:]
}

// parameter is one of MAIL's or RCPT's, the name in upper case.
type parameter struct{ name, value string }

func parseParameters(s string) []parameter {
	var all []parameter
	for _, word := range strings.Fields(s) {
		name, value, _ := strings.Cut(word, "=")
		all = append(all, parameter{strings.ToUpper(name), value})
	}
	return all
}

// encodeXtext and decodeXtext are RFC 3461 section 4.
func encodeXtext(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func decodeXtext(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		high, low := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), true
}

const hexDigits = "0123456789ABCDEF"
