// Package directory owns the records that all mailstores share: global configuration, mailstores, accounts, replicas, buckets,
// volumes, operations and notifications. It owns the durable full copy that every mailstore keeps of them, too, and the follower
// that keeps the copy fresh.
//
// The directory holds wishes and a view for operators and frontends. It decides nothing about who is primary: the event
// log does (docs of the protocol). What the log decided is written here by compare-and-set on the epoch.
//
// The package knows SQL and its engines: SQLite for the mailstores of one machine, MariaDB for several. It must not know the
// event log, the mailboxes or any protocol. Every error that leaves it carries a fault kind; a directory that cannot be read
// or written is DirectoryUnavailable, and no answer is ever NotFound because of that.
//
// DESIGN.md says how the pieces fit together.
package directory

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
)

// Options say where the directory is: in a file, or on a MariaDB server. The zero value of every optional field means its
// default.
type Options struct {
	Path         string           // of the SQLite file, on a filesystem of this machine
	MariaDB      *mariadb.Config  // instead of Path
	Now          func() time.Time // optional: the clock; of a MariaDB directory it is the server's
	WriteTimeout time.Duration    // optional: how long a write waits for others; 10 s
	ReadTimeout  time.Duration    // optional: how long a read may take; 5 s
	Log          *slog.Logger     // optional: told of what is unwise about the MariaDB server
}

// Directory is the shared directory. Its methods may be called at once by many goroutines and from several processes.
// Concurrent writes share a transaction, so that many of them cost one sync of the disk.
//
// The database is opened when it is first needed and again after it was away, so a Directory outlives its absence.
// It is never created by the way: see Create.
type Directory struct {
	store *store
}

// Open makes a Directory of an existing file or database. It fails only for options that can never be right (Invalid); one
// that is not there now makes the methods answer DirectoryUnavailable until it is.
func Open(opts Options) (*Directory, error) {
	var e engine
	var err error
	switch {
	case opts.MariaDB != nil && opts.Path != "":
		err = fault.New(fault.Invalid, "the directory has a path and a MariaDB server").WithHint("configure one of the two")
	case opts.MariaDB != nil:
		e, err = newMariaServer(opts)
	default:
		e, err = newDirectoryFile(opts.Path)
	}
	if err != nil {
		return nil, err
	}
	return &Directory{store: newStore(e, whatDirectory, fault.DirectoryUnavailable, opts)}, nil
}

// whatDirectory is the directory's name in messages.
const whatDirectory = "the directory"

func newDirectoryFile(path string) (engine, error) {
	if path == "" {
		return nil, fault.New(fault.Invalid, "the directory has no path").
			WithHint("set the directory's path in the mailstore's configuration")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the directory's path %s", path)
	}
	if err := refuseNetwork(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return &sqliteFile{path: path, what: whatDirectory, unavailable: fault.DirectoryUnavailable, sync: true, mkdir: true}, nil
}

// Create makes a new directory, in a file at opts.Path or in an empty database of opts.MariaDB, unless there is one, and
// opens it. A mailstore must not call it on its own account: an empty directory where a full one is missing would look like
// the loss of every account. It is for the command that sets up a platform.
func Create(ctx context.Context, opts Options) (*Directory, error) {
	d, err := Open(opts)
	if err != nil {
		return nil, err
	}
	if err := d.store.create(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close ends the use of the directory after writes under way have finished.
func (d *Directory) Close() error { return d.store.close() }

// Ping reports whether the directory can be read now.
func (d *Directory) Ping(ctx context.Context) error {
	_, err := d.Version(ctx)
	return err
}

// Version is the number of the last transaction that changed a row which mailstores copy.
func (d *Directory) Version(ctx context.Context) (int64, error) {
	_, version, err := d.state(ctx)
	return version, err
}

// Identity is the directory's own id, made with it. A copy belongs to one directory for ever.
func (d *Directory) Identity(ctx context.Context) (string, error) {
	id, _, err := d.state(ctx)
	return id, err
}

func (d *Directory) state(ctx context.Context) (identity string, version int64, err error) {
	err = d.store.read(ctx, func(q *query) (err error) {
		if identity, err = q.meta(metaDirectoryID); err != nil {
			return err
		}
		version, err = q.counter(counterVersion)
		return err
	})
	return identity, version, err
}

// newID makes the text of a random UUID.
func newID() string { return account.NewID().String() }
