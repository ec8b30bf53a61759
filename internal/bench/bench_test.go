package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailreplica/internal/bench/report"
	"mailreplica/internal/bench/system"
	"mailreplica/internal/node/nodetest"
)

func TestCommandLines(t *testing.T) {
	for _, test := range []struct {
		line        string
		code        int
		out, errors string // what they hold
	}{
		{"", 0, "bench run", ""},
		{"--help", 0, "bench load", ""},
		{"sing", 2, "", `there is no command "sing"`},
		{"load", 2, "", "want --lmtp, --imap or both"},
		{"load x", 2, "", `unexpected argument "x"`},
		{"load --lmtp a:1 --account user", 2, "", "needs one verb"},
		{"load --lmtp a:1 --account user%s", 2, "", "needs one verb"},
		{"load --lmtp a:1 --account user%0%", 2, "", "needs one verb"},
		{"load --imap a:1 --connections 3 --accounts 2", 2, "", "--imap needs an account for each connection"},
		{"load --lmtp a:1 --connections 0", 2, "", "--connections is 0"},
		{"load --lmtp a:1 --bytes 10", 2, "", "--bytes is 10"},
		{"load --lmtp a:1 --for 0s", 2, "", "--for is not more than 0"},
		{"load --lmtp 127.0.0.1:1", 1, "", "connection refused"},
		{"load --replica a:1 --imap a:1", 2, "", "--replica needs --lmtp"},
		{"start --system steam", 2, "", `there is no system "steam"`},
		{"start --system dovecot --accounts 0", 2, "", "--accounts is 0"},
		{"run --without steam", 2, "", `there is no system "steam"`},
		{"run --without unreplicated,replicated,production,dovecot,cyrus", 2, "", "no system is left"},
		{"run --rounds 0", 2, "", "--rounds is 0"},
		{"run --warm 0s", 2, "", "--warm is 0s"},
		{"run --copy-rounds 4", 2, "", "--copy-rounds is 4"},
		{"run --accounts 3", 2, "", "--accounts is 3"},
		{"run --check --docs /nowhere", 1, "", "record.json cannot be read"},
		{"page --docs /nowhere", 1, "", "record.json cannot be read"},
	} {
		var out, errors bytes.Buffer
		code := run(t.Context(), strings.Fields(test.line), &out, &errors)
		if code != test.code || !strings.Contains(out.String(), test.out) || !strings.Contains(errors.String(), test.errors) {
			t.Errorf("%s: exit %d, %q, %q; want %d, %q, %q", test.line, code, out.String(), errors.String(), test.code, test.out, test.errors)
		}
	}
}

func TestLeaveOut(t *testing.T) {
	for names, want := range map[string][]string{
		"":                          {"unreplicated", "replicated", "production", "dovecot", "cyrus-rolling", "cyrus-sync"},
		"cyrus":                     {"unreplicated", "replicated", "production", "dovecot"},
		"cyrus-sync":                {"unreplicated", "replicated", "production", "dovecot", "cyrus-rolling"},
		"production, dovecot cyrus": {"unreplicated", "replicated"},
	} {
		left, err := leaveOut(systems("bin"), names)
		if err != nil {
			t.Errorf("without %q: %v", names, err)
		}
		var got []string
		for _, s := range left {
			got = append(got, s.Name())
		}
		if !slices.Equal(got, want) {
			t.Errorf("without %q: %v, want %v", names, got, want)
		}
	}
}

// TestEverySystemIsCompared holds the names that ratios are made of against those of the systems.
func TestEverySystemIsCompared(t *testing.T) {
	r := report.Record{}
	for _, s := range systems("bin") {
		figures := map[string][]float64{}
		for _, group := range report.Groups() {
			for _, row := range group.Rows {
				figures[row.Key] = []float64{1}
			}
		}
		r.Systems = append(r.Systems, report.System{Name: s.Name(), Figures: figures})
	}
	compared := map[string]bool{}
	for _, ratio := range r.Compare() {
		compared[ratio.Of], compared[ratio.To] = true, true
	}
	for _, s := range systems("bin") {
		if !compared[s.Name()] {
			t.Errorf("%s is compared with nothing", s.Name())
		}
		if len(s.Settings()) == 0 || s.Title() == "" {
			t.Errorf("%s does not say how it is set up", s.Name())
		}
	}
}

func TestLoadOnAMailstore(t *testing.T) {
	cluster := nodetest.Start(t, 1)
	cluster.Account(0, "user7@example.com")
	var out, errors bytes.Buffer
	line := "load --lmtp " + cluster.Config(0).Listen.LMTP + " --account user%d@example.com --first 7 --accounts 1 --connections 2 --count 10 --for 1m"
	if code := run(t.Context(), strings.Fields(line), &out, &errors); code != 0 || !strings.Contains(out.String(), "10 done, 0 failed") {
		t.Errorf("exit %d, %q, %q", code, out.String(), errors.String())
	}
}

func TestPageIsWrittenFromTheRecord(t *testing.T) {
	docs := t.TempDir()
	r := report.Record{Remark: "a remark"}
	if err := write(docs, &r); err != nil {
		t.Fatal(err)
	}
	first := pageOf(t, docs)
	var out, errors bytes.Buffer
	if code := run(t.Context(), []string{"page", "--docs", docs}, &out, &errors); code != 0 {
		t.Fatalf("exit %d: %s", code, errors.String())
	}
	if again := pageOf(t, docs); again != first || !strings.Contains(first, "a remark") {
		t.Errorf("the page is\n%s\nand was\n%s", again, first)
	}
	for _, plot := range report.Plots() {
		if !strings.Contains(first, plotsFolder+"/"+plot.File) {
			t.Errorf("the page does not show %s", plot.File)
		}
	}
}

func TestMachine(t *testing.T) {
	m, err := machine(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if m.Cores < 1 || m.MemoryGiB < 1 || m.Kernel == "" || m.Disk == "" || m.SyncedFiles <= 0 || m.SyncedAppends <= 0 {
		t.Errorf("the machine is %+v", m)
	}
}

func TestLeftFoldersAreRemoved(t *testing.T) {
	t.Setenv(system.FolderVariable, t.TempDir())
	own, remove, err := workFolder("dovecot")
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Dir(own)
	const nobody = "4194305" // one more than the highest process id that Linux has
	left := filepath.Join(base, workPrefix+"cyrus-sync-"+nobody+"-123")
	other := filepath.Join(base, "dovecot-bookworm")
	for _, folder := range []string{left, other} {
		mkdir(t, filepath.Join(folder, "mail"))
	}
	if err := removeLeft(base); err != nil {
		t.Fatal(err)
	}
	if there(own) != true || there(other) != true || there(left) {
		t.Errorf("own folder %v, another %v, that of a process that is gone %v; want only the last to go", there(own), there(other), there(left))
	}
	if err := remove(); err != nil || there(own) {
		t.Errorf("the own folder stays: %v", err)
	}
}
