package mariadb

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"mailreplica/internal/fault"
)

// Class is what an error of the server or of the way to it means.
type Class int

// The classes.
const (
	None        Class = iota // no error
	Ours                     // the statement is wrong, or broke a constraint: a defect
	Again                    // a deadlock, a lock that was not given in time: undone, and may succeed if it is repeated
	Lost                     // the connection, or the server: of a COMMIT nobody knows what became of it
	Full                     // the server's disk or tables
	ReadOnly                 // the server takes no writes
	Damaged                  // the server found its data damaged
	Denied                   // user, password or rights
	Missing                  // the database does not exist, or is not granted to the user
	Untrusted                // the server's certificate is not the one that was expected
	TooLarge                 // a statement or value is larger than the server takes
	Duplicate                // a unique key is taken
	Interrupted              // our own context ended; the connection is closed
)

// classes are by the numbers of https://mariadb.com/kb/en/mariadb-error-code-reference/ .
var classes = map[uint16]Class{
	1213: Again, // ER_LOCK_DEADLOCK: the whole transaction is undone
	1205: Again, // ER_LOCK_WAIT_TIMEOUT: the statement is undone, the transaction stands
	1020: Again, // ER_CHECKREAD: the row has changed since the snapshot (innodb_snapshot_isolation)
	1180: Again, // ER_ERROR_DURING_COMMIT: Galera's certification failed
	1317: Again, // ER_QUERY_INTERRUPTED: KILL QUERY
	1969: Again, // ER_STATEMENT_TIMEOUT: max_statement_time
	1047: Lost,  // ER_UNKNOWN_COM_ERROR: "WSREP has not yet prepared node for application use"

	1040: Lost, // ER_CON_COUNT_ERROR: too many connections
	1053: Lost, // ER_SERVER_SHUTDOWN
	1079: Lost, // ER_SHUTDOWN_COMPLETE
	1152: Lost, // ER_ABORTING_CONNECTION
	1158: Lost, // ER_NET_READ_ERROR
	1159: Lost, // ER_NET_READ_INTERRUPTED
	1160: Lost, // ER_NET_ERROR_ON_WRITE
	1161: Lost, // ER_NET_WRITE_INTERRUPTED
	1184: Lost, // ER_NEW_ABORTING_CONNECTION
	1203: Lost, // ER_TOO_MANY_USER_CONNECTIONS
	1927: Lost, // ER_CONNECTION_KILLED

	1021: Full, // ER_DISK_FULL
	1026: Full, // ER_ERROR_ON_WRITE
	1041: Full, // ER_OUT_OF_RESOURCES
	1114: Full, // ER_RECORD_FILE_FULL
	3:    Full, // EE_WRITE

	1290: ReadOnly, // ER_OPTION_PREVENTS_STATEMENT: --read-only
	1836: ReadOnly, // ER_READ_ONLY_MODE
	1874: ReadOnly, // ER_INNODB_READ_ONLY

	1030: Damaged, // ER_GET_ERRNO
	1034: Damaged, // ER_NOT_KEYFILE
	1194: Damaged, // ER_CRASHED_ON_USAGE
	1195: Damaged, // ER_CRASHED_ON_REPAIR
	1712: Damaged, // ER_INDEX_CORRUPT
	1932: Damaged, // ER_NO_SUCH_TABLE_IN_ENGINE

	1045: Denied, // ER_ACCESS_DENIED_ERROR
	1130: Denied, // ER_HOST_NOT_PRIVILEGED
	1142: Denied, // ER_TABLEACCESS_DENIED_ERROR
	1143: Denied, // ER_COLUMNACCESS_DENIED_ERROR
	1227: Denied, // ER_SPECIFIC_ACCESS_DENIED_ERROR
	1698: Denied, // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
	1820: Denied, // ER_MUST_CHANGE_PASSWORD

	1044: Missing, // ER_DBACCESS_DENIED_ERROR: so a user with few rights is told that there is none, too
	1049: Missing, // ER_BAD_DB_ERROR

	1118: TooLarge, // ER_TOO_BIG_ROWSIZE
	1153: TooLarge, // ER_NET_PACKET_TOO_LARGE
	1301: TooLarge, // ER_WARN_ALLOWED_PACKET_OVERFLOWED
	1406: TooLarge, // ER_DATA_TOO_LONG

	1062: Duplicate, // ER_DUP_ENTRY
	1586: Duplicate, // ER_DUP_ENTRY_WITH_KEY_NAME
}

// ClassOf is the class of an error of a connection that Open made.
func ClassOf(err error) Class {
	var server *mysql.MySQLError
	switch {
	case err == nil:
		return None
	case errors.As(err, &server):
		if class, known := classes[server.Number]; known {
			return class
		}
		return Ours
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Interrupted
	case errors.Is(err, mysql.ErrPktTooLarge):
		return TooLarge
	case isUntrusted(err):
		return Untrusted
	case errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrNativePassword), errors.Is(err, mysql.ErrOldPassword),
		errors.Is(err, mysql.ErrUnknownPlugin):
		return Denied
	case isLost(err):
		return Lost
	}
	return Ours
}

func isUntrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &certificate) || errors.As(err, &record)
}

// lost are what the driver says when a connection has ended, or can no longer be understood.
var lost = []error{
	driver.ErrBadConn, mysql.ErrInvalidConn, mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrPktSyncMul, mysql.ErrBusyBuffer,
	mysql.ErrOldProtocol, mysql.ErrNoTLS, io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, sql.ErrConnDone, net.ErrClosed,
	syscall.EPIPE, syscall.ECONNRESET, syscall.ECONNREFUSED,
}

func isLost(err error) bool {
	for _, one := range lost {
		if errors.Is(err, one) {
			return true
		}
	}
	var way net.Error // refused, unreachable, timed out, unknown host
	return errors.As(err, &way)
}

// grant is all that a package needs, for what it creates, too.
const grant = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON the database TO the user"

// Explain gives an error a kind and a way to mend it. unavailable is the kind of a database that cannot be used, what is the
// database's name in a sentence.
func Explain(unavailable fault.Kind, what string, err error) error {
	wrap := func(kind fault.Kind, text, hint string) error {
		e := fault.Wrap(kind, err, "%s %s", what, text)
		if hint != "" {
			e = e.WithHint("%s", hint)
		}
		return e
	}
	switch ClassOf(err) {
	case None:
		return nil
	case Interrupted:
		return fault.Wrap(fault.Interrupted, err, "interrupted")
	case Again:
		return wrap(fault.Busy, "was busy with another change", "")
	case Lost:
		hint := "check that MariaDB runs, that it can be reached, and that it has connections left (max_connections)"
		if errors.Is(err, mysql.ErrNoTLS) {
			hint = "give MariaDB a certificate (ssl_cert, ssl_key), or do without tls on a network that nobody else is on"
		}
		return wrap(unavailable, "does not answer", hint)
	case Full:
		return wrap(unavailable, "is full", "free space on the disk of the MariaDB server")
	case ReadOnly:
		return wrap(unavailable, "takes no writes", "set read_only=0 on the MariaDB server, or name the server that is written to")
	case Damaged:
		return wrap(unavailable, "is damaged", "look at the error log of the MariaDB server; restore a backup, or set the database aside and begin anew")
	case Denied:
		return wrap(unavailable, "does not let this user in", "check user and password; as root: "+grant)
	case Missing:
		return wrap(unavailable, "does not exist, or is not granted to this user",
			"check the name; as root: CREATE DATABASE, and "+grant)
	case Untrusted:
		return wrap(unavailable, "has a certificate that is not trusted", "check ca and the address, which the certificate must name")
	case TooLarge:
		return wrap(fault.TooLarge, "takes no value as large as that", "raise max_allowed_packet of the MariaDB server")
	}
	return wrap(fault.Internal, "refused a statement", "")
}
