package mailstore

import "context"

// Enter runs a step of the account's life in its turn.
func (a *Account) Enter(ctx context.Context, fn func(context.Context) error) error {
	return a.enter(ctx, fn)
}

// Queued is how many requests wait on the account.
func (a *Account) Queued() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.queue)
}

// OpenTransactions counts the copies that are known to have read the first parts of a transaction only.
func (m *Mailstore) OpenTransactions() int {
	m.open.mu.Lock()
	defer m.open.mu.Unlock()
	return len(m.open.first)
}

// SetHeadersBound has less kept of headers.
func (m *Mailstore) SetHeadersBound(bytes int64) { m.headers = newHeaders(bytes) }

// HeadersBytes is how much is kept of headers.
func (m *Mailstore) HeadersBytes() int64 {
	m.headers.mu.Lock()
	defer m.headers.mu.Unlock()
	return m.headers.bytes
}

// Names of fields that are kept.
const (
	FieldsOfBytesMax = fieldsOfBytesMax
	FieldNamesMax    = fieldNamesMax
)
