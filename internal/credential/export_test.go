package credential

import (
	"context"
	"runtime"
)

// CheckHash reports why a hash could not be read.
func CheckHash(hash string) error {
	_, err := parse(hash)
	return err
}

// TakeTurn takes one of a verifier's turns until release.
func TakeTurn(v *Verifier) (release func()) {
	release, err := v.turn(context.Background())
	if err != nil {
		panic(err)
	}
	return release
}

// AwaitWaiters returns when so many checks have a turn or wait for one.
func AwaitWaiters(v *Verifier, count int) {
	for len(v.waiters) < count {
		runtime.Gosched()
	}
}

// Remembered is the number of accounts whose password is remembered.
func Remembered(v *Verifier) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.good)
}

// Entries is the number of addresses, accounts and pairs that a throttle remembers.
func Entries(t *Throttle) (addresses, accounts, pairs int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.addresses.entries), len(t.accounts.entries), len(t.pairs.entries)
}
