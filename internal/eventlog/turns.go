package eventlog

import (
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// turns sends the records of one stream in turns: what is appended while a turn is under way waits until all of it is answered, and
// goes together. The longer brokers take, the more records share a request, and the cost of it on every broker and reader.
//
// Sending requests ahead would only make them smaller: a broker looks at a connection's next request when the last one is answered, that is,
// when the other brokers have what it brought.
type turns struct {
	send func(record *kgo.Record, done func(error)) // calls done once, at once or later

	mu      sync.Mutex
	under   int   // records of the turn that are not answered
	failed  error // the first failure of the turn
	waiting []appended
}

// appended is a record, and who is told what became of it.
type appended struct {
	record *kgo.Record
	done   func(err error)
}

// add begins a turn with a record, or lets the record wait for the next.
func (t *turns) add(a appended) {
	t.mu.Lock()
	if t.under > 0 {
		t.waiting = append(t.waiting, a)
		t.mu.Unlock()
		return
	}
	t.under = 1
	t.mu.Unlock()
	t.begin([]appended{a})
}

func (t *turns) begin(turn []appended) {
	for _, a := range turn {
		t.send(a.record, func(err error) {
			a.done(err)
			t.answered(err)
		})
	}
}

// answered notes an answer. The last one of a turn begins the next; if one failed, those that wait fail, too, for they might come to
// stand before what was appended earlier.
func (t *turns) answered(err error) {
	t.mu.Lock()
	if t.failed == nil {
		t.failed = err
	}
	if t.under--; t.under > 0 {
		t.mu.Unlock()
		return
	}
	next, failed := t.waiting, t.failed
	t.waiting, t.failed = nil, nil
	if failed == nil {
		t.under = len(next)
	}
	t.mu.Unlock()
	if failed == nil {
		t.begin(next)
		return
	}
	for _, a := range next {
		a.done(&behindError{failed})
	}
}

// behindError is of a record that was not sent, because of the one before it.
type behindError struct{ first error }

func (e *behindError) Error() string { return "an append before it failed: " + e.first.Error() }
func (e *behindError) Unwrap() error { return e.first }

// room bounds what waits for brokers, in all streams.
type room struct{ records, bytes atomic.Int64 }

// take reports whether there was room for a record.
func (r *room) take(bytes int) bool {
	if records, held := r.records.Add(1), r.bytes.Add(int64(bytes)); records <= bufferedRecordsMax && held <= bufferedBytesMax {
		return true
	}
	r.give(bytes)
	return false
}

func (r *room) give(bytes int) {
	r.records.Add(-1)
	r.bytes.Add(-int64(bytes))
}
