// Package credential owns passwords: how they are hashed, checked, and how guessing them is slowed down. It knows no
// account but by id and name, and neither the directory nor a protocol.
package credential

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"mailreplica/internal/fault"
)

// Limits of a password, in bytes.
const (
	PasswordBytesMin = 1
	PasswordBytesMax = 1024
)

// The parameters of new hashes: OWASP's first choice for argon2id that fits many logins on a small machine.
const (
	newMemoryKiB = 19_456
	newPasses    = 2
	newThreads   = 1
	saltBytes    = 16
	keyBytes     = 32
)

// Bounds of the parameters of a stored hash. A hash from elsewhere may be stronger, but one check must not take the
// machine down.
const (
	memoryKiBMax = 256 << 10
	memoryKiBMin = 8
	passesMax    = 16
	threadsMax   = 16
	saltBytesMin = 8
	saltBytesMax = 64
	keyBytesMin  = 16
	keyBytesMax  = 64
	hashBytesMax = 512
)

// parameters are those of one hash.
type parameters struct {
	memoryKiB, passes uint32
	threads           uint8
	salt, key         []byte
}

// Hash makes the argon2id hash of a password as a PHC string. A password out of the limits is Invalid.
func Hash(password string) (string, error) {
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	p := parameters{memoryKiB: newMemoryKiB, passes: newPasses, threads: newThreads, salt: make([]byte, saltBytes)}
	_, _ = rand.Read(p.salt) // never fails since Go 1.24
	p.key = p.derive(password, keyBytes)
	return p.String(), nil
}

// CheckPassword refuses a password out of the limits.
func CheckPassword(password string) error {
	if len(password) < PasswordBytesMin || len(password) > PasswordBytesMax {
		return fault.New(fault.Invalid, "a password has %d to %d bytes, not %d", PasswordBytesMin, PasswordBytesMax, len(password))
	}
	return nil
}

// Verify checks a password against a hash: nil, or Credentials if it is another. A hash that cannot be read is Internal.
// An empty hash is nobody's: Credentials.
func Verify(hash, password string) error {
	if hash == "" || CheckPassword(password) != nil {
		return wrong()
	}
	p, err := parse(hash)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(p.derive(password, len(p.key)), p.key) != 1 {
		return wrong()
	}
	return nil
}

func wrong() error { return fault.New(fault.Credentials, "wrong user name or password") }

func (p parameters) derive(password string, length int) []byte {
	return argon2.IDKey([]byte(password), p.salt, p.passes, p.memoryKiB, p.threads, uint32(length))
}

func (p parameters) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memoryKiB, p.passes, p.threads,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.key))
}

// parse reads a PHC string of argon2id, version 19: $argon2id$v=19$m=…,t=…,p=…$salt$key.
func parse(hash string) (parameters, error) {
	var p parameters
	fields := strings.Split(hash, "$")
	if len(hash) > hashBytesMax || len(fields) != 6 || fields[0] != "" {
		return p, unreadable("it is no PHC string")
	}
	if fields[1] != "argon2id" || fields[2] != "v="+strconv.Itoa(argon2.Version) {
		return p, unreadable("it is not argon2id of version 19")
	}
	costs := strings.Split(fields[3], ",")
	if len(costs) != 3 {
		return p, unreadable("its costs are not m, t and p")
	}
	threads, ok := cost(costs[2], "p=", 1, threadsMax)
	if !ok {
		return p, unreadable("its parallelism is out of bounds")
	}
	p.threads = uint8(threads)
	if p.memoryKiB, ok = cost(costs[0], "m=", max(memoryKiBMin, 8*threads), memoryKiBMax); !ok {
		return p, unreadable("its memory is out of bounds")
	}
	if p.passes, ok = cost(costs[1], "t=", 1, passesMax); !ok {
		return p, unreadable("its passes are out of bounds")
	}
	if p.salt, ok = decode(fields[4], saltBytesMin, saltBytesMax); !ok {
		return p, unreadable("its salt is malformed")
	}
	if p.key, ok = decode(fields[5], keyBytesMin, keyBytesMax); !ok {
		return p, unreadable("its key is malformed")
	}
	return p, nil
}

func unreadable(reason string) error {
	return fault.New(fault.Internal, "a stored password hash cannot be read: %s", reason).
		WithHint("set a new password with prov modifyAccount")
}

func cost(text, prefix string, low, high uint32) (uint32, bool) {
	digits, found := strings.CutPrefix(text, prefix)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), found && err == nil && uint32(n) >= low && uint32(n) <= high
}

func decode(text string, low, high int) ([]byte, bool) {
	bytes, err := base64.RawStdEncoding.Strict().DecodeString(text)
	return bytes, err == nil && len(bytes) >= low && len(bytes) <= high
}
