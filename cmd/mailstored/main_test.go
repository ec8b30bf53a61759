package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLines(t *testing.T) {
	folder := t.TempDir()
	bad := filepath.Join(folder, "bad.yaml")
	if err := os.WriteFile(bad, []byte("fqnd: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	directory := filepath.Join(folder, "new", "directory.db")
	for _, test := range []struct {
		line        string
		code        int
		out, errors string // what they hold
	}{
		{"", 0, "mailstored serve --config FILE", ""},
		{"--help", 0, "mailstored serve --config FILE", ""},
		{"version", 0, version, ""},
		{"--version", 0, version, ""},
		{"start", 2, "", `there is no command "start"`},
		{"serve", 2, "", "--config is missing"},
		{"serve --conf x", 2, "", "flag provided but not defined"},
		{"serve --help", 0, "", "usage: mailstored serve\n  --config FILE\n      the mailstore's configuration FILE\n"},
		{"dev --help", 0, "", "  --engines ENGINES\n      the ENGINES they stand on: embedded (a broker, SQLite, a folder), or production (Kafka, MariaDB, S3) (default embedded)\n"},
		{"serve --config x y", 2, "", `unexpected argument "y"`},
		{"serve --config " + folder + "/none", 1, "", "no such file"},
		{"serve --config " + bad, 1, "", "bad.yaml: "},
		{"broker", 2, "", "--data is missing"},
		{"init --directory " + directory, 0, "is ready", ""},
		{"init --directory " + directory, 1, "", "is there already"},
		{"init", 2, "", "want either --directory or --config"},
		{"init --config " + bad, 1, "", "bad.yaml: "},
		{"dev --data x --mailstores 0", 1, "", "--mailstores is 0"},
		{"dev --data x --engines steam", 1, "", `--engines is "steam"`},
	} {
		var out, errors bytes.Buffer
		code := run(t.Context(), strings.Fields(test.line), &out, &errors)
		if code != test.code || !strings.Contains(out.String(), test.out) || !strings.Contains(errors.String(), test.errors) {
			t.Errorf("%s: exit %d, %q, %q; want %d, %q, %q", test.line, code, out.String(), errors.String(), test.code, test.out, test.errors)
		}
	}
}
