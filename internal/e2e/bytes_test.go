package e2e_test

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const bigBytes = 25 << 20

// bigMessages are as large as mail gets, in the shapes that hurt.
func bigMessages() map[string][]byte {
	head := func(subject string, more ...string) []byte {
		return text(append([]string{"From: big@example.net", "Subject: " + subject, "MIME-Version: 1.0"}, more...)...)
	}
	all := map[string][]byte{}
	line := append(head("one line"), "\r\n"...)
	all["one line"] = append(append(line, bytes.Repeat([]byte("0123456789abcdef"), bigBytes/16)...), "\r\n"...)
	lines := append(head("many lines", "Content-Type: text/plain"), "\r\n"...)
	all["many lines"] = append(lines, bytes.Repeat([]byte(".a line\r\n"), bigBytes/9)...)
	var deep bytes.Buffer
	deep.Write(head("deep"))
	const levels = 200
	for i := range levels {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	deep.WriteString("Content-Type: text/plain\r\n\r\n")
	deep.Write(bytes.Repeat([]byte("content of the deepest part, sixty four bytes and a line end..\r\n"), bigBytes/64))
	for i := levels - 1; i >= 0; i-- {
		fmt.Fprintf(&deep, "--b%d--\r\n", i)
	}
	all["deep multipart"] = deep.Bytes()
	return all
}

var traceFields = regexp.MustCompile(`^Return-Path: <sender@example\.net>\r\nReceived: [^\r\n]*\r\n([ \t][^\r\n]*\r\n)*$`)

// TestEveryByte stores messages of all shapes over LMTP and with APPEND, and compares every byte, also after a promotion.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	name := c.accounts("bytes", 1)[0]
	all := found(t)
	maps.Copy(all, bigMessages())
	order := slices.Sorted(maps.Keys(all))

	session := c.login(1, name)
	must(t, session, "CREATE Appended")
	mta, err := dialLMTP(c.store(1).lmtp)
	if err != nil {
		t.Fatal(err)
	}
	mta.SubmissionTimeout = 2 * time.Minute
	refused := map[string]bool{}
	for _, key := range order {
		if err := transfer(mta, all[key], name); err != nil {
			t.Fatalf("LMTP of %s: %v", key, err)
		}
		if _, err := session.appendMessage("Appended", "", all[key]); isRefusal(err) && bytes.IndexByte(all[key], 0) >= 0 {
			refused[key] = true // a literal must not hold NUL (RFC 3501, section 9)
		} else if err != nil {
			t.Fatalf("APPEND of %s: %v", key, err)
		}
	}
	if err := mta.Quit(); err != nil {
		t.Error(err)
	}
	c.compareBytes(1, name, order, all, refused)
	shown := c.picture(1, name)
	c.store(1).kill()
	c.promote(2, []string{name})
	c.compareBytes(2, name, order, all, refused)
	same(t, name, c.picture(2, name), shown)
	t.Logf("%d messages, %d refused for NUL", len(order), len(refused))
}

func (c *cluster) compareBytes(i int, name string, order []string, all map[string][]byte, refused map[string]bool) {
	c.t.Helper()
	session := c.login(i, name)
	defer session.close()
	uid := map[string]int{"INBOX": 0, "Appended": 0}
	for _, folder := range []string{"INBOX", "Appended"} {
		must(c.t, session, "SELECT %s", folder)
		for _, key := range order {
			if folder == "Appended" && refused[key] {
				continue
			}
			uid[folder]++
			lines, _, err := session.do("UID FETCH %d (BODY.PEEK[])", uid[folder])
			if err != nil || len(lines) != 1 || len(lines[0].literals) != 1 {
				c.t.Errorf("%s in %s: %d lines, %v", key, folder, len(lines), err)
				continue
			}
			got, want := lines[0].literals[0], all[key]
			if folder == "INBOX" { // DATA ends with CRLF
				if !bytes.HasSuffix(want, []byte("\r\n")) {
					want = append(want[:len(want):len(want)], "\r\n"...)
				}
				if head := strings.TrimSuffix(string(got), string(want)); !traceFields.MatchString(head) {
					c.t.Errorf("%s over LMTP: what stands in front is %.200q", key, head)
				}
			} else if !bytes.Equal(got, want) {
				c.t.Errorf("%s with APPEND: %d bytes, want %d, and the same", key, len(got), len(want))
			}
		}
	}
}
