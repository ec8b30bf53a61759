// Package peer owns the API by which mailstores talk to each other: snapshots, fences, the state of copies, and the nudge
// to look at the directory. It is HTTP with JSON, on an address of its own, for holders of the peer token only. It carries
// requests and answers and decides nothing.
package peer

import (
	"context"
	"io"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
)

// Limits of one request.
const (
	requestBytesMax  = 16 << 20
	responseBytesMax = 256 << 20 // of an answer that is not a snapshot
	AccountsMax      = 10_000    // accounts of one request
)

// CopyStatus is the state of one copy as its mailstore sees it.
type CopyStatus struct {
	Account   account.ID
	MailboxID int64
	Sequence  mailbox.Sequence
	ItemID    mailbox.ItemID // the highest that was given
	Epoch     uint64
	Primary   string
	Condition string
	Mode      string
	Journal   int // journalled changes that wait to be published
	Digest    string
	Messages  uint64
	Bytes     uint64
}

// Status is what a mailstore says of itself and of the copies asked for. Copies it does not hold are left out.
type Status struct {
	Mailstore    string
	LogReachable bool
	Services     []ServiceStatus
	Copies       []CopyStatus
}

// ServiceStatus is one part of a mailstore that an operator can stop and start.
type ServiceStatus struct {
	Name    string
	Running bool
	Detail  string
}

// ContentVolumes are the volumes that the contents of one copy lie on.
type ContentVolumes struct {
	Account account.ID
	Volumes []string
}

// FenceAccount asks for one account to be taken over in the given epoch: the one after that of the copy that was chosen,
// however often the request is repeated (rule 9).
type FenceAccount struct {
	Account account.ID
	Epoch   uint64 // 0: the one after the copy's own
}

// FenceRequest asks a mailstore to become the primary of accounts.
type FenceRequest struct {
	Operation  string
	AcceptLoss bool
	Accounts   []FenceAccount
}

// FenceResult is what became of one account. Error and Kind are empty where the mailstore is its primary now.
type FenceResult struct {
	Account account.ID
	Epoch   uint64 // that was asked for
	Kind    string `json:",omitempty"` // of fault
	Error   string `json:",omitempty"`
	Hint    string `json:",omitempty"`

	// What the mailstore's copy has read, where it failed.
	Primary   string `json:",omitempty"`
	CopyEpoch uint64 `json:",omitempty"`
}

// Service is what a mailstore offers to the others.
type Service interface {
	// Status is the state of the copies of the accounts given.
	Status(ctx context.Context, ids []account.ID) (Status, error)
	// Volumes says on which volumes the contents of the copies of the accounts given lie. Copies that the mailstore does not
	// hold are left out.
	Volumes(ctx context.Context, ids []account.ID) ([]ContentVolumes, error)
	// Settled is the state of the copies of the accounts given, once all that it speaks of is on the mailstore's disk. Copies that
	// the mailstore does not hold are left out.
	Settled(ctx context.Context, ids []account.ID) ([]CopyStatus, error)
	// References yields every blob of a volume that this mailstore's database names, or may come to name, in no order. It fails
	// where that cannot be known: then nothing follows from what was yielded. alive is called now and then.
	References(ctx context.Context, volume string, alive func() error, yield func(Reference) error) error
	// Locate says where messages lie that share contents of an account, one for each content.
	Locate(ctx context.Context, id account.ID, contents []mailbox.ItemID) ([]Location, error)
	// Give appends a Join for the destination and writes a snapshot of the account.
	Give(ctx context.Context, id account.ID, destination string, w io.Writer) error
	// Fence takes accounts over, and tells of each as soon as it is decided.
	Fence(ctx context.Context, request FenceRequest, tell func(FenceResult)) error
	// Reseed makes the mailstore's copy the account's primary by decree; the others are copied anew from it.
	Reseed(ctx context.Context, id account.ID) error
	// Nudge makes the mailstore look at the directory now.
	Nudge(ctx context.Context) error
	// SetService starts or stops a service.
	SetService(ctx context.Context, name string, run bool) error
}

// StatusWait is how long an operator's question waits for a mailstore's answer (design section 8).
const StatusWait = 3 * time.Second
