package mariadb_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/engine/mariadb"
)

func TestLife(t *testing.T) {
	start := time.Now()
	s, err := mariadb.Start(t.Context(), mariadb.Options{Folder: t.TempDir(), Settings: map[string]string{"max_connections": "42"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(start))
	t.Cleanup(func() { _ = s.Close() })
	if err := s.CreateDatabase(t.Context(), "a`b"); err != nil {
		t.Error(err)
	}
	address := s.Address()
	insert := "INSERT INTO `a``b`.t VALUES (1)"
	if err := s.Execute(t.Context(), "CREATE TABLE `a``b`.t (a INT PRIMARY KEY, b INT CHECK (@@max_connections = 42))"); err == nil {
		t.Error("a statement that is refused gives no error")
	}
	if err := s.Execute(t.Context(), "CREATE TABLE `a``b`.t (a INT PRIMARY KEY)", insert); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Execute(t.Context(), "SELECT 1"); err == nil {
		t.Error("a killed server answers")
	}
	for range 2 { // killed, then stopped in an orderly way
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Execute(t.Context(), insert); err == nil || !strings.Contains(err.Error(), "Duplicate") {
			t.Errorf("got %v of a row that is there already, want what was committed to be there after a restart", err)
		}
	}
	if s.Address() != address {
		t.Errorf("got address %s after a restart, want %s", s.Address(), address)
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Execute(short, "SELECT 1"); err == nil {
		t.Error("a frozen server answers")
	}
	if err := s.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := s.Execute(t.Context(), "SELECT 1"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestStartFails(t *testing.T) {
	_, err := mariadb.Start(t.Context(), mariadb.Options{Folder: t.TempDir(), Settings: map[string]string{"no-such-setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("got %v, want what the server's log says", err)
	}
}
