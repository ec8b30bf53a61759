package system

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/engine"
)

func TestCPUOfChildren(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	// What has ended counts as well: the inner shell burns time, the outer one stays.
	p, err := engine.StartProcess(exec.Command("/bin/sh", "-c", `/bin/sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo done; sleep 600`), log)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	for end := time.Now().Add(time.Minute); !strings.Contains(p.LogTail(), "done"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the shell does not come to its end")
		}
	}
	if used, err := usedCPU(p); used < 20*time.Millisecond || err != nil {
		t.Errorf("used %s, %v; want what the inner shell burnt", used, err)
	}
}

func TestUsage(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "broker"), 0o700); err != nil {
		t.Fatal(err)
	}
	log := func(path string) bool { return strings.HasPrefix(path, "broker/") }
	empty, err := usage(folder, log)
	if err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"mail": 100_000, "broker/log": 12_345} {
		if err := os.WriteFile(filepath.Join(folder, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(folder, "mail"), filepath.Join(folder, "copy")); err != nil {
		t.Fatal(err)
	}
	got, err := usage(folder, log)
	if data := got.DataBytes - empty.DataBytes; err != nil || got.LogBytes != 12_345 || data < 100_000 || data > 150_000 {
		t.Errorf("data %d, log %d, %v; want 100000 and a little, once, and 12345", data, got.LogBytes, err)
	}
}

func TestAddresses(t *testing.T) {
	addrs, err := addresses(3, "7025", "7143")
	if err != nil || len(addrs) != 3 {
		t.Fatalf("%v, %v", addrs, err)
	}
	for i, addr := range addrs {
		if !strings.HasPrefix(addr, "127.") || i > 0 && addr == addrs[i-1] {
			t.Errorf("addresses are %v", addrs)
		}
	}
}

func TestWhatIsNotInstalledIsSaid(t *testing.T) {
	t.Setenv(FolderVariable, t.TempDir())
	for _, s := range []System{Dovecot{}, Cyrus{}} {
		if _, err := s.Start(t.Context(), t.TempDir(), 1); err == nil || !strings.Contains(err.Error(), "run scripts/bench") {
			t.Errorf("%s: %v", s.Name(), err)
		}
		if _, err := s.Version(t.Context()); err == nil {
			t.Errorf("%s has a version", s.Name())
		}
	}
	m := Mailreplica{Bin: t.TempDir(), Engines: "embedded", Replicated: true}
	if _, err := m.Start(t.Context(), t.TempDir(), 1); err == nil {
		t.Error("a cluster starts without its programs")
	}
}

func TestSystemsSayHowTheyAreSetUp(t *testing.T) {
	for _, s := range []System{Dovecot{}, Cyrus{}, Cyrus{Synchronous: true}, Mailreplica{}, Mailreplica{Replicated: true}, Mailreplica{Replicated: true, Engines: "production"}} {
		if strings.ContainsAny(s.Name(), " /") || s.Title() == "" || len(s.Settings()) < 2 {
			t.Errorf("%q, %q, %v", s.Name(), s.Title(), s.Settings())
		}
	}
}
