package e2e_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tagged puts the test's own header in front of a message.
func tagged(id string, message []byte) []byte {
	return append([]byte("X-E2E-Id: "+id+"\r\n"), message...)
}

func text(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n") }

func plain(subject string) []byte {
	return text("From: Ann <ann@example.net>", "To: bob@example.com", "Subject: "+subject, "Date: Tue, 24 Nov 2026 08:00:00 +0100",
		"Message-ID: <"+hash([]byte(subject))+"@example.net>", "", "Text of "+subject+".")
}

// samples are messages of many shapes, good and bad, with CRLF.
func samples() [][]byte {
	return [][]byte{
		plain("a plain message"),
		text("From: =?utf-8?q?J=C3=BCrgen?= <j@example.net>", "To: undisclosed recipients:;", "Cc: a@b.example, \"C, D\" <c@d.example>",
			"Subject: =?iso-8859-1?B?5Pb8?= =?utf-8?B?4oKs?=", "In-Reply-To: <x@y>", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
			"Content-Transfer-Encoding: 8bit", "", "Grüße — 8bit", "..a dot", "."+strings.Repeat("x", 900)),
		text("From: a@example.net", "Subject: two parts", "MIME-Version: 1.0", `Content-Type: multipart/mixed; boundary="=_b"`, "", "preamble",
			"--=_b", "Content-Type: text/html", "", "<p>hello</p>", "--=_b", `Content-Type: application/pdf; name="a b.pdf"`,
			`Content-Disposition: attachment; filename*=utf-8''%e2%82%ac.pdf`, "Content-Transfer-Encoding: base64", "", "JVBERi0xLjQK", "--=_b--", "epilogue"),
		text("From: a@example.net", "Subject: forwarded", "Content-Type: message/rfc822", "", "From: inner@example.net", "Subject: inner",
			"Content-Type: multipart/alternative; boundary=q", "", "--q", "", "one", "--q", "Content-Type: text/html", "", "two", "--q--"),
		text("Subject: no end", `Content-Type: multipart/related; boundary="never`, "", "--never", "text"),
		text("From", "not a header", "", "body"),
		text("", "only a body"),
		text("Subject: \x80\xff\xfe", "From: \"unclosed <a@b", "Date: yesterday", "Content-Type: ;;;=", "", "\x00\x01\x02 bytes \xf0\x9f"),
		text("Subject: a header", strings.Repeat("X-Many: header\r\n", 300)+"To: z@example.com", "", strings.Repeat("long line ", 5000)),
	}
}

// found are the messages of others, where the folder is there; else the built-in ones stand alone. They are made CRLF, as a
// client does that sends them.
func found(t testing.TB) (all map[string][]byte) {
	t.Helper()
	all = map[string][]byte{}
	for i, m := range samples() {
		all[fmt.Sprintf("built-in/%d", i)] = m
	}
	root := filepath.Join("..", "..", "..", "shared", "data", "messages")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".md" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		all[name] = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return all
}
