package mailstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/dir"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/message"
)

// opens counts how often a body is opened.
type opens struct {
	blob.Volume
	mu sync.Mutex
	n  int
}

func (o *opens) Open(ctx context.Context, name string) (blob.Blob, error) {
	o.mu.Lock()
	o.n++
	o.mu.Unlock()
	return o.Volume.Open(ctx, name)
}

// headerHost is a mailstore that tells of the bodies it opens.
func headerHost(t *testing.T) (*mailstore.Mailstore, *opens) {
	t.Helper()
	mailbox.CheckMemory(false) // it would open them all
	t.Cleanup(func() { mailbox.CheckMemory(true) })
	h := newLog(t, 1, 0).host(t, "a.example.com")
	bodies, err := dir.Create(t.TempDir(), "bodies")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bodies.Close() })
	volume := &opens{Volume: bodies}
	m, err := mailstore.Open(t.Context(), mailstore.Config{
		Self: "a.example.com", Store: h.store, Volumes: blob.NewSet(volume.ID(), volume), Logger: logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m, volume
}

func storeHeader(t *testing.T, m *mailstore.Mailstore, text string) mailbox.Content {
	t.Helper()
	stored, err := m.StoreBody(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return mailbox.Content{ID: 1, Volume: stored.Volume, Blob: stored.Blob, Summary: stored.Summary}
}

// fields asks for fields, and filters what it is given as IMAP does.
func fields(t *testing.T, m *mailstore.Mailstore, c mailbox.Content, names ...string) string {
	t.Helper()
	text, ok, err := m.Fields(t.Context(), c, names)
	if err != nil || !ok {
		t.Fatalf("fields %v: ok %t, %v", names, ok, err)
	}
	return string(message.HeaderFields(text, names, false))
}

// TestFieldsAreReadOnce makes sure that a body is opened once for all fields that were asked for before, whatever they were.
func TestFieldsAreReadOnce(t *testing.T) {
	m, volume := headerHost(t)
	c := storeHeader(t, m, "From: a@b.example\r\nX-Odd: one\r\n two\r\nno field\r\nSubject: s\r\nx-odd: three\r\n\r\nSubject: body\r\n")
	for _, step := range []struct {
		names string
		want  string
		opens int
	}{
		{"subject", "Subject: s\r\n\r\n", 1},
		{"subject", "Subject: s\r\n\r\n", 1},
		{"from x-odd", "From: a@b.example\r\nX-Odd: one\r\n two\r\nno field\r\nx-odd: three\r\n\r\n", 2},
		{"x-odd", "X-Odd: one\r\n two\r\nno field\r\nx-odd: three\r\n\r\n", 2},
		{"subject from", "From: a@b.example\r\nSubject: s\r\n\r\n", 2},
		{"nowhere", "\r\n", 3},
		{"nowhere", "\r\n", 3},
	} {
		if got := fields(t, m, c, strings.Fields(step.names)...); got != step.want || volume.n != step.opens {
			t.Errorf("%s: got %q and %d bodies opened, want %q and %d", step.names, got, volume.n, step.want, step.opens)
		}
	}
	other := storeHeader(t, m, "Subject: other\r\n\r\n")
	if got := fields(t, m, other, "from", "subject"); got != "Subject: other\r\n\r\n" {
		t.Errorf("of another message: %q", got)
	}
}

// TestManyFieldNames has more names asked for than are kept: common ones are kept all the same, and all are answered.
func TestManyFieldNames(t *testing.T) {
	m, volume := headerHost(t)
	c := storeHeader(t, m, "X-1: one\r\nX-1000: far\r\nReferences: r\r\n\r\n")
	for i := range 2 * mailstore.FieldNamesMax {
		fields(t, m, c, fmt.Sprintf("x-%d", i))
	}
	fields(t, m, c, "references")
	fields(t, m, c, strings.Repeat("x", 1000))
	was := volume.n
	for range 3 {
		fields(t, m, c, "references", "x-1")
	}
	if volume.n != was {
		t.Errorf("%d bodies were opened for fields that were asked for before", volume.n-was)
	}
	if got := fields(t, m, c, "x-1000"); got != "X-1000: far\r\n\r\n" || volume.n != was+1 {
		t.Errorf("got %q, %d bodies opened", got, volume.n-was)
	}
}

func TestFieldsBound(t *testing.T) {
	const bytesMax = 20_000
	m, volume := headerHost(t)
	m.SetHeadersBound(bytesMax)
	var all []mailbox.Content
	for i := range 100 {
		all = append(all, storeHeader(t, m, fmt.Sprintf("Subject: %d%s\r\n\r\n", i, strings.Repeat(" word", 40))))
	}
	for i, c := range all {
		if got := fields(t, m, c, "subject"); !strings.HasPrefix(got, fmt.Sprintf("Subject: %d word", i)) {
			t.Fatalf("message %d: %q", i, got)
		}
	}
	if kept := m.HeadersBytes(); kept < bytesMax/2 || kept > bytesMax {
		t.Errorf("%d bytes are kept, want about %d", kept, bytesMax)
	}
	was := volume.n
	fields(t, m, all[99], "subject")
	if fields(t, m, all[0], "subject"); volume.n != was+1 {
		t.Errorf("%d bodies were opened, want that of the message asked for longest ago", volume.n-was)
	}
	large := storeHeader(t, m, "Subject: x\r\nX: "+strings.Repeat("y", mailstore.FieldsOfBytesMax)+"\r\n\r\n")
	if text, ok, err := m.Fields(t.Context(), large, []string{"subject"}); text != nil || ok || err != nil {
		t.Errorf("of a large header: %d bytes, ok %t, %v", len(text), ok, err)
	}
}

// TestFieldsOfWhatIsGone asks for a header whose body is not there: what is at hand is told, what is not is an error, and the next is asked anew.
func TestFieldsOfWhatIsGone(t *testing.T) {
	m, _ := headerHost(t)
	c := storeHeader(t, m, "Subject: s\r\nFrom: f\r\n\r\n")
	fields(t, m, c, "subject")
	if err := m.RemoveBlob(t.Context(), c.Volume, c.Blob); err != nil {
		t.Fatal(err)
	}
	if got := fields(t, m, c, "subject"); got != "Subject: s\r\n\r\n" {
		t.Errorf("got %q", got)
	}
	if _, ok, err := m.Fields(t.Context(), c, []string{"from"}); ok || !fault.Is(err, fault.NotFound) {
		t.Errorf("ok %t, %v", ok, err)
	}
}
