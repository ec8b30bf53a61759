package metadata

import (
	"embed"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"mailreplica/internal/fault"
)

//go:embed migrations
var migrationFiles embed.FS

// The tables whose rows are put and removed by key. They are descriptions and never change.
var (
	folders = &table{"folder", []string{"mailbox_id", "folder_id"}, []string{"name", "uid_validity", "uid_next",
		"highest_seq", "special_use", "messages", "unseen", "total_bytes", "tombstones", "pruned_up_to"}, "name", nil}
	contents = &table{"content", []string{"mailbox_id", "content_id"}, []string{"volume", "blob_name", "summary"}, "", nil}
	messages = &table{"message", []string{"mailbox_id", "folder_id", "uid"}, []string{"item_id", "content_id", "modseq",
		"internal_date", "date_zone", "size", "system_flags", "keywords"}, "",
		[]string{"item_id", "content_id", "internal_date", "date_zone", "size"}}
	tombstones    = &table{"tombstone", []string{"mailbox_id", "folder_id", "uid"}, []string{"seq"}, "", nil}
	subscriptions = &table{"subscription", []string{"mailbox_id", "name"}, nil, "", nil}
	deliveries    = &table{"delivery", []string{"mailbox_id", "delivery_key"}, []string{"seq"}, "", nil}
	discardeds    = &table{"discarded", []string{"mailbox_id", "content_id"}, []string{"volume", "blob_name", "seq", "discarded_at"}, "", nil}
	recents       = &table{"recent", []string{"mailbox_id", "folder_id"}, []string{"uid"}, "", nil}
	journals      = &table{"journal", []string{"mailbox_id", "seq"}, []string{"record_id", "record"}, "", nil}
	journalMore   = &table{"journal_more", []string{"mailbox_id", "seq", "piece"}, []string{"record"}, "", nil}
	positions     = &table{"stream_position", []string{"cluster_id", "topic_id", "partition_number"},
		[]string{"next_offset", "leader_epoch"}, "", nil}
	settings = &table{"setting", []string{"name"}, []string{"content"}, "", nil}

	// mailboxTables are all tables whose rows belong to a mailbox, the mailbox's own row excepted. The first ones go with it at
	// once; the others say what its blobs are.
	mailboxTables = append([]*table{messages, tombstones, deliveries, folders, subscriptions, recents, journals}, blobTables...)
	blobTables    = []*table{contents, discardeds}
)

// tablesOf are mailboxTables as an engine has them.
func tablesOf(d dialect) []*table {
	if d.traits().valueBytes == 0 {
		return mailboxTables
	}
	return append([]*table{journalMore}, mailboxTables...)
}

// migrate brings the schema to this release's version, one numbered file after the other. A file that was released is never
// altered; what it made is fixed by another file. altering gives a connection whose statements may take long.
func migrate(c *conn, d dialect, altering func() (*conn, error)) error {
	version, err := d.version(c)
	if err != nil {
		return err
	}
	files, err := migrationsOf(d)
	if err != nil {
		return err
	}
	if version > len(files) {
		return fault.New(fault.DatabaseUnavailable, "the database has schema %d, this release knows %d at most", version,
			len(files)).WithHint("run the newer release that wrote it")
	}
	if version == len(files) {
		return nil
	}
	if c, err = altering(); err != nil {
		return err
	}
	for i, text := range files[version:] {
		if err := d.migrate(c, text, version+i+1); err != nil {
			return errors.Join(err, c.close())
		}
	}
	return c.close()
}

// migrationsOf are the texts of a dialect's migrations, the first bringing an empty schema to version 1.
func migrationsOf(d dialect) ([]string, error) {
	names, err := fs.Glob(migrationFiles, d.migrations()+"/*.sql")
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "migrations cannot be listed")
	}
	slices.Sort(names)
	texts := make([]string, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fault.New(fault.Internal, "migration %s is out of order", name)
		}
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "migration %s cannot be read", name)
		}
		texts[i] = string(text)
	}
	return texts, nil
}
