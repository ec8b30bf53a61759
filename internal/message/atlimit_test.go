package message_test

import (
	"fmt"
	"strings"
	"testing"

	"mailreplica/internal/message"
)

// TestAtTheLimits goes to each limit of what is taken from a message, and one beyond.
func TestAtTheLimits(t *testing.T) {
	of := strings.Repeat
	params := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ";p%d=v", i)
		}
		return b.String()
	}
	multipart := func(boundary string) string {
		return "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n\r\n--" + boundary + "\r\n\r\nx\r\n--" + boundary + "--\r\n"
	}
	children := func(s *message.Summary) int { return len(s.Root.Children) }
	depth := func(s *message.Summary) int {
		n, p := 1, &s.Root
		for ; p.Message != nil; n++ {
			p = &p.Message.Root
		}
		if p.Type != "text" {
			return -n
		}
		return n
	}
	const mixed = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	for _, c := range []struct {
		name         string
		mail         func(n int) string
		limit        int
		got          func(*message.Summary) int
		want, beyond int
	}{
		{"parts", func(n int) string { return mixed + of("--b\r\n\r\nx\r\n", n) + "--b--\r\n" }, 4095, children, 4095, 4095},
		{"nesting", func(n int) string { return of("Content-Type: message/rfc822\r\n\r\n", n) + "\r\nx" }, 99, depth, 100, -100},
		{"addresses", func(n int) string { return "To: " + of("a@b,", n) + "\r\n\r\n" }, 8192, func(s *message.Summary) int { return len(s.Envelope.To) }, 8192, 8192},
		{"a field", func(n int) string { return "Subject:" + of("x", n) + "\r\n\r\n" }, 128 << 10,
			func(s *message.Summary) int { return len(s.Envelope.Subject) }, 128 << 10, 128 << 10},
		{"fields", func(n int) string { return of("A: b\r\n", n-1) + "Subject: x\r\n\r\n" }, 10_000, func(s *message.Summary) int { return len(s.Envelope.Subject) }, 1, 0},
		{"parameters", func(n int) string { return "Content-Type: a/b" + params(n) + "\r\n\r\n" }, 100, func(s *message.Summary) int { return len(s.Root.Params) }, 100, 100},
		{"a value", func(n int) string { return "Content-Type: a/b; n=" + of("v", n) + "\r\n\r\n" }, 4096,
			func(s *message.Summary) int { return len(s.Root.Params[0].Value) }, 4096, 4096},
		{"a token", func(n int) string { return "Content-Type: a/" + of("x", n) + "\r\n\r\n" }, 127, func(s *message.Summary) int { return len(s.Root.Subtype) }, 127, len("octet-stream")},
		{"a boundary", func(n int) string { return multipart(of("b", n)) }, 256, func(s *message.Summary) int { return int(s.Root.Children[0].BodySize) }, 1, 0},
		{"languages", func(n int) string { return "Content-Type: a/b\r\nContent-Language: " + of("x,", n) + "\r\n\r\n" }, 32, func(s *message.Summary) int { return len(s.Root.Language) }, 32, 32},
	} {
		for n, want := range map[int]int{c.limit: c.want, c.limit + 1: c.beyond} {
			if got := c.got(parse(t, c.mail(n))); got != want {
				t.Errorf("%s: %d: got %d, want %d", c.name, n, got, want)
			}
		}
	}
	// The parts' ids are 16 KiB each: with 32 of them all text that is kept is used up, and no more parts are looked for.
	var many strings.Builder
	many.WriteString(mixed)
	for range 40 {
		many.WriteString("--b\r\nContent-ID: " + of("x", 16<<10) + "\r\n\r\n\r\n")
	}
	if got := children(parse(t, many.String())); got != 32 {
		t.Errorf("text of many parts: got %d parts, want 32", got)
	}
	const date = "Mon, 2 Jan 2006 15:04:05 -0700"
	for n, want := range map[int]bool{128: true, 129: false} {
		if _, ok := message.SentDate(date + " (" + of("x", n-len(date)-3) + ")"); ok != want {
			t.Errorf("a date of %d bytes is understood: %t", n, ok)
		}
	}
}
