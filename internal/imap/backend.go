package imap

import (
	"context"
	"io"
	"net"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
)

// Backend is what the server needs of the mailstore. It is used by many sessions at once. Errors carry a fault kind;
// replies.go turns kinds into IMAP's words.
type Backend interface {
	// Login checks credentials (slowing down failures per remote address) and says where the account lives.
	Login(ctx context.Context, user, password string, remote net.Addr) (Login, error)
	// Open gives the mailbox of an account whose home is here.
	Open(ctx context.Context, id account.ID) (Mailbox, error)
}

// Login is an account that proved who it is.
type Login struct {
	Account account.ID
	Name    string
	Local   bool // its home is here
	// Proxy gives an authenticated connection to the home; it is set when the account is not Local. Afterwards the
	// session is a byte pipe. A connection with a method Capability() string, as ProxyLogin returns, has its
	// capabilities passed on to the client.
	Proxy func(ctx context.Context) (net.Conn, error)
}

// Mailbox is one account's mailbox. It is used by all sessions of the account at once.
type Mailbox interface {
	// View gives fn one consistent snapshot. fn must not keep the reader.
	View(ctx context.Context, fn func(mailbox.Reader) error) error
	// Glance is View for a few questions about what happened lately, which may be answered from memory. What fn is given is at
	// sequence since or later, and holds every change that was acknowledged before. fn may be run again, from its beginning.
	Glance(ctx context.Context, since mailbox.Sequence, fn func(mailbox.Reader) error) error
	// Update runs one transaction and returns after it is decided. fn may be called more than once, when the transaction
	// has to be computed anew: it resets its own results at its start.
	Update(ctx context.Context, fn func(*mailbox.Draft) error) error
	// MaySelect says why no folder may be selected now, nil if one may: the event log has been silent for so long that the
	// account may live elsewhere by now. Folders that are selected already can be read on.
	MaySelect() error
	// Watch wakes when anything in the mailbox changed, or when sessions must end.
	Watch() Watch
	// OpenBody opens the message that a content names.
	OpenBody(ctx context.Context, c mailbox.Content) (Body, error)
	// Fields gives those fields of a message's own header that have one of the names, which are in lower case, and perhaps others: whole,
	// as they stand there and in their order, with the blank line at the end if the header has one. What it gives is not to be
	// altered. It gives nothing, and is not ok, where the header is large: whoever wants some of that reads the body.
	Fields(ctx context.Context, c mailbox.Content, names []string) (text []byte, ok bool, err error)
	// StoreBody makes a message durable and parses its summary, before anything names it.
	StoreBody(ctx context.Context, r io.Reader) (mailbox.NewMessage, error)
	// DropBodies removes messages that were stored and that no change names, unless cause, an error of Update, leaves it open
	// whether the change comes to be. It cannot fail: what stays is found later.
	DropBodies(ctx context.Context, bodies []mailbox.NewMessage, cause error)
	// Recent gives the first UID of a folder that no session has claimed as \Recent, and claims all if claim is set.
	Recent(ctx context.Context, folder mailbox.ItemID, claim bool) (firstRecent mailbox.UID, err error)
}

// Watch is one session's interest in a mailbox.
type Watch interface {
	Changed() <-chan struct{} // coalesced
	Ended() <-chan struct{}   // closed when the session must end
	Reason() error            // why it must end; its kind decides the text of BYE
	// OnWake has fn called whenever Changed gets a value or Ended is closed, and at once if that has happened already. fn
	// neither waits nor calls the mailbox.
	OnWake(fn func())
	Close()
}

// Body is the bytes of a message.
type Body interface {
	io.ReaderAt
	Size() int64
	Close() error
}
