package mailstore

import (
	"context"
	"encoding/binary"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

// An entry of the journal is the records of one transaction as they will be appended, each behind its length: a transaction
// above the size limit has several (rule 10).
func encodeJournal(records []event.Record) []byte {
	var b []byte
	for i := range records {
		encoded := records[i].Encode()
		b = append(binary.AppendUvarint(b, uint64(len(encoded))), encoded...)
	}
	return b
}

func decodeJournal(b []byte) ([]event.Record, error) {
	var records []event.Record
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, fault.New(fault.DatabaseUnavailable, "an entry of a journal is damaged")
		}
		record, err := event.Decode(b[n : n+int(size)])
		if err != nil {
			return nil, fault.Wrap(fault.DatabaseUnavailable, err, "an entry of a journal is damaged")
		}
		records = append(records, record)
		b = b[n+int(size):]
	}
	if len(records) == 0 {
		return nil, fault.New(fault.DatabaseUnavailable, "an entry of a journal is empty")
	}
	return records, nil
}

// Journalled is a transaction that was committed here while replication was paused.
type Journalled struct {
	Sequence mailbox.Sequence
	ID       event.ID
	Encoded  []byte // the records, each behind its length as a uvarint
	Change   mailbox.Change
	Damaged  error // why Change could not be read
}

// Journal yields a copy's journal, oldest first.
func (a *Account) Journal(ctx context.Context, yield func(Journalled) bool) error {
	return a.m.store.View(ctx, func(v *metadata.View) error {
		return v.Journal(a.mailboxID, func(e metadata.JournalEntry) bool {
			j := Journalled{Sequence: e.Sequence, ID: e.ID, Encoded: e.Record}
			records, err := decodeJournal(e.Record)
			if err == nil {
				var payload []byte
				for _, r := range records {
					payload = append(payload, r.Payload...)
				}
				j.Change, err = event.DecodeChange(payload)
			}
			j.Damaged = err
			return yield(j)
		})
	})
}
