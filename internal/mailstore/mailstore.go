// Package mailstore owns the write path of an account: blob, change, log, acknowledgement (design section 4), and what
// sessions see of its state. A change is computed against the copy in the database and then committed by whoever commits
// for the account: this database, its journal, or the event log. Records that come back from the log become rows here,
// and nowhere else.
//
// It knows no protocol of clients and no other mailstore; which streams are read, and how copies are made, is package
// replica's business.
package mailstore

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailbox/index"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// Limits of the write path.
const (
	foldedRequestsMax = 256                    // requests of one transaction
	indexBytesMax     = 256 << 20              // of large folders' messages that are kept in memory, those read last
	contentsBytesMax  = 256 << 20              // of contents that are kept in memory
	pastBytesMax      = 16 << 20               // of what the last transactions did to folders, which is kept in memory
	headersBytesMax   = 64 << 20               // of headers' fields that are kept in memory, those asked for last
	foldedBytesMax    = 4 << 20                // after which no further request is folded in; one request may be larger
	updateWait        = 10 * time.Second       // how long a client waits for the log before a temporary failure
	controlWait       = 60 * time.Second       // the same for a step of the account's own life
	confirmWait       = 5 * time.Second        // how long the brokers are asked before an account is opened
	openingWait       = 5 * time.Second        // how long an account takes no writes for an Open that is not confirmed
	queuedRequestsMax = 4_096                  // requests that wait on one account
	repeatAfter       = 30 * time.Second       // an append that is confirmed, and that no reader has met, is appended again
	repeatPauseMin    = 250 * time.Millisecond // the same, when the producer gave up; it grows with every failure
	repeatPauseMax    = 4 * time.Second
	refusalsMax       = 3           // after so many in a row the brokers do not take a record of that size
	refusableBytesMin = 32 << 10    // no broker has a limit below
	warnEvery         = time.Minute // while an append is in doubt
	journalBurst      = 64          // journalled transactions published before waiting requests get their turn
)

// Streams is what the write path asks of the event log and of its readers.
type Streams interface {
	// Append sends a record to a stream; done is called once, and an error does not mean that it was not written.
	Append(stream int32, key, value []byte, done func(error))
	// Follow makes sure that this mailstore's live reader reads the stream, from its end if it did not read it before.
	Follow(ctx context.Context, stream int32) error
	// CaughtUp reports whether the stream has been read to the end that it had when this process began to follow it.
	CaughtUp(stream int32) bool
}

// holder is the ability of Streams that know which log they use: whether that is the one that a copy's records lie in. A
// copy of another log is neither served nor written to (rule 12).
type holder interface {
	Holds(stream protocol.Stream) bool
}

// confirmer is the ability of Streams that can ask the brokers afresh: whether they answer now, for the log that a copy's records
// are to lie in. A stream that is followed says nothing of that.
type confirmer interface {
	Confirm(ctx context.Context, stream protocol.Stream) error
}

// Observer is told, outside of every lock, that an account's copy changed in a way that somebody may have to act upon:
// its condition, mode, primary or membership, or its end.
type Observer func(id account.ID)

// Mailstore is the set of copies that this mailstore holds.
type Mailstore struct {
	self    string
	store   *metadata.Store
	volumes *blob.Set
	index   *index.Cache
	headers *headers
	streams Streams
	observe Observer
	logger  *slog.Logger

	ctx    context.Context // ends when the mailstore closes
	cancel context.CancelFunc
	riders sync.WaitGroup

	holds   func(protocol.Stream) bool
	confirm func(context.Context, protocol.Stream) error
	open    openTransactions
	bodies  BodyMeasures

	mu       sync.RWMutex
	accounts map[account.ID]*Account
}

// Config is what a Mailstore is made of.
type Config struct {
	Self    string // FQDN
	Store   *metadata.Store
	Volumes *blob.Set
	Logger  *slog.Logger
}

// Open loads the copies that the database holds. Nothing is served before Start.
func Open(ctx context.Context, c Config) (*Mailstore, error) {
	m := &Mailstore{
		self: c.Self, store: c.Store, volumes: c.Volumes, logger: c.Logger, headers: newHeaders(headersBytesMax),
		index:    index.New(index.Config{BytesMax: indexBytesMax, ContentsBytesMax: contentsBytesMax, PastBytesMax: pastBytesMax}),
		accounts: map[account.ID]*Account{}, holds: func(protocol.Stream) bool { return true },
		confirm: func(context.Context, protocol.Stream) error { return nil },
	}
	m.open.first = map[*Account]openTransaction{}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m, c.Store.View(ctx, func(v *metadata.View) error {
		rows, err := v.Mailboxes()
		if err != nil {
			return err
		}
		for _, row := range rows {
			m.accounts[row.Copy.Account] = m.newAccount(row.ID, &row.Copy)
		}
		return nil
	})
}

// Start gives the mailstore its streams and the observer of its copies. It is called once, before anything else.
func (m *Mailstore) Start(s Streams, o Observer) {
	m.streams, m.observe = s, o
	if h, ok := s.(holder); ok {
		m.holds = h.Holds
	}
	if c, ok := s.(confirmer); ok {
		m.confirm = c.Confirm
	}
}

// Close ends every session and waits until nothing is written any more. What is in doubt stays in doubt.
func (m *Mailstore) Close() {
	m.cancel()
	m.EndSessions()
	m.riders.Wait()
}

// Self is this mailstore's FQDN.
func (m *Mailstore) Self() string { return m.self }

// Account is the copy of an account that this mailstore holds, of whatever condition.
func (m *Mailstore) Account(id account.ID) (*Account, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	a, ok := m.accounts[id]
	return a, ok
}

// All are the copies that this mailstore holds, in no order.
func (m *Mailstore) All() []*Account {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make([]*Account, 0, len(m.accounts))
	for _, a := range m.accounts {
		all = append(all, a)
	}
	return all
}

// Create makes the mailbox of a new account, with its initial folders, fsynced. An account that has a copy here keeps it.
func (m *Mailstore) Create(ctx context.Context, id account.ID) (*Account, error) {
	if a, ok := m.Account(id); ok {
		return a, nil
	}
	c := protocol.NewLocal(id, m.self)
	var mailboxID int64
	err := m.store.Update(ctx, metadata.Fsynced, func(tx *metadata.Tx) error {
		if row, ok, err := tx.Mailbox(id); err != nil || ok { // two requests raced: the first made it
			mailboxID, c = row.ID, &row.Copy
			return err
		}
		var err error
		if mailboxID, err = tx.CreateMailbox(c); err != nil {
			return err
		}
		draft, err := mailbox.NewDraft(tx.Rows(mailboxID), time.Now())
		if err != nil {
			return err
		}
		if err := draft.InitialFolders(); err != nil {
			return err
		}
		if _, err := draft.Change(); err != nil {
			return err
		}
		delta := draft.Delta()
		c.Advance(delta.Header.Sequence, newLocalID())
		if err := tx.Write(mailboxID, delta); err != nil {
			return err
		}
		return tx.SaveCopy(mailboxID, c)
	})
	if err != nil {
		return nil, err
	}
	return m.register(mailboxID, c), nil
}

// register adds a copy that has just been stored; of two that race, the first stays.
func (m *Mailstore) register(mailboxID int64, c *protocol.Copy) *Account {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.accounts[c.Account]; ok {
		return a
	}
	a := m.newAccount(mailboxID, c)
	m.accounts[c.Account] = a
	return a
}

// forget drops a copy that has just been removed from the database.
func (m *Mailstore) forget(a *Account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.accounts[a.id] == a {
		delete(m.accounts, a.id)
	}
	m.index.Forget(a.mailboxID)
}

func (m *Mailstore) notify(id account.ID) {
	if m.observe != nil {
		m.observe(id)
	}
}

// EndSessions ends every session with a word, because the mailstore is shutting down.
func (m *Mailstore) EndSessions() {
	for _, a := range m.All() {
		a.endSessions(fault.New(fault.Interrupted, "%s is shutting down", m.self))
	}
}
