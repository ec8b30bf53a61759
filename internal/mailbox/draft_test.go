package mailbox_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// moment is when every transaction of these tests is decided.
var moment = time.Unix(1_790_000_000, 0)

// box is a mailbox on a source and its replica. Every transaction is computed on the one and applied to both.
type box struct {
	t       testing.TB
	source  *mailbox.Memory
	replica *mailbox.Memory
}

func newBox(t testing.TB) *box {
	t.Helper()
	b := &box{t: t, source: mailbox.NewMemory(), replica: mailbox.NewMemory()}
	b.do(func(d *mailbox.Draft) error { return d.InitialFolders() })
	return b
}

// do commits one transaction.
func (b *box) do(operate func(*mailbox.Draft) error) mailbox.Change {
	b.t.Helper()
	d, err := mailbox.NewDraft(b.source, moment)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := operate(d); err != nil {
		b.t.Fatal(err)
	}
	c, err := d.Change()
	if err != nil {
		b.t.Fatalf("Change: %v", err)
	}
	delta, err := mailbox.Apply(b.replica, d.Sequence(), c)
	if err != nil {
		b.t.Fatalf("Apply on the replica: %v", err)
	}
	b.write(d.Delta(), delta)
	return c
}

func (b *box) write(source, replica mailbox.Delta) {
	b.t.Helper()
	if err := b.source.Write(source); err != nil {
		b.t.Fatal(err)
	}
	if err := b.replica.Write(replica); err != nil {
		b.t.Fatal(err)
	}
	for name, m := range map[string]*mailbox.Memory{"source": b.source, "replica": b.replica} {
		h, _ := m.Header()
		full, err := mailbox.FullDigest(m)
		if err != nil {
			b.t.Fatal(err)
		}
		if full != h.Digest {
			b.t.Fatalf("%s: full digest is %v, header says %v", name, full, h.Digest)
		}
	}
}

// fails checks that an operation is refused with a kind, and changes nothing, and leaves the draft usable.
func (b *box) fails(kind fault.Kind, operate func(*mailbox.Draft) error) {
	b.t.Helper()
	d, err := mailbox.NewDraft(b.source, moment)
	if err != nil {
		b.t.Fatal(err)
	}
	before, err := mailbox.FullDigest(d)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := operate(d); !fault.Is(err, kind) {
		b.t.Fatalf("got error %v, want kind %q", err, kind)
	}
	after, err := mailbox.FullDigest(d)
	if err != nil {
		b.t.Fatal(err)
	}
	if !d.Empty() || before != after {
		b.t.Errorf("the failed operation has changed something: %d effects", d.Changes())
	}
	if err := d.Subscribe("still usable"); err != nil {
		b.t.Errorf("the draft is unusable after a refusal: %v", err)
	}
}

func (b *box) folder(name string) mailbox.Folder {
	b.t.Helper()
	f, found, err := b.source.FolderByName(name)
	if err != nil || !found {
		b.t.Fatalf("folder %q: found %t, error %v", name, found, err)
	}
	return f
}

// append adds n messages to a folder in one transaction.
func (b *box) append(name string, n int) []mailbox.Message {
	b.t.Helper()
	var rows []mailbox.Message
	b.do(func(d *mailbox.Draft) (err error) {
		rows, err = d.Append(b.folder(name).ID, newMessages(n))
		return err
	})
	return rows
}

func (b *box) uids(name string) []mailbox.UID {
	b.t.Helper()
	uids := []mailbox.UID{}
	err := b.source.Messages(b.folder(name).ID, 1, 1<<32-1, func(m mailbox.Message) bool {
		uids = append(uids, m.UID)
		return true
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return uids
}

func (b *box) names() []string {
	folders, err := b.source.Folders()
	if err != nil {
		b.t.Fatal(err)
	}
	names := []string{}
	for _, f := range folders {
		names = append(names, f.Name)
	}
	return names
}

func newMessages(n int) []mailbox.NewMessage {
	messages := make([]mailbox.NewMessage, n)
	for i := range messages {
		messages[i] = mailbox.NewMessage{
			Volume: "primary", Blob: fmt.Sprintf("2024/05/blob-%d", i), Summary: []byte("summary"), Size: uint64(100 + i),
			Received: time.Date(2024, 5, 17, 12, 30, i%60, 0, time.FixedZone("", 2*3600)),
		}
	}
	return messages
}

func equalUIDs(t testing.TB, what string, got []mailbox.UID, want ...mailbox.UID) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got UIDs %v, want %v", what, got, want)
	}
}

func equalNames(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got names %q, want %q", got, want)
	}
}

func TestInitialFolders(t *testing.T) {
	b := newBox(t)
	equalNames(t, b.names(), "Drafts", "INBOX", "Junk", "Sent", "Trash")
	names, _ := b.source.Subscriptions()
	equalNames(t, names, "Drafts", "INBOX", "Junk", "Sent", "Trash")
	if got := b.folder("Sent").SpecialUse; got != "\\Sent" {
		t.Errorf("special use of Sent: got %q", got)
	}
	h, _ := b.source.Header()
	if h.Sequence != 1 || h.NextItemID != 6 || h.NextUIDValidity != 6 {
		t.Errorf("header after the first transaction: %+v", h)
	}
	b.fails(fault.Exists, func(d *mailbox.Draft) error { return d.InitialFolders() })
}
