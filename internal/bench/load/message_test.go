package load_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"

	"mailreplica/internal/bench/load"
)

func TestMessagesAreMail(t *testing.T) {
	for _, size := range []int{1 << 10, 8 << 10, 64 << 10} {
		messages := load.NewMessages(size)
		seen := map[string]bool{}
		for range 200 {
			text := messages.Append(nil)
			if difference := len(text) - size; size > 2<<10 && (difference < -100 || difference > 100) {
				t.Fatalf("a message of %d bytes has %d", size, len(text))
			}
			checkLines(t, text)
			id := checkMail(t, text)
			if seen[id] {
				t.Fatalf("the identifier %s comes twice", id)
			}
			seen[id] = true
		}
	}
}

func checkLines(t *testing.T, text []byte) {
	t.Helper()
	if !bytes.HasSuffix(text, []byte("\r\n")) {
		t.Fatalf("a message ends with %q", text[len(text)-10:])
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte("\r\n")), []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n@@") && bytes.Contains(line, []byte("@@")) || bytes.HasPrefix(line, []byte(".")) || len(line) > 998 {
			t.Fatalf("a message has the line %q", line)
		}
		if bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("a line of a message does not end with CRLF: %q", line)
		}
	}
}

// checkMail reads a message as a mail program does, and gives its identifier.
func checkMail(t *testing.T, text []byte) string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("a message is %q, %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	for _, want := range []string{"text/plain", "text/html"} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Fatalf("a part is %q, want %q", got, want)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Fatalf("after two parts: %v, want the end", err)
	}
	return m.Header.Get("Message-ID")
}
