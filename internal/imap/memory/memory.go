// Package memory owns a backend of the IMAP server that keeps everything in memory, for tests. It knows no engine, and
// behaves as imap.Backend says: snapshots are consistent, a change is seen by others before the one who made it is told.
package memory

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailbox/index"
	"mailreplica/internal/message"
)

// Backend holds accounts and their mailboxes.
type Backend struct {
	mu        sync.Mutex
	passwords map[string]string
	logins    map[string]imap.Login
	mailboxes map[account.ID]*Mailbox
	refuse    error
}

// New makes a backend without accounts.
func New() *Backend {
	return &Backend{passwords: map[string]string{}, logins: map[string]imap.Login{}, mailboxes: map[account.ID]*Mailbox{}}
}

// AddAccount makes an account with its first folders.
func (b *Backend) AddAccount(name, password string) *Mailbox {
	m := newMailbox()
	b.AddLogin(password, imap.Login{Account: account.NewID(), Name: name, Local: true})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mailboxes[b.logins[name].Account] = m
	return m
}

// AddLogin makes an account without a mailbox here.
func (b *Backend) AddLogin(password string, login imap.Login) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passwords[login.Name], b.logins[login.Name] = password, login
}

// RefuseLogins makes every login fail with an error; nil ends that.
func (b *Backend) RefuseLogins(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = err
}

// Login implements imap.Backend.
func (b *Backend) Login(_ context.Context, user, password string, _ net.Addr) (imap.Login, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return imap.Login{}, b.refuse
	}
	if want, known := b.passwords[user]; !known || want != password {
		return imap.Login{}, fault.New(fault.Credentials, "wrong user name or password")
	}
	return b.logins[user], nil
}

// Account gives an account's login without a password, as the home of a proxied session does.
func (b *Backend) Account(name string) (imap.Login, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	login, known := b.logins[name]
	if !known {
		return login, fault.New(fault.NotHome, "%s is not here", name)
	}
	return login, nil
}

// Open implements imap.Backend.
func (b *Backend) Open(_ context.Context, id account.ID) (imap.Mailbox, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mailboxes[id]
	if m == nil {
		return nil, fault.New(fault.NotHome, "the account is not here")
	}
	return m, nil
}

// Faults are what a mailbox is made to suffer.
type Faults struct {
	View, Update, OpenBody, StoreBody, ReadBody, MaySelect error
	Twice                                                  bool // every transaction is computed twice
}

// Mailbox is one account's mailbox.
type Mailbox struct {
	mu      sync.RWMutex // held over snapshots and transactions
	rows    *mailbox.Memory
	index   *index.Cache // over rows, as a mailstore has one over its database
	blobs   map[string][]byte
	claimed map[mailbox.ItemID]mailbox.UID
	faults  Faults
	watches map[*watch]struct{}
}

func newMailbox() *Mailbox {
	m := &Mailbox{
		rows: mailbox.NewMemory(), index: index.New(index.Config{BytesMax: keptBytesMax, ContentsBytesMax: keptBytesMax, PastBytesMax: keptBytesMax, MessagesMin: 1}),
		blobs: map[string][]byte{}, claimed: map[mailbox.ItemID]mailbox.UID{},
		watches: map[*watch]struct{}{},
	}
	if err := m.Update(context.Background(), func(d *mailbox.Draft) error { return d.InitialFolders() }); err != nil {
		panic(err) // an empty mailbox in memory cannot refuse its first folders
	}
	return m
}

// Fail makes the mailbox suffer faults; the zero value ends that.
func (m *Mailbox) Fail(f Faults) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = f
}

// View implements imap.Mailbox.
func (m *Mailbox) View(_ context.Context, fn func(mailbox.Reader) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.faults.View != nil {
		return m.faults.View
	}
	return fn(m.reader())
}

// Glance implements imap.Mailbox.
func (m *Mailbox) Glance(ctx context.Context, _ mailbox.Sequence, fn func(mailbox.Reader) error) error {
	return m.View(ctx, fn)
}

// keptBytesMax bounds what the index keeps of folders, and of contents.
const keptBytesMax = 1 << 20

// reader reads one snapshot, while mu is held.
func (m *Mailbox) reader() mailbox.Reader { return m.index.Over(0, m.rows) }

// Update implements imap.Mailbox.
func (m *Mailbox) Update(_ context.Context, fn func(*mailbox.Draft) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.faults.Update != nil {
		return m.faults.Update
	}
	if m.faults.Twice {
		d, err := mailbox.NewDraft(m.reader(), time.Now())
		if err != nil {
			return err
		}
		if err := fn(d); err != nil {
			return err
		}
	}
	d, err := mailbox.NewDraft(m.reader(), time.Now())
	if err != nil {
		return err
	}
	if err := fn(d); err != nil || d.Empty() {
		return err
	}
	if _, err := d.Change(); err != nil {
		return err
	}
	delta := d.Delta()
	if err := m.rows.Write(delta); err != nil {
		return err
	}
	m.index.Changed(0, &delta)
	for w := range m.watches {
		w.wake()
	}
	return nil
}

// OpenBody implements imap.Mailbox.
func (m *Mailbox) OpenBody(_ context.Context, c mailbox.Content) (imap.Body, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	blob, known := m.blobs[c.Blob]
	switch {
	case m.faults.OpenBody != nil:
		return nil, m.faults.OpenBody
	case !known:
		return nil, fault.New(fault.NotFound, "there is no such blob")
	}
	return body{bytes.NewReader(blob), m.faults.ReadBody}, nil
}

type body struct {
	*bytes.Reader
	fail error
}

func (body) Close() error { return nil }

func (b body) ReadAt(p []byte, off int64) (int, error) {
	if b.fail != nil {
		half := b.Size() / 2
		if off >= half {
			return 0, b.fail
		}
		n, _ := b.Reader.ReadAt(p[:min(int64(len(p)), half-off)], off)
		return n, b.fail
	}
	return b.Reader.ReadAt(p, off)
}

// Fields implements imap.Mailbox.
func (m *Mailbox) Fields(ctx context.Context, c mailbox.Content, names []string) ([]byte, bool, error) {
	summary, err := message.Decode(c.Summary)
	if err != nil || summary.Root.HeaderSize > fieldsOfBytesMax {
		return nil, false, err
	}
	b, err := m.OpenBody(ctx, c)
	if err != nil {
		return nil, false, err
	}
	header := make([]byte, summary.Root.HeaderSize)
	if _, err := b.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	return message.HeaderFields(header, names, false), true, nil
}

// fieldsOfBytesMax bounds a header of which some fields are given.
const fieldsOfBytesMax = 4 << 10

// StoreBody implements imap.Mailbox.
func (m *Mailbox) StoreBody(_ context.Context, r io.Reader) (mailbox.NewMessage, error) {
	m.mu.RLock()
	failure := m.faults.StoreBody
	m.mu.RUnlock()
	if failure != nil {
		return mailbox.NewMessage{}, failure
	}
	blob, err := io.ReadAll(r)
	if err != nil {
		return mailbox.NewMessage{}, err
	}
	summary, err := message.Parse(bytes.NewReader(blob))
	if err != nil {
		return mailbox.NewMessage{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := account.NewID().String()
	m.blobs[name] = blob
	return mailbox.NewMessage{Volume: "memory", Blob: name, Summary: summary.Encode(), Size: uint64(len(blob))}, nil
}

// DropBodies implements imap.Mailbox. No change is ever in doubt here.
func (m *Mailbox) DropBodies(_ context.Context, bodies []mailbox.NewMessage, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range bodies {
		delete(m.blobs, b.Blob)
	}
}

// Blobs is how many messages are stored, named or not.
func (m *Mailbox) Blobs() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.blobs)
}

// MaySelect implements imap.Mailbox.
func (m *Mailbox) MaySelect() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.faults.MaySelect
}

// Recent implements imap.Mailbox.
func (m *Mailbox) Recent(_ context.Context, folder mailbox.ItemID, claim bool) (mailbox.UID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := max(m.claimed[folder], 1)
	f, found, err := m.rows.Folder(folder)
	if err == nil && found && claim {
		m.claimed[folder] = f.UIDNext
	}
	return first, err
}

// End ends all sessions of the mailbox.
func (m *Mailbox) End(reason error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.watches {
		w.reason = reason
		close(w.ended)
		delete(m.watches, w)
		if w.notify != nil {
			w.notify()
		}
	}
}

// Watch implements imap.Mailbox.
func (m *Mailbox) Watch() imap.Watch {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &watch{mailbox: m, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	m.watches[w] = struct{}{}
	return w
}

type watch struct {
	mailbox        *Mailbox
	changed, ended chan struct{}
	reason         error  // set before ended is closed
	notify         func() // of OnWake
}

func (w *watch) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
	if w.notify != nil {
		w.notify()
	}
}

func (w *watch) OnWake(fn func()) {
	w.mailbox.mu.Lock()
	defer w.mailbox.mu.Unlock()
	w.notify = fn
	select {
	case <-w.ended:
		fn()
	default:
		if len(w.changed) > 0 {
			fn()
		}
	}
}

func (w *watch) Changed() <-chan struct{} { return w.changed }
func (w *watch) Ended() <-chan struct{}   { return w.ended }
func (w *watch) Reason() error            { return w.reason }

func (w *watch) Close() {
	w.mailbox.mu.Lock()
	defer w.mailbox.mu.Unlock()
	delete(w.mailbox.watches, w)
}
