package mariadb_test

import (
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
)

// TestCheck changes the server's settings one by one. Those that cannot be changed while it runs are in refusal_test.go.
func TestCheck(t *testing.T) {
	db := open(t, config(t), mariadb.Options{})
	needs := mariadb.Needs{PacketBytesMin: 32 << 20, ConnectionsMin: 50, Durable: true, Alone: true}
	if warnings, err := mariadb.Check(t.Context(), db, fault.DatabaseUnavailable, needs); err != nil || len(warnings) > 0 {
		t.Fatalf("got %v, %v of a good server", warnings, err)
	}
	for _, c := range []struct{ setting, bad, good, message, hint string }{
		{"innodb_flush_log_at_trx_commit", "2", "1", "may be lost", "innodb_flush_log_at_trx_commit=1"},
		{"max_allowed_packet", "1048576", "67108864", "statements have up to", "max_allowed_packet=32M"},
		{"read_only", "ON", "OFF", "read-only", "read_only=0"},
	} {
		set := func(value string) {
			if err := server.Execute(t.Context(), "SET GLOBAL "+c.setting+" = "+value); err != nil {
				t.Fatal(err)
			}
		}
		set(c.bad)
		_, err := mariadb.Check(t.Context(), db, fault.DatabaseUnavailable, needs)
		set(c.good)
		if !fault.Is(err, fault.DatabaseUnavailable) || !strings.Contains(fault.Message(err), c.message) ||
			!strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%s=%s: got %v, hint %q", c.setting, c.bad, err, fault.HintOf(err))
		}
	}
	needs.ConnectionsMin = 1 << 20
	warnings, err := mariadb.Check(t.Context(), db, fault.DatabaseUnavailable, needs)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Message, "max_connections") {
		t.Errorf("got %v, %v, want a warning of too few connections", warnings, err)
	}
}
