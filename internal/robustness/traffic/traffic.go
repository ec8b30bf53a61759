// Package traffic uses a cluster as mail servers and clients do, over LMTP and IMAP alone, and keeps a record of what it asked and
// was answered. Everything that it decides comes from a seed; what the cluster makes of it does not.
//
// It knows addresses and protocols, and nothing of the programs behind them.
package traffic

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/pause"
	"mailreplica/internal/robustness/model"
)

const (
	dialWait     = 2 * time.Second
	patience     = 5 * time.Second        // with a process that stands still: people do not wait for it
	operationMax = 45 * time.Second       // longer than any of the product's waits; whoever waits longer gives up
	againEvery   = 100 * time.Millisecond // after what did not succeed
	finishMax    = 2 * time.Minute        // for a mail to be accepted when all is whole
)

// Account is one that is worked on.
type Account struct {
	Name, Password string
	ID             account.ID
}

// Options say what works on what.
type Options struct {
	Seed     uint64
	Accounts []Account
	LMTP     []string // of all mailstores; any takes mail for any account
	IMAP     []string
	Senders  int           // mail servers, for each account
	Sessions int           // clients, for each account
	Pace     time.Duration // between two operations of one of them
	MostRows int           // beyond which clients expunge rather than copy
}

// Traffic is some mail servers and clients at work.
type Traffic struct {
	Record *model.Record

	options Options
	still   atomic.Int64 // more than 0: a process stands still, so that no answer need come
	mails   atomic.Int64
	names   atomic.Int64
	held    sync.RWMutex // whoever works holds it for reading
	stop    context.CancelFunc
	working sync.WaitGroup
}

// Start starts to work. Stop ends it.
func Start(o Options) *Traffic {
	ctx, cancel := context.WithCancel(context.Background())
	t := &Traffic{Record: new(model.Record), options: o, stop: cancel}
	for _, a := range o.Accounts {
		for i := range o.Senders {
			s := &sender{traffic: t, account: a, number: i, random: o.of(a.Name, "sender", i)}
			t.working.Go(func() { s.run(ctx) })
		}
		for i := range o.Sessions {
			c := &client{traffic: t, account: a, number: o.Senders + i, random: o.of(a.Name, "client", i)}
			t.working.Go(func() { c.run(ctx) })
		}
	}
	return t
}

// of is a source of random numbers of its own for one of those who work.
func (o Options) of(parts ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, parts...)
	return rand.New(rand.NewPCG(o.Seed, h.Sum64()))
}

// Still says that a process stands still, or that none does any longer.
func (t *Traffic) Still(still bool) {
	if still {
		t.still.Add(1)
	} else {
		t.still.Store(0)
	}
}

// Hold has everybody finish what they do and wait, until the function that it gives is called.
func (t *Traffic) Hold() (release func()) {
	t.held.Lock()
	return t.held.Unlock
}

// Stop ends the work. Mail that was not accepted is not waited for.
func (t *Traffic) Stop() {
	t.stop()
	t.working.Wait()
}

// pause waits between two operations, and reports whether to go on.
func (t *Traffic) pause(ctx context.Context, random *rand.Rand) bool {
	return pause.For(ctx, time.Duration(random.ExpFloat64()*float64(t.options.Pace))) == nil
}

// long notes an operation that took longer than it may, but for what a process that stands still explains.
func (t *Traffic) long(excused bool, begun time.Time, what string) {
	if took := time.Since(begun); took >= operationMax-time.Second && !excused && t.still.Load() == 0 {
		t.Record.Problem("%s: no answer within %s", what, took)
	}
}

// hurry breaks a connection off if something takes longer than it may, until it is stopped.
func (t *Traffic) hurry(conn net.Conn) (stop func()) {
	if t == nil {
		timer := time.AfterFunc(operationMax, func() { _ = conn.Close() })
		return func() { timer.Stop() }
	}
	ended := make(chan struct{})
	go func() {
		look := time.NewTicker(patience / 5)
		defer look.Stop()
		for begun := time.Now(); ; {
			select {
			case <-ended:
				return
			case <-look.C:
			}
			if took := time.Since(begun); took > operationMax || took > patience && t.still.Load() > 0 {
				_ = conn.Close()
				return
			}
		}
	}()
	return func() { close(ended) }
}

func one(random *rand.Rand, of []string) string { return of[random.IntN(len(of))] }
