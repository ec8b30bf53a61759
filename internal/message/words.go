package message

import (
	"bufio"
	"encoding/base64"
	"io"
	"strings"
)

// DecodeHeader makes UTF-8 of the encoded words (RFC 2047) in a header value. Words that cannot be decoded stay as they
// are, and so does everything else.
func DecodeHeader(value string) string {
	if !strings.Contains(value, "=?") {
		return value
	}
	var out strings.Builder
	var run wordRun
	for value != "" {
		start := strings.Index(value, "=?")
		if start < 0 {
			break
		}
		word, rest, ok := cutWord(value[start:])
		between := value[:start]
		if !ok {
			run.flush(&out)
			out.WriteString(value[:start+2])
			value = value[start+2:]
			continue
		}
		if run.charset == "" || strings.Trim(between, blanks) != "" {
			run.flush(&out)
			out.WriteString(between) // blanks between two words are not shown (RFC 2047 6.2)
		}
		run.add(&out, word)
		value = rest
	}
	run.flush(&out)
	out.WriteString(value)
	return out.String()
}

// encodedWord is "=?charset?encoding?text?=", taken apart, with the text decoded to bytes of the charset.
type encodedWord struct {
	charset, raw string
	text         []byte
}

// cutWord takes an encoded word from the beginning of s.
func cutWord(s string) (word encodedWord, rest string, ok bool) {
	charset, after, found := cutShort(s[2:], '?')
	if !found || charset == "" || len(after) < 3 || after[1] != '?' {
		return word, s, false
	}
	text, _, found := cutShort(after[2:], '?')
	end := len(s) - len(after) + 2 + len(text) + 2
	if !found || end > len(s) || s[end-1] != '=' {
		return word, s, false
	}
	switch after[0] {
	case 'q', 'Q':
		word.text = decodeQ(text)
	case 'b', 'B':
		letters := &base64Letters{in: bufio.NewReaderSize(strings.NewReader(text), 16)}
		word.text, _ = io.ReadAll(base64.NewDecoder(base64.RawStdEncoding, letters))
	default:
		return word, s, false
	}
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231 section 5: a language may follow
	word.charset, word.raw = strings.ToLower(charset), s[:end]
	return word, s[end:], true
}

// cutShort is strings.Cut that does not look further than an encoded word can be long, nor over another's beginning.
func cutShort(s string, sep byte) (before, after string, found bool) {
	i := strings.IndexByte(s[:min(len(s), wordBytesMax)], sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// decodeQ decodes the Q encoding (RFC 2047 4.2).
func decodeQ(text string) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(text):
			high, ok1 := hexDigit(text[i+1])
			low, ok2 := hexDigit(text[i+2])
			if ok1 && ok2 {
				out = append(out, high<<4|low)
				i += 2
			} else {
				out = append(out, c)
			}
		default:
			out = append(out, c)
		}
	}
	return out
}

// wordRun joins adjacent words of one charset before they are made UTF-8: some programs cut characters in two.
type wordRun struct {
	charset   string
	raw, text []byte
}

func (r *wordRun) add(out *strings.Builder, w encodedWord) {
	if w.charset != r.charset {
		r.flush(out)
	}
	r.charset = w.charset
	r.raw = append(r.raw, w.raw...)
	r.text = append(r.text, w.text...)
}

func (r *wordRun) flush(out *strings.Builder) {
	if r.charset == "" {
		return
	}
	if enc := findCharset(r.charset); enc == nil {
		out.Write(r.raw)
	} else if decoded, err := enc.NewDecoder().Bytes(r.text); err != nil {
		out.Write(r.raw)
	} else {
		out.Write(decoded)
	}
	*r = wordRun{raw: r.raw[:0], text: r.text[:0]}
}
