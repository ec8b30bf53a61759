package account

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"mailreplica/internal/fault"
)

// Limits of a name (RFC 5321, section 4.5.3.1; RFC 1035, section 2.3.4 for a label). They count bytes, also of UTF-8.
const (
	NameBytesMax   = 254
	LocalBytesMax  = 64
	DomainBytesMax = 253
	LabelBytesMax  = 63
)

// ParseName reads an account's or a distribution list's name, local@domain, and gives its one spelling: lower case
// throughout, since mail platforms compare local parts without case. UTF-8 is allowed (RFC 6531). Of RFC 5321's grammar
// it takes dot-strings and host names; quoted strings and address literals name no account. Anything else is Invalid.
// ParseName of what it gave is the same again.
func ParseName(s string) (string, error) {
	if len(s) > 2*NameBytesMax {
		return "", fault.New(fault.Invalid, "a name of %d bytes is too long: at most %d", len(s), NameBytesMax)
	}
	if !utf8.ValidString(s) {
		return "", fault.New(fault.Invalid, "the name %.100q is not valid UTF-8", s)
	}
	if IsPattern(s) {
		return "", fault.New(fault.Invalid, "%.100q is a pattern: name the accounts one by one", s)
	}
	name := strings.ToLower(s)
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return "", fault.New(fault.Invalid, "%.100q is not a name: want local@domain", s)
	}
	if reason := localProblem(name[:at]); reason != "" {
		return "", fault.New(fault.Invalid, "%.100q is not a name: before the @, %s", s, reason)
	}
	if reason := domainProblem(name[at+1:]); reason != "" {
		return "", fault.New(fault.Invalid, "%.100q is not a name: after the @, %s", s, reason)
	}
	if len(name) > NameBytesMax {
		return "", fault.New(fault.Invalid, "%.100q has %d bytes: a name has at most %d", s, len(name), NameBytesMax)
	}
	return name, nil
}

// IsPattern reports whether s holds a wildcard, which no account's name does.
func IsPattern(s string) bool { return strings.ContainsAny(s, "*?") }

// Domain is the part of a parsed name after its @.
func Domain(name string) string { return name[strings.LastIndexByte(name, '@')+1:] }

// localProblem says what is wrong with a local part, or "". The grammar is Dot-string of RFC 5321, section 4.1.2, with
// the non-ASCII characters of RFC 6531, section 3.3, less those that do not print.
func localProblem(local string) string {
	switch {
	case local == "":
		return "nothing is there"
	case len(local) > LocalBytesMax:
		return "more than 64 bytes are there"
	case strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, ".."):
		return "a dot stands at the start, at the end or beside another dot"
	}
	for _, r := range local {
		if r != '.' && !isAtext(r) {
			return "the character " + strconv.QuoteRune(r) + " is not allowed"
		}
	}
	return ""
}

// domainProblem says what is wrong with a domain, or "". An underscore is let through: internal domains have them.
func domainProblem(domain string) string {
	switch {
	case domain == "":
		return "nothing is there"
	case len(domain) > DomainBytesMax:
		return "more than 253 bytes are there"
	}
	for label := range strings.SplitSeq(domain, ".") {
		switch {
		case label == "":
			return "a dot stands at the start, at the end or beside another dot"
		case len(label) > LabelBytesMax:
			return "a label has more than 63 bytes"
		case strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-"):
			return "a label starts or ends with a hyphen"
		}
		for _, r := range label {
			if !isDomainRune(r) {
				return "the character " + strconv.QuoteRune(r) + " is not allowed"
			}
		}
	}
	return ""
}

// isAtext is atext of RFC 5322, section 3.2.3, less the wildcards, plus what prints beyond ASCII.
func isAtext(r rune) bool {
	if r < utf8.RuneSelf {
		return isLetterOrDigit(r) || strings.ContainsRune("!#$%&'+-/=^_`{|}~", r)
	}
	return unicode.IsPrint(r)
}

func isDomainRune(r rune) bool {
	if r < utf8.RuneSelf {
		return isLetterOrDigit(r) || r == '-' || r == '_'
	}
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)
}

func isLetterOrDigit(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' }
