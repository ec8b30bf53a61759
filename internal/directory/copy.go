package directory

import (
	"context"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"mailreplica/internal/fault"
)

// Copy is a mailstore's own full copy of the directory: a database file of the same schema, and all of it in memory, so
// that a mailstore starts and serves without the directory. Operations and notifications are not in it. Methods may be
// called at once by many goroutines; those that only look up touch no disk and take well under a microsecond.
type Copy struct {
	store *store

	applying sync.Mutex // one Apply at a time; taken before mu

	mu        sync.RWMutex // guards what follows
	index     *index
	directory string    // identity of the directory; empty: nothing was copied yet
	version   int64     // of the last change applied
	stale     bool      // the file was followed by a program that did not know all tables: it must be copied in full
	confirmed time.Time // when the copy last was known to equal the directory
}

// OpenCopy opens the copy in a file, and makes the file if it is not there. Only opts.Now and the time limits are used.
// A file that cannot be used is DatabaseUnavailable; it may be deleted: the copy is then made anew.
func OpenCopy(ctx context.Context, path string, opts Options) (*Copy, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the path of the directory's copy")
	}
	const what = "the copy of the directory"
	file := &sqliteFile{path: path, what: what, unavailable: fault.DatabaseUnavailable}
	c := &Copy{store: newStore(file, what, fault.DatabaseUnavailable, opts), index: newIndex()}
	if err := c.store.create(ctx); err != nil {
		return nil, err
	}
	if err := c.load(ctx); err != nil {
		_ = c.store.close() // the first error says more
		return nil, err
	}
	return c, nil
}

// Close ends the use of the file. What is in memory can still be looked up.
func (c *Copy) Close() error { return c.store.close() }

// load reads the file into memory.
func (c *Copy) load(ctx context.Context) error {
	return c.store.read(ctx, func(q *query) (err error) {
		var all Changes
		if all.Deleted, err = rows(q, scanDeletedAccount, "SELECT id, name, deleted_at, version FROM deleted_accounts"); err != nil {
			return err
		}
		if all.Config, err = rows(q, scanConfig, "SELECT name, value, version FROM config"); err != nil {
			return err
		}
		if all.Mailstores, err = rows(q, scanMailstore, "SELECT "+mailstoreColumns+" FROM mailstores"); err != nil {
			return err
		}
		if all.Accounts, err = rows(q, scanAccount, "SELECT "+accountColumns+" FROM accounts"); err != nil {
			return err
		}
		if all.Replicas, err = rows(q, scanReplica, "SELECT "+replicaColumns+" FROM replicas"); err != nil {
			return err
		}
		if all.Buckets, err = q.buckets(); err != nil {
			return err
		}
		if all.Volumes, err = q.volumes(); err != nil {
			return err
		}
		index := newIndex()
		if err := index.apply(&all); err != nil {
			return err
		}
		if c.version, err = q.counter(counterVersion); err != nil {
			return err
		}
		confirmed, err := q.meta(metaConfirmedAt)
		if err != nil {
			return err
		}
		if confirmed != "" { // else nothing was copied yet, and the identity is a new file's own
			ms, err := strconv.ParseInt(confirmed, 10, 64)
			if err := sound("setting", metaConfirmedAt, claim{"value", err == nil && isTime(ms)}); err != nil {
				return err
			}
			c.confirmed = fromMillis(ms)
			if c.directory, err = q.meta(metaDirectoryID); err != nil {
				return err
			}
			if c.stale, err = q.copiedByOlder(); err != nil {
				return err
			}
		}
		c.index = index
		return nil
	})
}

// copiedByOlder reports whether the copy was last copied in full by a program of an older schema. Such a program follows a
// directory that a newer one has brought to its own schema, and passes over the rows that it does not know.
func (q *query) copiedByOlder() (bool, error) {
	steps, err := migrations("sqlite")
	if err != nil {
		return false, err
	}
	schema, err := q.meta(metaCopiedSchema)
	return schema != strconv.Itoa(len(steps)), err
}

// Apply takes pages of changes in, all or none, and says what they changed. They must follow on one another and on what
// the copy has, or start a full copy and be all of it. Changes of another directory than the copy was made from are
// refused: they would turn every account into an unknown one.
func (c *Copy) Apply(ctx context.Context, pages ...Changes) (Event, error) {
	c.applying.Lock()
	defer c.applying.Unlock()
	if len(pages) == 0 {
		return Event{}, nil
	}
	if err := c.follows(pages); err != nil {
		return Event{}, err
	}
	last := &pages[len(pages)-1]
	now := c.store.now()
	err := c.store.write(ctx, func(t *tx) error { return t.copyPages(pages, last, now) })
	if err != nil {
		return Event{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	touched, err := touch(pages, c.index)
	if err != nil {
		return Event{}, fault.Wrap(fault.Internal, err, "a change of the directory")
	}
	before, index := touched.of(c.index), c.index
	if pages[0].Full {
		index = newIndex()
	}
	for i := range pages {
		if err := index.apply(&pages[i]); err != nil {
			return Event{}, fault.Wrap(fault.Internal, err, "a change of the directory")
		}
	}
	c.index, c.directory, c.version = index, last.Directory, last.Through
	c.stale = c.stale && !pages[0].Full
	if !last.More {
		c.confirmed = now
	}
	return before.compare(index), nil
}

// follows checks that the pages follow on the copy and on one another.
func (c *Copy) follows(pages []Changes) error {
	c.mu.RLock()
	directory, version := c.directory, c.version
	c.mu.RUnlock()
	for i := range pages {
		p := &pages[i]
		if directory != "" && p.Directory != directory {
			return otherDirectory(c.store.engine.place())
		}
		if !(p.Full && i == 0) && (p.After != version || directory == "") {
			return fault.New(fault.Internal, "changes after version %d do not follow on version %d", p.After, version)
		}
		directory, version = p.Directory, p.Through
	}
	if pages[0].Full && pages[len(pages)-1].More {
		return fault.New(fault.Internal, "a full copy of the directory is not complete")
	}
	return nil
}

func otherDirectory(copyPath string) error {
	return fault.New(fault.DirectoryUnavailable, "the directory is another one than this mailstore's copy was made from").
		WithHint("correct the directory's path; if it is right, stop the mailstore and delete %s", copyPath)
}

// copyPages writes the pages as they are, versions included.
func (t *tx) copyPages(pages []Changes, last *Changes, now time.Time) error {
	if pages[0].Full {
		for _, table := range copiedTables {
			if _, err := t.exec("DELETE FROM " + table); err != nil {
				return err
			}
		}
		if err := t.noteCopiedSchema(); err != nil {
			return err
		}
	}
	for i := range pages {
		if err := t.copyPage(&pages[i]); err != nil {
			return err
		}
	}
	if _, err := t.exec("UPDATE counters SET value = ? WHERE name = ?", last.Through, counterVersion); err != nil {
		return err
	}
	if err := t.setMeta(metaDirectoryID, last.Directory); err != nil {
		return err
	}
	if last.More {
		return nil
	}
	return t.setMeta(metaConfirmedAt, strconv.FormatInt(millis(now), 10))
}

func (t *tx) noteCopiedSchema() error {
	steps, err := migrations("sqlite")
	if err != nil {
		return err
	}
	return t.setMeta(metaCopiedSchema, strconv.Itoa(len(steps)))
}

func (t *tx) copyPage(c *Changes) error {
	for _, r := range c.Removed {
		if err := t.copyRemoved(r); err != nil {
			return err
		}
	}
	for _, d := range c.Deleted {
		if _, err := t.exec("DELETE FROM accounts WHERE id = ?", d.ID[:]); err != nil {
			return err
		}
	}
	return errorsOf(
		func() error { return each(c.Deleted, t.putDeletedAccount) },
		func() error { return each(c.Config, t.putConfig) },
		func() error { return each(c.Mailstores, t.putMailstore) },
		func() error { return each(c.Accounts, t.putAccount) },
		func() error { return each(c.Replicas, t.putReplica) },
		func() error { return each(c.Buckets, t.putBucket) },
		func() error { return each(c.Volumes, t.putVolume) },
	)
}

func errorsOf(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func each[T any](all []T, f func(T) error) error {
	for _, one := range all {
		if err := f(one); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) copyRemoved(r Removed) error {
	switch r.Kind {
	case removedConfig:
		_, err := t.exec("DELETE FROM config WHERE name = ?", string(r.Key))
		return err
	case removedMailstore:
		_, err := t.exec("DELETE FROM mailstores WHERE fqdn = ?", string(r.Key))
		return err
	case removedReplica:
		id, mailstore, err := splitReplicaKey(r.Key)
		if err != nil {
			return err
		}
		_, err = t.exec("DELETE FROM replicas WHERE account_id = ? AND mailstore = ?", id[:], mailstore)
		return err
	case removedBucket:
		_, err := t.exec("DELETE FROM buckets WHERE id = ?", string(r.Key))
		return err
	case removedVolume:
		key, err := splitVolumeKey(r.Key)
		if err != nil {
			return err
		}
		_, err = t.exec("DELETE FROM volumes WHERE mailstore = ? AND name = ?", key.mailstore, key.name)
		return err
	}
	return nil
}
