package s3_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/engine/s3"
)

func TestLife(t *testing.T) {
	folder := t.TempDir()
	start := time.Now()
	g, err := s3.Start(t.Context(), s3.Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(start))
	t.Cleanup(func() { _ = g.Close() })
	if err := g.CreateBucket(t.Context(), "mail"); err != nil {
		t.Error(err)
	}
	endpoint := g.Endpoint()
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := g.CreateBucket(within(t, time.Second), "killed"); err == nil {
		t.Error("a killed server answers")
	}
	for range 2 { // killed, then stopped in an orderly way
		if err := g.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := g.CreateBucket(t.Context(), "mail"); err == nil {
			t.Error("the bucket is not there after a restart")
		}
	}
	if g.Endpoint() != endpoint {
		t.Errorf("got endpoint %s after a restart, want %s", g.Endpoint(), endpoint)
	}
	if err := g.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := g.CreateBucket(within(t, time.Second), "frozen"); err == nil {
		t.Error("a frozen server answers")
	}
	if err := g.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := g.CreateBucket(t.Context(), "another"); err != nil {
		t.Error(err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	log, err := os.ReadFile(filepath.Join(folder, "s3.log"))
	if err != nil || strings.Contains(string(log), g.Secret()) {
		t.Errorf("got %v and a log of %d bytes, want one without the secret", err, len(log))
	}
}

func within(t *testing.T, most time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), most)
	t.Cleanup(cancel)
	return ctx
}

func TestStartFails(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "buckets"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s3.Start(t.Context(), s3.Options{Folder: folder}); err == nil {
		t.Error("a server whose folder is a file starts")
	}
}
