package dir_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"mailreplica/internal/blob/dir"
	"mailreplica/internal/fault"
)

// FuzzMarker puts anything into the marker of a volume: it is opened if the marker is its own, and else is unavailable.
func FuzzMarker(f *testing.F) {
	for _, text := range []string{
		`{"id":"shared","layout":1}`, `{"id":"shared","layout":2}`, `{"id":"shared","layout":3}`, `{"id":"shared","layout":0}`, `{"id":"other","layout":1}`, "", "null", "[]", `{"ID":"shared","layout":1.0}`,
		`{"id":"shared","layout":1}{}`, strings.Repeat("[", 20_000), strings.Repeat(" ", 5000) + `{"id":"shared","layout":1}`,
		`{"id":"shared","layout":1}` + strings.Repeat(" ", 5000) + "{}", `{"id":"\u001b[2J","layout":1}`,
	} {
		f.Add([]byte(text))
	}
	path := filepath.Join(f.TempDir(), "volume")
	v, err := dir.Open(path, "shared")
	if err != nil {
		f.Fatal(err)
	}
	v.Close()
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(path, "volume.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		var want struct {
			ID     string `json:"id"`
			Layout int    `json:"layout"`
		}
		own := len(text) <= 4096 && json.Unmarshal(text, &want) == nil && want.ID == "shared" && (want.Layout == 1 || want.Layout == 2)
		v, err := dir.Open(path, "shared")
		if err == nil {
			v.Close()
		}
		if own != (err == nil) || err != nil && (!fault.Is(err, fault.VolumeUnavailable) || len(fault.Message(err)) > 1000+len(path)) {
			t.Errorf("%.100q: got %.200v", text, err)
		}
		if err != nil && strings.ContainsFunc(fault.Message(err), unicode.IsControl) {
			t.Errorf("the message is %q", fault.Message(err))
		}
	})
}
