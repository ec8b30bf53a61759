package credential_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/credential"
	"mailreplica/internal/fault"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func hashOf(t testing.TB, password string) string {
	t.Helper()
	hash, err := credential.Hash(password)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// ended is a context in which nothing that takes a turn can succeed, so that only what is remembered does.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// full makes a verifier whose turns are all taken until release.
func full(t *testing.T, cfg credential.VerifierConfig) (v *credential.Verifier, release func()) {
	t.Helper()
	v = credential.NewVerifier(cfg)
	return v, credential.TakeTurn(v)
}

func TestVerifierRemembers(t *testing.T) {
	clock := newClock()
	v := credential.NewVerifier(credential.VerifierConfig{ComputeMax: 1, Now: clock.Now})
	id, hash := account.NewID(), hashOf(t, "secret")
	check := func(id account.ID, hash, password string, want bool) {
		t.Helper()
		release := credential.TakeTurn(v)
		defer release()
		if err := v.Verify(ended(), id, hash, password); (err == nil) != want {
			t.Errorf("from memory: %v, want success %v", err, want)
		}
	}
	check(id, hash, "secret", false)
	if err := v.Verify(t.Context(), id, hash, "secret"); err != nil {
		t.Fatal(err)
	}
	check(id, hash, "secret", true)
	check(id, hash, "Secret", false)
	check(account.NewID(), hash, "secret", false)
	if err := v.Verify(t.Context(), id, hash, "Secret"); !fault.Is(err, fault.Credentials) {
		t.Errorf("wrong password: %v", err)
	}
	check(id, hash, "secret", true) // a wrong one does not push the right one out
	clock.advance(10*time.Minute - 1)
	check(id, hash, "secret", true)
	clock.advance(1)
	check(id, hash, "secret", false)
}

func TestVerifierForgetsAChangedPassword(t *testing.T) {
	v := credential.NewVerifier(credential.VerifierConfig{ComputeMax: 1})
	id, before, after := account.NewID(), hashOf(t, "secret"), hashOf(t, "other")
	if err := v.Verify(t.Context(), id, before, "secret"); err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(t.Context(), id, after, "secret"); !fault.Is(err, fault.Credentials) {
		t.Errorf("the old password after the change: %v", err)
	}
	release := credential.TakeTurn(v)
	if err := v.Verify(ended(), id, before, "secret"); err == nil {
		t.Error("what was remembered of the old hash was kept")
	}
	release()
	if err := v.Verify(t.Context(), id, after, "other"); err != nil {
		t.Error(err)
	}
}

func TestVerifierAnswersUnknownAccountsAlike(t *testing.T) {
	v := credential.NewVerifier(credential.VerifierConfig{})
	wrong := v.Verify(t.Context(), account.NewID(), hashOf(t, "secret"), "wrong")
	for _, password := range []string{"", "secret", strings.Repeat("x", 100_000)} {
		unknown := v.VerifyUnknown(t.Context(), password)
		if !fault.Is(unknown, fault.Credentials) || unknown.Error() != wrong.Error() {
			t.Errorf("got %v, want %v", unknown, wrong)
		}
	}
	if err := v.Verify(t.Context(), account.NewID(), "", "secret"); !fault.Is(err, fault.Credentials) {
		t.Errorf("an account without a password: %v", err)
	}
}

func TestVerifierLimitsWaiters(t *testing.T) {
	v, release := full(t, credential.VerifierConfig{ComputeMax: 1, WaitersMax: 1})
	id, hash := account.NewID(), hashOf(t, "secret")
	waiting := make(chan error)
	go func() { waiting <- v.Verify(context.Background(), id, hash, "secret") }()
	credential.AwaitWaiters(v, 2)
	if err := v.Verify(t.Context(), id, hash, "secret"); !fault.Is(err, fault.Busy) {
		t.Errorf("got %v, want Busy", err)
	}
	release()
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

func TestVerifierBoundsItsMemory(t *testing.T) {
	v := credential.NewVerifier(credential.VerifierConfig{CacheEntries: 2})
	hash := hashOf(t, "secret")
	for range 5 {
		if err := v.Verify(t.Context(), account.NewID(), hash, "secret"); err != nil {
			t.Fatal(err)
		}
	}
	if got := credential.Remembered(v); got != 2 {
		t.Errorf("%d accounts are remembered, want 2", got)
	}
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		hashOf(b, "secret")
	}
}

func BenchmarkVerifyRemembered(b *testing.B) {
	v := credential.NewVerifier(credential.VerifierConfig{})
	id, hash := account.NewID(), hashOf(b, "secret")
	for b.Loop() {
		if err := v.Verify(b.Context(), id, hash, "secret"); err != nil {
			b.Fatal(err)
		}
	}
}
