// Package deploy_test starts and loads the examples of this folder, so that they keep working.
package deploy_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/config"
	"mailreplica/internal/directory"
	engine "mailreplica/internal/engine/mariadb"
	"mailreplica/internal/mariadb"
	"mailreplica/internal/metadata"
)

func read(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMailstores(t *testing.T) {
	files, err := filepath.Glob("mailstore/*.yaml")
	if err != nil || len(files) != 3 {
		t.Fatalf("got %v, %v, want three configurations", files, err)
	}
	for _, file := range files {
		c, err := config.Load(file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if want := strings.TrimSuffix(filepath.Base(file), ".yaml") + ".example.com"; c.FQDN != want {
			t.Errorf("%s: got the name %s, want %s", file, c.FQDN, want)
		}
		if c.Log.Replication != 3 || c.MetadataMariaDB == nil || c.DirectoryMariaDB == nil || !c.DirectoryMariaDB.TLS {
			t.Errorf("%s: got %+v", file, c)
		}
	}
}

// settings are those of a file of MariaDB's, with what concerns the machine left out.
func settings(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(read(t, "mariadb", "mailreplica.cnf")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case name == "", name[0] == '#', name[0] == '[', value == "": // sections, comments, and what the engine says itself
		case name == "bind_address", name == "innodb_buffer_pool_size", name == "innodb_log_file_size":
		default:
			all[name] = value
		}
	}
	return all
}

// statements are those of create.sql, without TLS, which the engine has not.
func statements(t *testing.T) (all []string) {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(read(t, "mariadb", "create.sql")) {
		if !strings.HasPrefix(line, "--") {
			text.WriteString(strings.ReplaceAll(line, " REQUIRE SSL", ""))
		}
	}
	for statement := range strings.SplitSeq(text.String(), ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			all = append(all, statement)
		}
	}
	return all
}

func TestMariaDB(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "deploy-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	server, err := engine.Start(ctx, engine.Options{Folder: folder, Settings: settings(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := server.Execute(ctx, statements(t)...); err != nil {
		t.Fatal(err)
	}
	store, err := metadata.OpenMariaDB(ctx, mariadb.Config{
		Address: server.Socket(), Database: "mailreplica_metadata", User: "mailreplica_metadata", Password: "another-password",
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	d, err := directory.Create(ctx, directory.Options{MariaDB: &mariadb.Config{
		Address: server.Address(), Database: "mailreplica_directory", User: "mailreplica_directory", Password: "another-password",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestBucketPolicy(t *testing.T) {
	var policy struct {
		Statement []struct {
			Effect string
			Action any
		}
	}
	if err := json.Unmarshal([]byte(read(t, "s3", "policy.json")), &policy); err != nil {
		t.Fatal(err)
	}
	if len(policy.Statement) != 3 {
		t.Errorf("got %d statements, want 3", len(policy.Statement))
	}
}
