// Package event owns the records of the event log (design section 4) and their versioned encoding. It judges nothing:
// what a record means to a copy is package protocol's business; and it knows neither Kafka nor SQL.
package event

import (
	"crypto/rand"
	"encoding/hex"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
)

// Kind is what a record says.
type Kind uint8

// The kinds. All but Open and Fence are sequenced: they take the next sequence of the current epoch.
const (
	Open   Kind = iota + 1 // from here on the log decides
	Join                   // a mailstore may begin one attempt at a copy
	Leave                  // a mailstore's copy counts no more
	Change                 // a transaction
	Pause                  // transactions are journalled locally from here
	Resume                 // the journal is in the log up to here
	Fence                  // a mailstore takes over
	Delete                 // the account and all its copies end
)

func (k Kind) String() string {
	names := [...]string{"?", "Open", "Join", "Leave", "Change", "Pause", "Resume", "Fence", "Delete"}
	if int(k) >= len(names) {
		return names[0]
	}
	return names[k]
}

// Sequenced reports whether records of this kind take the next sequence.
func (k Kind) Sequenced() bool { return k != Open && k != Fence }

// ID is the random identity of a record (rule 3). Parts of one transaction share it.
type ID [16]byte

// NewID makes a random ID.
func NewID() ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails since Go 1.24
	return id
}

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Record is one record of one account in its stream.
type Record struct {
	Kind      Kind
	Account   account.ID
	Epoch     uint64           // Open and Fence: the epoch that begins
	Sequence  mailbox.Sequence // sequenced kinds: their own; Open: the one it starts from
	ID        ID
	Previous  ID     // sequenced kinds: the ID of the record that took the sequence before (0 after a snapshot of none)
	Writer    string // FQDN of the mailstore that appended it
	Mailstore string // Open and Fence: the primary; Join and Leave: the member
	Join      ID     // Fence: the ID of the Join that its mailstore's copy began with (its Open, for the opener)
	Operation string // Fence: the promotion's operation (UUID), or empty

	AcceptLoss bool   // Fence: accepted even where the account is paused
	Part       uint32 // Change: this part, from 1
	Parts      uint32 // Change: how many parts the transaction has, from 1
	Payload    []byte // Change: this part's slice of the encoded mailbox.Change
}
