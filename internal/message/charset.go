package message

import (
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"mailreplica/internal/fault"
)

// CharsetReader makes UTF-8 of a charset; what cannot be decoded becomes U+FFFD. An unknown charset is fault.Invalid.
func CharsetReader(charset string, r io.Reader) (io.Reader, error) {
	enc := findCharset(charset)
	if enc == nil {
		return nil, fault.New(fault.Invalid, "the charset %q is not known", charset)
	}
	return transform.NewReader(r, enc.NewDecoder()), nil
}

// findCharset finds a charset by any of its names, nil if it is not known. The WHATWG's reading of names comes first:
// mail that says iso-8859-1 means windows-1252. Mail that says us-ascii, or nothing, and yet has 8-bit bytes mostly
// means UTF-8.
func findCharset(charset string) encoding.Encoding {
	name := strings.ToLower(strings.TrimSpace(charset))
	switch name {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "utf-8", "utf8", "unknown-8bit", "x-unknown", "default":
		return unicode.UTF8
	}
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		return enc
	}
	if enc, err := ianaindex.MIME.Encoding(name); err == nil && enc != nil {
		return enc
	}
	return nil
}
