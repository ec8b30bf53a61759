package metadata

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
)

// A mailstore's database belongs to one process. Two things see to that:
//
// A named lock of the server, held by a connection of its own, tells a second process that there is a first. It goes with its
// connection, which may end while the process lives on.
//
// The row in the table owner does not. Who takes the database over puts its own incarnation there, and every transaction that
// writes begins by changing that row, on condition that its own incarnation and its own last commit stand there. So a process
// that was taken over writes nothing more; the row is also the lock that keeps all writers apart, and it says what became of a
// commit whose answer was lost.
const (
	lockWaitSeconds = 2 // the server may not have noticed yet that a process has died
	watchEvery      = 3 * time.Second
	takeOverTries   = 5

	createOwner = `CREATE TABLE IF NOT EXISTS owner (
		id          INT             NOT NULL PRIMARY KEY,
		incarnation BINARY(16)      NOT NULL,
		holder      VARBINARY(1024) NOT NULL, -- for people
		generation  BIGINT          NOT NULL, -- of the last commit
		settled     BIGINT          NOT NULL
	) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary`
	createVersion = `CREATE TABLE IF NOT EXISTS schema_version (
		id      INT NOT NULL PRIMARY KEY,
		version INT NOT NULL
	) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary`

	selectOwner = "SELECT incarnation, generation, holder FROM owner WHERE id = 1"
	stepOwner   = "UPDATE owner SET generation = ? WHERE id = 1 AND incarnation = ? AND generation = ?"
)

// owner is this process's hold on the database.
type owner struct {
	incarnation [16]byte
	generation  int64  // of our last commit; the commit loop's alone, as is the next
	writer      string // the mark of the last connection that wrote

	pool  pool
	watch *conn // holds the lock; nil while there is none. The watch loop's alone
	stop  context.CancelFunc
	loop  sync.WaitGroup
}

// claim looks at the server, takes the lock, and puts this process into the owner's row.
func (d *mariaDB) claim(ctx context.Context, s *Store) (err error) {
	o := &d.owner
	if o.pool, err = d.open(watching); err != nil {
		return err
	}
	_, _ = rand.Read(o.incarnation[:]) // never fails since Go 1.24
	if o.watch, err = s.connect(ctx, o.pool); err != nil {
		return err
	}
	if err := d.checkServer(ctx, s.logger); err != nil {
		return err
	}
	locked, err := d.lock(o.watch, lockWaitSeconds)
	if err != nil {
		return err
	}
	if !locked {
		return d.busy()
	}
	if err := d.bootstrap(o.watch); err != nil {
		return err
	}
	if err := d.takeOver(o.watch); err != nil {
		return err
	}
	watching, stop := context.WithCancel(context.Background())
	o.stop = stop
	o.loop.Go(func() { d.watchLoop(watching, s) })
	return nil
}

func (d *mariaDB) checkServer(ctx context.Context, logger *slog.Logger) error {
	warnings, err := mariadb.Check(ctx, d.owner.watch.link.(serverLink), fault.DatabaseUnavailable, mariadb.Needs{
		Server:         mariaDBName,
		PacketBytesMin: mariaDBPacketBytes, ConnectionsMin: mariaDBConnections, Durable: true, Alone: true,
	})
	for _, w := range warnings {
		logger.Warn(w.Message, "hint", w.Hint)
	}
	return err
}

// lock takes the named lock, or says that another connection has it.
func (d *mariaDB) lock(c *conn, waitSeconds int) (bool, error) {
	var locked sql.NullInt64
	_, err := c.one("SELECT GET_LOCK(?, ?)", []any{d.lockName(), int64(waitSeconds)}, &locked)
	return locked.Int64 == 1, err
}

// lockName is short, as the server wants it. All databases of a server share the names of its locks.
func (d *mariaDB) lockName() string {
	sum := sha256.Sum256([]byte(d.config.Database))
	return "mailreplica." + hex.EncodeToString(sum[:16])
}

func (d *mariaDB) busy() error {
	r, err := d.read(d.owner.watch, selectOwner)
	holder := string(r.holder)
	if err != nil || holder == "" {
		holder = "another process"
	}
	return fault.New(fault.Busy, "the database %s on %s is in use by %s", d.config.Database, d.config.Address, holder).
		WithHint("stop the other process, or give each mailstore a database of its own")
}

// bootstrap makes the tables that everything else needs, in a database that is empty. It refuses one that is not ours.
func (d *mariaDB) bootstrap(c *conn) error {
	cur, err := c.query("SHOW TABLES")
	if err != nil {
		return err
	}
	var tables []string
	for cur.next() && err == nil {
		var name string
		err = cur.scan(&name)
		tables = append(tables, name)
	}
	if err = firstOf(err, cur.close()); err != nil {
		return err
	}
	ours := slices.Contains(tables, "owner") && slices.Contains(tables, "schema_version")
	// A process that died here before has made the one or both of them, and nothing else.
	others := slices.DeleteFunc(tables, func(name string) bool { return name == "owner" || name == "schema_version" })
	if !ours && len(others) > 0 {
		return fault.New(fault.DatabaseUnavailable, "%s on %s is not a mailstore's database", d.config.Database, d.config.Address).
			WithHint("another program made its tables: give the mailstore a database of its own")
	}
	for _, statement := range []string{
		createOwner, "INSERT IGNORE INTO owner VALUES (1, '', '', 0, 0)",
		createVersion, "INSERT IGNORE INTO schema_version VALUES (1, 0)",
	} {
		if err := c.script(statement); err != nil {
			return err
		}
	}
	return nil
}

// takeOver makes the row our own. The last transaction of a process that died may still hold it, until the server notices.
func (d *mariaDB) takeOver(c *conn) error {
	const take = "UPDATE owner SET incarnation = ?, holder = ?, generation = generation + 1 WHERE id = 1"
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	holder := fmt.Sprintf("process %d on %s", os.Getpid(), host)
	for try := 1; ; try++ {
		_, err = c.exec(take, d.owner.incarnation[:], []byte(holder))
		if err == nil || try == takeOverTries || c.harm != undone {
			break
		}
		c.harm = harmless
	}
	if err != nil {
		return err
	}
	d.owner.generation, err = d.ours(c, selectOwner)
	return err
}

// ownerRow is the row in the table owner.
type ownerRow struct {
	incarnation, holder []byte
	generation          int64
}

func (d *mariaDB) read(c *conn, query string) (r ownerRow, err error) {
	_, err = c.one(query, nil, &r.incarnation, &r.generation, &r.holder)
	return r, err
}

// ours gives the last commit, and an error that fences if it is not ours.
func (d *mariaDB) ours(c *conn, query string) (generation int64, err error) {
	r, err := d.read(c, query)
	if err == nil && !bytes.Equal(r.incarnation, d.owner.incarnation[:]) {
		err = fenced{fault.New(fault.DatabaseUnavailable, "the database %s on %s was taken over by %s", d.config.Database,
			d.config.Address, r.holder).WithHint("stop one of the two: each mailstore needs a database of its own")}
	}
	return r.generation, err
}

func (d *mariaDB) moved(generation int64) error {
	return fenced{fault.New(fault.DatabaseUnavailable, "the database %s on %s is at commit %d, this mailstore left it at %d",
		d.config.Database, d.config.Address, generation, d.owner.generation).
		WithHint("it was restored, or the server lost commits: restart the mailstore, and look at the server's error log")}
}

// begin changes the owner's row before all else. It is the transaction's first statement: the connection commits nothing by
// itself.
func (d *mariaDB) begin(c *conn, _ Durability) error {
	o := &d.owner
	if c.mark == "" {
		if err := d.enlist(c); err != nil {
			return err
		}
	}
	n, err := c.exec(stepOwner, o.generation+1, o.incarnation[:], o.generation)
	if err != nil || n == 1 {
		return err
	}
	generation, err := d.ours(c, selectOwner)
	if err != nil {
		return err
	}
	return d.moved(generation)
}

// enlist makes a connection the writer. It ends the one before it, whose transaction the server may still hold for a client
// that is not there, and gives this one a mark, a lock of its own by which it is found: numbers of connections begin anew with
// the server, a mark is never another's.
func (d *mariaDB) enlist(c *conn) error {
	o := &d.owner
	if err := d.end(c, o.writer); err != nil {
		return err
	}
	if err := c.script("SET autocommit = 0"); err != nil {
		return err
	}
	mark := "mailreplica." + rand.Text()
	var locked int64
	if _, err := c.one("SELECT GET_LOCK(?, 0)", []any{mark}, &locked); err != nil {
		return err
	}
	c.mark, o.writer = mark, mark
	return nil
}

// end ends the connection with a mark, if there is one.
func (d *mariaDB) end(c *conn, mark string) error {
	var id sql.NullInt64
	if _, err := c.one("SELECT IS_USED_LOCK(?)", []any{mark}, &id); err != nil || !id.Valid {
		return err
	}
	_ = c.script(fmt.Sprintf("KILL CONNECTION %d", id.Int64)) // it may have ended by itself
	return nil
}

func (d *mariaDB) commit(c *conn) error {
	if _, err := c.exec("COMMIT"); err != nil {
		return err
	}
	d.owner.generation++
	return nil
}

// settle asks the owner's row. The transaction in doubt changed it and holds it until it has ended one way or the other, be it
// that the server reads its COMMIT only now; KILL has it end soon where nothing more is to come. Then the row says which commit
// was the last. A commit may be seen before it is durable, so this one makes a commit of its own: the server's log is written
// in order.
func (d *mariaDB) settle(ctx context.Context, s *Store, writer *conn) (committed bool, err error) {
	o := &d.owner
	pool, err := d.open(watching)
	if err != nil {
		return false, err
	}
	defer pool.Close()
	c, err := s.connect(ctx, pool)
	if err != nil {
		return false, err
	}
	defer c.close()
	if err := d.end(c, writer.mark); err != nil {
		return false, err
	}
	if err := c.script("START TRANSACTION"); err != nil {
		return false, err
	}
	generation, err := d.ours(c, selectOwner+" FOR UPDATE")
	if err != nil {
		return false, err
	}
	if _, err := c.exec("UPDATE owner SET settled = settled + 1 WHERE id = 1"); err != nil {
		return false, err
	}
	if _, err := c.exec("COMMIT"); err != nil {
		return false, err
	}
	switch generation {
	case o.generation + 1:
		o.generation++
		return true, nil
	case o.generation:
		return false, nil
	}
	return false, d.moved(generation)
}

// watchLoop keeps the lock, and sees when the database was taken over even if nothing is written.
func (d *mariaDB) watchLoop(ctx context.Context, s *Store) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := d.look(ctx, s); s.noteFence(err) {
			return
		}
	}
}

// look reads the owner's row, by the connection that has the lock, or by a new one that takes it. A lock that cannot be had is
// no reason to stop: the row decides.
func (d *mariaDB) look(ctx context.Context, s *Store) error {
	o := &d.owner
	if o.watch == nil {
		c, err := s.connect(ctx, o.pool)
		if err != nil {
			return err
		}
		if _, err := d.lock(c, 0); err != nil {
			return errors.Join(err, c.close())
		}
		o.watch = c
	}
	_, err := d.ours(o.watch, selectOwner)
	if err != nil && o.watch.harm == undone {
		err = errors.Join(err, o.watch.close())
		o.watch = nil
	}
	return err
}

func (d *mariaDB) release() error {
	o := &d.owner
	if o.stop != nil {
		o.stop()
		o.loop.Wait()
	}
	var errs []error
	if o.watch != nil {
		// The lock is given back before the connection ends, for the server may take its time to notice that.
		_ = o.watch.script("DO RELEASE_ALL_LOCKS()")
		errs = append(errs, o.watch.close())
	}
	if o.pool != nil {
		errs = append(errs, o.pool.Close())
	}
	return errors.Join(errs...)
}
