package credential

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// ThrottleConfig sets a Throttle's limits. The zero value of a field means its default.
type ThrottleConfig struct {
	Free       int              // failures that cost nothing; 3
	First      time.Duration    // the delay after one more; it doubles with each; 1 s
	AddressMax time.Duration    // the longest delay of an address; 60 s
	AccountMax time.Duration    // the longest delay of an account: short, since others can cause it; 10 s
	ForgetFor  time.Duration    // failures are forgotten this long after the last; 30 min
	KnownFor   time.Duration    // how long an address that logged in to an account is known there; 24 h
	Entries    int              // of each table; the longest unused goes first; 65,536
	Now        func() time.Time // the clock
}

// Throttle slows failed logins down, per address and per account.
//
// An address at which an account has logged in before is known for that account: there only the failures of that pair
// count. So whoever attacks an account from elsewhere does not slow its owner down, and a device with an old password
// does not slow down the office whose address it shares.
type Throttle struct {
	cfg ThrottleConfig

	mu        sync.Mutex // guards what follows
	addresses *table[netip.Prefix]
	accounts  *table[string]
	pairs     *table[pair]
}

type pair struct {
	address netip.Prefix
	name    string
}

// attempts is what is remembered of an address, an account, or the two together.
type attempts struct {
	failures int
	last     time.Time // of the failures
	next     time.Time // when the next attempt may be answered
	known    time.Time // of a pair: its last login
}

// NewThrottle makes a Throttle.
func NewThrottle(cfg ThrottleConfig) *Throttle {
	if cfg.Free <= 0 {
		cfg.Free = 3
	}
	if cfg.Entries <= 0 {
		cfg.Entries = 65_536
	}
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&cfg.First, time.Second}, {&cfg.AddressMax, time.Minute}, {&cfg.AccountMax, 10 * time.Second},
		{&cfg.ForgetFor, 30 * time.Minute}, {&cfg.KnownFor, 24 * time.Hour},
	} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Throttle{cfg: cfg, addresses: newTable[netip.Prefix](cfg.Entries), accounts: newTable[string](cfg.Entries),
		pairs: newTable[pair](cfg.Entries)}
}

// Wait says how long the caller must wait before it checks this attempt. Attempts that come together are given one time
// after another, so that many connections guess no faster than one.
func (t *Throttle) Wait(address netip.Addr, name string) time.Duration {
	now, p := t.cfg.Now(), pair{block(address), name}
	t.mu.Lock()
	defer t.mu.Unlock()
	if entry := t.pairs.get(p); entry != nil && !entry.known.IsZero() && now.Sub(entry.known) < t.cfg.KnownFor {
		return t.reserve(entry, now, t.cfg.AddressMax)
	}
	return max(t.reserve(t.addresses.get(p.address), now, t.cfg.AddressMax),
		t.reserve(t.accounts.get(name), now, t.cfg.AccountMax))
}

// reserve takes the next time of an entry. No wait is longer than the limit, however many attempts there are.
func (t *Throttle) reserve(entry *attempts, now time.Time, limit time.Duration) time.Duration {
	if entry == nil {
		return 0
	}
	if now.Sub(entry.last) >= t.cfg.ForgetFor {
		entry.failures = 0
	}
	step := t.step(entry.failures, limit)
	if step == 0 {
		return 0
	}
	at := now
	if entry.next.After(now) {
		at = entry.next
	}
	if at.Sub(now) > limit {
		at = now.Add(limit)
	}
	entry.next = at.Add(step)
	return at.Sub(now)
}

// step is the time between two attempts after some failures.
func (t *Throttle) step(failures int, limit time.Duration) time.Duration {
	if failures <= t.cfg.Free {
		return 0
	}
	step := t.cfg.First
	for range failures - t.cfg.Free - 1 {
		if step >= limit {
			break
		}
		step *= 2
	}
	return min(step, limit)
}

// Failed notes a login that failed for a wrong name or password.
func (t *Throttle) Failed(address netip.Addr, name string) {
	now, p := t.cfg.Now(), pair{block(address), name}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fail(t.addresses.make(p.address), now, t.cfg.AddressMax)
	t.fail(t.accounts.make(name), now, t.cfg.AccountMax)
	t.fail(t.pairs.make(p), now, t.cfg.AddressMax)
}

func (t *Throttle) fail(entry *attempts, now time.Time, limit time.Duration) {
	if now.Sub(entry.last) >= t.cfg.ForgetFor {
		entry.failures = 0
	}
	entry.failures++
	entry.last = now
	if next := now.Add(t.step(entry.failures, limit)); next.After(entry.next) {
		entry.next = next
	}
}

// Succeeded notes a login: the account's failures are forgotten, and the address's with that account. Those with other
// accounts are not, or an attacker would log in to an account of his own between any two guesses.
func (t *Throttle) Succeeded(address netip.Addr, name string) {
	now, p := t.cfg.Now(), pair{block(address), name}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accounts.drop(name)
	own := t.pairs.make(p)
	if entry := t.addresses.get(p.address); entry != nil {
		if entry.failures -= own.failures; entry.failures <= 0 {
			t.addresses.drop(p.address)
		}
	}
	*own = attempts{known: now}
}

// block is what counts as one address: all of IPv4's, and the /64 of IPv6 that one customer has.
func block(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // the zero address: they all count as one
	}
	return prefix
}

// table keeps a bounded number of entries; the longest unused goes first.
type table[K comparable] struct {
	max     int
	entries map[K]*list.Element
	order   *list.List // of *entry[K], the last used at the front
}

type entry[K comparable] struct {
	key K
	attempts
}

func newTable[K comparable](max int) *table[K] {
	return &table[K]{max: max, entries: make(map[K]*list.Element), order: list.New()}
}

func (t *table[K]) get(key K) *attempts {
	element := t.entries[key]
	if element == nil {
		return nil
	}
	t.order.MoveToFront(element)
	return &element.Value.(*entry[K]).attempts
}

func (t *table[K]) make(key K) *attempts {
	if found := t.get(key); found != nil {
		return found
	}
	if len(t.entries) >= t.max {
		oldest := t.order.Back()
		delete(t.entries, oldest.Value.(*entry[K]).key)
		t.order.Remove(oldest)
	}
	e := &entry[K]{key: key}
	t.entries[key] = t.order.PushFront(e)
	return &e.attempts
}

func (t *table[K]) drop(key K) {
	if element := t.entries[key]; element != nil {
		t.order.Remove(element)
		delete(t.entries, key)
	}
}
