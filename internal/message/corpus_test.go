package message_test

import (
	"os"
	"path/filepath"
	"testing"
)

// sharedMessages are real and malformed messages; a clone may be without them.
const sharedMessages = "../../../shared/data/messages"

func TestParseSharedMessages(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*/*.raw", "*/*.eml", "*/*/*.eml"} {
		found, err := filepath.Glob(filepath.Join(sharedMessages, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if _, err := os.Stat(sharedMessages); err == nil && len(files) < 80 {
		t.Fatalf("got %d messages, want at least 80", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parse(t, string(b))
			parse(t, withCRLF(string(b)))
		})
	}
}
