package mailstore_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
)

// fakeLog is an event log in memory that can lose, delay, double and reorder what is appended.
type fakeLog struct {
	mu      sync.Mutex
	random  *rand.Rand
	faults  int // of a hundred appends, how many do not go as they should
	away    bool
	refuse  int  // values of so many bytes and more are refused for their size; 0: none
	secret  bool // what is refused has been written all the same: an earlier attempt got through
	streams map[int32][]eventlog.Entry
	more    chan struct{} // closed and replaced when something lands
	under   sync.WaitGroup
}

func newLog(t *testing.T, seed uint64, faults int) *fakeLog {
	l := &fakeLog{
		random: rand.New(rand.NewPCG(seed, 1)), faults: faults, streams: map[int32][]eventlog.Entry{}, more: make(chan struct{}),
	}
	t.Cleanup(l.under.Wait)
	return l
}

func (l *fakeLog) setAway(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

func (l *fakeLog) setLimit(bytes int, secret bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse, l.secret = bytes, secret
}

func (l *fakeLog) land(stream int32, key, value []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := l.streams[stream]
	l.streams[stream] = append(entries, eventlog.Entry{Stream: stream, Offset: int64(len(entries)), Key: key, Value: value})
	close(l.more)
	l.more = make(chan struct{})
}

func (l *fakeLog) end(stream int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.streams[stream]))
}

// from gives the entries from an offset on, and a channel that is closed when there are more.
func (l *fakeLog) from(stream int32, offset int64) ([]eventlog.Entry, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams[stream][offset:], l.more
}

func (l *fakeLog) draw(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.random.IntN(n)
}

var errDoubt = errors.New("no answer in time")

func (l *fakeLog) append(stream int32, key, value []byte, done func(error)) {
	l.mu.Lock()
	refused, secret := l.refuse > 0 && len(value) >= l.refuse, l.secret
	away, faulty, fate := l.away, l.random.IntN(100) < l.faults, l.random.IntN(5)
	soon, late := time.Duration(l.random.IntN(5))*time.Millisecond, time.Duration(l.random.IntN(15_000))*time.Millisecond
	l.mu.Unlock()
	l.under.Go(func() {
		time.Sleep(soon)
		if refused && secret {
			l.land(stream, key, value)
		}
		switch {
		case refused:
			done(fault.New(fault.TooLarge, "a record of %d bytes is over the brokers' limit", len(value)).WithHint("raise it"))
		case away || faulty && fate == 0: // lost
			done(errDoubt)
		case faulty && fate == 1: // late, after records that were appended later
			done(errDoubt)
			time.Sleep(late)
			l.land(stream, key, value)
		case faulty && fate == 2: // written, and the answer is lost
			l.land(stream, key, value)
			done(errDoubt)
		case faulty && fate == 3: // doubled
			l.land(stream, key, value)
			done(nil)
			time.Sleep(late)
			l.land(stream, key, value)
		case faulty: // slow
			time.Sleep(late)
			l.land(stream, key, value)
			done(nil)
		default:
			l.land(stream, key, value)
			done(nil)
		}
	})
}
