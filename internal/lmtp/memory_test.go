package lmtp_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/lmtp"
	"mailreplica/internal/mailbox"
)

const here = "mbox1.example.com"

// memory is a backend whose mailboxes are in memory.
type memory struct {
	t    testing.TB
	host string

	mu       sync.Mutex
	accounts map[string]*memoryAccount // by name
	refuse   map[string]error          // of RCPT, by address
	fail     map[string]error          // of delivery, by address
	answered []lmtp.Receipt
	relayed  []lmtp.Receipt // told by another mailstore
	mails    []lmtp.Mail    // delivered, without their bodies
	entered  chan struct{}  // has a value for each delivery that has begun, if there is room
	hold     chan struct{}  // deliveries wait for it to be closed, unless it is nil
}

type memoryAccount struct {
	id    account.ID
	rows  *mailbox.Memory
	blobs map[string][]byte
}

func newMemory(t testing.TB, names ...string) *memory {
	m := &memory{
		t: t, host: here, accounts: map[string]*memoryAccount{}, refuse: map[string]error{}, fail: map[string]error{},
		entered: make(chan struct{}, 100),
	}
	for _, name := range names {
		a := &memoryAccount{id: account.NewID(), rows: mailbox.NewMemory(), blobs: map[string][]byte{}}
		if err := a.update(func(d *mailbox.Draft) error { return d.InitialFolders() }); err != nil {
			t.Fatal(err)
		}
		m.accounts[name] = a
	}
	return m
}

func (a *memoryAccount) update(fn func(*mailbox.Draft) error) error {
	d, err := mailbox.NewDraft(a.rows, time.Now())
	if err != nil {
		return err
	}
	if err := fn(d); err != nil {
		return err
	}
	if d.Empty() {
		return nil
	}
	if _, err := d.Change(); err != nil {
		return err
	}
	return a.rows.Write(d.Delta())
}

func (m *memory) Recipient(_ context.Context, address string, relayed bool) (lmtp.Recipient, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse[address]; err != nil {
		return lmtp.Recipient{}, err
	}
	a := m.accounts[strings.ToLower(address)]
	if a == nil {
		return lmtp.Recipient{}, fault.New(fault.NotFound, "there is no account %s", address)
	}
	return lmtp.Recipient{Account: a.id, Name: strings.ToLower(address)}, nil
}

func (m *memory) Deliver(_ context.Context, mail *lmtp.Mail) []lmtp.Outcome {
	select {
	case m.entered <- struct{}{}:
	default:
	}
	if m.hold != nil {
		<-m.hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	body, err := io.ReadAll(mail.Body.Reader())
	if err != nil || int64(len(body)) != mail.Body.Size() {
		m.t.Errorf("the body has %d bytes, %v, want %d", len(body), err, mail.Body.Size())
	}
	outcomes := make([]lmtp.Outcome, len(mail.Recipients))
	for i, r := range mail.Recipients {
		if err := m.fail[r.Address]; err != nil {
			outcomes[i].Err = err
			continue
		}
		outcomes[i] = m.deliver(mail, r, body)
	}
	kept := *mail
	kept.Body = nil
	m.mails = append(m.mails, kept)
	return outcomes
}

func (m *memory) deliver(mail *lmtp.Mail, r lmtp.Recipient, body []byte) lmtp.Outcome {
	a, receipt := m.accounts[r.Name], lmtp.Receipt{Account: r.Account, Key: mail.Key(r)}
	name := mail.ID + "/" + r.Address
	err := a.update(func(d *mailbox.Draft) error {
		n := mailbox.NewMessage{Volume: "v", Blob: name, Size: uint64(len(body)), Received: mail.Received}
		row, repeated, err := d.Deliver(n, receipt.Key, mailbox.Inbox)
		if err != nil {
			return err
		}
		if receipt.Sequence = row.ModSeq; repeated {
			known, _, err := d.Delivery(receipt.Key)
			receipt.Sequence = known.Sequence
			return err
		}
		a.blobs[name] = append(mail.Trace(m.host, r), body...)
		return nil
	})
	return lmtp.Outcome{Err: err, Receipt: receipt}
}

func (m *memory) Answered(receipts []lmtp.Receipt, relayed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if relayed {
		m.relayed = append(m.relayed, receipts...)
		return
	}
	m.answered = append(m.answered, receipts...)
	for _, r := range receipts {
		for _, a := range m.accounts {
			if a.id != r.Account {
				continue
			}
			if err := a.update(func(d *mailbox.Draft) error { return d.Answered([]mailbox.DeliveryKey{r.Key}) }); err != nil {
				m.t.Error(err)
			}
		}
	}
}

// inbox are the messages of an account, in the order of their UIDs.
func (m *memory) inbox(name string) [][]byte {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.accounts[name]
	inbox, _, err := a.rows.FolderByName(mailbox.Inbox)
	if err != nil {
		m.t.Fatal(err)
	}
	var all [][]byte
	err = a.rows.Messages(inbox.ID, 1, inbox.UIDNext, func(row mailbox.Message) bool {
		content, _, err := a.rows.Content(row.ContentID)
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, a.blobs[content.Blob])
		return true
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

// bodies are the messages of an account without the fields that delivery put in front.
func (m *memory) bodies(name string) [][]byte {
	m.t.Helper()
	all := m.inbox(name)
	for i, message := range all {
		all[i] = message[traceLength(m.t, message):]
	}
	return all
}

// traceLength is the length of Return-Path and Received, the latter of three lines.
func traceLength(t testing.TB, message []byte) int {
	t.Helper()
	n := 0
	for _, prefix := range []string{"Return-Path: <", "Received: from ", "\tby ", "\tfor <"} {
		if !bytes.HasPrefix(message[n:], []byte(prefix)) {
			t.Fatalf("the message begins with %.300q, want a line %q", message, prefix)
		}
		n += bytes.Index(message[n:], []byte("\r\n")) + 2
	}
	return n
}

func (m *memory) countAnswered() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.answered)
}
