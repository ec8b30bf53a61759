package message_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"mailreplica/internal/fault"
	"mailreplica/internal/message"
)

// FuzzDecodeHeader makes UTF-8 of encoded words. What is no encoded word stays as it is, and no text grows by more than a word can.
func FuzzDecodeHeader(f *testing.F) {
	for _, value := range []string{
		"plain", "=?utf-8?q?caf=C3=A9?= =?utf-8?B?Y2Fmw6k=?=", "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "=?utf-8*en?q?a?=", "=?utf-7?q?+AAo-?=", "=?utf-16?b?AAA=?=",
		"=?hz-gb-2312?q?~{!!~}?=", "=?x?q?=0D=0A?=", "=?utf-8?q?=", "=?=?=?=?", "=?gbk?b?gQ==?==?gbk?b?MA==?=", "=?replacement?q?a?=", strings.Repeat("=?a?q?", 100),
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := message.DecodeHeader(value)
		if !strings.Contains(value, "=?") && got != value {
			t.Errorf("%q: got %q", value, got)
		}
		if len(got) > 4*len(value)+8 {
			t.Errorf("%q: %d bytes become %d", value, len(value), len(got))
		}
		if utf8.ValidString(value) && !utf8.ValidString(got) {
			t.Errorf("%q: got %q, which is no UTF-8", value, got)
		}
	})
}

// FuzzCharset makes UTF-8 of text in any charset, read in any pieces.
func FuzzCharset(f *testing.F) {
	for _, charset := range []string{"utf-8", "us-ascii", "iso-8859-1", "iso-2022-jp", "gb18030", "big5", "euc-kr", "utf-16", "utf-7", "hz-gb-2312", "koi8-r", "x-user-defined", "replacement", "", "x"} {
		f.Add(charset, []byte("a\x1b$B\xff\xfe~{\x81\x30\x81\x30\xd8\x00"))
	}
	f.Fuzz(func(t *testing.T, charset string, text []byte) {
		r, err := message.CharsetReader(charset, bytes.NewReader(text))
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: got %v", charset, err)
			}
			return
		}
		whole, err := io.ReadAll(r)
		if err != nil || !utf8.Valid(whole) && utf8.Valid(text) || len(whole) > 4*len(text)+8 {
			t.Errorf("%q: %q becomes %q, %v", charset, text, whole, err)
		}
		r, err = message.CharsetReader(charset, iotest.OneByteReader(bytes.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		if pieces, err := io.ReadAll(r); err != nil || !bytes.Equal(pieces, whole) {
			t.Errorf("%q: %q becomes %q in one piece, and %q in many, %v", charset, text, whole, pieces, err)
		}
	})
}

// FuzzSection finds sections by any path: what is found lies inside of the message, and a header's two halves are its lines.
func FuzzSection(f *testing.F) {
	for _, mail := range []string{nested, digest, "", "\r\n", "a"} {
		f.Add([]byte(mail), []byte{1, 2, 1}, uint8(message.MIME))
	}
	f.Fuzz(func(t *testing.T, mail, numbers []byte, specifier uint8) {
		summary := parse(t, string(mail))
		path := make([]int, min(len(numbers), 200))
		for i := range path {
			path[i] = int(int8(numbers[i]))
		}
		start, size, ok := summary.Section(path, message.Specifier(specifier%4))
		if !ok {
			return
		}
		if start < 0 || size < 0 || start+size > int64(len(mail)) {
			t.Fatalf("%q: section %v %d is %d bytes at %d", mail, path, specifier, size, start)
		}
		header := mail[start : start+size]
		with, without := message.HeaderFields(header, []string{"Subject", "to"}, false), message.HeaderFields(header, []string{"SUBJECT", "To"}, true)
		if len(with)+len(without) > len(header)+2 {
			t.Errorf("%q: the halves %q and %q are longer than it", header, with, without)
		}
	})
}
