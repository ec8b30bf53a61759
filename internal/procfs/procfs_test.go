package procfs_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/procfs"
)

func TestParseStat(t *testing.T) {
	const line = "12 (a (b) c) S 7 12 12 0 -1 4194304 100 200 0 0 11 22 33 44 20 0 1 0 100 1000 10\n"
	s, err := procfs.ParseStat([]byte(line))
	if want := (procfs.Stat{PID: 12, Parent: 7, CPU: (11 + 22) * 10 * time.Millisecond, EndedCPU: (33 + 44) * 10 * time.Millisecond}); s != want || err != nil {
		t.Errorf("%+v, %v; want %+v", s, err, want)
	}
	for _, bad := range []string{"", "12", "12 (a", "12 (a) S 7", strings.Replace(line, "33", "x", 1), ") 1 ("} {
		if _, err := procfs.ParseStat([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestThisProcess(t *testing.T) {
	family, err := procfs.Family(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, s := range family {
		found = found || s.PID == os.Getpid() && s.Parent == os.Getppid()
	}
	if !found {
		t.Errorf("this process is not of the family of its parent: %+v", family)
	}
	if s, err := procfs.StatOf(os.Getpid()); s.PID != os.Getpid() || err != nil {
		t.Errorf("got %+v, %v", s, err)
	}
	if kB, known := procfs.Number(os.Getpid(), "status", "VmRSS"); kB <= 0 || !known {
		t.Errorf("VmRSS is %d, %v", kB, known)
	}
	if _, known := procfs.Number(os.Getpid(), "status", "VmRS"); known {
		t.Error("half a name is found")
	}
}
