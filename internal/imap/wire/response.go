package wire

import (
	"strconv"
	"strings"
)

// ResponseStatus is the word that begins a status response.
type ResponseStatus string

// The statuses.
const (
	OK  ResponseStatus = "OK"
	NO  ResponseStatus = "NO"
	BAD ResponseStatus = "BAD"
)

// Untagged writes a whole untagged line; rest is correct as it is.
func (w *Writer) Untagged(rest string) {
	w.Raw("* ")
	w.Raw(rest)
	w.CRLF()
}

// UntaggedNumber writes "* n NAME", as in "* 3 EXISTS".
func (w *Writer) UntaggedNumber(n uint64, name string) {
	w.Raw("* ")
	w.Number(n)
	w.Raw(" ")
	w.Raw(name)
	w.CRLF()
}

// UntaggedStatus writes an untagged status response. The code comes without brackets, empty for none.
func (w *Writer) UntaggedStatus(status ResponseStatus, code, text string) {
	w.status("*", string(status), code, text)
}

// Tagged writes the response that ends a command; without a tag it is untagged.
func (w *Writer) Tagged(tag string, status ResponseStatus, code, text string) {
	if tag == "" {
		tag = "*"
	}
	w.status(tag, string(status), code, text)
}

// Bye writes the untagged BYE that comes before the connection is closed.
func (w *Writer) Bye(code, text string) { w.status("*", "BYE", code, text) }

// Continue writes a continuation request. For AUTHENTICATE the text is base64, or empty.
func (w *Writer) Continue(text string) {
	w.Raw("+ ")
	w.Raw(text)
	w.CRLF()
}

func (w *Writer) status(tag, status, code, text string) {
	w.Raw(tag)
	w.Raw(" ")
	w.Raw(status)
	w.Raw(" ")
	if code != "" {
		w.Raw("[")
		w.Raw(code)
		w.Raw("] ")
	}
	w.Raw(cleanText(code, text))
	w.CRLF()
}

// cleanText makes a text one line of ASCII that cannot be taken for a response code.
func cleanText(code, text string) string {
	if text == "" {
		return "Done"
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\r', r == '\n', r == '\t':
			return ' '
		case r < 0x20, r >= 0x7f:
			return '?'
		}
		return r
	}, text)
	if code == "" && text[0] == '[' {
		return "(" + text[1:]
	}
	return text
}

// CodeNumber composes a response code with a number, as "UIDVALIDITY 7".
func CodeNumber(name string, n uint64) string { return name + " " + strconv.FormatUint(n, 10) }

// CodeFlags composes a response code with flags, as `PERMANENTFLAGS (\Seen \*)`.
func CodeFlags(name string, flags []string) string {
	return string(appendFlags([]byte(name+" "), flags))
}

// CodeSet composes a response code with a set, as "MODIFIED 3,7" (RFC 7162).
func CodeSet(name string, set NumSet) string { return name + " " + set.String() }

// CodeAppendUID composes APPENDUID (RFC 4315 section 3).
func CodeAppendUID(uidValidity uint32, uids NumSet) string {
	return CodeSet(CodeNumber("APPENDUID", uint64(uidValidity)), uids)
}

// CodeCopyUID composes COPYUID (RFC 4315 section 3). The sets name as many UIDs, in the same order.
func CodeCopyUID(uidValidity uint32, source, destination NumSet) string {
	return CodeSet(CodeSet(CodeNumber("COPYUID", uint64(uidValidity)), source), destination)
}
