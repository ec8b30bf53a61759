package directory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"mailreplica/internal/account"
)

// changesRowsMax is how many rows of each table a page of changes has at most. It is far more than one caller's write
// puts into a table, so that a page can always hold the whole of it.
const changesRowsMax = 2048

// Kinds of rows of the table removed.
const (
	removedConfig    = "config"
	removedMailstore = "mailstore"
	removedReplica   = "replica"
	removedBucket    = "bucket"
	removedVolume    = "volume"
)

// Removed is a row that is gone: a setting or a mailstore by its name, a bucket by its id, a replica by account and mailstore,
// a volume by mailstore and name.
type Removed struct {
	Kind    string // config, mailstore, replica, bucket or volume
	Key     []byte
	Version int64
}

// Changes is a page of what changed: every row whose version is above After and not above Through, each as it is now,
// and each write whole. Rows that changed again later come with the later page. Removals of a page come before its rows.
type Changes struct {
	Directory string // its identity
	After     int64
	Through   int64
	Full      bool // the page starts a copy from nothing: what the reader has and is not told of is gone
	More      bool // there are more pages, from Through on

	Removed    []Removed
	Deleted    []DeletedAccount
	Config     []ConfigValue
	Mailstores []Mailstore
	Accounts   []Account
	Replicas   []Replica
	Buckets    []Bucket
	Volumes    []Volume
}

// Empty reports whether a page says nothing.
func (c *Changes) Empty() bool { return !c.Full && c.Through == c.After }

// Since gives the changes after a version, at most a page of them. A version of 0, one that the directory has not
// reached (it was restored from a backup) and one whose removals were forgotten are answered with Full and a first
// page; the pages after it are asked of FullSince.
func (d *Directory) Since(ctx context.Context, version int64) (Changes, error) {
	return d.changes(ctx, version, false)
}

// FullSince gives the pages after the first of a full copy, which is not complete before the last of them.
func (d *Directory) FullSince(ctx context.Context, version int64) (Changes, error) {
	return d.changes(ctx, version, true)
}

func (d *Directory) changes(ctx context.Context, after int64, full bool) (Changes, error) {
	var c Changes
	err := d.store.readToCopy(ctx, func(q *query) error {
		c = Changes{After: after}
		current, err := q.counter(counterVersion)
		if err != nil {
			return err
		}
		pruned, err := q.counter(counterPruned)
		if err != nil {
			return err
		}
		if !full && (after <= 0 || after > current || after < pruned) {
			c.After, c.Full = 0, true
		}
		if c.Directory, err = q.meta(metaDirectoryID); err != nil {
			return err
		}
		if c.Full {
			if err := q.noneBeyond(current); err != nil {
				return err
			}
		}
		return q.fill(&c, current)
	})
	return c, err
}

// copiedTables are the tables whose rows are copied.
var copiedTables = []string{"config", "mailstores", "accounts", "deleted_accounts", "replicas", "buckets", "volumes"}

// noneBeyond refuses rows whose version is none that was given: a full copy would leave them out, and their accounts would be unknown.
func (q *query) noneBeyond(current int64) error {
	for _, table := range copiedTables {
		n, err := q.count("SELECT COUNT(*) FROM "+table+" WHERE version IS NULL OR version <= 0 OR version > ?", current)
		if err == nil {
			err = sound("table", table, claim{"version", n == 0})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fill reads the page: of each table the first rows, then those cut off that lie beyond what every table gave in full.
func (q *query) fill(c *Changes, current int64) (err error) {
	c.Through = current
	if c.Removed, err = page(q, c, scanRemoved, "kind, row_key, version", "removed"); err != nil {
		return err
	}
	if c.Deleted, err = page(q, c, scanDeletedAccount, "id, name, deleted_at, version", "deleted_accounts"); err != nil {
		return err
	}
	if c.Config, err = page(q, c, scanConfig, "name, value, version", "config"); err != nil {
		return err
	}
	if c.Mailstores, err = page(q, c, scanMailstore, mailstoreColumns, "mailstores"); err != nil {
		return err
	}
	if c.Accounts, err = page(q, c, scanAccount, accountColumns, "accounts"); err != nil {
		return err
	}
	if c.Replicas, err = page(q, c, scanReplica, replicaColumns, "replicas"); err != nil {
		return err
	}
	if c.Buckets, err = page(q, c, scanBucket, bucketColumns, "buckets"); err != nil {
		return err
	}
	if c.Volumes, err = page(q, c, scanVolume, volumeColumns, "volumes"); err != nil {
		return err
	}
	c.More = c.Through < current
	c.cut()
	return nil
}

// versioned is a row of the feed.
type versioned interface{ version() int64 }

func (r Removed) version() int64        { return r.Version }
func (a DeletedAccount) version() int64 { return a.Version }
func (v ConfigValue) version() int64    { return v.Version }
func (m Mailstore) version() int64      { return m.Version }
func (a Account) version() int64        { return a.Version }
func (r Replica) version() int64        { return r.Version }
func (b Bucket) version() int64         { return b.Version }
func (v Volume) version() int64         { return v.Version }

// page reads the first rows of a table. If it is full, its last version may be torn, and the page ends before it.
func page[T versioned](q *query, c *Changes, scan func(scanner) (T, error), columns, table string) ([]T, error) {
	found, err := rows(q, scan, "SELECT "+columns+" FROM "+table+
		" WHERE version > ? AND version <= ? ORDER BY version LIMIT ?", c.After, c.Through, changesRowsMax)
	if err != nil || len(found) < changesRowsMax {
		return found, err
	}
	last := found[len(found)-1].version() - 1
	if last <= c.After {
		return nil, fmt.Errorf("version %d has more than %d rows in table %s", last+1, changesRowsMax, table)
	}
	c.Through = last
	return found, nil
}

// cut drops the rows beyond Through.
func (c *Changes) cut() {
	c.Removed = upTo(c.Removed, c.Through)
	c.Deleted = upTo(c.Deleted, c.Through)
	c.Config = upTo(c.Config, c.Through)
	c.Mailstores = upTo(c.Mailstores, c.Through)
	c.Accounts = upTo(c.Accounts, c.Through)
	c.Replicas = upTo(c.Replicas, c.Through)
	c.Buckets = upTo(c.Buckets, c.Through)
	c.Volumes = upTo(c.Volumes, c.Through)
}

func upTo[T versioned](all []T, through int64) []T {
	n, _ := slices.BinarySearchFunc(all, through+1, func(row T, v int64) int {
		return int(min(1, max(-1, row.version()-v)))
	})
	return all[:n]
}

// noteRemoved remembers that rows are gone. The same row, put and removed again, has one such note.
func (t *tx) noteRemoved(kind string, keys ...[]byte) error {
	version, err := t.next()
	if err != nil {
		return err
	}
	in := []any{kind}
	for _, key := range keys {
		in = append(in, key)
	}
	where := " WHERE kind = ? AND row_key IN (" + placeholders(len(keys)) + ")"
	noted, err := t.exec("UPDATE removed SET removed_at = ?, version = ?"+where, append([]any{millis(t.now), version}, in...)...)
	if err != nil || int(noted) == len(keys) {
		return err
	}
	there := map[string]bool{}
	if noted > 0 {
		known, err := rows(&t.query, scanRemoved, "SELECT kind, row_key, version FROM removed"+where, in...)
		if err != nil {
			return err
		}
		for _, r := range known {
			there[string(r.Key)] = true
		}
	}
	var values []any
	for _, key := range keys {
		if !there[string(key)] {
			values = append(values, millis(t.now), version, kind, key)
		}
	}
	_, err = t.exec("INSERT INTO removed (removed_at, version, kind, row_key) VALUES "+
		strings.Repeat("(?, ?, ?, ?), ", len(values)/4-1)+"(?, ?, ?, ?)", values...)
	return err
}

// placeholders are so many of them, for a list.
func placeholders(n int) string { return "?" + strings.Repeat(", ?", n-1) }

func scanRemoved(row scanner) (Removed, error) {
	var r Removed
	var key []byte
	err := row.Scan(&r.Kind, &key, &r.Version)
	r.Key = bytes.Clone(key)
	return r, err
}

// replicaKey names a replica among the removed rows: sixteen bytes of the account, then the mailstore.
func replicaKey(id account.ID, mailstore string) []byte { return append(id[:], mailstore...) }

func splitReplicaKey(key []byte) (account.ID, string, error) {
	var id account.ID
	if len(key) <= len(id) {
		return id, "", fmt.Errorf("the key of a removed replica has %d bytes", len(key))
	}
	return account.ID(key[:len(id)]), string(key[len(id):]), nil
}
