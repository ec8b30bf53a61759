package event_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
)

var update = flag.Bool("update", false, "write the golden files of the current version anew")

// golden compares an encoding with its golden file: a hex dump, so that a difference can be read. Files of a version that
// was released are never written anew; a new version gets a folder of its own, and this test reads both.
func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "v1", name+".hex")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(lines(got)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%swant\n%s", name, lines(got), text)
	}
	return want
}

func lines(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(32, len(b))
		fmt.Fprintf(&s, "%x\n", b[:n])
		b = b[n:]
	}
	return s.String()
}

func TestGoldenRecords(t *testing.T) {
	for name, want := range records() {
		b := golden(t, "record-"+name, want.Encode())
		got, err := event.Decode(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestGoldenEffects(t *testing.T) {
	for i, effect := range effects() {
		change := mailbox.Change{Effects: []mailbox.Effect{effect}, Digest: mailbox.Digest{Hi: 1, Lo: 2}}
		goldenChange(t, fmt.Sprintf("change-%02d-%s", i, typeName(effect)), change)
	}
	goldenChange(t, "change-all", mailbox.Change{Effects: effects()[:firstEffects], Digest: mailbox.Digest{Hi: 1<<64 - 1, Lo: 1 << 63}})
	goldenChange(t, "change-none", mailbox.Change{})
}

func goldenChange(t *testing.T, name string, want mailbox.Change) {
	t.Helper()
	b, err := event.EncodeChange(want)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got, err := event.DecodeChange(golden(t, name, b))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
	}
}

func TestGoldenRows(t *testing.T) {
	for _, want := range rows() {
		name := "row-" + typeName(want)
		b, err := event.EncodeRow(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := event.DecodeRow(golden(t, name, b))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
}
