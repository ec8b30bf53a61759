package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/bench/load"
	"mailreplica/internal/blob"
	"mailreplica/internal/blob/dir"
	"mailreplica/internal/config"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/message"
	"mailreplica/internal/metadata"
)

// bulkAtOnce is how many messages one transaction of bulk appends.
const bulkAtOnce = 5000

// bulk appends messages to an account without replicas, of a mailstore that does not run, until its INBOX has n. The rows are those
// that APPEND makes, and made by the same code; but only the first messages have their bodies written to the volume.
func bulk(ctx context.Context, path, user string, n, size, bodies int) (err error) {
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	store, err := metadata.Open(ctx, c.Data, logger)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // what was committed is
	var folders []blob.Volume
	for _, v := range c.Volumes {
		volume, err := dir.Open(v.Path, v.Name)
		if err != nil {
			return err
		}
		defer volume.Close()
		folders = append(folders, volume)
	}
	volumes := blob.NewSet(c.PrimaryVolume, folders...)
	m, err := mailstore.Open(ctx, mailstore.Config{Self: c.FQDN, Store: store, Volumes: volumes, Logger: logger})
	if err != nil {
		return err
	}
	defer m.Close()
	m.Start(nil, func(account.ID) {})
	id, err := account.ParseID(user)
	if err != nil {
		return err
	}
	a, found := m.Account(id)
	if !found {
		return fmt.Errorf("the mailstore has no account %s", user)
	}
	return appendBulk(ctx, m, a, load.NewMessages(size), n, bodies, c.PrimaryVolume)
}

func appendBulk(ctx context.Context, m *mailstore.Mailstore, a *mailstore.Account, made *load.Messages, n, bodies int, volume string) error {
	begun := time.Now()
	var text []byte
	for have := 0; have < n; {
		messages := make([]mailbox.NewMessage, min(bulkAtOnce, n-have))
		for i := range messages {
			text = made.Append(text[:0])
			stored, err := newMessage(ctx, m, text, have+i < bodies, volume)
			if err != nil {
				return err
			}
			stored.Flags, stored.Received = bulkFlags(have+i), receivedAt(have+i)
			messages[i] = stored
		}
		err := a.Update(ctx, func(d *mailbox.Draft) error {
			inbox, _, err := d.FolderByName(mailbox.Inbox)
			if err == nil {
				_, err = d.Append(inbox.ID, messages)
			}
			return err
		})
		if err != nil {
			return err
		}
		have += len(messages)
	}
	fmt.Fprintf(os.Stderr, "%d messages after %s\n", n, time.Since(begun).Round(time.Second))
	return nil
}

func newMessage(ctx context.Context, m *mailstore.Mailstore, text []byte, body bool, volume string) (mailbox.NewMessage, error) {
	if body {
		return m.StoreBody(ctx, bytes.NewReader(text))
	}
	summary, err := message.Parse(bytes.NewReader(text))
	if err != nil {
		return mailbox.NewMessage{}, err
	}
	return mailbox.NewMessage{Volume: volume, Blob: blob.NewName(), Size: uint64(len(text)), Summary: summary.Encode()}, nil
}

func bulkFlags(i int) (f mailbox.Flags) {
	for _, name := range strings.Fields(flagsOf(i)) {
		switch name {
		case `\Seen`:
			f.System |= mailbox.Seen
		case `\Answered`:
			f.System |= mailbox.Answered
		case `\Flagged`:
			f.System |= mailbox.Flagged
		default:
			f.Keywords = append(f.Keywords, name)
		}
	}
	return f
}
