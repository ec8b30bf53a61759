package mailstore

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/measure"
	"mailreplica/internal/message"
)

// StoreBody puts a message's bytes into the primary volume, durably, and parses them on the way; only then may a change
// name them (design section 4, step 1). Kinds: VolumeUnavailable, or the reader's own error.
func (m *Mailstore) StoreBody(ctx context.Context, r io.Reader) (stored mailbox.NewMessage, err error) {
	defer func() {
		if fault.Is(err, fault.VolumeUnavailable) {
			m.bodies.NotStored.Add(1)
		}
	}()
	volume, err := m.volumes.Primary()
	if err != nil {
		return mailbox.NewMessage{}, err
	}
	w, err := volume.Create(ctx)
	if err != nil {
		return mailbox.NewMessage{}, err
	}
	defer w.Abort() // does nothing after Commit
	summary, err := message.Parse(&tee{from: r, to: w})
	if err != nil {
		return mailbox.NewMessage{}, err
	}
	begun := time.Now()
	name, size, err := w.Commit(ctx)
	if err != nil {
		return mailbox.NewMessage{}, err
	}
	m.bodies.Stored.Since(begun)
	return mailbox.NewMessage{Volume: volume.ID(), Blob: name, Size: uint64(size), Summary: summary.Encode()}, nil
}

// DropBodies removes bodies that no change names, as far as the volume lets it. cause is why: an error of Update after which
// the change may come to be all the same leaves them where they are; nil if no change was asked for. What stays behind is found
// by a scan of the volume.
func (m *Mailstore) DropBodies(ctx context.Context, bodies []mailbox.NewMessage, cause error) {
	if cause != nil && !NotWritten(cause) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropWait)
	defer cancel()
	for _, b := range bodies {
		if err := m.RemoveBlob(ctx, b.Volume, b.Blob); err != nil {
			m.logger.Warn("the blob of a message that was refused stays behind", "volume", b.Volume, "blob", b.Blob, "error", err)
			return
		}
	}
}

// dropWait bounds what a client waits for the removal of what it sent in vain.
const dropWait = 5 * time.Second

// tee hands on what it reads, and tells the two kinds of failure apart: a reader's error stays its own, a writer's is the
// volume's.
type tee struct {
	from io.Reader
	to   io.Writer
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	if n > 0 {
		if _, werr := t.to.Write(p[:n]); werr != nil {
			return 0, fault.Wrap(fault.VolumeUnavailable, werr, "the message could not be written to its volume")
		}
	}
	return n, err
}

// OpenBody opens the bytes of a message. Kinds: VolumeUnavailable, NotFound.
func (m *Mailstore) OpenBody(ctx context.Context, c mailbox.Content) (body blob.Blob, err error) {
	defer func() { m.bodies.Opened.Add(err) }()
	volume, err := m.volumes.Find(c.Volume)
	if err != nil {
		return nil, err
	}
	return volume.Open(ctx, c.Blob)
}

// BodyMeasures are what a mailstore counts of messages' bodies.
type BodyMeasures struct {
	Stored    measure.Durations // what making a body durable took, after its last byte had come
	NotStored atomic.Uint64     // that the volume did not take; not those whose sender broke off
	Opened    measure.Outcomes
}

// Bodies are counted on while the mailstore is used.
func (m *Mailstore) Bodies() *BodyMeasures { return &m.bodies }
