package message_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"mailreplica/internal/message"
)

// TestOffsets pins bytes: header start+size / body size : lines.
func TestOffsets(t *testing.T) {
	const multi = "Content-Type: multipart/mixed; boundary=b\n\n" // 43 bytes with LF, 45 with CRLF
	for _, c := range []struct{ name, mail, want string }{
		{"empty", "", "text/plain 0+0/0:0"},
		{"only a blank line", "\r\n", "text/plain 0+2/0:0"},
		{"body only", "\r\nab\r\nc", "text/plain 0+2/5:1"},
		{"header only", "A: b\r\n", "text/plain 0+6/0:0"},
		{"header cut off", "A: b", "text/plain 0+4/0:0"},
		{"bare LF", "A: b\n\nx\ny\n", "text/plain 0+6/4:2"},
		{"mixed line ends", "A: b\r\n\nx\r\ny\n", "text/plain 0+7/5:2"},
		{"CR is no line end", "A: b\r\rC: d\r\n\r\nx\ry", "text/plain 0+14/3:0"},
		{"simple multipart", crlf(multi + "--b\n\nhello\n\n--b--\n"),
			"multipart/mixed 0+45/23:5 (text/plain 50+2/7:1)"},
		{"simple multipart, bare LF", multi + "--b\n\nhello\n\n--b--\n",
			"multipart/mixed 0+43/18:5 (text/plain 47+1/6:1)"},
		{"no line end before boundary", crlf(multi + "--b\n\nhello\n--b--"),
			"multipart/mixed 0+45/19:3 (text/plain 50+2/5:0)"},
		{"empty body", crlf(multi + "--b\n\n--b--"), "multipart/mixed 0+45/12:2 (text/plain 50+2/0:0)"},
		{"empty part", crlf(multi + "--b\n--b--"), "multipart/mixed 0+45/10:1 (text/plain 50+0/0:0)"},
		{"boundary ends a header", crlf(multi + "--b\nA: b\n--b--"),
			"multipart/mixed 0+45/16:2 (text/plain 50+4/0:0)"},
		{"no final boundary", crlf(multi + "--b\n\nhello\n"), "multipart/mixed 0+45/14:3 (text/plain 50+2/7:1)"},
		{"boundary at the very end begins nothing", crlf(multi + "--b\n\nhello\n--b"),
			"multipart/mixed 0+45/17:3 (text/plain 50+2/5:0)"},
		{"boundary line at the end begins a part", crlf(multi + "--b\n\nhello\n--b\n"),
			"multipart/mixed 0+45/19:4 (text/plain 50+2/5:0) (text/plain 64+0/0:0)"},
		{"blanks behind a boundary", crlf(multi + "--b \t\n\nx\n--b--  \n"),
			"multipart/mixed 0+45/21:4 (text/plain 52+2/1:0)"},
		{"preamble and epilogue", crlf(multi + "pre\n--b\n\nx\n--b--\nepi\n--b\n\nno part\n"),
			"multipart/mixed 0+45/43:9 (text/plain 55+2/1:0)"},
		{"no boundary in the body", crlf(multi + "text\n"), "multipart/mixed 0+45/6:1 (text/plain 51+0/0:0)"},
		{"message", crlf("Content-Type: message/rfc822\n\nA: b\n\nx\n"),
			"message/rfc822 0+32/11:3 [text/plain 32+8/3:1]"},
		{"message that is empty", crlf("Content-Type: message/rfc822\n\n"),
			"message/rfc822 0+32/0:0 [text/plain 32+0/0:0]"},
		{"message cut off in its header", crlf(multi + "--b\nContent-Type: message/rfc822\n--b--\n"),
			"multipart/mixed 0+45/42:3 (message/rfc822 50+28/0:0 [text/plain 78+0/0:0])"},
		{"inner ended by outer boundary", crlf(multi + "--b\nContent-Type: multipart/mixed; boundary=c\n\n" +
			"--c\n\nx\n--b--\n"),
			"multipart/mixed 0+45/67:7 (multipart/mixed 50+45/8:2 (text/plain 100+2/1:0))"},
		{"empty last part of inner", crlf(multi + "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\n--b--\n"),
			"multipart/mixed 0+45/64:6 (multipart/mixed 50+45/7:2 (text/plain 100+2/0:0))"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := outline(&parse(t, c.mail).Root); got != c.want {
				t.Errorf("%q:\ngot  %s\nwant %s", c.mail, got, c.want)
			}
		})
	}
}

func TestStructure(t *testing.T) {
	inner := func(outer, inner, body string) string {
		return fmt.Sprintf("Content-Type: multipart/mixed; boundary=%q\n\n--%s\nContent-Type: multipart/alternative; "+
			"boundary=%q\n\n--%s\n\n1\n%s", outer, outer, inner, inner, body)
	}
	for _, c := range []struct{ name, mail, want string }{
		{"nested", nested, "multipart/mixed (text/x-myown) (message/rfc822 [multipart/alternative (text/html) (text/plain)])"},
		{"digest", digest, "message/rfc822 [multipart/digest (message/rfc822 [text/plain]) (message/rfc822 [text/plain])]"},
		{"digest with another type", "Content-Type: multipart/digest; boundary=b\n\n--b\nContent-Type: text/html\n\nx\n--b--",
			"multipart/digest (text/html)"},
		{"outer is a prefix of inner", inner("foo", "foobar", "--foobar\n\n2\n--foobar--\n--foo\n\n3\n--foo--\n"),
			"multipart/mixed (multipart/alternative (text/plain) (text/plain)) (text/plain)"},
		{"inner is a prefix of outer", inner("foobar", "foo", "--foo\n\n2\n--foo--\n--foobar\n\n3\n--foobar--\n"),
			"multipart/mixed (multipart/alternative (text/plain) (text/plain)) (text/plain)"},
		{"inner looks like the end of outer", inner("foo", "foo--", "--foo--\n\n2\n--foo----\n--foo--\n"),
			"multipart/mixed (multipart/alternative (text/plain) (text/plain))"},
		{"same boundary twice", inner("foo", "foo", "--foo\n\n2\n--foo--\n--foo\n\n3\n--foo--\n"),
			"multipart/mixed (multipart/alternative (text/plain) (text/plain)) (text/plain)"},
		{"multipart without boundary", "Content-Type: multipart/mixed\n\n--\n\nx\n----\n", "multipart/mixed (text/plain)"},
		{"multipart with empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nx\n", "multipart/mixed (text/plain)"},
		{"no MIME-Version is needed", "Content-Type: text/html\n\nx", "text/html"},
		{"boundary as RFC 2231 has it", "Content-Type: multipart/mixed; boundary*0=\"a b\"; boundary*1=c\n\n--a bc\n" +
			"Content-Type: text/html\n\nx\n--a bc--", "multipart/mixed (text/html)"},
		{"boundary in percents", "Content-Type: multipart/mixed; boundary*=us-ascii'en'a%20b\n\n--a b\n" +
			"Content-Type: text/html\n\nx\n--a b--", "multipart/mixed (text/html)"},
		{"boundary in pieces and percents", "Content-Type: multipart/mixed; boundary*1=c; boundary*0*=''a%20\n\n--a c\n" +
			"Content-Type: text/html\n\nx\n--a c--", "multipart/mixed (text/html)"},
		{"no type", "Content-Type:\n\nx", "text/plain"},
		{"type without subtype", "Content-Type: pdf\n\nx", "text/plain"},
		{"multipart without subtype", "Content-Type: multipart; boundary=b\n\n--b\n\nx\n--b--", "multipart/mixed (text/plain)"},
		{"comments in type", "Content-Type: (a) text (b) / (c(d)) html (e)\n\nx", "text/html"},
		{"two types", "Content-Type: text/html\nContent-Type: text/plain\n\nx", "text/html"},
		{"message/partial has no inside", "Content-Type: message/partial\n\nA: b\n\nx", "message/partial"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, mail := range []string{c.mail, withCRLF(c.mail)} {
				if got := types(&parse(t, mail).Root); got != c.want {
					t.Errorf("%q:\ngot  %s\nwant %s", mail, got, c.want)
				}
			}
		})
	}
}

func TestContentFields(t *testing.T) {
	ascii := message.Param{Name: "charset", Value: "us-ascii"}
	for _, c := range []struct {
		name, header string
		want         message.Part // without offsets
	}{
		{"defaults", "A: b\n", message.Part{Type: "text", Subtype: "plain", Params: []message.Param{ascii}, Encoding: "7bit"}},
		{"html has a default charset too", "Content-Type: text/html; x=y\n", message.Part{Type: "text", Subtype: "html",
			Params: []message.Param{{Name: "x", Value: "y"}, ascii}, Encoding: "7bit"}},
		{"all", "Content-Type: TEXT/x-MyOwn; Charset=UTF-8\nContent-ID: <1@x>\nContent-Description: a (b)\n c\n" +
			"Content-Transfer-Encoding: BASE64 (why)\nContent-MD5: Q2hlY2s=\nContent-Language: en-GB, de (x), fr\n" +
			"Content-Location: http://x/y\nContent-Disposition: attachment; filename=\"a \\\"b\\\".txt\"; size=3\n",
			message.Part{Type: "TEXT", Subtype: "x-MyOwn", Params: []message.Param{{Name: "Charset", Value: "UTF-8"}},
				ID: "<1@x>", Description: "a (b) c", Encoding: "BASE64", MD5: "Q2hlY2s=", Language: []string{"en-GB", "de", "fr"},
				Location: "http://x/y", Disposition: "attachment",
				DispositionParams: []message.Param{{Name: "filename", Value: `a "b".txt`}, {Name: "size", Value: "3"}}}},
		{"not MIME", "Content-Transfer-Encoding: base64\nContent-ID: <1@x>\n",
			message.Part{Type: "text", Subtype: "plain", Params: []message.Param{ascii}, Encoding: "7bit"}},
		{"MIME-Version alone makes it MIME", "MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n",
			message.Part{Type: "text", Subtype: "plain", Params: []message.Param{ascii}, Encoding: "base64"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parse(t, c.header+"\nx").Root
			got.HeaderSize, got.BodyStart, got.BodySize, got.Lines = 0, 0, 0, 0
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestParams(t *testing.T) {
	for _, c := range []struct{ params, want string }{
		{`; a=b; C="d e"`, `a=b|C=d e`},
		{`;a=b;c=d;`, `a=b|c=d`},
		{` ; a = b ; c = "d" `, `a=b|c=d`},
		{`; a=b (comment; x=y); c=d`, `a=b|c=d`},
		{`; a="q\"\\\x"`, `a=q"\x`},
		{`; a="folded` + "\n" + ` value"`, `a=folded value`},
		{`; filename*0*=utf-8''a%20; filename*1=b`, `filename*0*=utf-8''a%20|filename*1=b`},
		{`; a=1; A=2`, `a=1`},
		{`; a=; b=c`, `a=|b=c`},
		{`; a; b=c`, `b=c`},
		{`; =x; b=c`, `b=c`},
		{`;;; b=c`, `b=c`},
		{` a=b c=d`, `a=b|c=d`},
		{`; a="b" c=d`, `a=b|c=d`},
		{`; a="b"junk; c=d`, `a=b|c=d`},
		{`; name=two words.pdf; c=d`, `name=two words.pdf|c=d`},
		{`; name=a[1]/b@c:d?.pdf; c=d`, `name=a[1]/b@c:d?.pdf|c=d`},
		{`; name==?utf-8?b?YQ==?=; c=d`, `name==?utf-8?b?YQ==?=|c=d`},
		{`; a="open; c=d`, `a=open; c=d`},
		{`; a=b (open`, `a=b`},
		{"; a=gr\xfc\xdf\x00e", "a=gr\xfc\xdf\x00e"},
	} {
		t.Run(c.params, func(t *testing.T) {
			var got []string
			for _, p := range parse(t, "Content-Type: x/y"+c.params+"\n\n").Root.Params {
				got = append(got, p.Name+"="+p.Value)
			}
			if s := strings.Join(got, "|"); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}
