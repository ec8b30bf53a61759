// Package mariadb starts and stops a real MariaDB server on a free loopback port, with a data directory and a socket of its
// own, for the tests, the demo and the development cluster. Its settings are durable like those of production, and small.
//
// It must not know Mailreplica: a mailstore meets the server only over its protocol.
package mariadb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"mailreplica/internal/engine"
	"mailreplica/internal/fault"
)

const (
	user = "mailreplica" // may do everything on this server

	socketBytesMax = 100 // of a socket's path; the system's own limit is 107
	startMax       = 60 * time.Second
	stopMax        = 20 * time.Second
	pollEvery      = 10 * time.Millisecond
)

// Options say where a server lives and what of its settings differs.
type Options struct {
	Folder   string            // holds data, socket and log; made if it is missing, kept by Close
	Settings map[string]string // by the names of my.cnf, over those below
}

// settings are those of production where they decide what survives, and otherwise small, for many run on one machine.
var settings = map[string]string{
	"innodb-flush-log-at-trx-commit":      "1",
	"innodb-doublewrite":                  "ON",
	"innodb-strict-mode":                  "ON",
	"innodb-buffer-pool-size":             "64M",
	"innodb-log-file-size":                "48M",
	"innodb-log-buffer-size":              "4M",
	"innodb-buffer-pool-dump-at-shutdown": "OFF",
	"innodb-buffer-pool-load-at-startup":  "OFF",
	"max-allowed-packet":                  "64M",
	"max-connections":                     "500",
	"key-buffer-size":                     "1M",
	"aria-pagecache-buffer-size":          "8M",
	"performance-schema":                  "OFF",
	"character-set-server":                "utf8mb4",
	"log-warnings":                        "1",
}

// Server is a running server, or one that was killed.
type Server struct {
	options  Options
	password string
	port     int
	process  *engine.Process // nil when none runs
}

// Start starts a server, over the data of an earlier run if the folder holds some, and returns when it answers. Close ends it.
func Start(ctx context.Context, o Options) (*Server, error) {
	var err error
	if o.Folder, err = filepath.Abs(o.Folder); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the folder of MariaDB has no path")
	}
	s := &Server{options: o, password: rand.Text()}
	if len(s.Socket()) > socketBytesMax {
		return nil, fault.New(fault.Invalid, "the path of the socket %s is longer than %d bytes", s.Socket(), socketBytesMax).
			WithHint("choose a folder with a shorter path")
	}
	if s.port, err = engine.FreePort(); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Address is the server's host:port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Socket is the path of the server's socket.
func (s *Server) Socket() string { return filepath.Join(s.options.Folder, "mariadb.sock") }

// User may do everything on this server.
func (s *Server) User() string { return user }

// Password is that of User.
func (s *Server) Password() string { return s.password }

// CreateDatabase makes an empty database.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	return s.Execute(ctx, "CREATE DATABASE `"+strings.ReplaceAll(name, "`", "``")+"`")
}

// Execute runs statements as User, each by itself: what only an administrator of the server does.
func (s *Server) Execute(ctx context.Context, statements ...string) error {
	db := s.open()
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fault.Wrap(fault.Internal, err, "MariaDB refused a statement")
		}
	}
	return nil
}

// Kill ends the server as a loss of its process does: kill -9.
func (s *Server) Kill() error {
	if s.process != nil {
		s.process.Kill()
		s.process = nil
	}
	return nil
}

// Pause freezes the server: connections stand, nothing is answered.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *Server) Continue() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(which syscall.Signal) error {
	if s.process == nil {
		return fault.New(fault.Invalid, "MariaDB does not run")
	}
	return s.process.Signal(which)
}

// Restart starts the server again over the same data, on the same port. One that still runs is stopped in an orderly way.
func (s *Server) Restart(ctx context.Context) error {
	if s.process != nil {
		s.process.Stop(stopMax)
		s.process = nil
	}
	return s.start(ctx)
}

// Close ends the server. Its folder stays.
func (s *Server) Close() error { return s.Kill() }

// prepare fills the folder with a data directory and the file that makes the user.
func (s *Server) prepare(ctx context.Context) error {
	if err := os.MkdirAll(s.options.Folder, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "the folder of MariaDB cannot be made")
	}
	if _, err := os.Stat(s.data()); err != nil { // not one of an earlier run
		if err := copyTemplate(ctx, s.data()); err != nil {
			return err
		}
	}
	text := fmt.Sprintf(`CREATE OR REPLACE USER %[1]s@'127.0.0.1' IDENTIFIED BY '%[2]s';
GRANT ALL ON *.* TO %[1]s@'127.0.0.1' WITH GRANT OPTION;
CREATE OR REPLACE USER %[1]s@localhost IDENTIFIED BY '%[2]s';
GRANT ALL ON *.* TO %[1]s@localhost WITH GRANT OPTION;
ALTER USER root@localhost IDENTIFIED BY '%[2]s';
`, user, s.password)
	if err := os.WriteFile(s.initFile(), []byte(text), 0o600); err != nil {
		return fault.Wrap(fault.Invalid, err, "the folder of MariaDB cannot be written")
	}
	return nil
}

func (s *Server) data() string     { return filepath.Join(s.options.Folder, "data") }
func (s *Server) initFile() string { return filepath.Join(s.options.Folder, "init.sql") }
func (s *Server) logFile() string  { return filepath.Join(s.options.Folder, "mariadb.log") }

func (s *Server) arguments() []string {
	all := maps.Clone(settings)
	for name, value := range s.options.Settings {
		all[strings.ReplaceAll(name, "_", "-")] = value
	}
	args := []string{
		"--no-defaults", "--datadir=" + s.data(), "--socket=" + s.Socket(), "--bind-address=127.0.0.1",
		"--port=" + strconv.Itoa(s.port), "--pid-file=" + filepath.Join(s.options.Folder, "mariadb.pid"),
		"--tmpdir=" + s.options.Folder, "--init-file=" + s.initFile(), "--skip-name-resolve", "--skip-log-bin",
		"--lc-messages-dir=/usr/share/mysql",
	}
	if os.Getuid() == 0 {
		args = append(args, "--user=root")
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "--"+name+"="+all[name])
	}
	return args
}

// start starts the process and waits until it answers its user.
func (s *Server) start(ctx context.Context) error {
	program, err := find("mariadbd")
	if err != nil {
		return err
	}
	if s.process, err = engine.StartProcess(exec.Command(program, s.arguments()...), s.logFile()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	if err := s.answers(ctx); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

func (s *Server) answers(ctx context.Context) error {
	db := s.open()
	defer db.Close()
	again := time.NewTicker(pollEvery)
	defer again.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Ended():
			return fault.New(fault.Internal, "MariaDB ended while it started; its log says:\n%s", s.process.LogTail())
		case <-ctx.Done():
			return fault.Wrap(fault.Internal, err, "MariaDB does not answer; its log says:\n%s", s.process.LogTail())
		case <-again.C:
		}
	}
}

func (s *Server) open() *sql.DB {
	c := driver.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.Logger = user, s.password, "tcp", s.Address(), &driver.NopLogger{}
	connector, err := driver.NewConnector(c)
	if err != nil { // of a configuration that is always the same
		panic(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return db
}
