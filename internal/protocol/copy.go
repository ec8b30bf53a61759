// Package protocol owns the rules by which every reader of the event log judges its records (design section 4, rules 1 to
// 12). It knows neither Kafka nor SQL: it is given a copy's state and a record, and says what becomes of both. Every other
// part asks it whether a copy may serve, fence or give a snapshot, and lets it make the records that it appends.
package protocol

import (
	"maps"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
)

// Mode says who commits an account's transactions (rule 6). It changes only by records read from the log, except for
// Opening and Resuming, which the home writes and fsyncs before it appends its Open or its Resume. Databases hold the
// numbers: they never change.
type Mode uint8

// The modes.
const (
	Local    Mode = iota // this mailstore's database, fsynced
	Opening              // nobody: an Open is under way
	Log                  // the event log
	Paused               // the primary's journal, fsynced
	Resuming             // nobody: a Resume is under way. Only the primary's copy; to all others the account is Paused
)

func (m Mode) String() string {
	names := [...]string{"local", "opening", "log", "paused", "resuming"}
	if int(m) >= len(names) {
		return "unknown"
	}
	return names[m]
}

// Condition says what a copy is good for (rule 2).
type Condition uint8

// The conditions. Only a Complete copy serves, fences or gives snapshots.
const (
	Initialising Condition = iota // no rows that may be used
	CatchingUp                    // loaded from a snapshot; reads on towards the live reader
	Complete
	Gap      // has missed records
	Diverged // computed another digest, or was deposed with a journal
)

func (c Condition) String() string {
	names := [...]string{"initialising", "catching up", "complete", "gap", "diverged"}
	if int(c) >= len(names) {
		return "unknown"
	}
	return names[c]
}

// Stream says where an account's records lie (rule 12).
type Stream struct {
	ClusterID   string
	TopicID     [16]byte
	Partition   int32 // -1: none yet
	LeaderEpoch int32 // of the last record accepted
}

// Copy is what a reader keeps of one copy of one account. Everything exported is durable, in the row of the mailbox.
type Copy struct {
	Account   account.ID
	Self      string // FQDN of the mailstore that holds the copy
	Condition Condition
	Mode      Mode
	Epoch     uint64
	Primary   string              // FQDN
	Members   map[string]event.ID // mailstores with their last Join
	Stream    Stream

	// The judged head of the log.
	Sequence   mailbox.Sequence
	HeadID     event.ID
	NextOffset int64 // offsets below are never judged again (rule 5)

	// The head of the database. It is ahead of the judged head only while a journal exists.
	Committed   mailbox.Sequence
	CommittedID event.ID
	Journal     int // journalled transactions that have not been read back

	parts       []event.Record // of the open transaction (rule 10); not durable
	partsOffset int64          // of the first of them
	partsNext   int64          // after the last of them: while they wait, nothing below is judged again
}

// NewLocal is the copy of an account that was just made on self, and has no replica.
func NewLocal(id account.ID, self string) *Copy {
	return &Copy{
		Account: id, Self: self, Condition: Complete, Mode: Local, Epoch: 1, Primary: self,
		Members: map[string]event.ID{}, Stream: Stream{Partition: -1},
	}
}

// Clone is a copy that shares nothing with c.
func (c *Copy) Clone() *Copy {
	d := *c
	d.Members = maps.Clone(c.Members)
	d.parts = append([]event.Record(nil), c.parts...)
	return &d
}

// IsPrimary reports whether this copy is the account's primary, as far as it has read.
func (c *Copy) IsPrimary() bool { return c.Primary == c.Self }

// IsOpen reports whether the log decides for the account.
func (c *Copy) IsOpen() bool { return c.Mode == Log || c.IsPaused() }

// IsPaused reports whether the log has the account paused: there may be transactions that are in the primary's journal
// only.
func (c *Copy) IsPaused() bool { return c.Mode == Paused || c.Mode == Resuming }

// OpenTransaction is the offset of the first part of a transaction whose last part has not been read. A stored position
// never passes it (rule 10).
func (c *Copy) OpenTransaction() (offset int64, ok bool) { return c.partsOffset, len(c.parts) > 0 }

// Advance moves the database's head on by a transaction that this mailstore committed itself, locally or in its journal.
// In local mode the judged head goes along.
func (c *Copy) Advance(sequence mailbox.Sequence, id event.ID) {
	c.Committed, c.CommittedID = sequence, id
	if c.Mode == Local {
		c.Sequence, c.HeadID = sequence, id
		return
	}
	c.Journal++
}
