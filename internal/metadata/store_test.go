package metadata_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/metadata"
)

func TestReopen(t *testing.T) { onEach(t, testReopen) }

func testReopen(t *testing.T, p place) {
	if p.config == nil {
		p.dir = filepath.Join(p.dir, "a directory", "50% ?#&=é")
	}
	s := p.open(t)
	id, c := create(t, s)
	update(t, s, set("key", "value"))
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := s.Update(t.Context(), metadata.Lazy, set("key", "other")); !fault.Is(err, fault.Interrupted) {
		t.Errorf("Update after Close: got %v, want Interrupted", err)
	}
	if err := s.View(t.Context(), func(*metadata.View) error { return nil }); !fault.Is(err, fault.Interrupted) {
		t.Errorf("View after Close: got %v, want Interrupted", err)
	}
	s = p.open(t)
	if got, _ := value(t, s, "key"); got != "value" {
		t.Errorf("got value %q after reopening, want %q", got, "value")
	}
	view(t, s, func(v *metadata.View) error {
		m, found, err := v.Mailbox(c.Account)
		if !found || m.ID != id || m.Copy.Self != c.Self {
			t.Errorf("got mailbox %+v, %t after reopening, want that of %v", m, found, c)
		}
		return err
	})
	if p.config == nil {
		if _, err := os.Stat(filepath.Join(p.dir, "metadata.db")); err != nil {
			t.Errorf("the database is not in its directory: %v", err)
		}
	}
}

func TestOneProcess(t *testing.T) { onEach(t, testOneProcess) }

func testOneProcess(t *testing.T, p place) {
	child := startWriter(t, p)
	_, err := p.tryOpen(t, slog.New(slog.DiscardHandler))
	wantKind(t, err, fault.Busy)
	if err == nil || !strings.Contains(fault.Message(err), "in use by process") || !strings.Contains(fault.HintOf(err), "stop") {
		t.Errorf("got message %q, hint %q: they do not say who has the database and what to do", fault.Message(err), fault.HintOf(err))
	}
	child.kill(t)
	s := p.open(t) // the lock went with the process
	_, err = p.tryOpen(t, slog.New(slog.DiscardHandler))
	wantKind(t, err, fault.Busy) // within one process too
	update(t, s, set("key", "value"))
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, want, hint string
		spoil            func(t *testing.T, path string)
	}{
		{"no database", "damaged", "made anew", func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"newer schema", "schema 99", "", func(t *testing.T, path string) { execute(t, path, "UPDATE schema_version SET version = 99") }},
		{"another program's", "not a mailstore's", "", func(t *testing.T, path string) {
			execute(t, path, "DROP TABLE schema_version")
		}},
		{"damaged page", "damaged", "made anew", func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			at := bytes.LastIndex(b, []byte("mbox1.example.com")) &^ 4095
			copy(b[at:at+4096], bytes.Repeat([]byte{0xfe}, 4096))
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			create(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, filepath.Join(dir, "metadata.db"))
			_, err := metadata.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
			wantKind(t, err, fault.DatabaseUnavailable)
			if err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint)) {
				t.Errorf("got %q with hint %q, want them to say %q and %q", err, fault.HintOf(err), c.want, c.hint)
			}
			_, again := metadata.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
			wantKind(t, again, fault.DatabaseUnavailable) // and not Busy: a refused Open leaves no lock
		})
	}
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestUnreachableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := metadata.Open(t.Context(), filepath.Join(file, "below"), slog.New(slog.DiscardHandler))
	wantKind(t, err, fault.DatabaseUnavailable)
}

// child is this binary, run as another process that plays a part.
type child struct {
	cmd *exec.Cmd
	out io.Reader
}

func startChild(t *testing.T, part string, args ...string) *child {
	t.Helper()
	c := &child{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], args...)}
	c.cmd.Env = append(os.Environ(), childVariable+"="+part)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	return c
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Errorf("kill: %v", err)
	}
	_, _ = io.Copy(io.Discard, c.out)
	_ = c.cmd.Wait() // its error is that it was killed
}
