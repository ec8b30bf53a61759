package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// newAgent is an agent of a mailstore without brokers.
func newAgent(t testing.TB, self string) *Agent {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	store, err := metadata.Open(t.Context(), filepath.Join(t.TempDir(), self), logger)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mailstore.Open(t.Context(), mailstore.Config{Self: self, Store: store, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	g := NewAgent(m, store, logger)
	m.Start(g, nil)
	t.Cleanup(func() {
		g.Close()
		m.Close()
		_ = store.Close()
	})
	return g
}

const source, destination = "a.example", "b.example"

// snapshotOf makes an account with some messages and encodes its snapshot for the destination.
func snapshotOf(t *testing.T, messages int) (account.ID, []byte) {
	t.Helper()
	g := newAgent(t, source)
	id := bigAccount(t, g, messages)
	var out bytes.Buffer
	if err := give(t.Context(), g, id, event.NewID(), &out); err != nil {
		t.Fatal(err)
	}
	return id, out.Bytes()
}

// bigAccount makes an account with messages whose rows are large.
func bigAccount(t *testing.T, g *Agent, messages int) account.ID {
	t.Helper()
	a, err := g.m.Create(t.Context(), account.NewID())
	if err != nil {
		t.Fatal(err)
	}
	for range messages {
		err := a.Update(t.Context(), func(d *mailbox.Draft) error {
			m := mailbox.NewMessage{Volume: "v", Blob: "blob", Size: 3, Summary: bytes.Repeat([]byte("summary "), 1<<14)}
			_, _, err := d.Deliver(m, mailbox.DeliveryKey{}, "INBOX")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return a.ID()
}

// give writes a snapshot for the destination, as though its Join had been read.
func give(ctx context.Context, g *Agent, id account.ID, join event.ID, to io.Writer) error {
	return giveWith(ctx, g, id, join, 0, to)
}

// giveWith writes one in which so many changes are of a journal.
func giveWith(ctx context.Context, g *Agent, id account.ID, join event.ID, journalled mailbox.Sequence, to io.Writer) error {
	return g.m.Snapshot(ctx, id, func(row metadata.Mailbox, rows mailbox.Scanner) error {
		return writeSnapshot(to, g.frames, snapshotHeader{
			Version: snapshotVersion, Account: id, Join: join, Epoch: 2, Primary: source,
			Members: map[string]event.ID{source: event.NewID(), destination: join}, Stream: protocol.Stream{Partition: 1},
			Sequence: row.Copy.Sequence - journalled, HeadID: row.Copy.HeadID, NextOffset: 5, MailboxHead: row.Header,
		}, rows)
	})
}

func none(int64) {}

func from(encoded []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(encoded)) }

func TestSnapshot(t *testing.T) {
	id, encoded := snapshotOf(t, 40)
	g := newAgent(t, destination)
	rows := int64(0)
	a, err := g.take(t.Context(), id, from(encoded), func(n int64) { rows = n })
	if err != nil {
		t.Fatal(err)
	}
	if c := a.Copy(); c.Condition != protocol.CatchingUp || c.Epoch != 2 || c.NextOffset != 5 || c.Primary != source || c.IsPrimary() {
		t.Errorf("copy %+v", c)
	}
	if rows < 80 {
		t.Errorf("%d rows were told of, want 80 and some", rows)
	}
	if a.MayServe() == nil {
		t.Error("a copy that is catching up serves")
	}
	// Another attempt replaces it.
	again, err := g.take(t.Context(), id, from(encoded), none)
	if err != nil || again == a || again.MailboxID() == a.MailboxID() {
		t.Errorf("a second attempt: %v, the same copy: %t", err, again == a)
	}
}

// TestDamagedSnapshot cuts, changes and stretches a snapshot; nothing of it may stay, and nothing may be taken for a copy.
func TestDamagedSnapshot(t *testing.T) {
	id, encoded := snapshotOf(t, 20)
	flip := func(at int) []byte {
		damaged := bytes.Clone(encoded)
		damaged[at] ^= 0x10
		return damaged
	}
	huge := bytes.Clone(encoded)
	binary.BigEndian.PutUint32(huge[1:], snapshotChunkBytesMax+1)
	headers := append(bytes.Clone(encoded[:5+binary.BigEndian.Uint32(encoded[1:])]), encoded...)
	end := lastChunk(encoded)
	tests := map[string]struct {
		snapshot []byte
		kind     fault.Kind
	}{
		"empty":                  {nil, fault.Interrupted},
		"cut in the header":      {encoded[:7], fault.Interrupted},
		"cut among the rows":     {encoded[:len(encoded)/2], fault.Interrupted},
		"cut before the end":     {encoded[:end], fault.Interrupted},
		"a byte of the header":   {flip(12), fault.Unusable},
		"a byte of the rows":     {flip(len(encoded) / 2), fault.Unusable},
		"a kind of chunk":        {flip(end), fault.Unusable},
		"a chunk that is huge":   {huge, fault.TooLarge},
		"two headers":            {headers, fault.Unusable},
		"rows that are left out": {withoutRows(encoded), fault.Unusable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := newAgent(t, destination)
			_, err := g.take(t.Context(), id, from(test.snapshot), none)
			if !fault.Is(err, test.kind) {
				t.Errorf("got %v (kind %q), want kind %q", err, fault.KindOf(err), test.kind)
			}
			if _, held := g.m.Account(id); held {
				t.Error("the mailstore holds a copy")
			}
			err = g.store.View(t.Context(), func(v *metadata.View) error {
				rows, err := v.Mailboxes()
				if len(rows) != 0 {
					t.Errorf("%d mailboxes stay behind", len(rows))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestSnapshotThatCannotBeLoaded has loading fail while the reader waits for a source that says nothing any more: it is let go.
func TestSnapshotThatCannotBeLoaded(t *testing.T) {
	id, encoded := snapshotOf(t, 20)
	first := 5 + int(binary.BigEndian.Uint32(encoded[1:]))
	rows := encoded[first : first+5+int(binary.BigEndian.Uint32(encoded[first+1:]))]
	g := newAgent(t, destination)
	in, out := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		for _, part := range [][]byte{encoded[:first], rows, rows} { // the same rows twice, and then nothing
			if _, err := out.Write(part); err != nil {
				sent <- err
				return
			}
		}
		for {
			if _, err := out.Write(nil); err != nil {
				sent <- err
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := g.take(t.Context(), id, in, none); err == nil {
		t.Fatal("rows that came twice were loaded")
	}
	if err := <-sent; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the source was told %v", err)
	}
	if _, held := g.m.Account(id); held {
		t.Error("the mailstore holds a copy")
	}
}

// TestSnapshotThatCannotBeSent has its reader go away in the middle.
func TestSnapshotThatCannotBeSent(t *testing.T) {
	g := newAgent(t, source)
	id := bigAccount(t, g, 40)
	gone := errors.New("gone")
	var whole bytes.Buffer
	if err := give(t.Context(), g, id, event.NewID(), &whole); err != nil {
		t.Fatal(err)
	}
	// Two snapshots differ by some bytes: the operation's id does not compress as well each time.
	for _, after := range []int{0, whole.Len() / 2, whole.Len() * 9 / 10} {
		err := give(t.Context(), g, id, event.NewID(), &failing{left: after, err: gone})
		if !errors.Is(err, gone) || !fault.Is(err, fault.Interrupted) {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
}

// failing takes some bytes.
type failing struct {
	left int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left < len(p) {
		return f.left, f.err
	}
	f.left -= len(p)
	return len(p), nil
}

// lastChunk is where the last chunk begins.
func lastChunk(encoded []byte) (at int) {
	for next := 0; next < len(encoded); next += 5 + int(binary.BigEndian.Uint32(encoded[next+1:])) {
		at = next
	}
	return at
}

// withoutRows leaves out a chunk of rows.
func withoutRows(encoded []byte) []byte {
	first := 5 + int(binary.BigEndian.Uint32(encoded[1:]))
	second := first + 5 + int(binary.BigEndian.Uint32(encoded[first+1:]))
	return append(bytes.Clone(encoded[:first]), encoded[second:]...)
}

// TestSnapshotWithAJournal has a source give rows that only its journal holds, as none may (rule 11). The log does not have them yet, and may
// never: nobody takes them.
func TestSnapshotWithAJournal(t *testing.T) {
	g, there := newAgent(t, source), newAgent(t, destination)
	id := bigAccount(t, g, 2)
	var encoded bytes.Buffer
	if err := giveWith(t.Context(), g, id, event.NewID(), 1, &encoded); err != nil {
		t.Fatal(err)
	}
	if _, err := there.take(t.Context(), id, from(encoded.Bytes()), none); !fault.Is(err, fault.Unusable) {
		t.Errorf("got %v, want kind %q", err, fault.Unusable)
	}
	if _, held := there.m.Account(id); held {
		t.Error("the mailstore holds a copy")
	}
}

func TestSnapshotForAnother(t *testing.T) {
	id, encoded := snapshotOf(t, 1)
	if _, err := newAgent(t, "c.example").take(t.Context(), id, from(encoded), none); !fault.Is(err, fault.Unusable) {
		t.Errorf("a snapshot for another mailstore: %v", err)
	}
	if _, err := newAgent(t, destination).take(t.Context(), account.NewID(), from(encoded), none); !fault.Is(err, fault.Unusable) {
		t.Errorf("a snapshot of another account: %v", err)
	}
}

func TestSnapshotNeverOverwritesAPrimary(t *testing.T) {
	id, encoded := snapshotOf(t, 1)
	g := newAgent(t, destination)
	a, err := g.m.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.take(t.Context(), id, from(encoded), none); !fault.Is(err, fault.Denied) {
		t.Errorf("taken over a primary: %v, want kind %q", err, fault.Denied)
	}
	if err := a.MayServe(); err != nil {
		t.Errorf("the primary does not serve any more: %v", err)
	}
}

func TestAppendWithoutBrokers(t *testing.T) {
	g := newAgent(t, source)
	told := make(chan error, 1)
	id := account.NewID()
	g.Append(0, event.Key(id), []byte("x"), func(err error) { told <- err })
	if err := <-told; !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("append: %v", err)
	}
	if err := g.Follow(t.Context(), 0); !fault.Is(err, fault.LogUnavailable) || !strings.Contains(err.Error(), "brokers") {
		t.Errorf("follow: %v", err)
	}
	if g.CaughtUp(0) || g.Holds(protocol.Stream{ClusterID: "c"}) {
		t.Error("a stream that was never read counts as read to its end")
	}
}
