package mariadb

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"mailreplica/internal/fault"
)

// Oldest is the oldest release that is used: InnoDB's redo log and its recovery were made anew in it.
const (
	oldestMajor, oldestMinor = 10, 6

	pageBytesMin = 16 << 10 // smaller pages have smaller limits on keys and rows
)

// Needs are what a package asks of a server.
type Needs struct {
	Server         string // what the server is called in a sentence; "the MariaDB server" if empty
	PacketBytesMin int64  // the largest statement, its values included
	ConnectionsMin int    // at once
	Durable        bool   // what is committed survives a loss of power
	Alone          bool   // no Galera cluster: its locks are those of one node
}

// Warning is something about a server that is unwise.
type Warning struct{ Message, Hint string }

// Queryer is a *sql.DB or a *sql.Conn.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Check refuses a server with which a promise could not be kept, of kind unavailable, and warns of what is merely unwise.
func Check(ctx context.Context, q Queryer, unavailable fault.Kind, needs Needs) ([]Warning, error) {
	variables, err := read(ctx, q)
	if err != nil {
		return nil, Explain(unavailable, cmp.Or(needs.Server, "the MariaDB server"), err)
	}
	s := server{variables: variables, needs: needs}
	if problem := s.refusal(); problem != nil {
		return nil, fault.New(unavailable, "%s", problem.Message).WithHint("%s", problem.Hint)
	}
	return s.warnings(), nil
}

var names = []string{
	"version", "max_allowed_packet", "max_connections", "innodb_flush_log_at_trx_commit", "innodb_flush_method",
	"innodb_doublewrite", "innodb_page_size", "innodb_force_recovery", "innodb_read_only", "read_only", "log_bin",
	"sync_binlog", "wsrep_on", "innodb_buffer_pool_size", "innodb_snapshot_isolation",
}

// read asks for the variables by name: some do not exist everywhere.
func read(ctx context.Context, q Queryer) (map[string]string, error) {
	query := "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('" + strings.Join(names, "', '") + "')"
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		all[name] = value
	}
	return all, rows.Err()
}

type server struct {
	variables map[string]string
	needs     Needs
}

func (s server) number(name string) int64 {
	n, _ := strconv.ParseInt(s.variables[name], 10, 64) // one that does not exist is 0
	return n
}

func (s server) is(name, value string) bool { return strings.EqualFold(s.variables[name], value) }

// refusal is the first reason not to use the server, nil if there is none.
func (s server) refusal() *Warning {
	set := func(setting string) string {
		return "set " + setting + " under [mariadbd] in my.cnf and restart the MariaDB server"
	}
	version := s.variables["version"]
	packet := s.number("max_allowed_packet")
	for _, r := range []struct {
		bad           bool
		message, hint string
	}{
		{!strings.Contains(version, "MariaDB") || !recent(version),
			fmt.Sprintf("the server's version is %s; want MariaDB %d.%d or later", version, oldestMajor, oldestMinor),
			"install MariaDB 10.11 or later; MySQL is another engine by now"},
		{s.is("read_only", "ON") || s.is("innodb_read_only", "ON"), "the MariaDB server is read-only",
			"set read_only=0, or name the server that is written to"},
		{s.number("innodb_force_recovery") > 0, "the MariaDB server runs with innodb_force_recovery",
			"repair it first, then start it without innodb_force_recovery"},
		{packet < s.needs.PacketBytesMin,
			fmt.Sprintf("max_allowed_packet of the MariaDB server is %d bytes; statements have up to %d", packet, s.needs.PacketBytesMin),
			set(fmt.Sprintf("max_allowed_packet=%dM", (s.needs.PacketBytesMin+1<<20-1)>>20))},
		{s.number("innodb_page_size") < pageBytesMin,
			fmt.Sprintf("innodb_page_size is %d; the keys of our tables need %d", s.number("innodb_page_size"), pageBytesMin),
			"make the server's data directory anew with innodb_page_size=16k"},
		{s.needs.Alone && s.is("wsrep_on", "ON"), "the MariaDB server is a node of a Galera cluster",
			"give this database a server of its own: copies are made by replication of mailboxes, not of databases"},
		{s.needs.Durable && s.number("innodb_flush_log_at_trx_commit") != 1,
			fmt.Sprintf("innodb_flush_log_at_trx_commit is %d: what is committed may be lost", s.number("innodb_flush_log_at_trx_commit")),
			set("innodb_flush_log_at_trx_commit=1")},
		// With a binary log InnoDB relies on it in a recovery, and syncs a prepared transaction only.
		{s.needs.Durable && s.is("log_bin", "ON") && s.number("sync_binlog") != 1,
			fmt.Sprintf("sync_binlog is %d: what is committed may be lost", s.number("sync_binlog")),
			set("sync_binlog=1, or skip-log-bin,")},
		{s.needs.Durable && (s.is("innodb_flush_method", "nosync") || s.is("innodb_flush_method", "littlesync")),
			"innodb_flush_method is " + s.variables["innodb_flush_method"] + ": what is committed may be lost",
			set("innodb_flush_method=O_DIRECT")},
	} {
		if r.bad {
			return &Warning{r.message, r.hint}
		}
	}
	return nil
}

func (s server) warnings() []Warning {
	var all []Warning
	if s.is("innodb_doublewrite", "OFF") {
		all = append(all, Warning{"innodb_doublewrite is off: a loss of power may damage the MariaDB server's tables",
			"set innodb_doublewrite=ON, unless the filesystem writes 16 KiB at once or not at all"})
	}
	if n := s.number("max_connections"); n < int64(s.needs.ConnectionsMin) {
		all = append(all, Warning{
			fmt.Sprintf("max_connections of the MariaDB server is %d; this mailstore alone may open %d", n, s.needs.ConnectionsMin),
			fmt.Sprintf("set max_connections to %d for each mailstore that uses the server, and some more", s.needs.ConnectionsMin)})
	}
	return all
}

func recent(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > oldestMajor || major == oldestMajor && minor >= oldestMinor
}
