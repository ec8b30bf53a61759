package metadata_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
	"mailreplica/internal/metadata"
)

// TestOneOwner has a second store refused while there is a first, and the first one write nothing once it was taken over.
func TestOneOwner(t *testing.T) {
	p := inMariaDB(t)
	first := p.open(t)
	update(t, first, set("key", "first"))
	_, err := p.tryOpen(t, slog.New(slog.DiscardHandler))
	wantKind(t, err, fault.Busy)
	if err == nil || !strings.Contains(fault.Message(err), "in use by process") || !strings.Contains(fault.HintOf(err), "stop") {
		t.Errorf("got message %q, hint %q: they do not say who has the database and what to do", fault.Message(err), fault.HintOf(err))
	}
	update(t, first, set("key", "still first"))

	// The lock goes with its connection, the process lives on.
	onServer(t, fmt.Sprintf("KILL %d", metadata.LockConnectionID(t, first)))
	second := p.open(t)
	for _, d := range []metadata.Durability{metadata.Fsynced, metadata.Lazy} {
		err := first.Update(t.Context(), d, set("key", "too late"))
		wantKind(t, err, fault.DatabaseUnavailable)
		if err == nil || !strings.Contains(err.Error(), "taken over by process") {
			t.Errorf("got %v, want it to say who took the database over", err)
		}
	}
	err = first.View(t.Context(), func(*metadata.View) error { t.Error("a snapshot of a database that was lost"); return nil })
	wantKind(t, err, fault.DatabaseUnavailable)
	update(t, second, set("other", "second"))
	if got, _ := value(t, second, "key"); got != "still first" {
		t.Errorf("got %q, want what the first wrote while the database was its", got)
	}
}

// TestTakeOverIsSeen has a store that writes nothing notice that it was taken over.
func TestTakeOverIsSeen(t *testing.T) {
	p := inMariaDB(t)
	s := p.open(t)
	onServer(t, "UPDATE "+p.config.Database+".owner SET incarnation = 'another', holder = 'somebody'")
	waitFor(t, func() bool {
		err := s.View(t.Context(), func(*metadata.View) error { return nil })
		return err != nil && strings.Contains(err.Error(), "taken over by somebody")
	})
}

// TestRestored has a store refuse to go on with a database that is not where it left it.
func TestRestored(t *testing.T) {
	p := inMariaDB(t)
	s := p.open(t)
	update(t, s, set("key", "value"))
	onServer(t, "UPDATE "+p.config.Database+".owner SET generation = generation - 1")
	err := s.Update(t.Context(), metadata.Fsynced, set("key", "other"))
	wantKind(t, err, fault.DatabaseUnavailable)
	if err == nil || !strings.Contains(fault.HintOf(err), "restored") {
		t.Errorf("got %v, hint %q, want it to say what happened", err, fault.HintOf(err))
	}
}

func TestMariaDBRefused(t *testing.T) {
	const password = "s3cret-Password"
	for _, c := range []struct {
		name       string
		kind       fault.Kind
		message    string
		hint       string
		spoil, end []string
		change     func(*mariadb.Config)
	}{
		{name: "wrong password", message: "let this user in", hint: "password", change: func(c *mariadb.Config) { c.Password = password }},
		{name: "no rights", message: "not granted", hint: "GRANT",
			spoil:  []string{"CREATE OR REPLACE USER guest@'127.0.0.1' IDENTIFIED BY '" + password + "'"},
			change: func(c *mariadb.Config) { c.User, c.Password = "guest", password }},
		{name: "rights to read only", message: "let this user in", hint: "GRANT",
			spoil: []string{"CREATE OR REPLACE USER guest@'127.0.0.1' IDENTIFIED BY '" + password + "'",
				"GRANT SELECT ON %s.* TO guest@'127.0.0.1'"},
			change: func(c *mariadb.Config) { c.User, c.Password = "guest", password }},
		{name: "unknown database", message: "does not exist", hint: "CREATE DATABASE", change: func(c *mariadb.Config) { c.Database = "nowhere" }},
		{name: "nobody there", message: "does not answer", hint: "MariaDB runs", change: func(c *mariadb.Config) { c.Address = "127.0.0.1:1" }},
		{name: "small packets", message: "max_allowed_packet", hint: "max_allowed_packet=16M",
			spoil: []string{"SET GLOBAL max_allowed_packet = 1048576"}, end: []string{"SET GLOBAL max_allowed_packet = 67108864"}},
		{name: "not durable", message: "may be lost", hint: "innodb_flush_log_at_trx_commit=1",
			spoil: []string{"SET GLOBAL innodb_flush_log_at_trx_commit = 2"}, end: []string{"SET GLOBAL innodb_flush_log_at_trx_commit = 1"}},
		{name: "newer schema", message: "schema 99", hint: "newer release", spoil: []string{"UPDATE %s.schema_version SET version = 99"}},
		{name: "another program's", message: "not a mailstore's", hint: "a database of its own", spoil: []string{"DROP TABLE %s.owner"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := inMariaDB(t)
			if err := p.open(t).Close(); err != nil {
				t.Fatal(err)
			}
			for _, statement := range c.spoil {
				onServer(t, strings.ReplaceAll(statement, "%s", p.config.Database))
			}
			refused := p
			config := *p.config
			refused.config = &config
			if c.change != nil {
				c.change(&config)
			}
			var log bytes.Buffer
			for range 2 { // a refusal leaves no lock
				_, err := refused.tryOpen(t, slog.New(slog.NewTextHandler(&log, nil)))
				wantKind(t, err, fault.DatabaseUnavailable)
				if err == nil || !strings.Contains(err.Error(), c.message) || !strings.Contains(fault.HintOf(err), c.hint) {
					t.Errorf("got %v, hint %q, want %q, %q", err, fault.HintOf(err), c.message, c.hint)
				}
				if text := fmt.Sprintf("%+v %s %s", err, fault.HintOf(err), log.String()); strings.Contains(text, config.Password) {
					t.Errorf("the password is in %q", text)
				}
			}
			for _, statement := range c.end {
				onServer(t, statement)
			}
		})
	}
}
