package credential_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mailreplica/internal/credential"
)

var (
	attacker = netip.MustParseAddr("203.0.113.7")
	office   = netip.MustParseAddr("198.51.100.1")
)

func newThrottle() (*credential.Throttle, *clock) {
	clock := newClock()
	return credential.NewThrottle(credential.ThrottleConfig{Now: clock.Now}), clock
}

func wantWait(t *testing.T, got, want time.Duration) {
	t.Helper()
	if got != want {
		t.Errorf("waits %v, want %v", got, want)
	}
}

func TestThrottleGrows(t *testing.T) {
	throttle, clock := newThrottle()
	for failure, want := range []time.Duration{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60} {
		wantWait(t, throttle.Wait(attacker, fmt.Sprint("u", failure)), want*time.Second)
		clock.advance(want * time.Second)
		throttle.Failed(attacker, fmt.Sprint("u", failure))
	}
	clock.advance(30 * time.Minute)
	wantWait(t, throttle.Wait(attacker, "u"), 0)
}

func TestThrottleSlowsAnAccountFromManyAddresses(t *testing.T) {
	throttle, _ := newThrottle()
	for i := range 20 {
		throttle.Failed(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), "john@x")
	}
	wantWait(t, throttle.Wait(office, "john@x"), 10*time.Second)
	wantWait(t, throttle.Wait(office, "jane@x"), 0)
}

func TestThrottleGivesParallelAttemptsOneTimeAfterAnother(t *testing.T) {
	throttle, _ := newThrottle()
	for i := range 5 { // the next one waits 2 s
		throttle.Failed(attacker, fmt.Sprint("u", i))
	}
	for _, want := range []time.Duration{2, 4, 6, 8} {
		wantWait(t, throttle.Wait(attacker, "other"), want*time.Second)
	}
	for range 100 {
		throttle.Wait(attacker, "other")
	}
	wantWait(t, throttle.Wait(attacker, "other"), time.Minute) // but there is a longest wait
}

func TestThrottleKnowsWhereAnOwnerLogsIn(t *testing.T) {
	throttle, clock := newThrottle()
	throttle.Succeeded(office, "john@x")
	for range 50 {
		throttle.Failed(attacker, "john@x")
		throttle.Failed(office, "printer@x")
	}
	wantWait(t, throttle.Wait(office, "john@x"), 0)
	if throttle.Wait(attacker, "john@x") == 0 || throttle.Wait(office, "jane@x") == 0 {
		t.Error("others are not slowed down")
	}
	for range 5 { // his own failures there count
		throttle.Failed(office, "john@x")
	}
	wantWait(t, throttle.Wait(office, "john@x"), 2*time.Second)
	clock.advance(24 * time.Hour)
	throttle.Failed(attacker, "john@x")
	wantWait(t, throttle.Wait(office, "john@x"), 0) // no longer known, but all failures are forgotten
}

func TestThrottleSuccessResets(t *testing.T) {
	throttle, _ := newThrottle()
	for range 8 {
		throttle.Failed(office, "john@x")
	}
	throttle.Succeeded(office, "john@x")
	wantWait(t, throttle.Wait(office, "john@x"), 0)
	wantWait(t, throttle.Wait(office, "jane@x"), 0)
}

// Whoever logs in to an account of his own between guesses gains nothing by it.
func TestThrottleOwnSuccessDoesNotHideGuesses(t *testing.T) {
	throttle, _ := newThrottle()
	for i := range 20 {
		throttle.Failed(attacker, fmt.Sprint("victim", i))
		throttle.Succeeded(attacker, "mine@x")
	}
	if got := throttle.Wait(attacker, "victim"); got < time.Minute {
		t.Errorf("waits %v, want a minute", got)
	}
}

func TestThrottleTakesIPv6ByCustomer(t *testing.T) {
	throttle, _ := newThrottle()
	for i := range 10 {
		throttle.Failed(netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1::%x", i+1)), fmt.Sprint("u", i))
	}
	if throttle.Wait(netip.MustParseAddr("2001:db8:0:1:ffff::1"), "x") == 0 {
		t.Error("another address of the same /64 is not slowed down")
	}
	wantWait(t, throttle.Wait(netip.MustParseAddr("2001:db8:0:2::1"), "x"), 0)
	for range 10 {
		throttle.Failed(netip.MustParseAddr("::ffff:203.0.113.7"), "y")
	}
	if throttle.Wait(attacker, "x") == 0 {
		t.Error("an IPv4 address in IPv6's form is another")
	}
	throttle.Failed(netip.Addr{}, "z") // an address that is not known is no reason to fall over
	throttle.Wait(netip.Addr{}, "z")
}

func TestThrottleIsBounded(t *testing.T) {
	throttle := credential.NewThrottle(credential.ThrottleConfig{Entries: 100})
	for i := range 1000 {
		throttle.Failed(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), fmt.Sprint("u", i))
	}
	if addresses, accounts, pairs := credential.Entries(throttle); addresses != 100 || accounts != 100 || pairs != 100 {
		t.Errorf("%d addresses, %d accounts and %d pairs, want 100 each", addresses, accounts, pairs)
	}
}
