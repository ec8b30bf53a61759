package message_test

import (
	"testing"

	"mailreplica/internal/message"
)

// nested has what the published IMAP test scripts ask of sections: a folded boundary, a message in a multipart, preambles
// and epilogues.
var nested = crlf(`
From: user@domain.example
Date: Sat, 24 Mar 2007 23:00:00 +0200
Mime-Version: 1.0
Content-Type: multipart/mixed; boundary="foo
 bar"

Outer preamble

--foo bar
Content-Type: text/x-myown; charset=us-ascii

hello

--foo bar
Content-Type: message/rfc822

From: sub@domain.example
Date: Sun, 12 Aug 2012 12:34:56 +0300
Subject: submsg
Content-Type: multipart/alternative; boundary="sub1"

Inner preamble
--sub1
Content-Type: text/html

<p>Hello world</p>

--sub1
Content-Type: text/plain

Hello another world

--sub1--
Inner epilogue

--foo bar--
Outer epilogue
`)

var digest = crlf(`
From: user@domain.example
Mime-Version: 1.0
Content-Type: message/rfc822

From: sub@domain.example
Subject: submsg
Content-Type: multipart/digest; boundary="foo"

preamble

--foo 

From: m1@example.com
Subject: m1

m1 body

--foo 
X-Mime: m2 header

From: m2@example.com
Subject: m2

m2 body

--foo--

epilogue

`)

func TestSection(t *testing.T) {
	const (
		whole  = message.Whole
		header = message.Header
		text   = message.Text
		mime   = message.MIME
		none   = "(none)"
	)
	innerHeader := "From: sub@domain.example\nDate: Sun, 12 Aug 2012 12:34:56 +0300\nSubject: submsg\n" +
		"Content-Type: multipart/alternative; boundary=\"sub1\"\n\n"
	innerText := "Inner preamble\n--sub1\nContent-Type: text/html\n\n<p>Hello world</p>\n\n--sub1\n" +
		"Content-Type: text/plain\n\nHello another world\n\n--sub1--\nInner epilogue\n"
	double := "From: a@x\nContent-Type: message/rfc822\n\nFrom: b@x\nContent-Type: message/rfc822\n\n" +
		"From: c@x\nSubject: s\n\nHello world\n"
	for _, c := range []struct {
		name, mail string
		spec       message.Specifier
		path       []int
		want       string
	}{
		{"BODY[]", nested, whole, nil, nested},
		{"BODY[MIME]", nested, mime, nil, none},
		{"BODY[1]", nested, whole, []int{1}, "hello\n"},
		{"BODY[1.MIME]", nested, mime, []int{1}, "Content-Type: text/x-myown; charset=us-ascii\n\n"},
		{"BODY[1.HEADER] of text", nested, header, []int{1}, none},
		{"BODY[1.TEXT] of text", nested, text, []int{1}, none},
		{"BODY[1.1] of text", nested, whole, []int{1, 1}, none},
		{"BODY[2]", nested, whole, []int{2}, innerHeader + innerText},
		{"BODY[2.MIME]", nested, mime, []int{2}, "Content-Type: message/rfc822\n\n"},
		{"BODY[2.HEADER]", nested, header, []int{2}, innerHeader},
		{"BODY[2.TEXT]", nested, text, []int{2}, innerText},
		{"BODY[2.1.MIME]", nested, mime, []int{2, 1}, "Content-Type: text/html\n\n"},
		{"BODY[2.1]", nested, whole, []int{2, 1}, "<p>Hello world</p>\n"},
		{"BODY[2.2.MIME]", nested, mime, []int{2, 2}, "Content-Type: text/plain\n\n"},
		{"BODY[2.2]", nested, whole, []int{2, 2}, "Hello another world\n"},
		{"BODY[2.3]", nested, whole, []int{2, 3}, none},
		{"BODY[3]", nested, whole, []int{3}, none},
		{"BODY[0]", nested, whole, []int{0}, none},

		{"digest BODY[1.1]", digest, whole, []int{1, 1}, "From: m1@example.com\nSubject: m1\n\nm1 body\n"},
		{"digest BODY[1.1.MIME]", digest, mime, []int{1, 1}, "\n"},
		{"digest BODY[1.1.HEADER]", digest, header, []int{1, 1}, "From: m1@example.com\nSubject: m1\n\n"},
		{"digest BODY[1.1.TEXT]", digest, text, []int{1, 1}, "m1 body\n"},
		{"digest BODY[1.1.1]", digest, whole, []int{1, 1, 1}, "m1 body\n"},
		{"digest BODY[1.2.MIME]", digest, mime, []int{1, 2}, "X-Mime: m2 header\n\n"},
		{"digest BODY[1.2.HEADER]", digest, header, []int{1, 2}, "From: m2@example.com\nSubject: m2\n\n"},
		{"digest BODY[1.2.TEXT]", digest, text, []int{1, 2}, "m2 body\n"},

		{"double BODY[1]", crlf(double), whole, []int{1}, double[len("From: a@x\nContent-Type: message/rfc822\n\n"):]},
		{"double BODY[1.HEADER]", crlf(double), header, []int{1}, "From: b@x\nContent-Type: message/rfc822\n\n"},
		{"double BODY[1.1]", crlf(double), whole, []int{1, 1}, "From: c@x\nSubject: s\n\nHello world\n"},
		{"double BODY[1.1.HEADER]", crlf(double), header, []int{1, 1}, "From: c@x\nSubject: s\n\n"},
		{"double BODY[1.1.TEXT]", crlf(double), text, []int{1, 1}, "Hello world\n"},
		{"double BODY[1.1.1]", crlf(double), whole, []int{1, 1, 1}, "Hello world\n"},
		{"double BODY[1.1.1.1]", crlf(double), whole, []int{1, 1, 1, 1}, none},

		{"plain BODY[1]", "A: b\r\n\r\ntext", whole, []int{1}, "text"},
		{"plain BODY[1.MIME]", "A: b\r\n\r\ntext", mime, []int{1}, "A: b\n\n"},
		{"plain BODY[TEXT]", "A: b\r\n\r\ntext", text, nil, "text"},
		{"plain BODY[HEADER]", "A: b\r\n\r\ntext", header, nil, "A: b\n\n"},
		{"plain BODY[2]", "A: b\r\n\r\ntext", whole, []int{2}, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			summary := parse(t, c.mail)
			want := withCRLF(c.want)
			if c.want == none || c.want == c.mail {
				want = c.want
			}
			if got := section(c.mail, summary, c.spec, c.path...); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestHeaderFields(t *testing.T) {
	header := "From: User1 <u@x>\r\nDATE: now\r\nSubject: long\r\n\tfolded\r\nX-Y : spaced\r\njunk\r\nFrom: again\r\n\r\n"
	for _, c := range []struct {
		name, header string
		fields       []string
		not          bool
		want         string
	}{
		{"one", header, []string{"x-y"}, false, "X-Y : spaced\r\njunk\r\n\r\n"},
		{"twice", header, []string{"FROM", "from"}, false, "From: User1 <u@x>\r\nFrom: again\r\n\r\n"},
		{"folded", header, []string{"subject", "date"}, false, "DATE: now\r\nSubject: long\r\n\tfolded\r\n\r\n"},
		{"unknown", header, []string{"xyz"}, false, "\r\n"},
		{"not", header, []string{"from", "subject", "x-y"}, true, "DATE: now\r\n\r\n"},
		{"not unknown", header, []string{"xyz"}, true, header},
		{"no fields", header, nil, false, "\r\n"},
		{"bare LF", "A: b\nC: d\n e\n\n", []string{"c"}, false, "C: d\n e\n\n"},
		{"no blank line", "A: b\r\nC: d", []string{"c"}, false, "C: d"},
		{"only blank line", "\r\n", []string{"c"}, true, "\r\n"},
		{"empty", "", []string{"c"}, true, ""},
		{"name is no prefix", "Subject-X: 1\r\n\r\n", []string{"subject"}, false, "\r\n"},
		{"leading fold", " lost\r\nA: b\r\n\r\n", []string{"a"}, true, "\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(message.HeaderFields([]byte(c.header), c.fields, c.not)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
