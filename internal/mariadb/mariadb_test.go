package mariadb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	engine "mailreplica/internal/engine/mariadb"
	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
)

var server *engine.Server // one for all tests; each has a database of its own

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "mariadb")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	if server, err = engine.Start(context.Background(), engine.Options{Folder: folder}); err != nil {
		fmt.Fprintln(os.Stderr, err, fault.HintOf(err))
		return 1
	}
	defer server.Close()
	return m.Run()
}

func config(t *testing.T) mariadb.Config {
	t.Helper()
	name := strings.ToLower(t.Name())
	if err := server.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return mariadb.Config{Address: server.Address(), Database: name, User: server.User(), Password: server.Password()}
}

func open(t *testing.T, c mariadb.Config, o mariadb.Options) *sql.DB {
	t.Helper()
	db, err := mariadb.Open(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, statement string, args ...any) sql.Result {
	t.Helper()
	result, err := db.ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return result
}

// TestBehaviour is what the packages above rely on, over both ways to a server and both ways of parameters.
func TestBehaviour(t *testing.T) {
	base := config(t)
	socket := base
	socket.Address = server.Socket()
	for i, c := range []mariadb.Config{base, socket} {
		db := open(t, c, mariadb.Options{Interpolate: i == 1, Isolation: mariadb.Isolation(i)})
		execute(t, db, "CREATE OR REPLACE TABLE t (k VARBINARY(300) NOT NULL PRIMARY KEY, n SMALLINT NOT NULL, v LONGBLOB NOT NULL) ENGINE=InnoDB")
		var all []byte
		for b := range 256 {
			all = append(all, byte(b))
		}
		for _, k := range []string{"a", "A", "a ", "a\x00", string(all), "'; --", `\'`} {
			execute(t, db, "INSERT INTO t VALUES (?, 1, ?)", []byte(k), append([]byte(k), all...))
			var got []byte
			if err := db.QueryRowContext(t.Context(), "SELECT v FROM t WHERE k = ?", []byte(k)).Scan(&got); err != nil || string(got) != k+string(all) {
				t.Errorf("got %x, %v, want the bytes of %q", got, err, k)
			}
		}
		found, err := execute(t, db, "UPDATE t SET n = 1 WHERE k = ?", []byte("a")).RowsAffected()
		if err != nil || found != 1 {
			t.Errorf("got %d rows of an update that changes nothing, want the 1 that it found", found)
		}
		if _, err := db.ExecContext(t.Context(), "UPDATE t SET n = 70000 WHERE k = 'a'"); mariadb.ClassOf(err) != mariadb.Ours {
			t.Errorf("got %v of a number that is too large, want it refused", err)
		}
		_, err = db.ExecContext(t.Context(), "INSERT INTO t VALUES (?, 1, '')", []byte("a"))
		if mariadb.ClassOf(err) != mariadb.Duplicate {
			t.Errorf("got %v, want a duplicate", err)
		}
		_, err = db.ExecContext(t.Context(), "INSERT INTO t VALUES (?, 1, '')", all[:1:1])
		if err != nil {
			t.Errorf("a key of one zero byte: %v", err)
		}
		var level string
		want := []string{"REPEATABLE-READ", "READ-COMMITTED"}[i]
		if err := db.QueryRowContext(t.Context(), "SELECT @@tx_isolation").Scan(&level); err != nil || level != want {
			t.Errorf("got isolation %s, %v, want %s", level, err, want)
		}
	}
}

// TestFrozen has a call on a server that says nothing end within its bound, and the next one after it works again.
func TestFrozen(t *testing.T) {
	c := config(t)
	c.AnswerTimeout = time.Second
	db := open(t, c, mariadb.Options{})
	execute(t, db, "SELECT 1")
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Continue(); err != nil {
			t.Error(err)
		}
	}()
	for range 2 { // on a connection that stands, and on a new one
		start := time.Now()
		_, err := db.ExecContext(t.Context(), "SELECT 1")
		if took := time.Since(start); mariadb.ClassOf(err) != mariadb.Lost || took > 10*time.Second {
			t.Errorf("got %v after %v of a frozen server, want it given up", err, took)
		}
	}
	if err := server.Continue(); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "SELECT 1")
}

func TestDeadlock(t *testing.T) {
	db := open(t, config(t), mariadb.Options{})
	execute(t, db, "CREATE TABLE t (k INT NOT NULL PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB")
	execute(t, db, "INSERT INTO t VALUES (1, 0), (2, 0)")
	lock := func(tx *sql.Tx, key int) error {
		_, err := tx.ExecContext(t.Context(), "UPDATE t SET n = n + 1 WHERE k = ?", key)
		return err
	}
	begin := func() *sql.Tx {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	a, b := begin(), begin()
	if err := errors.Join(lock(a, 1), lock(b, 2)); err != nil {
		t.Fatal(err)
	}
	blocked := make(chan error)
	go func() { blocked <- lock(a, 2) }()
	err := errors.Join(lock(b, 1), b.Rollback(), <-blocked, a.Rollback()) // one of the two is the victim
	if mariadb.ClassOf(err) != mariadb.Again {
		t.Errorf("got %v, want a deadlock", err)
	}
}

func TestRefusedLogins(t *testing.T) {
	c := config(t)
	const password = "s3cret-Password"
	if err := server.Execute(t.Context(), "CREATE USER guest@'127.0.0.1' IDENTIFIED BY '"+password+"'"); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		name   string
		change func(*mariadb.Config)
		class  mariadb.Class
		hint   string
	}{
		{"wrong password", func(c *mariadb.Config) { c.Password = password }, mariadb.Denied, "GRANT"},
		{"no rights", func(c *mariadb.Config) { c.User, c.Password = "guest", password }, mariadb.Missing, "GRANT"},
		{"unknown database", func(c *mariadb.Config) { c.Database = "nowhere" }, mariadb.Missing, "CREATE DATABASE"},
		{"nobody listens", func(c *mariadb.Config) { c.Address = "127.0.0.1:1" }, mariadb.Lost, "MariaDB runs"},
		{"no socket", func(c *mariadb.Config) { c.Address = "/nowhere/mariadb.sock" }, mariadb.Lost, "MariaDB runs"},
	} {
		c := c
		one.change(&c)
		_, err := open(t, c, mariadb.Options{}).ExecContext(t.Context(), "SELECT 1")
		explained := mariadb.Explain(fault.DirectoryUnavailable, "the directory", err)
		if class := mariadb.ClassOf(err); class != one.class || !fault.Is(explained, fault.DirectoryUnavailable) ||
			!strings.Contains(fault.HintOf(explained), one.hint) {
			t.Errorf("%s: got class %d, error %v, hint %q", one.name, class, explained, fault.HintOf(explained))
		}
		text := fmt.Sprintf("%v %+v %#v %s", explained, c, c, c.LogValue())
		text += fmt.Sprint(slog.Any("config", c), fault.Message(explained), fault.HintOf(explained))
		if strings.Contains(text, c.Password) {
			t.Errorf("%s: the password is in %q", one.name, text)
		}
	}
}
