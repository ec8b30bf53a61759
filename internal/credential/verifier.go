package credential

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// VerifierConfig sets a Verifier's limits. The zero value of a field means its default.
type VerifierConfig struct {
	ComputeMax   int              // hashes computed at once, 19 MiB each; the number of processors
	WaitersMax   int              // checks that wait for a turn; 256
	CacheEntries int              // accounts whose last good password is known; 65,536
	CacheFor     time.Duration    // how long it is; 10 min
	Now          func() time.Time // the clock
}

// Verifier checks passwords for many logins. A good password is remembered for a while, as a keyed hash under a key
// that only this process has, so that clients which log in all the time cost little. A changed password hash makes
// what was remembered worthless at once.
type Verifier struct {
	cfg     VerifierConfig
	turns   chan struct{}
	waiters chan struct{}
	key     [32]byte
	decoy   string // a hash of nobody's

	mu   sync.Mutex // guards good
	good map[account.ID]remembered
}

type remembered struct {
	hash  string // the account's password hash at that time
	mac   [sha256.Size]byte
	until time.Time
}

// NewVerifier makes a Verifier.
func NewVerifier(cfg VerifierConfig) *Verifier {
	if cfg.ComputeMax <= 0 {
		cfg.ComputeMax = runtime.GOMAXPROCS(0)
	}
	if cfg.WaitersMax <= 0 {
		cfg.WaitersMax = 256
	}
	if cfg.CacheEntries <= 0 {
		cfg.CacheEntries = 65_536
	}
	if cfg.CacheFor <= 0 {
		cfg.CacheFor = 10 * time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	v := &Verifier{
		cfg: cfg, turns: make(chan struct{}, cfg.ComputeMax), waiters: make(chan struct{}, cfg.WaitersMax+cfg.ComputeMax),
		good: make(map[account.ID]remembered),
	}
	_, _ = rand.Read(v.key[:]) // never fails since Go 1.24
	decoy := parameters{memoryKiB: newMemoryKiB, passes: newPasses, threads: newThreads,
		salt: make([]byte, saltBytes), key: make([]byte, keyBytes)}
	_, _ = rand.Read(decoy.salt)
	_, _ = rand.Read(decoy.key)
	v.decoy = decoy.String()
	return v
}

// Verify checks an account's password: nil, or Credentials if it is another. Busy says that too many checks wait.
func (v *Verifier) Verify(ctx context.Context, id account.ID, hash, password string) error {
	if hash == "" || CheckPassword(password) != nil {
		return v.VerifyUnknown(ctx, password)
	}
	mac := v.mac(id, hash, password)
	if v.remembers(id, hash, mac) {
		return nil
	}
	release, err := v.turn(ctx)
	if err != nil {
		return err
	}
	defer release()
	if v.remembers(id, hash, mac) { // another login of the same client had the turn before
		return nil
	}
	if err := Verify(hash, password); err != nil {
		return err
	}
	v.remember(id, remembered{hash, mac, v.cfg.Now().Add(v.cfg.CacheFor)})
	return nil
}

// VerifyUnknown takes as long as the check of a wrong password, and gives the same answer: for names that are no
// account's, and accounts that have no password, so that time does not tell them apart.
func (v *Verifier) VerifyUnknown(ctx context.Context, password string) error {
	release, err := v.turn(ctx)
	if err != nil {
		return err
	}
	defer release()
	if len(password) > PasswordBytesMax {
		password = password[:PasswordBytesMax]
	}
	if password == "" {
		password = " "
	}
	if err := Verify(v.decoy, password); !fault.Is(err, fault.Credentials) {
		return fault.Wrap(fault.Internal, err, "the check of nobody's password")
	}
	return wrong()
}

// turn waits until a hash may be computed.
func (v *Verifier) turn(ctx context.Context) (release func(), err error) {
	select {
	case v.waiters <- struct{}{}:
	default:
		return nil, fault.New(fault.Busy, "too many logins at once")
	}
	select {
	case v.turns <- struct{}{}:
		return func() { <-v.turns; <-v.waiters }, nil
	case <-ctx.Done():
		<-v.waiters
		return nil, fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted while a password was to be checked")
	}
}

// mac binds a password to its account and hash. The lengths keep (hash, password) pairs apart.
func (v *Verifier) mac(id account.ID, hash, password string) [sha256.Size]byte {
	h := hmac.New(sha256.New, v.key[:])
	h.Write(id[:])
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(hash)))
	h.Write(length[:])
	h.Write([]byte(hash))
	h.Write([]byte(password))
	return [sha256.Size]byte(h.Sum(nil))
}

func (v *Verifier) remembers(id account.ID, hash string, mac [sha256.Size]byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	known, found := v.good[id]
	if !found {
		return false
	}
	if known.hash != hash || !v.cfg.Now().Before(known.until) {
		delete(v.good, id)
		return false
	}
	return hmac.Equal(known.mac[:], mac[:])
}

func (v *Verifier) remember(id account.ID, r remembered) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, found := v.good[id]; !found && len(v.good) >= v.cfg.CacheEntries {
		for other := range v.good { // any one: the order of a map is as good as random
			delete(v.good, other)
			break
		}
	}
	v.good[id] = r
}
