package mariadb_test

import (
	"maps"
	"strings"
	"testing"

	"mailreplica/internal/mariadb"
)

func TestJudge(t *testing.T) {
	good := map[string]string{
		"version": "10.11.6-MariaDB-0+deb12u1", "max_allowed_packet": "67108864", "max_connections": "500",
		"innodb_flush_log_at_trx_commit": "1", "innodb_flush_method": "O_DIRECT", "innodb_doublewrite": "ON",
		"innodb_page_size": "16384", "innodb_force_recovery": "0", "innodb_read_only": "OFF", "read_only": "OFF",
		"log_bin": "OFF", "sync_binlog": "0", "wsrep_on": "OFF",
	}
	strict := mariadb.Needs{PacketBytesMin: 32 << 20, ConnectionsMin: 100, Durable: true, Alone: true}
	for _, c := range []struct {
		change  map[string]string
		needs   mariadb.Needs
		refused string // what the message says; empty: not refused
		warned  string
	}{
		{nil, strict, "", ""},
		{map[string]string{"version": "12.1.2-MariaDB"}, strict, "", ""},
		{map[string]string{"version": "10.5.29-MariaDB"}, strict, "10.6 or later", ""},
		{map[string]string{"version": "8.4.3"}, strict, "8.4.3", ""},
		{map[string]string{"innodb_page_size": "4096"}, strict, "innodb_page_size", ""},
		{map[string]string{"innodb_force_recovery": "1"}, strict, "innodb_force_recovery", ""},
		{map[string]string{"innodb_read_only": "ON"}, strict, "read-only", ""},
		{map[string]string{"wsrep_on": "ON"}, strict, "Galera", ""},
		{map[string]string{"wsrep_on": "ON"}, mariadb.Needs{Durable: true}, "", ""},
		{map[string]string{"innodb_flush_log_at_trx_commit": "0"}, strict, "may be lost", ""},
		{map[string]string{"innodb_flush_log_at_trx_commit": "0"}, mariadb.Needs{}, "", ""},
		{map[string]string{"log_bin": "ON"}, strict, "sync_binlog", ""},
		{map[string]string{"log_bin": "ON", "sync_binlog": "1"}, strict, "", ""},
		{map[string]string{"innodb_flush_method": "nosync"}, strict, "innodb_flush_method", ""},
		{map[string]string{"innodb_doublewrite": "OFF"}, strict, "", "doublewrite"},
		{map[string]string{"max_connections": "99"}, strict, "", "max_connections"},
	} {
		variables := maps.Clone(good)
		maps.Copy(variables, c.change)
		refusal, warnings := mariadb.Judge(variables, c.needs)
		if (refusal != nil) != (c.refused != "") || refusal != nil && (!strings.Contains(refusal.Message, c.refused) || refusal.Hint == "") {
			t.Errorf("%v: got refusal %v, want %q", c.change, refusal, c.refused)
		}
		if (len(warnings) > 0) != (c.warned != "") || len(warnings) > 0 && !strings.Contains(warnings[0].Message, c.warned) {
			t.Errorf("%v: got warnings %v, want %q", c.change, warnings, c.warned)
		}
	}
}
