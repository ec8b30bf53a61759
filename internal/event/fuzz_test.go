package event_test

import (
	"bytes"
	"reflect"
	"testing"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// Whatever can be decoded is encoded to the same bytes again: there is one encoding of a value. Everything else is Invalid.

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range records() {
		f.Add(r.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := event.Decode(b)
		if err != nil {
			wantInvalid(t, err)
			return
		}
		if got := r.Encode(); !bytes.Equal(got, b) {
			t.Errorf("%+v: got %x, want %x", r, got, b)
		}
	})
}

func FuzzDecodeChange(f *testing.F) {
	for _, effect := range effects() {
		if b, err := event.EncodeChange(mailbox.Change{Effects: []mailbox.Effect{effect}}); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		change, err := event.DecodeChange(b)
		if err != nil {
			wantInvalid(t, err)
			return
		}
		if got, err := event.EncodeChange(change); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%+v: got %x, %v, want %x", change, got, err, b)
		}
	})
}

func FuzzDecodeRow(f *testing.F) {
	for _, row := range rows() {
		if b, err := event.EncodeRow(row); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := event.DecodeRow(b)
		if err != nil {
			wantInvalid(t, err)
			return
		}
		if got, err := event.EncodeRow(row); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%+v: got %x, %v, want %x", row, got, err, b)
		}
		wantShared(t, row, b)
	})
}

// wantShared decodes a row among others, sharing the memory of its encoding.
func wantShared(t *testing.T, want event.Row, b []byte) {
	t.Helper()
	var rows event.Rows
	for range 2 { // what was there before leaves no trace
		rows.Reset()
		if err := rows.Decode(b, string(b)); err != nil || rows.Len() != 1 {
			t.Fatalf("%d rows, %v", rows.Len(), err)
		}
		var got []event.Row
		rows.Each(func(row event.Row) { got = append(got, row) })
		if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func wantInvalid(t *testing.T, err error) {
	t.Helper()
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want an error of kind Invalid", err)
	}
}
