package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"mailreplica/internal/config"
	"mailreplica/internal/fault"
)

// FuzzParse reads anything. What is taken is a configuration that can be used, and reads the same again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(least))
	f.Add([]byte(least + "log: {retentionHours: 99999999999, lingerMs: 1e3, sasl: PLAIN}\nimap: {idleTimeoutSec: -1}\nreclaim: {graceHours: 0x10}\n"))
	f.Add([]byte(least + "---\nfqdn: b\n"))
	f.Add([]byte("a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nvolumes: [*b,*b,*b]\n"))
	f.Add([]byte("<<: {fqdn: a}\n? [a]\n: !!binary AA==\n"))
	f.Add([]byte("directoryMariaDB: {address: '/run/s', database: d, user: u, passwordFile: p}\nmetadataMariaDB: null\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || fault.Message(err) == "" || strings.ContainsAny(fault.Message(err), "\r\n") {
				t.Errorf("%q: got %v", text, err)
			}
			return
		}
		again, err := config.Parse(text)
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%q: read again: %+v, %v, want %+v", text, again, err, c)
		}
		if c.FQDN == "" || c.Reclaim.GraceHours < 1 || c.LMTP.MessageBytesMax < 1 || c.Log.RetentionHours < 1 {
			t.Errorf("%q: got %+v", text, c)
		}
	})
}

// TestNumbersAtTheirLimits goes to each limit of the configuration, and one beyond.
func TestNumbersAtTheirLimits(t *testing.T) {
	for _, n := range []struct {
		section, key string
		min, max     int64
	}{
		{"log", "streams", 1, 10_000}, {"log", "replication", 1, 100}, {"log", "retentionHours", 1, 87_600}, {"log", "lingerMs", 0, 10_000},
		{"imap", "messageBytesMax", 1, 4_294_967_295}, {"imap", "sessionsMax", 1, 1_000_000}, {"imap", "idleTimeoutSec", 1, 31_536_000},
		{"imap", "loginAttemptsMax", 1, 1_000}, {"lmtp", "messageBytesMax", 1, 4_294_967_295}, {"lmtp", "recipientsMax", 1, 100_000},
		{"lmtp", "sessionsMax", 1, 1_000_000}, {"blobCache", "bytesMax", 1, 1 << 50}, {"reclaim", "graceHours", 1, 87_600},
	} {
		for value, taken := range map[int64]bool{n.min - 1: false, n.min: true, n.max: true, n.max + 1: false, 1<<63 - 1: false, -1 << 63: false} {
			text := fmt.Sprintf("%s%s: {%s: %d}\n", least, n.section, n.key, value)
			_, err := config.Parse([]byte(text))
			if taken != (err == nil) || err != nil && !fault.Is(err, fault.Invalid) {
				t.Errorf("%s.%s: %d: got %v", n.section, n.key, value, err)
			}
			wide := value <= 1<<31-1 && value >= -1<<31 // others are refused by the reader of numbers
			if want := fmt.Sprintf("%s.%s is %d; want %d to %d", n.section, n.key, value, n.min, n.max); err != nil && n.section != "log" && wide && fault.Message(err) != want {
				t.Errorf("got %q, want %q", fault.Message(err), want)
			}
		}
	}
}

// TestFilesAtTheirLimits reads files that are as large as they may be, and one byte larger: nothing is ever cut off in silence.
func TestFilesAtTheirLimits(t *testing.T) {
	pad := func(text string, size int) string { return text + strings.Repeat("#", size-len(text)) }
	if _, _, err := load(t, pad(least, 1<<20)); err != nil {
		t.Errorf("1 MiB: %v", err)
	}
	if _, _, err := load(t, pad(least, 1<<20+1)); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), "more than 1048576 bytes") {
		t.Errorf("more than 1 MiB: got %v", err)
	}
	if _, _, err := load(t, least+"---\ndata: other\n"); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), "more than one document") {
		t.Errorf("two documents: got %v", err)
	}
	path := filepath.Join(t.TempDir(), "password")
	for size, taken := range map[int]bool{4096: true, 4097: false} {
		if err := os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
		secret, err := config.ReadSecret(path)
		if taken && (err != nil || len(secret) != size) || !taken && (!fault.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), "more than 4096 bytes")) {
			t.Errorf("a secret of %d bytes: got %d, %v", size, len(secret), err)
		}
	}
	for size, taken := range map[int]bool{15: false, 16: true, 512: true, 513: false} {
		if err := os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.ReadToken(path); taken != (err == nil) {
			t.Errorf("a token of %d bytes: got %v", size, err)
		}
	}
}

// TestMemoryOfAConfiguration reads YAML that is made to grow, within the size of a file.
func TestMemoryOfAConfiguration(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := range 30 {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 9), i)
	}
	for name, text := range map[string]string{
		"aliases of aliases": laughs.String(),
		"aliases as volumes": "volumes: &v [{name: a, path: b}]\n" + strings.Repeat("volumes: *v\n", 10_000),
		"a key many times":   strings.Repeat("fqdn: a\n", 9_000),
		"many keys":          manyKeys(100_000),
		"nested lists":       strings.Repeat("[", 1<<19),
		"nested maps":        strings.Repeat("{a: ", 1<<18),
		"nested blocks":      strings.Repeat("- ", 1<<19),
		"one long key":       strings.Repeat("k", 1<<20),
		"many volumes":       "volumes:\n" + strings.Repeat("- {name: a, path: b}\n", 45_000),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := config.Parse([]byte(text))
			runtime.ReadMemStats(&after)
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 256<<20 {
				t.Errorf("%d MiB were allocated for %d bytes", got>>20, len(text))
			}
		})
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: a\n", i)
	}
	return b.String()
}

// TestNodesAtTheirLimit has as many keys, values and lists as a file may have, and one more.
func TestNodesAtTheirLimit(t *testing.T) {
	const around = 4 // the document, its map, the key and the list
	for n, want := range map[int]string{20_000 - around: "not of the kind that its key takes; and 19993 more", 20_000 - around + 1: "more than 20000 keys, values and lists"} {
		_, err := config.Parse([]byte("volumes: [" + strings.Repeat("a,", n) + "]"))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), want) {
			t.Errorf("%d: got %.100v, want %q", n, err, want)
		}
	}
}
