// Package mariadb owns how a mailstore talks to a MariaDB server: connections of one and the same behaviour, what of a server
// is checked before it is trusted, and what its errors mean.
//
// It is shared by the packages that keep rows there and knows none of their rows. It never puts a password into an error, a
// log, or the text of a value.
package mariadb

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"mailreplica/internal/fault"
)

// AnswerTimeoutDefault bounds how long a server may say nothing. It is longer than any statement of ours takes.
const AnswerTimeoutDefault = 20 * time.Second

const (
	dialTimeoutMax      = 5 * time.Second
	metadataLockWaitMax = 10 * time.Second // for tables that another session alters or backs up
	netWriteTimeoutMax  = 60 * time.Second // how long the server waits for a client that does not read
)

// Config names a database and who opens it.
type Config struct {
	Address  string // host:port, or the absolute path of a socket
	Database string
	User     string
	Password string
	TLS      *tls.Config // nil: no TLS

	// AnswerTimeout bounds how long the server may say nothing while it is asked something; then the connection is given
	// up. 0 means AnswerTimeoutDefault.
	AnswerTimeout time.Duration
}

// String is the configuration without its password.
func (c Config) String() string { return fmt.Sprintf("%s@%s/%s", c.User, c.Address, c.Database) }

// GoString is String: %#v shows no password either.
func (c Config) GoString() string { return c.String() }

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Isolation is how transactions of a connection are kept apart.
type Isolation int

// The levels of isolation.
const (
	RepeatableRead Isolation = iota // one snapshot for all plain reads of a transaction
	ReadCommitted                   // one for each statement
)

// Options are how a package wants its connections.
type Options struct {
	Isolation Isolation
	// CausalReads has every read on a Galera cluster see what was committed anywhere before it. Alone, a server ignores it.
	CausalReads bool
	// Interpolate puts parameters into the text of statements that are not prepared, which saves a round trip each.
	Interpolate bool
	// AnswerTimeout overrides that of the Config: for connections whose statements may take long.
	AnswerTimeout time.Duration
	// IdleTransactionMax bounds how long the server keeps a transaction, and its locks, for a client that says nothing: it may
	// be gone without a word. 0 means twice the time that the server has for an answer.
	IdleTransactionMax time.Duration
}

// Open makes a pool of connections. It reaches the server only when one is needed.
//
// A context that ends while a statement runs closes its connection: a transaction's outcome is unknown if the statement was
// COMMIT. UPDATE counts the rows that it found, not those that it changed. Statements and results are bytes: nothing is
// converted between character sets. Values out of a column's range are errors.
func Open(c Config, o Options) (*sql.DB, error) {
	connector, err := NewConnector(c, o)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// NewConnector is what Open makes its pool of.
func NewConnector(c Config, o Options) (driver.Connector, error) {
	timeout := o.AnswerTimeout
	if timeout == 0 {
		timeout = c.answerTimeout()
	}
	m := mysql.NewConfig()
	m.User, m.Passwd, m.Net, m.Addr, m.DBName, m.TLS = c.User, c.Password, "tcp", c.Address, c.Database, c.TLS
	if filepath.IsAbs(c.Address) {
		m.Net, m.TLS = "unix", nil // a socket leaves no machine
	}
	m.ClientFoundRows, m.InterpolateParams = true, o.Interpolate
	m.Timeout, m.ReadTimeout, m.WriteTimeout = min(timeout, dialTimeoutMax), timeout, timeout
	m.MaxAllowedPacket = 0        // what the server takes
	m.Logger = &mysql.NopLogger{} // whatever it says, the error says too
	inner, err := mysql.NewConnector(m)
	if err != nil {
		// The driver's error could quote the configuration.
		return nil, fault.New(fault.Invalid, "the configuration of MariaDB at %s is invalid", c.Address)
	}
	return &connector{Connector: inner, session: session(o, timeout), causal: o.CausalReads}, nil
}

func (c Config) answerTimeout() time.Duration {
	if c.AnswerTimeout > 0 {
		return c.AnswerTimeout
	}
	return AnswerTimeoutDefault
}

// session are the statements that make every connection alike, whatever the server's defaults are.
func session(o Options, timeout time.Duration) []string {
	idle := o.IdleTransactionMax
	if idle == 0 {
		idle = 2 * timeout
	}
	seconds := func(d time.Duration) int64 { return max(1, int64(d/time.Second)) }
	set := []string{
		"NAMES binary",
		"SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_ZERO_DATE'",
		"SESSION innodb_strict_mode = ON",
		// Locks are waited for less long than answers: the server gives up first, and says so.
		fmt.Sprintf("SESSION innodb_lock_wait_timeout = %d", seconds(timeout/2)),
		fmt.Sprintf("SESSION lock_wait_timeout = %d", seconds(min(metadataLockWaitMax, timeout/2))),
		fmt.Sprintf("SESSION net_write_timeout = %d", seconds(netWriteTimeoutMax)),
		fmt.Sprintf("SESSION idle_transaction_timeout = %d", seconds(idle)),
		"SESSION max_statement_time = 0", // answers are bounded here
		"SESSION time_zone = '+00:00'",
		"SESSION autocommit = ON",
	}
	level := "REPEATABLE READ"
	if o.Isolation == ReadCommitted {
		level = "READ COMMITTED"
	}
	return []string{"SET " + strings.Join(set, ", "), "SET SESSION TRANSACTION ISOLATION LEVEL " + level}
}

// connector prepares the session of each connection before anyone gets it.
type connector struct {
	driver.Connector
	session []string
	causal  bool
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, statement := range c.session {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, statement, nil); err != nil {
			_ = conn.Close() // the error that counts is the first
			return nil, err
		}
	}
	if c.causal {
		_, err := conn.(driver.ExecerContext).ExecContext(ctx, "SET SESSION wsrep_sync_wait = 7", nil)
		if err != nil && !isUnknownVariable(err) { // a server that was built without Galera
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

func isUnknownVariable(err error) bool {
	const unknownSystemVariable = 1193
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == unknownSystemVariable
}
