package message_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"mailreplica/internal/fault"
	"mailreplica/internal/message"
)

func decodeTransfer(t testing.TB, encoding string, r io.Reader) string {
	t.Helper()
	r, err := message.DecodeTransfer(encoding, r)
	if err != nil {
		t.Fatalf("DecodeTransfer(%q): %v", encoding, err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("reading %q: %v", encoding, err)
	}
	return string(b)
}

func TestDecodeTransfer(t *testing.T) {
	for _, c := range []struct{ encoding, body, want string }{
		{"7bit", "a=\r\n", "a=\r\n"},
		{"8BIT", "\xff", "\xff"},
		{"binary", "\x00\r", "\x00\r"},
		{"", "x", "x"},

		{"base64", "aGVs\r\nbG8gd29y\r\nbGQ=\r\n", "hello world"},
		{"Base64", "  aGVs    \r\n bG8g  \r\n   d29y  \t \r\n    bGQ= \r\n\r\n", "hello world"},
		{"base64", "aGVsbG8g\r\ndG8geW91IHRv\r\nbw==\r\n", "hello to you too"},
		{"base64", "YWJjZGVmZw1oaWprbA0KbW5vCnBxcnN0dXZxeHl6", "abcdefg\rhijkl\r\nmno\npqrstuvqxyz"},
		{"base64", "", ""},
		{"base64", "=", ""},
		{"base64", "a", ""},
		{"base64", "YW", "a"},
		{"base64", "YWI", "ab"},
		{"base64", "YWJj!Z-G_V*m", "abcdef"},
		{"base64", "YWI=\r\n-- \r\nfooter", "ab"},
		{"base64", "YWJjZ", "abc"},

		{"quoted-printable", "hello  \r\nbar=\r\n\r\nfoo\t=\r\nbar\r\nfoo\t \t= \r\n=62\r\nfoo = \t\r\nbar\r\n" +
			"foo =\r\n=62\r\nfoo  \r\nbar=\r\n\r\nfoo_bar\r\n",
			"hello\r\nbar\r\nfoo\tbar\r\nfoo\t \tb\r\nfoo bar\r\nfoo b\r\nfoo\r\nbar\r\nfoo_bar\r\n"},
		{"QUOTED-PRINTABLE", "=e2=82=AC=3D", "\u20ac="},
		{"quoted-printable", "a =\nb \nc", "a b\nc"},
		{"quoted-printable", "=xy =4 =", "=xy =4 "},
		{"quoted-printable", "a=", "a"},
		{"quoted-printable", "a=\r\n", "a"},
		{"quoted-printable", "a  ", "a"},
		{"quoted-printable", "a\rb\r\n\r\n", "a\rb\r\n\r\n"},
		{"quoted-printable", "", ""},
		{"quoted-printable", strings.Repeat(" ", 5000) + "x", strings.Repeat(" ", 5000) + "x"},
		{"quoted-printable", "=" + strings.Repeat(" ", 900) + "\r\nx", "x"},
	} {
		for name, r := range map[string]io.Reader{
			"at once":  strings.NewReader(c.body),
			"by bytes": iotest.OneByteReader(strings.NewReader(c.body)),
		} {
			if got := decodeTransfer(t, c.encoding, r); got != c.want {
				t.Errorf("%s %q %s: got %q, want %q", c.encoding, c.body, name, got, c.want)
			}
		}
		r, err := message.DecodeTransfer(c.encoding, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(iotest.OneByteReader(r)); err != nil || string(got) != c.want {
			t.Errorf("%s %q into small buffers: got %q %v, want %q", c.encoding, c.body, got, err, c.want)
		}
	}
}

func TestDecodeTransferUnknown(t *testing.T) {
	if _, err := message.DecodeTransfer("x-uuencode", strings.NewReader("")); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want fault.Invalid", err)
	}
}

func TestDecodeTransferReadError(t *testing.T) {
	want := errors.New("the volume is gone")
	for _, encoding := range []string{"7bit", "base64", "quoted-printable"} {
		r, err := message.DecodeTransfer(encoding, io.MultiReader(strings.NewReader("YWJj YWJj "), iotest.ErrReader(want)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", encoding, err, want)
		}
	}
}

func FuzzTransfer(f *testing.F) {
	f.Add([]byte("a b\r\n \x00=\xff  \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		encoded := base64.StdEncoding.EncodeToString(data)
		if got := decodeTransfer(t, "base64", strings.NewReader(encoded)); got != string(data) {
			t.Errorf("base64: got %q, want %q", got, data)
		}
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		w.Binary = true
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := decodeTransfer(t, "quoted-printable", &b); got != string(data) {
			t.Errorf("quoted-printable: got %q, want %q", got, data)
		}
		decodeTransfer(t, "quoted-printable", bytes.NewReader(data))
		decodeTransfer(t, "base64", bytes.NewReader(data))
		message.DecodeHeader(string(data))
	})
}

func TestDecodeHeader(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"plain", "plain"},
		{"=?utf-8?q?caf=C3=A9_x?=", "caf\u00e9 x"},
		{"=?UTF-8?B?Y2Fmw6k=?=", "caf\u00e9"},
		{"=?utf-8?B?Y2Fmw6k?=", "caf\u00e9"},
		{"=?iso-8859-1?Q?caf=E9?= and =?koi8-r?B?8NLJ18XU?=", "caf\u00e9 and \u041f\u0440\u0438\u0432\u0435\u0442"},
		{"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\u65e5\u672c"},
		{"=?utf-8*en?q?a?=", "a"},
		{"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
		{"=?utf-8?q?a?=\t =?iso-8859-1?q?=E9?=", "a\u00e9"},
		{"=?utf-8?q?a?= b =?utf-8?q?c?= ", "a b c "},
		{"=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=", "caf\u00e9"},
		{"=?utf-8?q?two words?=", "two words"},
		{"x=?utf-8?q?a?=y", "xay"},
		{"=?utf-8?q?=4?=", "=4"},
		{"=?utf-8?q??=", ""},
		// undecodable
		{"=?x-none?q?a?=", "=?x-none?q?a?="},
		{"=?utf-8?z?a?=", "=?utf-8?z?a?="},
		{"=?utf-8?q?a", "=?utf-8?q?a"},
		{"=?", "=?"}, {"=?=?", "=?=?"}, {"=??q?a?=", "=??q?a?="}, {"=?a?q?b?", "=?a?q?b?"},
		{"=?=?utf-8?q?a?=", "=?a"},
		{"gr\xfc\xdfe", "gr\xfc\xdfe"},
	} {
		if got := message.DecodeHeader(c.value); got != c.want {
			t.Errorf("DecodeHeader(%q): got %q, want %q", c.value, got, c.want)
		}
	}
}

func TestCharsetReader(t *testing.T) {
	for _, c := range []struct{ charset, text, want string }{
		{"utf-8", "caf\u00e9 \xff", "caf\u00e9 \ufffd"},
		{"US-ASCII", "caf\u00e9", "caf\u00e9"},
		{"", "x", "x"},
		{"ISO-8859-1", "\xe9\x93", "\u00e9\u201c"},
		{"Windows-1251", "\xcf", "\u041f"},
		{"gb2312", "\xc4\xe3", "\u4f60"},
		{"big5", "\xa7\x41", "\u4f60"},
		{"euc-kr", "\xc7\xd1", "\ud55c"},
		{"shift_jis", "\x93\xfa", "\u65e5"},
		{"utf-16be", "\x00a", "a"},
	} {
		r, err := message.CharsetReader(c.charset, strings.NewReader(c.text))
		if err != nil {
			t.Errorf("CharsetReader(%q): %v", c.charset, err)
			continue
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != c.want {
			t.Errorf("CharsetReader(%q): got %q %v, want %q", c.charset, got, err, c.want)
		}
	}
	if _, err := message.CharsetReader("x-none", strings.NewReader("")); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want fault.Invalid", err)
	}
}
