package imap_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mailreplica/internal/imap"
)

// sharedMessages are real and malformed messages; a clone may be without them.
const sharedMessages = "../../../shared/data/messages"

// FuzzMessage appends anything and fetches all that can be told of it. Whatever the message holds, the answers follow the grammar
// of IMAP, and the message comes back as it was sent.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		"Subject: a\r\n\r\nb", "Subject: =?utf-8?q?a=0D=0Ab?=\r\nFrom: \"a\\\"\r\n b\" <c@d>, g: e@f;\r\nTo: \xff\x00 <x>\r\n\r\n",
		"Subject: a\r* 1 EXISTS\r\n", "Content-Type: multipart/mixed; boundary=\"a\"\r\n\r\n--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: {5}\r\n\r\n--a\r\n" +
			"Content-Type: text/plain; charset=\"x\\\"\r\n y\"; name*=utf-8''%0d%0a\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--a--",
		"Content-Type: a/\"\r\n\r\n", "Content-Language: a, b\r\nContent-ID: (\r\nContent-Disposition: x; a=\"\x00\"\r\nContent-Location: \"\\\r\n\r\n",
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n=0\r\n=41 \r\n", "Content-Transfer-Encoding: binary\r\n\r\n\x00\xff", "\x00", "\r\n", "a)\r\nx OK b",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	files, _ := filepath.Glob(filepath.Join(sharedMessages, "*/*.eml")) // the pattern is correct
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && len(text) < 10_000 {
			f.Add(text, false)
		}
	}
	b, _ := backendWithTest()
	s := imap.New(imap.Config{Backend: b, AllowPlaintext: true, AppendBytesMax: 100_000})
	f.Fuzz(func(t *testing.T, message []byte, literal8 bool) {
		if len(message) == 0 || len(message) > 100_000 {
			return
		}
		b.AddAccount("test", "pass")
		header := "{"
		if literal8 {
			header = "~{"
		}
		said := serve(t, s, fmt.Sprintf("a LOGIN test pass\r\nb APPEND INBOX %s%d+}\r\n%s\r\nc SELECT INBOX\r\n", header, len(message), message)+
			"d FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)\r\ne FETCH 1 BODY.PEEK[]\r\n"+
			"f FETCH 1 (BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[1.HEADER] BODY.PEEK[2.1.TEXT] BODY.PEEK[1]<3.10>)\r\n"+
			"g FETCH 1 (BODY.PEEK[HEADER.FIELDS (Subject \"x y\")] BODY.PEEK[HEADER.FIELDS.NOT (From)])\r\nh FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])\r\n"+
			"i SEARCH TEXT zzz\r\nj SEARCH OR HEADER X-A \"\" OR SUBJECT a OR FROM b SENTSINCE 1-Jan-2000\r\nk LOGOUT\r\n")
		whole := false
		for rest := said; len(rest) > 0; {
			data, after, err := response(rest)
			if err != nil {
				t.Fatalf("%q is answered %q: %v", message, rest, err)
			}
			if string(data) == fmt.Sprintf("{%d}\r\n%s", len(message), message) {
				whole = true
			}
			rest = after
		}
		if !whole && !literal8 { // parts in the binary encoding are kept as base64
			t.Fatalf("%q does not come back: %q", message, said)
		}
		if i := bytes.Index(said, []byte("\r\nb ")); i < 0 || !bytes.HasPrefix(said[i+4:], []byte("OK [APPENDUID ")) || !bytes.Contains(said, []byte("\r\nk OK ")) {
			t.Fatalf("%q: %q", message, said)
		}
	})
}

// response takes one response off the front. Of a FETCH of one item it gives that item's value.
func response(b []byte) (value, rest []byte, err error) {
	for _, prefix := range []string{"* 1 FETCH ("} {
		after, is := bytes.CutPrefix(b, []byte(prefix))
		if !is {
			break
		}
		for {
			name, rest, err := itemName(after)
			if err != nil {
				return nil, nil, err
			}
			after = rest
			if rest, err = datum(after, 0); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			value, after = after[:len(after)-len(rest)], rest
			if rest, done := bytes.CutPrefix(after, []byte(")\r\n")); done {
				return value, rest, nil
			}
			if !bytes.HasPrefix(after, []byte(" ")) {
				return nil, nil, fmt.Errorf("%s is followed by %.20q", name, after)
			}
			after = after[1:]
		}
	}
	line, rest, found := bytes.Cut(b, []byte("\r\n"))
	if !found || bytes.ContainsAny(line, "\r\n\x00") || bytes.ContainsFunc(line, func(r rune) bool { return r > 0x7e }) {
		return nil, nil, fmt.Errorf("%.100q is no line", line)
	}
	return nil, rest, nil
}

// itemName takes the name of an item and the space behind it; what is between brackets may hold spaces and strings.
func itemName(b []byte) (name, rest []byte, err error) {
	for depth, i := 0, 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == ' ' && depth == 0 && i > 0:
			return b[:i], b[i+1:], nil
		case c < ' ' || c > '~':
			return nil, nil, fmt.Errorf("%.100q is no item", b)
		}
	}
	return nil, nil, fmt.Errorf("%.100q is no item", b)
}

// datum takes a list, a string, a literal, NIL, a number or a flag.
func datum(b []byte, depth int) (rest []byte, err error) {
	switch {
	case len(b) == 0 || depth > 250:
		return nil, fmt.Errorf("it ends, or nests too deep")
	case b[0] == '(':
		for b = b[1:]; ; {
			if rest, done := bytes.CutPrefix(b, []byte(")")); done {
				return rest, nil
			}
			b = bytes.TrimPrefix(b, []byte(" "))
			if b, err = datum(b, depth+1); err != nil {
				return nil, err
			}
		}
	case b[0] == '"':
		for i := 1; i < len(b); i++ {
			switch c := b[i]; {
			case c == '"':
				return b[i+1:], nil
			case c == '\\' && i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\'):
				i++
			case c == '\\', c == '\r', c == '\n', c == 0, c >= 0x7f:
				return nil, fmt.Errorf("%.100q is no quoted string", b)
			}
		}
		return nil, fmt.Errorf("%.100q has no end", b)
	case b[0] == '{', bytes.HasPrefix(b, []byte("~{")):
		header, content, found := bytes.Cut(b, []byte("}\r\n"))
		size, err := strconv.Atoi(strings.TrimLeft(string(header), "~{"))
		if !found || err != nil || size > len(content) {
			return nil, fmt.Errorf("%.100q is no literal", b)
		}
		return content[size:], nil
	}
	n := bytes.IndexFunc(b, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '\\')
	})
	if n <= 0 {
		return nil, fmt.Errorf("%.100q is no value", b)
	}
	return b[n:], nil
}
