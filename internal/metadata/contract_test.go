package metadata_test

import (
	"testing"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailbox/mailboxtest"
	"mailreplica/internal/metadata"
)

// engine is one mailbox of a database as the contract suite sees it. Every question is a View of its own, every write an
// Update.
type engine struct {
	t     testing.TB
	store *metadata.Store
	place place
	id    int64
}

func TestContract(t *testing.T) {
	for _, e := range engines {
		mailboxtest.Run(t, e.name, func(t testing.TB) mailboxtest.Store {
			e := &engine{t: t, place: e.place(t)}
			e.store = e.place.open(t)
			create(t, e.store) // the mailbox under test is not alone
			e.id, _ = create(t, e.store)
			return e
		})
	}
}

func (e *engine) Reopen(t testing.TB) mailboxtest.Store {
	if err := e.store.Close(); err != nil {
		t.Fatal(err)
	}
	return &engine{t: t, place: e.place, store: e.place.open(t), id: e.id}
}

func (e *engine) Write(d mailbox.Delta) error {
	return e.store.Update(e.t.Context(), metadata.Lazy, func(tx *metadata.Tx) error { return tx.Write(e.id, d) })
}

func (e *engine) read(fn func(mailbox.Scanner) error) error {
	return e.store.View(e.t.Context(), func(v *metadata.View) error { return fn(v.Rows(e.id)) })
}

func (e *engine) Header() (h mailbox.Header, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { h, err = r.Header(); return })
	return h, err
}

func (e *engine) Folder(id mailbox.ItemID) (f mailbox.Folder, ok bool, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { f, ok, err = r.Folder(id); return })
	return f, ok, err
}

func (e *engine) FolderByName(name string) (f mailbox.Folder, ok bool, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { f, ok, err = r.FolderByName(name); return })
	return f, ok, err
}

func (e *engine) Folders() (all []mailbox.Folder, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { all, err = r.Folders(); return })
	return all, err
}

func (e *engine) Message(folder mailbox.ItemID, uid mailbox.UID) (m mailbox.Message, ok bool, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { m, ok, err = r.Message(folder, uid); return })
	return m, ok, err
}

func (e *engine) Messages(folder mailbox.ItemID, from, to mailbox.UID, yield func(mailbox.Message) bool) error {
	return e.read(func(r mailbox.Scanner) error { return r.Messages(folder, from, to, yield) })
}

func (e *engine) ChangedSince(folder mailbox.ItemID, since mailbox.Sequence, yield func(mailbox.Message) bool) error {
	return e.read(func(r mailbox.Scanner) error { return r.ChangedSince(folder, since, yield) })
}

func (e *engine) Content(id mailbox.ItemID) (c mailbox.Content, ok bool, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { c, ok, err = r.Content(id); return })
	return c, ok, err
}

func (e *engine) References(content mailbox.ItemID) (n int, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { n, err = r.References(content); return })
	return n, err
}

func (e *engine) ReferencesIn(from, to mailbox.ItemID, yield func(mailbox.ItemID, int) bool) error {
	return e.read(func(r mailbox.Scanner) error { return r.ReferencesIn(from, to, yield) })
}

func (e *engine) CountFolders() (n int, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { n, err = r.CountFolders(); return })
	return n, err
}

func (e *engine) Tombstones(folder mailbox.ItemID, since mailbox.Sequence, yield func(mailbox.Tombstone) bool) error {
	return e.read(func(r mailbox.Scanner) error { return r.Tombstones(folder, since, yield) })
}

func (e *engine) Subscriptions() (names []string, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { names, err = r.Subscriptions(); return })
	return names, err
}

func (e *engine) Delivery(key mailbox.DeliveryKey) (d mailbox.Delivery, ok bool, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { d, ok, err = r.Delivery(key); return })
	return d, ok, err
}

func (e *engine) OldestDeliveries(limit int) (all []mailbox.Delivery, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { all, err = r.OldestDeliveries(limit); return })
	return all, err
}

func (e *engine) CountDeliveries() (n int, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { n, err = r.CountDeliveries(); return })
	return n, err
}

func (e *engine) Contents(from, to mailbox.ItemID, yield func(mailbox.Content) bool) error {
	return e.read(func(r mailbox.Scanner) error { return r.Contents(from, to, yield) })
}

func (e *engine) ScanContents(after mailbox.ItemID, yield func(mailbox.Content) bool) error {
	return e.read(func(r mailbox.Scanner) error { return r.ScanContents(after, yield) })
}

func (e *engine) ScanMessages(after mailbox.MessageKey, yield func(mailbox.Message) bool) error {
	return e.read(func(r mailbox.Scanner) error { return r.ScanMessages(after, yield) })
}

func (e *engine) ScanTombstones(after mailbox.MessageKey, yield func(mailbox.Tombstone) bool) error {
	return e.read(func(r mailbox.Scanner) error { return r.ScanTombstones(after, yield) })
}

func (e *engine) ScanDeliveries(after mailbox.DeliveryKey, yield func(mailbox.Delivery) bool) error {
	return e.read(func(r mailbox.Scanner) error { return r.ScanDeliveries(after, yield) })
}

func (e *engine) Discarded(content mailbox.ItemID) (d mailbox.Discarded, ok bool, err error) {
	err = e.read(func(r mailbox.Scanner) (err error) { d, ok, err = r.Discarded(content); return })
	return d, ok, err
}

func (e *engine) ScanDiscarded(after mailbox.ItemID, yield func(mailbox.Discarded) bool) error {
	return e.read(func(r mailbox.Scanner) error { return r.ScanDiscarded(after, yield) })
}
