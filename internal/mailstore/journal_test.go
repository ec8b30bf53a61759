package mailstore

import (
	"bytes"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
)

// FuzzDecodeJournal: an entry that can be read is written the same again; any other is damage to the database, and no defect.
func FuzzDecodeJournal(f *testing.F) {
	r := event.Record{Kind: event.Change, Account: account.ID{1}, Epoch: 1, Sequence: 1, ID: event.ID{1}, Writer: "m", Part: 1, Parts: 1, Payload: []byte("x")}
	f.Add(encodeJournal([]event.Record{r}))
	two := event.Split(r, bytes.Repeat([]byte("x"), event.PartBytesMax+1))
	f.Add(encodeJournal(two))
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := decodeJournal(b)
		if err != nil {
			if !fault.Is(err, fault.DatabaseUnavailable) {
				t.Errorf("got %v", err)
			}
			return
		}
		again, err := decodeJournal(encodeJournal(records))
		if err != nil || len(again) != len(records) || len(records) == 0 {
			t.Errorf("%d records are read as %d, %v", len(records), len(again), err)
		}
	})
}
