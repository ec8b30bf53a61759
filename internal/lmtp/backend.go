package lmtp

import (
	"context"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
)

// Backend is what the server needs of the mailstore. It is used by many sessions at once. Errors carry a fault kind;
// replies.go turns kinds into replies.
type Backend interface {
	// Recipient says which account takes mail for an address. NotFound and Closed are told to the MTA as final, so they
	// are given only by those who know; whatever cannot be found out is DirectoryUnavailable. relayed says that another
	// mailstore sent the mail here: an account whose home is elsewhere is then NotHome.
	Recipient(ctx context.Context, address string, relayed bool) (Recipient, error)
	// Deliver stores the mail for each of its recipients and gives their outcomes, in their order. It returns after all
	// is decided; no error means that the mail survives the loss of this mailstore. ctx ends when the client has ended its
	// connection: it was told nothing, and sends the mail again, if it has not done so yet. What has not begun by then is not begun.
	Deliver(ctx context.Context, m *Mail) []Outcome
	// Answered says that the client is known to have been told of these deliveries. relayed: another mailstore says so,
	// and it is passed on no further.
	Answered(receipts []Receipt, relayed bool)
}

// Recipient is an accepted recipient.
type Recipient struct {
	Address string // as the client gave it
	Account account.ID
	Name    string // of the account: what the delivery key is made with
}

// Mail is one transaction: an envelope and a message.
type Mail struct {
	ID         string // as in the Received field
	Sender     string // reverse path without brackets; empty: the null sender
	Recipients []Recipient
	Body       *Body
	Client     Client
	Relayed    bool // by another mailstore: it is never relayed again
	Received   time.Time
}

// Client is who sent a mail, for its Received field. Of a relayed mail it is the client of the mailstore that relayed.
type Client struct {
	HELO     string
	Addr     string // host:port
	TLS      bool
	UTF8     bool   // the transaction asked for SMTPUTF8
	Frontend string // FQDN of the mailstore that relayed, or empty
}

// Outcome is what became of a mail for one recipient.
type Outcome struct {
	Err     error
	Receipt Receipt // where Err is nil
}

// Receipt names a delivery. The sequence tells two deliveries of the same bytes apart.
type Receipt struct {
	Account  account.ID
	Key      mailbox.DeliveryKey
	Sequence mailbox.Sequence
}
