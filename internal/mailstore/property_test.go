package mailstore_test

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// deliver delivers a message of a unique name, which is its blob's, as an MTA would that repeats what was not answered.
func deliver(t *testing.T, a *mailstore.Account, name string, summary int) (mailbox.UID, error) {
	var uid mailbox.UID
	told := make(chan mailbox.UID, 64) // a function that its caller gave up may still run
	err := a.Update(t.Context(), func(d *mailbox.Draft) error {
		m := mailbox.NewMessage{Volume: "v", Blob: name, Size: 10, Summary: make([]byte, summary)}
		message, _, err := d.Deliver(m, sha256.Sum256([]byte(name)), "INBOX")
		told <- message.UID
		return err
	})
	for len(told) > 0 {
		uid = <-told
	}
	return uid, err
}

// ledger is what clients were told.
type ledger struct {
	mu   sync.Mutex
	uids map[string]mailbox.UID // by message; 0 where a repeat was recognised
}

func (l *ledger) note(name string, uid mailbox.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.uids == nil {
		l.uids = map[string]mailbox.UID{}
	}
	l.uids[name] = uid
}

// inbox gives the messages' names by UID, and the header.
func inbox(h *host, id account.ID) (names map[mailbox.UID]string, header mailbox.Header, c protocol.Copy) {
	h.t.Helper()
	names = map[mailbox.UID]string{}
	err := h.m.Snapshot(h.t.Context(), id, func(row metadata.Mailbox, r mailbox.Scanner) error {
		header, c = row.Header, row.Copy
		full, err := mailbox.FullDigest(r)
		if err != nil {
			return err
		}
		if full != row.Header.Digest {
			h.t.Errorf("%s: the rows have digest %s, the header says %s", h.name, full, row.Header.Digest)
		}
		folder, _, err := r.FolderByName("INBOX")
		if err != nil {
			return err
		}
		var contents []mailbox.Message
		err = r.Messages(folder.ID, 1, 1<<32-1, func(m mailbox.Message) bool {
			contents = append(contents, m)
			return true
		})
		for _, m := range contents {
			content, _, err := r.Content(m.ContentID)
			if err != nil {
				return err
			}
			names[m.UID] = content.Blob
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return names, header, c
}

// check compares a copy with what clients were told: every message once, where they saw it.
func (l *ledger) check(h *host, id account.ID) mailbox.Header {
	h.t.Helper()
	names, header, c := inbox(h, id)
	if header.Sequence != c.Committed {
		h.t.Errorf("%s: rows at sequence %d, copy at %d", h.name, header.Sequence, c.Committed)
	}
	times := map[string]int{}
	for _, name := range names {
		times[name]++
	}
	for name, uid := range l.uids {
		if times[name] != 1 {
			h.t.Errorf("%s: %s is there %d times, want once", h.name, name, times[name])
		}
		if uid != 0 && names[uid] != name {
			h.t.Errorf("%s: UID %d is %q, a client was told that it is %q", h.name, uid, names[uid], name)
		}
	}
	return header
}

// mayRepeat reports whether a client is to try again.
func mayRepeat(err error) bool {
	switch fault.KindOf(err) {
	case fault.LogUnavailable, fault.Busy, fault.NotReady, fault.Interrupted, fault.Unusable:
		return true
	}
	return false
}

// write delivers n messages one after another, each until it is acknowledged, on whatever copy find gives.
func (l *ledger) write(t *testing.T, writer, n int, find func() *mailstore.Account) {
	for i := range n {
		name := fmt.Sprintf("%d/%d", writer, i)
		for {
			a := find()
			uid, err := deliver(t, a, name, 20)
			if err == nil {
				l.note(name, uid)
				break
			}
			if !mayRepeat(err) {
				t.Errorf("delivery: %v", err)
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// await waits in virtual time.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 10_000 {
		if done() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s: not after a long while", what)
}

func equal(t *testing.T, id account.ID, hosts ...*host) {
	t.Helper()
	await(t, "equal copies", func() bool {
		for _, h := range hosts { // comparing goes on for long where a copy will never get there
			if c := h.account(id).Copy(); c.Condition != protocol.Complete {
				t.Fatalf("the copy on %s is %s", h.name, c.Condition)
			}
		}
		_, first, _ := inbox(hosts[0], id)
		for _, h := range hosts[1:] {
			if _, other, _ := inbox(h, id); other != first {
				return false
			}
		}
		return true
	})
}

// TestEveryAcknowledgedUpdateIsThereOnce drives many writers against a log that loses, delays, doubles and reorders, with a
// replica made on the way.
func TestEveryAcknowledgedUpdateIsThereOnce(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newLog(t, seed, 30)
				a, b := log.host(t, "a.example"), log.host(t, "b.example")
				id := a.create(0)
				var told ledger
				var writers sync.WaitGroup
				for w := range 6 {
					writers.Go(func() { told.write(t, w, 12, func() *mailstore.Account { return a.account(id) }) })
				}
				b.copyFrom(a, id)
				writers.Wait()
				equal(t, id, a, b)
				told.check(a, id)
				told.check(b, id)
				if n := a.account(id).Queued(); n != 0 {
					t.Errorf("%d requests still wait", n)
				}
			})
		})
	}
}

// TestRestartsLoseNothing kills the source again and again while clients write and repeat.
func TestRestartsLoseNothing(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newLog(t, seed, 20)
				a, b := log.host(t, "a.example"), log.host(t, "b.example")
				id := a.create(0)
				b.copyFrom(a, id)
				var told ledger
				var life sync.RWMutex
				var writers sync.WaitGroup
				for w := range 4 {
					writers.Go(func() {
						told.write(t, w, 15, func() *mailstore.Account {
							life.RLock()
							defer life.RUnlock()
							return a.account(id)
						})
					})
				}
				for range 5 {
					time.Sleep(time.Duration(log.draw(3_000)) * time.Millisecond)
					life.Lock()
					a.stop()
					a.start()
					life.Unlock()
				}
				writers.Wait()
				equal(t, id, a, b)
				told.check(a, id)
				told.check(b, id)
			})
		})
	}
}

// TestPromotionUnderDoubt moves the account to and fro by fences while clients write to whoever is home.
func TestPromotionUnderDoubt(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newLog(t, seed, 20)
				a, b := log.host(t, "a.example"), log.host(t, "b.example")
				id := a.create(0)
				b.copyFrom(a, id)
				home := func() *mailstore.Account {
					if c := b.account(id).Copy(); c.IsPrimary() {
						return b.account(id)
					}
					return a.account(id)
				}
				var told ledger
				var writers sync.WaitGroup
				for w := range 4 {
					writers.Go(func() {
						for i := range 15 {
							name := fmt.Sprintf("%d/%d", w, i)
							for {
								uid, err := deliver(t, home(), name, 20)
								if err == nil {
									told.note(name, uid)
									break
								}
								if !mayRepeat(err) && !fault.Is(err, fault.NotHome) {
									t.Errorf("delivery: %v", err)
									return
								}
								time.Sleep(100 * time.Millisecond)
							}
						}
					})
				}
				for i := range 4 {
					time.Sleep(time.Duration(log.draw(2_000)) * time.Millisecond)
					to := []*host{b, a}[i%2]
					await(t, "fence", func() bool {
						one := to.account(id)
						return one.Copy().IsPrimary() || one.Fence(t.Context(), "", one.Copy().Epoch+1, false) == nil
					})
				}
				writers.Wait()
				equal(t, id, a, b)
				told.check(a, id)
				told.check(b, id)
			})
		})
	}
}
